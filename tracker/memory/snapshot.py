"""What a memory knows, taken out of it: to be written into a file, and put back into another instance."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor


@dataclass(frozen=True)
class Snapshot:
    """Tensors and plain values.

    Attributes:
        tensors: by name. Views of the memory's storage: copy or write them before the next frame.
        facts: what JSON can hold, by name.
    """

    tensors: Mapping[str, Tensor]
    facts: Mapping[str, Any]
