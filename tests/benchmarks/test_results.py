"""Which measurement stands, and what is told of how it was made."""

from __future__ import annotations

import pytest

from tracker.benchmarks.results import (
    NOT_RECORDED,
    Conditions,
    Curve,
    DevelopmentSet,
    Found,
    Measurement,
    Results,
    read_conditions,
)  # fmt: skip


def one(value: float, date: str | None, source: str = "a.json", tracker: str = "DMB") -> Measurement:
    return Measurement("vot2018", tracker, "EAO", value, Conditions(source, date))


@pytest.mark.parametrize(
    ("older", "newer"),
    [
        ("2026-11-20", "2026-11-21"),
        ("2026-11-20", "2026-11-20T08:00:00+00:00"),  # a day is its beginning
        ("2026-11-20T09:30:00+02:00", "2026-11-20T08:00:00+00:00"),
        (None, "2020-01-01"),
    ],
)
def test_the_newest_stands_and_the_older_one_is_kept(older: str | None, newer: str) -> None:
    for found in ([one(0.4, older), one(0.5, newer)], [one(0.5, newer), one(0.4, older)]):
        results = Results(Found(found))
        standing = results.cell("vot2018", "DMB", "EAO")
        assert standing is not None and standing.value == 0.5
        assert [(old.value, new.value) for old, new in results.older("vot2018")] == [(0.4, 0.5)]


def test_of_equally_old_ones_the_later_source_stands() -> None:
    results = Results(Found([one(0.4, "2026-11-20", "a"), one(0.5, "2026-11-20", "b")]))
    standing = results.cell("vot2018", "DMB", "EAO")
    assert standing is not None and standing.value == 0.5


def test_the_same_number_read_twice_is_no_older_measurement() -> None:
    results = Results(Found([one(0.4, "2026-11-20"), one(0.4, "2026-11-21"), one(0.4, "2026-11-19", "other.json")]))
    assert [old.conditions.source for old, _ in results.older("vot2018")] == ["other.json"]


def test_ours_comes_first() -> None:
    results = Results(Found([one(0.4, None, tracker="CSRT"), one(0.5, None), one(0.3, None, tracker="MIL")]))
    assert results.trackers(["vot2018"]) == ["DMB", "CSRT", "MIL"]
    assert results.trackers(["vot2016"]) == []


def test_the_same_protocol_on_the_same_sequences_is_one_set() -> None:
    first = DevelopmentSet("resets", ("a", "b"), "by hand", "a note")
    second = DevelopmentSet("resets", ("a", "b"), "a file")
    other = DevelopmentSet("resets", ("a",), "fewer")
    found = [Measurement(place, "DMB", "EAO", 0.5, Conditions("x")) for place in (first, second, other)]
    assert [place.title for place in Results(Found(found)).development_sets] == ["by hand", "fewer"]


def test_the_newest_curve_stands() -> None:
    curves = [Curve("got10k", "DMB", "success", (0, 1), (value, 0), Conditions("x", date))
              for value, date in ((0.9, "2026-11-21"), (0.8, "2026-11-20"))]  # fmt: skip
    (curve,) = Results(Found(curves=curves)).curves("got10k", "success")
    assert curve.y[0] == 0.9


def test_conditions_tell_what_was_recorded() -> None:
    document = {
        "date": "2026-11-20T10:00:00+00:00",
        "commit": "0123456789abcdef0123456789abcdef01234567",
        "weights": {"name": "w", "checksum": "c0ffee" + 58 * "0"},
        "device": "cuda:0",
        "gpu": "Some GPU",
        "processor": "Some CPU",
        "threads": 1,
        "precision": "float16",
        "settings": {"gate": "off", "precision": "float16"},
    }
    row = read_conditions(document, "file").row()
    assert row == {
        "date": "2026-11-20",
        "commit": "0123456789ab",
        "weights": "c0ffee000000",
        "hardware": "Some GPU, cuda:0, Some CPU, 1 thread",
        "precision": "float16",
        "settings": "gate=off",
        "source": "file",
    }
    assert read_conditions({"settings": {}}, "file").row()["settings"] == "default"
    assert read_conditions({"version": "1.2"}, "file").commit == "version 1.2"
    assert read_conditions({"weights": "none, a model-free tracker"}, "file").row()["weights"].endswith("tracker")


def test_what_was_not_recorded_is_said_so() -> None:
    row = read_conditions({}, "file").row()
    assert row.pop("source") == "file"
    assert set(row.values()) == {NOT_RECORDED}


@pytest.mark.parametrize("document", [{"date": "yesterday"}, {"date": 5}, {"weights": {"name": "no checksum"}}])
def test_wrong_conditions_are_not_guessed(document: dict[str, object]) -> None:
    with pytest.raises((KeyError, TypeError, ValueError)):
        read_conditions(document, "file")
