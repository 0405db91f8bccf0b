"""What a user may choose from outside: environment variables DMB_*, and options of the same names by hand.

Why the environment: the toolkit's `traxpython` protocol starts `python -m tracker.trax_server` without any
options, so what must be known before the first message travels as `env_DMB_DEVICE = cpu` in trackers.ini.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Literal, cast, get_args

from tracker.config import MODEL_NAMES, Encoding, GateRule, MapKind, ModelName, TrackerConfig
from tracker.errors import UserError

Precision = Literal["auto", "float32", "bfloat16", "float16"]
Answer = Literal["auto", "rectangle", "polygon", "mask"]

PREFIX = "DMB_"
CROP_STEP = 16  # stride of the attention grid, which must divide the crop


class SettingsError(UserError):
    """A setting has a value that is not allowed; the message names both and what is allowed."""


@dataclass(frozen=True)
class Settings:
    """The choices of one run; None stands for the value in the model's `TrackerConfig`.

    Attributes:
        device: "auto" (a CUDA device where there is one), "cpu", "cuda" or "cuda:<n>".
        precision: arithmetic of the network.
        graphs: on a GPU, run through recorded CUDA graphs with crops made there, after a comparison with the plain way.
        model: "full" or "compact": which of the project's own weights are used; a named file must be of that model.
        weights: a weights file; None for the project's own.
        threads: CPU threads of PyTorch and of OpenCV, for the whole process; None leaves their own choices.
        gate: rule of the quality gate.
        crop_size: side of the crop that is segmented where masks are wanted, as the network sees it, pixels, a multiple
            of 16; the search region, and the crop where only boxes are wanted, become no larger than it.
        recentre: whether a second, closer crop at the filter's peak is segmented instead of the search region.
        sampling_interval: every n-th frame stays in the appearance memory; 0 keeps the first only.
        last_frame: whether the latest frame is always in the appearance memory.
        max_frames: most frames in the appearance memory.
        position: how the spatial map enters the decoder.
        spatial_map: what the spatial map shows.
        search_around_after: lost frames after which the regions around are searched too; 0: never. With `recentre`.
        confirm_jump: a peak further off than this, in sqrt(w*h) of the target, is weighed against staying. With
            `recentre`.
        segment_lost: whether frames in which the filter has lost the target are segmented where only boxes are wanted.
            Under the gate's rule "paper".
        filter: whether the correlation filter localises the target; without it the appearance memory works alone.
        correct_centre: whether the mask's centre corrects the filter's position.
        box2seg: whether a box or polygon is turned into a mask at initialisation.
        answer: kind of region that is answered; "auto" for the kind of the initialisation.
        multiobject: whether several objects at once are offered to the client.
        log: a file to which the TraX process appends its log lines.
    """

    device: str = "auto"
    precision: Precision = "auto"
    graphs: bool = False
    model: ModelName | None = None
    weights: str | None = None
    threads: int | None = None
    gate: GateRule | None = None
    crop_size: int | None = None
    recentre: bool | None = None
    sampling_interval: int | None = None
    last_frame: bool | None = None
    max_frames: int | None = None
    position: Encoding | None = None
    spatial_map: MapKind | None = None
    search_around_after: int | None = None
    confirm_jump: float | None = None
    segment_lost: bool | None = None
    filter: bool | None = None
    correct_centre: bool | None = None
    box2seg: bool | None = None
    answer: Answer = "auto"
    multiobject: bool = True
    log: str | None = None

    def tracker_config(self, base: TrackerConfig | None = None) -> TrackerConfig:
        """Apply what was chosen to a configuration.

        Args:
            base: that of the network that is used, see `tracker.assembly.build_config`; default: the chosen model's.
        """
        config = base or TrackerConfig.of(self.model or "full")
        if self.crop_size is not None:
            side, crop = self.crop_size, config.crop
            crop = replace(crop, segment_size=side, size=min(side, crop.size), box_size=min(side, crop.box_size))
            config = replace(config, crop=crop)
        for setting, (part, parameter) in PARAMETERS.items():
            value = getattr(self, setting)
            if value is not None:
                config = replace(config, **{part: replace(getattr(config, part), **{parameter: value})})
        return config


# setting -> the part of `TrackerConfig` that it belongs to, and the parameter there
PARAMETERS = {
    "recentre": ("crop", "recentre"),
    "search_around_after": ("crop", "search_around_after"),
    "confirm_jump": ("crop", "confirm_jump"),
    "segment_lost": ("gate", "segment_lost"),
    "gate": ("gate", "rule"),
    "sampling_interval": ("appearance", "sampling_interval"),
    "last_frame": ("appearance", "last_frame"),
    "max_frames": ("appearance", "max_frames"),
    "position": ("position", "encoding"),
    "spatial_map": ("position", "spatial_map"),
    "filter": ("filter", "enabled"),
    "correct_centre": ("gate", "correct_centre"),
    "box2seg": ("box2seg", "enabled"),
}


@dataclass(frozen=True)
class Variable:
    """One setting: its field, how its text is read (ValueError: not allowed), and what is allowed."""

    field: str
    parse: Callable[[str], object]
    allowed: str
    help: str

    @property
    def name(self) -> str:
        """Name in the environment."""
        return PREFIX + self.field.upper()

    @property
    def option(self) -> str:
        """Name on the command line."""
        return "--" + self.field.replace("_", "-")


def _one_of(*choices: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text.lower() not in choices:
            raise ValueError
        return text.lower()

    return parse


def _integer(smallest: int, step: int = 1) -> Callable[[str], int]:
    def parse(text: str) -> int:
        value = int(text)
        if value < smallest or value % step:
            raise ValueError
        return value

    return parse


def _distance(text: str) -> float:
    value = float(text)
    if not value >= 0.0:
        raise ValueError
    return value


def _switch(text: str) -> bool:
    return {"on": True, "off": False, "1": True, "0": False, "yes": True, "no": False}[text.lower()]


def _device(text: str) -> str:
    kind, colon, number = text.lower().partition(":")
    if kind not in ("auto", "cpu", "cuda") or (colon and (kind != "cuda" or not number.isdecimal())):
        raise ValueError
    return text.lower()


def _absolute(text: str) -> str:
    path = os.path.expanduser(text)
    if not os.path.isabs(path):
        raise ValueError
    return path


def _choice(kind: object) -> tuple[Callable[[str], str], str]:
    choices = cast(tuple[str, ...], get_args(kind))
    return _one_of(*choices), " or ".join(choices)


def defaults_of(part: str, parameter: str) -> str:
    """A parameter's default as text, by model where they differ; `part` is that of `TrackerConfig`."""
    full, *others = ((name, getattr(getattr(TrackerConfig.of(name), part), parameter)) for name in MODEL_NAMES)
    return "; ".join([str(full[1]), *(f"{name} model: {value}" for name, value in others if value != full[1])])


