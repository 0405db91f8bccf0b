"""Settings: read from the environment, overridden by options, refused with one sentence."""

from __future__ import annotations

import configparser
from dataclasses import fields, replace
from pathlib import Path

import pytest

from tracker.config import MODEL_NAMES, PositionConfig, TrackerConfig
from tracker.settings import (
    BEGIN,
    DOCUMENT,
    OF_DMB,
    REGISTRY,
    VARIABLES,
    Settings,
    SettingsError,
    complaints,
    document,
    from_environment,
    main,
    registry,
)

ROOT = Path(__file__).parent.parent


def test_an_empty_environment_gives_the_defaults() -> None:
    settings = from_environment({"PATH": "/bin", "DMB_DEVICE": "", "DMB_GATE": " "})
    assert settings == Settings()
    assert settings.tracker_config() == TrackerConfig()


def test_every_field_has_its_variable_and_option() -> None:
    for variable, field in zip(VARIABLES, fields(Settings), strict=True):
        assert variable.name == f"DMB_{field.name.upper()}" and variable.field == field.name
        assert variable.default, "nothing is said of the default"
    by_field = {variable.field: variable for variable in VARIABLES}
    assert by_field["crop_size"].option == "--crop-size"


def test_all_values_are_read() -> None:
    settings = from_environment(
        {
            "DMB_DEVICE": "CUDA:1",
            "DMB_PRECISION": "bfloat16",
            "DMB_MODEL": "Compact",
            "DMB_WEIGHTS": "/data/a b.pt",
            "DMB_THREADS": "3",
            "DMB_GATE": "paper",
            "DMB_CROP_SIZE": "256",
            "DMB_RECENTER": "on",
            "DMB_SAMPLING_INTERVAL": "0",
            "DMB_LAST_FRAME": "off",
            "DMB_MAX_FRAMES": "4",
            "DMB_POSITION": "concat",
            "DMB_SPATIAL_MAP": "response",
            "DMB_FILTER": "off",
            "DMB_CORRECT_CENTER": "no",
            "DMB_UPRIGHT": "on",
            "DMB_BOX2SEG": "off",
            "DMB_ANSWER": "mask",
            "DMB_MULTIOBJECT": "no",
            "DMB_LOG": "/tmp/dmb.log",
            "DMB_PEERS": "/data/networks",
        }
    )
    assert settings == Settings(
        device="cuda:1",
        precision="bfloat16",
        model="compact",
        weights="/data/a b.pt",
        threads=3,
        gate="paper",
        crop_size=256,
        recenter=True,
        sampling_interval=0,
        last_frame=False,
        max_frames=4,
        position="concat",
        spatial_map="response",
        filter=False,
        correct_center=False,
        upright=True,
        box2seg=False,
        answer="mask",
        multiobject=False,
        log="/tmp/dmb.log",
        peers="/data/networks",
    )
    config = settings.tracker_config()
    assert config.position == PositionConfig("concat", "response")
    assert not (config.appearance.last_frame or config.filter.enabled)
    assert not (config.trust.correct_center or config.trust_mask.correct_center)
    assert config.box_fit.upright


def test_the_tracker_config_gets_what_was_chosen_and_keeps_the_rest() -> None:
    settings = Settings(gate="off", crop_size=128, recenter=False, sampling_interval=3, max_frames=7, box2seg=False)
    config = settings.tracker_config()
    default = TrackerConfig()
    assert config.gate.rule == "off"
    assert config.gate.max_uncertainty == default.gate.max_uncertainty
    assert {config.crop.size, config.crop.segment_size, config.crop.box_size} == {128} and not config.crop.recenter
    assert config.crop.factor == default.crop.factor
    assert (config.appearance.sampling_interval, config.appearance.max_frames) == (3, 7)
    assert not config.box2seg.enabled
    assert config.filter == default.filter


def test_a_model_brings_its_configuration_and_choices_change_it() -> None:
    full, compact = (Settings(model=name).tracker_config() for name in MODEL_NAMES)
    assert full == TrackerConfig() and compact == TrackerConfig.of("compact")
    assert compact.crop.segment_size < full.crop.segment_size and compact.crop.size == full.crop.size
    assert compact.gate == full.gate and compact.filter == full.filter
    chosen = Settings(max_frames=2, crop_size=64).tracker_config(compact)
    assert (chosen.appearance.max_frames, chosen.crop.segment_size, chosen.crop.size) == (2, 64, 64)
    assert chosen.crop.segment_factor == compact.crop.segment_factor
    texts = {variable.field: variable.help for variable in VARIABLES}
    for field, part, parameter in (("crop_size", "crop", "segment_size"), ("max_frames", "appearance", "max_frames")):
        usual, other = (getattr(getattr(config, part), parameter) for config in (full, compact))
        assert usual != other and f"default: {usual}; compact model: {other}" in texts[field]


