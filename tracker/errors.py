"""What users can mend: the base of all errors whose message is for them, and what they are told."""

from __future__ import annotations

import os
import sys

NEEDED = ("PIL", "av", "cv2", "matplotlib", "numpy", "safetensors", "skimage", "torch", "tqdm", "trax", "yaml")


class UserError(ValueError):
    """Something that the user named or asked for cannot be used; the message says what, where and what to do.

    Commands end with this message as one sentence and no traceback.
    """


class DeviceError(UserError):
    """The wanted device is not there; the message says what to choose instead."""


FULL = (
    "choose another device (DMB_DEVICE), a smaller crop (DMB_CROP_SIZE) or fewer remembered frames (DMB_MAX_FRAMES), "
    "or end other programs"
)


class DeviceFullError(UserError):
    """The memory of a device is full.

    Args:
        device: its name.
    """

    def __init__(self, device: object = "the device") -> None:
        super().__init__(str(device))  # alone, as pickle makes the error again from what is given here

    def __str__(self) -> str:
        return f"the memory of {self.args[0]} is full; {FULL}"


def explained(error: Exception) -> str | None:
    """What the user is told of an exception; None for one that is a defect of ours."""
    if isinstance(error, UserError | OSError):
        return str(error)
    engine = sys.modules.get("tracker.engine.engine")  # only what was imported can have filled a device
    if isinstance(error, MemoryError) or (engine is not None and engine.is_full(error)):
        return str(DeviceFullError())
    return None


def hidden() -> str:
    """The sentence about a user's file that was imported in place of a module of its name; empty where none was.

    Python looks into the folders of PYTHONPATH, and often into the current one, before it looks into its own.
    """
    own = os.path.realpath(os.path.dirname(os.__file__))
    before = [os.path.realpath(folder) for folder in sys.path]
    before = before[: before.index(own)] if own in before else []
    for name in (*NEEDED, *sorted(sys.stdlib_module_names)):
        file = getattr(sys.modules.get(name), "__file__", None)
        if file and os.path.realpath(os.path.dirname(file)) in before:
            return f"'{file}' was imported in place of the module '{name}' that DMB needs; rename it"
    return ""