VARIABLES = (
    Variable("device", _device, "auto, cpu, cuda or cuda:<number>", "where the network runs (default: auto)"),
    Variable("precision", *_choice(Precision), help="arithmetic of the network (default: auto)"),
    Variable("graphs", _switch, "on or off", "on a GPU: CUDA graphs, compared with the plain way (default: off)"),
    Variable(
        "model",
        *_choice(ModelName),
        help="full: the paper's network; compact: a smaller one with smaller masks, for CPUs (default: full)",
    ),
    Variable("weights", str, "a file", "weights file (default: the project's own)"),
    Variable("threads", _integer(1), "a whole number from 1", "CPU threads (default: PyTorch's and OpenCV's choice)"),
    Variable("gate", *_choice(GateRule), help="rule by which frames enter the memories; off: all do (default: paper)"),
    Variable(
        "crop_size",
        _integer(4 * CROP_STEP, CROP_STEP),
        f"a multiple of {CROP_STEP} from {4 * CROP_STEP}",
        "side of the segmented crop in network pixels; smaller is faster and less accurate "
        f"(default: {defaults_of('crop', 'segment_size')})",
    ),
    Variable(
        "recentre", _switch, "on or off", "segment a closer crop at the filter's peak; off is faster (default: on)"
    ),
    Variable(
        "sampling_interval",
        _integer(0),
        "a whole number from 0",
        "every n-th frame stays in the appearance memory; 0: the first frame only (default: 5)",
    ),
    Variable("last_frame", _switch, "on or off", "the latest frame is always in the appearance memory (default: on)"),
    Variable(
        "max_frames",
        _integer(1),
        "a whole number from 1",
        f"most frames in the appearance memory (default: {defaults_of('appearance', 'max_frames')})",
    ),
    Variable(
        "position", *_choice(Encoding), help="how the spatial map enters the decoder (default: as the weights want it)"
    ),
    Variable("spatial_map", *_choice(MapKind), help="what the spatial map shows (default: as the weights want it)"),
    Variable(
        "search_around_after",
        _integer(0),
        "a whole number from 0",
        f"lost frames after which the regions around are searched too; 0: never (default: "
        f"{defaults_of('crop', 'search_around_after')})",
    ),
    Variable(
        "confirm_jump",
        _distance,
        "a number from 0, or inf",
        "the target jumps further than this, in its own sizes, only where the surer mask is; inf: always (default: "
        f"{defaults_of('crop', 'confirm_jump')})",
    ),
    Variable(
        "segment_lost",
        _switch,
        "on or off",
        "where only boxes are wanted, segment also the frames in which the filter has lost the target (default: on)",
    ),
    Variable("filter", _switch, "on or off", "localise by the filter; off: by the appearance memory alone, ungated"),
    Variable("correct_centre", _switch, "on or off", "the mask's centre corrects the filter's position (default: on)"),
    Variable("box2seg", _switch, "on or off", "turn a box into a mask at initialisation"),
    Variable("answer", *_choice(Answer), help="kind of region answered (default: auto, as initialised)"),
    Variable("multiobject", _switch, "on or off", "offer the client several objects at once (default: on)"),
    Variable("log", _absolute, "an absolute path (the toolkit starts trackers elsewhere)", "file for log"),
)


def from_environment(environ: Mapping[str, str], options: Mapping[str, str | None] | None = None) -> Settings:
    """Read the settings; an option wins over the environment, an empty value counts as not given.

    Args:
        environ: e.g. `os.environ`.
        options: texts by field name, from the command line.

    Raises:
        SettingsError: a value is not allowed; one sentence with name, value and allowed values.
    """
    chosen: dict[str, object] = {}
    for variable in VARIABLES:
        option = (options or {}).get(variable.field)
        text = (environ.get(variable.name, "") if option is None else option).strip()
        if not text:
            continue
        try:
            chosen[variable.field] = variable.parse(text)
        except (ValueError, KeyError):
            source = variable.name if option is None else variable.option
            raise SettingsError(f"{source} is '{text}'; it must be {variable.allowed}") from None
    return Settings(**chosen)  # type: ignore[arg-type]


def complaints(environ: Mapping[str, str]) -> list[str]:
    """One sentence for each variable whose name looks like a misspelt setting."""
    names = [variable.name for variable in VARIABLES]
    found = []
    for name in sorted(environ):
        close = difflib.get_close_matches(name, names, n=1, cutoff=0.8)
        if name.startswith(PREFIX) and name not in names and close:
            found.append(f"{name} is no setting of DMB and has no effect; did you mean {close[0]}?")
    return found