def test_every_parameter_is_set_where_it_is_declared() -> None:
    for variable in VARIABLES:
        if not variable.parameter:
            continue
        part, parameter = variable.parameter.split(".")
        usual = getattr(getattr(TrackerConfig(), part), parameter)
        texts = ("off", "on", "relative", "none", "response", "64", "7", "0.5")
        for text in texts:
            try:
                settings = from_environment({variable.name: text})
            except SettingsError:
                continue
            chosen = getattr(getattr(settings.tracker_config(), part), parameter)
            assert chosen == getattr(settings, variable.field), variable.name
            if chosen != usual:
                break
        else:
            pytest.fail(f"no other value of {variable.name} was tried")


def test_the_registry_has_the_compact_model() -> None:
    parser = configparser.ConfigParser()
    parser.read(ROOT / REGISTRY)
    full, compact = (dict(parser[name]) for name in ("DMB", "DMB-compact"))
    assert compact.pop("env_dmb_model") == "compact" and compact.pop("label") == "DMB-compact"
    assert compact == {name: value for name, value in full.items() if name != "label"}


def test_an_option_wins_over_the_environment() -> None:
    environ = {"DMB_DEVICE": "cuda", "DMB_GATE": "off"}
    settings = from_environment(environ, {"device": "cpu", "gate": None})
    assert (settings.device, settings.gate) == ("cpu", "off")


@pytest.mark.parametrize(
    ("name", "text", "allowed"),
    [
        ("DMB_DEVICE", "gpu", "cuda"),
        ("DMB_DEVICE", "cpu:0", "cuda"),
        ("DMB_DEVICE", "cuda:x", "cuda:<number>"),
        ("DMB_DEVICE", "cuda:", "cuda:<number>"),
        ("DMB_PRECISION", "half", "bfloat16"),
        ("DMB_GATE", "none", "relative"),
        ("DMB_MODEL", "tiny", "full or compact"),
        ("DMB_CROP_SIZE", "200", "multiple of 16"),
        ("DMB_CROP_SIZE", "16", "from 64"),
        ("DMB_CROP_SIZE", "big", "multiple of 16"),
        ("DMB_SAMPLING_INTERVAL", "-1", "from 0"),
        ("DMB_MAX_FRAMES", "0", "from 1"),
        ("DMB_THREADS", "0", "from 1"),
        ("DMB_BOX2SEG", "maybe", "on or off"),
        ("DMB_ANSWER", "box", "rectangle"),
        ("DMB_LOG", "dmb.log", "absolute path"),
    ],
)
def test_a_bad_value_is_refused_in_one_sentence(name: str, text: str, allowed: str) -> None:
    with pytest.raises(SettingsError) as caught:
        from_environment({name: text})
    message = str(caught.value)
    assert name in message and f"'{text}'" in message and allowed in message
    assert "\n" not in message


def test_a_bad_option_is_named_as_an_option() -> None:
    with pytest.raises(SettingsError, match=r"--crop-size is '10'"):
        from_environment({}, {"crop_size": "10"})


def test_a_misspelt_variable_is_pointed_out() -> None:
    (complaint,) = complaints({"DMB_DEVCE": "cpu", "DMB_GATE": "off", "DMB_OTHER_THING": "1", "PATH": "x"})
    assert "DMB_DEVCE" in complaint and "DMB_DEVICE" in complaint


def test_the_registrys_commented_settings_can_be_uncommented() -> None:
    parser = configparser.ConfigParser()
    parser.read_string((ROOT / REGISTRY).read_text().replace("\n;env_", "\nenv_"))
    given = {name.upper().removeprefix("ENV_"): value for name, value in parser["DMB"].items() if name[:4] == "env_"}
    assert len(given) == len(OF_DMB)
    settings = from_environment(given)
    as_trained = PositionConfig("add", "distance")  # what the project's weights want, by its name
    usual = TrackerConfig()
    on = replace(usual.trust, correct_center=True)  # a switch that is off for boxes and on for masks shows one of both
    expected = replace(usual, position=as_trained, trust=on)
    assert settings.tracker_config() == expected, "what the file shows is not the default"


def test_document_and_registry_are_what_the_declarations_say(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert (ROOT / DOCUMENT).read_text() == document(), "run: python -m tracker.settings --write"
    text = (ROOT / REGISTRY).read_text()
    assert text == registry(text), "run: python -m tracker.settings --write"
    assert main([]) == 0 and capsys.readouterr().out == document()
    before, rest = text.split(f"{BEGIN}\n")
    (tmp_path / "docs").mkdir()
    (tmp_path / REGISTRY).write_text(f"{before}{BEGIN}\n;env_DMB_OLD = 1\n{rest}")
    assert main(["--write"], tmp_path) == 0
    assert (tmp_path / REGISTRY).read_text() == text and (tmp_path / DOCUMENT).read_text() == document()
    with pytest.raises(ValueError, match="lacks the line"):
        registry("[DMB]\n")
