"""What a user may choose from outside: environment variables DMB_*, and options of the same names.

Each setting is one entry of `Settings`; everything else follows from it: the variable, the option, the default (that of
`TrackerConfig`), the help of the commands, docs/SETTINGS.md and the commented block of trackers.ini. After a change:

    python -m tracker.settings --write

Why the environment: the toolkit's `traxpython` protocol starts `python -m tracker.trax_server` without any options, so
what must be known before the first message travels as `env_DMB_DEVICE = cpu` in trackers.ini.
"""

from __future__ import annotations

import argparse
import dataclasses
import difflib
import math
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, cast, get_args

from tracker.config import (
    MODEL_NAMES,
    Encoding,
    GateRule,
    MapKind,
    ModelName,
    Precision,
    TrackerConfig,
)
from tracker.errors import UserError

Answer = Literal["auto", "rectangle", "polygon", "mask"]

PREFIX = "DMB_"
CROP_STEP = 16  # stride of the attention grid, which must divide the crop


class SettingsError(UserError):
    """A setting has a value that is not allowed; the message names both and what is allowed."""


@dataclass(frozen=True)
class Kind:
    """How a setting's text is read (ValueError or KeyError: not allowed), and what is allowed, as text."""

    parse: Callable[[str], object]
    allowed: str


def _switch(text: str) -> bool:
    return {"on": True, "off": False, "1": True, "0": False, "yes": True, "no": False}[text.lower()]


def _device(text: str) -> str:
    kind, colon, number = text.lower().partition(":")
    if kind not in ("auto", "cpu", "cuda") or (colon and (kind != "cuda" or not number.isdecimal())):
        raise ValueError
    return text.lower()


def _range(text: str) -> tuple[float, float]:
    low, high = (float(part) for part in text.split(","))
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise ValueError
    return low, high


def _absolute(text: str) -> str:
    path = os.path.expanduser(text)
    if not os.path.isabs(path):
        raise ValueError
    return path


def _whole(smallest: int, step: int = 1) -> Kind:
    def parse(text: str) -> int:
        value = int(text)
        if value < smallest or value % step:
            raise ValueError
        return value

    return Kind(parse, f"a whole number from {smallest}" if step == 1 else f"a multiple of {step} from {smallest}")


def _choice(literal: object) -> Kind:
    choices = cast(tuple[str, ...], get_args(literal))

    def parse(text: str) -> str:
        if text.lower() not in choices:
            raise ValueError
        return text.lower()

    return Kind(parse, " or ".join(choices))


DEVICE = Kind(_device, "auto, cpu, cuda or cuda:<number>")
SWITCH = Kind(_switch, "on or off")
FILE = Kind(str, "a file")
RANGE = Kind(_range, "two numbers, LOW,HIGH")
FOLDER = Kind(_absolute, "the absolute path of a folder (the toolkit starts trackers elsewhere)")
LOG_FILE = Kind(_absolute, "an absolute path (the toolkit starts trackers elsewhere)")


def setting(
    name: str,
    kind: Kind,
    what: str,
    *,
    parameter: str = "",
    default: object = None,
    unset: str = "",
    example: str = "",
    trax_only: bool = False,
    peers_only: bool = False,
) -> Any:
    """Declare a setting.

    Args:
        name: of the environment variable.
        kind: how it is read.
        what: it does, for people.
        parameter: of `TrackerConfig` that it sets, as "part.name"; the default is that one's.
        default: of a setting that is not a parameter; None where the program chooses by itself.
        unset: what None stands for, for people.
        example: what trackers.ini shows where the default cannot be typed.
        trax_only: concerns the TraX process alone.
        peers_only: concerns OpenCV's trackers, not DMB.
    """
    facts = {"name": name, "kind": kind, "what": what, "parameter": parameter, "unset": unset, "example": example}
    return dataclasses.field(default=default, metadata=facts | {"trax_only": trax_only, "peers_only": peers_only})


