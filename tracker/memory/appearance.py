"""The appearance memory: keys and values of past frames, ready to be read (Section III-B).

The paper stacks all previous frames, so that time and memory per frame grow without end. Here the number of
frames is bounded, and storage is allocated once: frame k occupies rows k * M to (k + 1) * M of one buffer (M
= h * w positions), so that what the reader multiplies is a view of it and reading copies nothing. Attention
does not care for the order of its rows, so a frame is replaced where it lies.
"""

from __future__ import annotations

import torch
from torch import Tensor

from tracker.config import AppearanceConfig
from tracker.memory.snapshot import Snapshot


class AppearanceMemory:
    """Holds the first frame for ever, one frame in every `sampling_interval`, and the latest one; at 0 the first only.

    The latest frame takes the place of the one before, unless that is to stay. When all `max_frames` places
    are taken, the oldest frame but the first makes room. One instance serves any number of initializations.

    Args:
        config: interval, bound, and whether the latest frame is held.

    Raises:
        ValueError: `max_frames` below 1, or a negative interval.
    """

    def __init__(self, config: AppearanceConfig) -> None:
        if config.max_frames < 1 or config.sampling_interval < 0:
            raise ValueError(
                "the appearance memory needs max_frames >= 1 and sampling_interval >= 0, "
                f"got {config.max_frames} and {config.sampling_interval}"
            )
        self.config = config
        self._keys = self._values = torch.empty(0)
        self._frames: list[int] = []  # by place
        self._kept = 0  # the latest frame that is there to stay

    @property
    def frames(self) -> list[int]:
        """The indices of the frames held, in the order of their rows; the first frame, usually 0, is in front."""
        return list(self._frames)

    def wants(self, frame_index: int) -> bool:
        """Whether `commit` would store this frame: lets the caller skip encoding it."""
        if self.config.max_frames == 1 or self.config.sampling_interval == 0:
            return False  # a template of one frame (Section IV-C, "when sampling interval is 0")
        return self.config.last_frame or self._due(frame_index)

    @torch.inference_mode()
    def reset(self, key: Tensor, value: Tensor) -> None:
        """Forget everything; hold the first frame, index 0.

        The first call allocates the storage, in the tensors' type and on their device; later ones reuse it as
        long as shapes, type and device are the same.

        Args:
            key: 1 x Ck x h x w, or as rows 1 x (h*w) x Ck.
            value: 1 x Cv x h x w, or as rows 1 x (h*w) x Cv.

        Raises: ValueError: another number of dimensions, more than one object, or key and value differ in
            positions.
        """
        key_rows, value_rows = _rows(key), _rows(value)
        if len(key_rows) != len(value_rows):
            raise ValueError(f"key and value differ in positions: {len(key_rows)} and {len(value_rows)}")
        self._keys = self._allocate(self._keys, key_rows)
        self._values = self._allocate(self._values, value_rows)
        self._frames, self._kept = [0], 0
        self._keys[0], self._values[0] = key_rows, value_rows

    def count_from(self, frame_index: int) -> None:
        """Give the first frame another index than 0, before others are held; nothing is done where none is held.

        Raises:
            ValueError: more frames are held.
        """
        if len(self._frames) > 1:
            raise ValueError(f"the first frame must be held alone to get another index, held are {self._frames}")
        self._frames, self._kept = [frame_index] * len(self._frames), frame_index

    @torch.inference_mode()
    def commit(self, key: Tensor, value: Tensor, frame_index: int) -> None:
        """Take in an accepted frame.

        It stays if at least `sampling_interval` frames have passed since the last one that stayed (every
        fifth frame, if all are accepted); otherwise only until the next.

        Args:
            key: as in `reset`.
            value: as in `reset`.
            frame_index: above that of every frame before.

        Raises: ValueError: a frame index that does not rise, shapes unlike the first frame's, or no `reset`
            before.
        """
        if not self._frames or frame_index <= max(self._frames):
            raise ValueError(f"frame {frame_index} cannot follow the frames {self._frames}")
        key_rows, value_rows = _rows(key), _rows(value)
        if key_rows.shape != self._keys.shape[1:] or value_rows.shape != self._values.shape[1:]:
            raise ValueError(
                f"the memory holds rows {tuple(self._keys.shape[1:])} and {tuple(self._values.shape[1:])}, "
                f"got {tuple(key_rows.shape)} and {tuple(value_rows.shape)}"
            )
        if not self.wants(frame_index):
            return
        place = self._place()
        self._frames[place : place + 1] = [frame_index]
        self._keys[place], self._values[place] = key_rows, value_rows
        if self._due(frame_index):
            self._kept = frame_index

    def rows(self) -> tuple[Tensor, Tensor]:
        """Everything that is held, as contiguous views of the storage, valid until the next `commit`.

        Returns:
            Keys 1 x (T*h*w) x Ck and values 1 x (T*h*w) x Cv, frame by frame as in `frames`.
        """
        count = len(self._frames)
        return self._keys[:count].flatten(0, 1)[None], self._values[:count].flatten(0, 1)[None]

    def state(self) -> Snapshot:
        """Everything that is held: keys T x M x Ck and values T x M x Cv, by place."""
        count = len(self._frames)
        tensors = {"keys": self._keys[:count], "values": self._values[:count]}
        return Snapshot(tensors, {"frames": self.frames, "kept": self._kept})

    @torch.inference_mode()
    def restore(self, snapshot: Snapshot) -> None:
        """Hold what another memory of the same configuration held.

        Raises:
            ValueError: that is not what `state` returns.
        """
        keys, values, frames = snapshot.tensors["keys"], snapshot.tensors["values"], snapshot.facts["frames"]
        fitting = 0 < len(frames) == len(keys) == len(values) <= self.config.max_frames
        if not (fitting and keys.ndim == values.ndim == 3):
            raise ValueError(f"{len(keys)} keys and {len(values)} values cannot belong to the frames {frames}")
        self._keys, self._values = self._allocate(self._keys, keys[0]), self._allocate(self._values, values[0])
        self._keys[: len(frames)], self._values[: len(frames)] = keys, values
        self._frames, self._kept = list(frames), snapshot.facts["kept"]

    def _due(self, frame_index: int) -> bool:
        return frame_index - self._kept >= self.config.sampling_interval

    def _place(self) -> int:
        """Where the next frame goes: over a passing one, else to a free place, else over the oldest."""
        latest = max(self._frames)
        if latest > self._kept:
            return self._frames.index(latest)
        if len(self._frames) < self.config.max_frames:
            return len(self._frames)
        return self._frames.index(min(self._frames[1:]))

    def _allocate(self, old: Tensor, rows: Tensor) -> Tensor:
        wanted = ((self.config.max_frames, *rows.shape), rows.dtype, rows.device)
        return old if (old.shape, old.dtype, old.device) == wanted else rows.new_empty(wanted[0])


def _rows(features: Tensor) -> Tensor:
    """1 x C x h x w or 1 x (h*w) x C as rows (h*w) x C."""
    if features.ndim not in (3, 4) or len(features) != 1:
        raise ValueError(f"the memory takes 1 x C x h x w or rows 1 x (h*w) x C, got {tuple(features.shape)}")
    return features[0] if features.ndim == 3 else features[0].flatten(1).T
