"""How large the network is: the paper's, or a compact one for CPUs."""

from __future__ import annotations

import re
from dataclasses import dataclass

from tracker.config import ModelName

TEXT = re.compile(r"blocks (\d+)-(\d+)-(\d+), values (\d+), decoder (\d+)")
MOST_BLOCKS, WIDEST = 36, 1024  # beyond them a file is damaged or a mistake


@dataclass(frozen=True)
class Architecture:
    """The sizes in which networks differ; the defaults are the paper's.

    Features and keys have the paper's channels in all of them: the correlation filter knows nothing of architectures,
    and a smaller network can imitate a larger one's features. Values of the paper's size would be a fifth of a compact
    network's arithmetic, and half of them fill a decoder of half the width.

    Attributes:
        blocks: bottlenecks of the ResNet stages at strides 4, 8 and 16, the same in both encoders.
        value_channels: of the memory's and the query's value.
        decoder_width: channels of every decoder layer.
    """

    blocks: tuple[int, int, int] = (3, 4, 6)  # ResNet-50 (Section IV-A)
    value_channels: int = 512  # f/2 of eq. 2, f = 1024 (Section III-B)
    decoder_width: int = 256  # (release)

    def __post_init__(self) -> None:
        if len(self.blocks) != 3 or not all(1 <= count <= MOST_BLOCKS for count in self.blocks):
            raise ValueError(f"blocks are {self.blocks}; give three numbers from 1 to {MOST_BLOCKS}")
        for name in ("value_channels", "decoder_width"):
            if not 1 <= getattr(self, name) <= WIDEST:
                raise ValueError(f"{name} is {getattr(self, name)}; give a number from 1 to {WIDEST}")

    @property
    def text(self) -> str:
        """As weights files state it."""
        sizes = (*self.blocks, self.value_channels, self.decoder_width)
        return "blocks {}-{}-{}, values {}, decoder {}".format(*sizes)

    @classmethod
    def parse(cls, text: str) -> Architecture:
        """Read what `text` wrote.

        Raises:
            ValueError: it is something else.
        """
        found = TEXT.fullmatch(text)
        if found is None:
            raise ValueError(f"'{text[:80]}' is not an architecture")
        first, second, third, values, width = (int(number) for number in found.groups())
        return cls((first, second, third), values, width)

    @property
    def model(self) -> ModelName:
        """Which of the project's models this is; every one that is not the paper's is a compact one."""
        return "full" if self == ARCHITECTURES["full"] else "compact"


ARCHITECTURES: dict[ModelName, Architecture] = {
    "full": Architecture(),
    "compact": Architecture(blocks=(2, 3, 4), value_channels=256, decoder_width=128),
}