@dataclass(frozen=True)
class Settings:
    """The choices of one run; None stands for the value in the model's `TrackerConfig`, or for what the entry says."""

    device: str = setting(
        "DMB_DEVICE", DEVICE, "where the network runs; auto: on a GPU where there is one", default="auto"
    )
    precision: Precision = setting("DMB_PRECISION", _choice(Precision), "arithmetic of the network", default="auto")
    graphs: bool = setting(
        "DMB_GRAPHS", SWITCH, "on a GPU: recorded CUDA graphs, compared with the plain way", default=False
    )
    model: ModelName | None = setting(
        "DMB_MODEL",
        _choice(ModelName),
        "full: the paper's network; compact: a smaller one with smaller masks, for CPUs",
        unset=MODEL_NAMES[0],
        example=MODEL_NAMES[0],
    )
    weights: str | None = setting(
        "DMB_WEIGHTS", FILE, "weights file", unset="the project's own", example="/path/to/weights.safetensors"
    )
    threads: int | None = setting(
        "DMB_THREADS", _whole(1), "CPU threads", unset="PyTorch's and OpenCV's choice", example="4"
    )
    gate: GateRule | None = setting(
        "DMB_GATE", _choice(GateRule), "rule by which frames enter the memories; off: all do", parameter="gate.rule"
    )
    crop_size: int | None = setting(  # see `Settings.tracker_config` for what else it changes
        "DMB_CROP_SIZE",
        _whole(4 * CROP_STEP, CROP_STEP),
        "side of the segmented crop in network pixels; smaller is faster and less accurate",
        parameter="crop.segment_size",
    )
    recenter: bool | None = setting(
        "DMB_RECENTER",
        SWITCH,
        "segment another crop where the filter finds the target far off, and for boxes always; off is faster",
        parameter="crop.recenter",
    )
    sampling_interval: int | None = setting(
        "DMB_SAMPLING_INTERVAL",
        _whole(0),
        "every n-th frame stays in the appearance memory; 0: the first frame only",
        parameter="appearance.sampling_interval",
    )
    last_frame: bool | None = setting(
        "DMB_LAST_FRAME",
        SWITCH,
        "the latest frame is always in the appearance memory",
        parameter="appearance.last_frame",
    )
    max_frames: int | None = setting(
        "DMB_MAX_FRAMES", _whole(1), "most frames in the appearance memory", parameter="appearance.max_frames"
    )
    position: Encoding | None = setting(
        "DMB_POSITION",
        _choice(Encoding),
        "how the spatial map enters the decoder; concat needs weights trained so",
        parameter="position.encoding",
        example="add",
    )
    spatial_map: MapKind | None = setting(
        "DMB_SPATIAL_MAP",
        _choice(MapKind),
        "what the spatial map shows; response (of the filter) needs weights trained so",
        parameter="position.spatial_map",
        example="distance",
    )
    search_around_after: int | None = setting(
        "DMB_SEARCH_AROUND_AFTER",
        _whole(0),
        "lost frames after which the regions around are searched too, for masks, with DMB_RECENTER; 0: never",
        parameter="crop.search_around_after",
    )
    segment: bool | None = setting(
        "DMB_SEGMENT",
        SWITCH,
        "segment the target; off: the filter alone moves the first box or polygon, which is fast and shows no masks",
        parameter="mask.enabled",
    )
    filter: bool | None = setting(
        "DMB_FILTER",
        SWITCH,
        "localize by the filter; off: by the appearance memory alone, ungated",
        parameter="filter.enabled",
    )
    correct_center: bool | None = setting(  # for boxes and masks, see `Settings.tracker_config`
        "DMB_CORRECT_CENTER",
        SWITCH,
        "the mask's center corrects the filter's position",
        unset="on where masks are wanted, off where only boxes are",
        example="on",
    )
    upright: bool | None = setting(
        "DMB_UPRIGHT",
        SWITCH,
        "answer upright boxes where rotated ones are asked for: for targets that do not turn, whose box would sway",
        parameter="box_fit.upright",
    )
    box2seg: bool | None = setting(
        "DMB_BOX2SEG", SWITCH, "turn a first box or polygon into a mask", parameter="box2seg.enabled"
    )
    range: tuple[float, float] | None = setting(
        "DMB_RANGE",
        RANGE,
        "the values of pictures with more than 8 bits that become black and white",
        unset="percentiles 0.5 and 99.5 of the first picture",
        example="7000,9000",
    )
    answer: Answer = setting(
        "DMB_ANSWER",
        _choice(Answer),
        "kind of region answered; auto: as initialized",
        default="auto",
        trax_only=True,
    )
    multiobject: bool = setting(
        "DMB_MULTIOBJECT", SWITCH, "offer the client several objects at once", default=True, trax_only=True
    )
    log: str | None = setting(
        "DMB_LOG", LOG_FILE, "file for log lines", unset="none", example="/path/to/dmb.log", trax_only=True
    )
    peers: str | None = setting(
        "DMB_PEERS",
        FOLDER,
        "the networks of OpenCV's NANO and VIT trackers",
        unset="none",
        example="/path/to/networks",
        peers_only=True,
    )

    def tracker_config(self, base: TrackerConfig | None = None) -> TrackerConfig:
        """Apply what was chosen to a configuration.

        Args:
            base: that of the network that is used, see `tracker.api.loading.load_tracker`; default: the chosen model's.
        """
        config = base or TrackerConfig.of(self.model or MODEL_NAMES[0])
        for variable in VARIABLES:
            value = getattr(self, variable.field)
            if variable.parameter and value is not None:
                part, parameter = variable.parameter.split(".")
                config = replace(config, **{part: replace(getattr(config, part), **{parameter: value})})
        if self.crop_size is not None:  # the search region, and the crop for boxes, become no larger than it
            crop = config.crop
            size, box_size = (min(self.crop_size, side) for side in (crop.size, crop.box_size))
            config = replace(config, crop=replace(crop, size=size, box_size=box_size))
        if self.correct_center is not None:
            trust, trust_mask = (
                replace(part, correct_center=self.correct_center) for part in (config.trust, config.trust_mask)
            )
            config = replace(config, trust=trust, trust_mask=trust_mask)
        return config


@dataclass(frozen=True)
class Variable:
    """A setting as users see it.

    Attributes:
        field: of `Settings`.
        name: of the environment variable.
        kind, what, parameter, unset, example, trax_only, peers_only: see `setting`.
        given: the default of one that is not a parameter.
    """

    field: str
    name: str
    kind: Kind
    what: str
    parameter: str
    unset: str
    example: str
    trax_only: bool
    peers_only: bool
    given: object

    @property
    def option(self) -> str:
        """Name on the command line."""
        return "--" + self.field.replace("_", "-")

    @property
    def default(self) -> str:
        """The default as text, by model where they differ."""
        if self.parameter:
            return default_of(self.parameter)
        return self.unset if self.given is None else _text(self.given)

    @property
    def help(self) -> str:
        """What it is, what is allowed, the default, and the variable."""
        return f"{self.what}: {self.kind.allowed} (default: {self.default}) [{self.name}]"

    @property
    def line(self) -> str:
        """As an entry of trackers.ini."""
        value = self.example or self.default.partition(";")[0]
        return f"env_{self.name} = {value}"


def default_of(parameter: str) -> str:
    """The default of a parameter "part.name" of `TrackerConfig` as text, by model where they differ."""
    part, name = parameter.split(".")
    texts = {model: _text(getattr(getattr(TrackerConfig.of(model), part), name)) for model in MODEL_NAMES}
    usual = texts[MODEL_NAMES[0]]
    return "; ".join([usual, *(f"{model} model: {text}" for model, text in texts.items() if text != usual)])


def _text(value: object) -> str:
    if value is None:
        return "as the weights want it"
    return {True: "on", False: "off"}[value] if isinstance(value, bool) else str(value)


VARIABLES = tuple(
    Variable(field=entry.name, given=entry.default, **entry.metadata) for entry in dataclasses.fields(Settings)
)
OF_DMB = tuple(variable for variable in VARIABLES if not variable.peers_only)


def from_environment(environ: Mapping[str, str], options: Mapping[str, str | None] | None = None) -> Settings:
    """Read the settings; an option wins over the environment, an empty value counts as not given.

    Args:
        environ: e.g. `os.environ`.
        options: texts by field name, from the command line.

    Raises:
        SettingsError: a value is not allowed; one sentence with name, value and allowed values.
    """
    chosen: dict[str, Any] = {}
    for variable in VARIABLES:
        option = (options or {}).get(variable.field)
        text = (environ.get(variable.name, "") if option is None else option).strip()
        if not text:
            continue
        try:
            chosen[variable.field] = variable.kind.parse(text)
        except (ValueError, KeyError):
            source = variable.name if option is None else variable.option
            raise SettingsError(f"{source} is '{text}'; it must be {variable.kind.allowed}") from None
    return Settings(**chosen)


def complaints(environ: Mapping[str, str]) -> list[str]:
    """One sentence for each variable whose name looks like a misspelt setting."""
    names = [variable.name for variable in VARIABLES]
    found = []
    for name in sorted(environ):
        close = difflib.get_close_matches(name, names, n=1, cutoff=0.8)
        if name.startswith(PREFIX) and name not in names and close:
            found.append(f"{name} is not a setting of DMB and has no effect; did you mean {close[0]}?")
    return found


CHECKOUT = Path(__file__).resolve().parents[1]
DOCUMENT, REGISTRY = Path("docs", "SETTINGS.md"), Path("trackers.ini")
BEGIN, END = "; settings: written by python -m tracker.settings --write", "; end of the settings"
ABOUT = """\
# Settings

Written by `python -m tracker.settings --write` from `tracker/settings.py`; change that file, not this one.

Every command and the TraX process obey these environment variables. `dmb track` and `python -m tracker.trax_server`
have them as options, too (`--threads 1` for `DMB_THREADS`), and an option wins. In `trackers.ini` the line is
`env_DMB_THREADS = 1`.

In Python, `load_tracker(from_environment(os.environ))` of `tracker.api.loading` and `tracker.settings` obeys them all,
as do `track_videos` and `GOT10kTracker` without a model. `DMB(load_weights())` obeys `DMB_WEIGHTS` and `DMB_MODEL`
alone; give it a `TrackerConfig` for the rest.

| variable | allowed | default | what it does | parameter in `tracker/config.py` |
|---|---|---|---|---|
"""


def document() -> str:
    """docs/SETTINGS.md."""
    rows = []
    for variable in VARIABLES:
        what = f"{variable.what}{' (TraX only)' if variable.trax_only else ''}"
        parameter = f"`{variable.parameter}`" if variable.parameter else ""
        rows.append(f"| `{variable.name}` | {variable.kind.allowed} | {variable.default} | {what} | {parameter} |\n")
    return ABOUT + "".join(rows)


def registry(text: str) -> str:
    """trackers.ini with the commented settings between BEGIN and END written anew.

    Raises:
        ValueError: the lines BEGIN and END are not in it.
    """
    if f"{BEGIN}\n" not in text or f"{END}\n" not in text:
        raise ValueError(f"{REGISTRY} lacks the line '{BEGIN}' or '{END}'; restore it")
    before, rest = text.split(f"{BEGIN}\n")
    after = rest.split(f"{END}\n")[1]
    lines = []
    for variable in OF_DMB:
        told = f"; {variable.what} [{variable.kind.allowed}; default: {variable.default}]"
        lines += [told.replace("%", "%%"), f";{variable.line}"]
    return f"{before}{BEGIN}\n" + "".join(f"{line}\n" for line in lines) + f"{END}\n{after}"


def main(arguments: Sequence[str] | None = None, folder: Path = CHECKOUT) -> int:
    """Print docs/SETTINGS.md, or write it and trackers.ini; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tracker.settings", description=main.__doc__)
    parser.add_argument("--write", action="store_true", help=f"write {DOCUMENT} and the settings in {REGISTRY}")
    if not parser.parse_args(arguments).write:
        print(document(), end="")
        return 0
    (folder / DOCUMENT).write_text(document(), encoding="utf-8")
    path = folder / REGISTRY
    path.write_text(registry(path.read_text(encoding="utf-8")), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
