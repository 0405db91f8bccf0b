"""Every kind of source is recognised by its content, and goes beside the paper's numbers only where it may."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tests.benchmarks import results_sources as made
from tracker.benchmarks import boxes
from tracker.benchmarks.boxes import TrackedBoxes
from tracker.benchmarks.davis_scores import ObjectScore, Scores
from tracker.benchmarks.masks import Score
from tracker.benchmarks.results import DevelopmentSet, Found, Measurement, Results, ResultsError
from tracker.benchmarks.results_published import read_published
from tracker.benchmarks.results_sources import read_sources
from tracker.benchmarks.validation import MaskValidation, write_document

PUBLISHED = read_published()
VOT = {"DMB": (0.5, 0.6, 0.2), "MIL": (0.2, 0.4, 1.5)}


def read(*paths: Path) -> Found:
    return read_sources(paths, PUBLISHED)


def numbers(found: Found, tracker: str = "DMB") -> dict[str, float]:
    return {one.metric: one.value for one in found.measurements if one.tracker == tracker}


def place(found: Found) -> str | DevelopmentSet:
    (one,) = {one.place for one in found.measurements}
    return one


def message(*paths: Path) -> str:
    with pytest.raises(ResultsError) as error:
        read(*paths)
    return str(error.value)


def test_a_validation_is_a_development_set_for_masks_and_one_for_vot(tmp_path: Path) -> None:
    score = Score("one", [0.5, 0.7], [0.4, 0.4], 0.5, 0.9, 0.3)
    masks = {"source": "train.tar", "first_frames": None} | MaskValidation({"box": [score]}).document()
    vot = {"source": "dev.tar", "stack": "dev.yaml", "threads_per_worker": 1, "scores": {"EAO": 0.6, "accuracy": None},
           "sequences": [{"sequence": "ball", "frames": 250, "failures": 1}]}  # fmt: skip
    write_document(tmp_path / "scores.json", made.CONDITIONS | {"masks": masks, "vot": vot})
    found = read(tmp_path / "scores.json")
    assert numbers(found, "DMB, from the box") == pytest.approx(
        {"J&F": 0.5, "J": 0.6, "F": 0.4, "J of frames 1-10": 0.6, "fps": 4, "Box2Seg J": 0.9, "filled box J": 0.3}
    )
    assert numbers(found) == {"EAO": 0.6}  # what is not defined is no number
    conditions = found.measurements[-1].conditions
    assert (conditions.commit, conditions.weights, conditions.precision) == ("abc123abc123", made.CHECKSUM, "bfloat16")
    assert conditions.hardware == "Some GPU, cuda:0, Some CPU, 1 thread" and conditions.settings == "gate=off"
    first, second = Results(found).development_sets
    assert (first.sequences, second.sequences) == (("one",), ("ball",))
    assert second.protocol == "VOT toolkit, reset-based, EAO bounds 50-250"


def test_boxes_whose_scores_a_server_computes(tmp_path: Path) -> None:
    run = tmp_path / "got10k-test"
    made.workspace(run / "workspace", made.analysis(VOT), "unsupervised.yaml")
    (run / "workspace" / "unsupervised.yaml").write_text("title: Boxes\n")
    for name in ("sequences", "results"):
        (run / name).mkdir()
    for source in (run, tmp_path):
        told = message(source)
        assert "got10k-test' holds a run of `dmb benchmark` without scores" in told
        assert "computed by the benchmark's server" in told and "docs/results/measured.json is an example" in told


def test_a_hand_kept_number_gives_way_to_a_validation_of_the_same_set(tmp_path: Path) -> None:
    vot = {"source": "dev.tar", "stack": "dev.yaml", "threads_per_worker": 1, "scores": {"EAO": 0.6},
           "sequences": [{"sequence": "ball", "frames": 250, "failures": 1}]}  # fmt: skip
    same = {"title": "Dev", "protocol": "VOT toolkit, reset-based, EAO bounds 50-250", "sequences": ["ball"]}
    by_hand = made.measured(
        tmp_path / "hand.json", {"set": same, "tracker": "DMB", "scores": {"EAO": 0.5}, "date": "2026-11-20"}
    )
    results = Results(read(by_hand, made.write(tmp_path / "new.json", made.CONDITIONS | {"vot": vot})))
    (where,) = results.development_sets
    standing = results.cell(where, "DMB", "EAO")
    assert standing is not None and standing.value == 0.6
    assert [old.value for old, _ in results.older(where)] == [0.5]


def test_a_challenge_goes_beside_the_paper_with_failures_in_its_unit(tmp_path: Path) -> None:
    folder = made.workspace(tmp_path / "vot2018", made.analysis(VOT))
    made.results(folder, "DMB", [[2, 1, 3]] + 59 * [[0]])  # two failures in 6000 frames
    found = read(folder)
    assert place(found) == "vot2018"
    assert numbers(found) == pytest.approx({"EAO": 0.5, "accuracy": 0.6, "failures per 100 frames": 1 / 30})
    assert numbers(found, "MIL") == {"EAO": 0.2, "accuracy": 0.4}  # without results there is no such number
    assert any("MIL" in remark and "1.500 failures per sequence" in remark for remark in found.remarks)
    assert {curve.kind for curve in found.curves} == {"expected overlap"} and found.curves[0].y[1] == pytest.approx(0.7)
    conditions = found.measurements[0].conditions
    assert conditions.day == "2026-11-20" and conditions.weights is None and conditions.origin == "vot-toolkit 0.7.4"


def test_what_the_toolkit_does_not_record_can_be_told_beside_the_results(tmp_path: Path) -> None:
    folder = made.workspace(tmp_path / "vot2018", made.analysis(VOT))
    path = made.write(folder / "results" / "DMB" / "conditions.json", {"commit": "abc", "hardware": "Some GPU"})
    conditions = read(folder).measurements[0].conditions
    assert (conditions.commit, conditions.hardware, conditions.day) == ("abc", "Some GPU", "2026-11-20")
    path.write_text("[]")
    assert "conditions.json" in message(folder)


def test_the_checksum_that_dmb_validate_keeps_in_its_workspace(tmp_path: Path) -> None:
    folder = made.workspace(tmp_path / "kept", made.analysis(VOT, bounds=(50, 250), count=1), "dev.yaml")
    header = f"; Written by `dmb`; the results beside this file belong to weights {made.CHECKSUM}, dev.yaml\n"
    (folder / "trackers.ini").write_text(header)
    found = {one.tracker: one.conditions.weights for one in read(folder).measurements}
    assert found == {"DMB": made.CHECKSUM, "MIL": None}


@pytest.mark.parametrize(
    ("changes", "stack"),
    [
        ({"count": 11}, "vot2018/shortterm"),
        ({"bounds": (50, 250)}, "vot2018/shortterm"),
        ({}, "dev.yaml"),
        ({"realtime": {"grace": 3}}, "vot2018/shortterm"),
        ({"form": "multistart", "bounds": (115, 755)}, "vot2022/shortterm"),
    ],
)
def test_anything_else_of_the_toolkit_is_a_development_set(tmp_path: Path, changes: dict, stack: str) -> None:
    where = place(read(made.workspace(tmp_path / "w", made.analysis(VOT, **changes), stack)))
    assert isinstance(where, DevelopmentSet)
    assert ("realtime" in where.protocol) == ("realtime" in changes)


def test_vot2020_needs_its_workspace(tmp_path: Path) -> None:
    document = made.analysis(VOT, form="multistart", bounds=(115, 755))
    assert place(read(made.workspace(tmp_path / "w", document, "vot2020/shortterm"))) == "vot2020"
    assert isinstance(place(read(made.write(tmp_path / "alone.json", document))), DevelopmentSet)


def test_an_eao_beyond_the_sequences_lengths_is_no_number(tmp_path: Path) -> None:
    document = made.analysis({"DMB": (float("nan"), 0.5, 1.0)}, count=1)
    found = read(made.workspace(tmp_path / "short", document, "dev.yaml"))
    assert {one.metric for one in found.measurements} == {"accuracy", "failures per sequence"}
    assert [curve.y for curve in found.curves] == [(0.0,)], "what is known of the curve"


def test_an_analysis_in_its_workspace_may_be_named_itself(tmp_path: Path) -> None:
    folder = made.workspace(tmp_path / "vot2018", made.analysis(VOT))
    found = read(folder / "analysis" / "first.json", folder)
    assert not Results(found).older("vot2018")  # read twice, told once


def davis(folder: Path, names: list[str], **facts: object) -> Path:
    folder.mkdir()
    objects = [ObjectScore(name, 1, [0.8, 0.8, 0.8, 0.8], [0.6, 0.6, 0.6, 0.6]) for name in names]
    Scores(objects).write(folder, {"year": 2016, "first_frames": None, **facts})
    return folder


def test_davis_stands_beside_the_paper_on_its_validation_set_only(tmp_path: Path) -> None:
    names = sorted(PUBLISHED.benchmarks["davis2016"].sequences)
    whole = read(davis(tmp_path / "whole", names, **made.CONDITIONS, init="mask"))
    assert place(whole) == "davis2016"
    assert numbers(whole) == pytest.approx({"J&F": 0.7, "J": 0.8, "F": 0.6})
    for number, (chosen, facts) in enumerate(
        [(names[1:], {"init": "mask"}), (names, {"init": "box"}), (names, {"init": "mask", "first_frames": 9})]
    ):
        assert isinstance(
            place(read(davis(tmp_path / str(number), chosen, **(made.CONDITIONS | facts)))), DevelopmentSet
        )


def test_masks_of_another_method_have_its_name(tmp_path: Path) -> None:
    names = sorted(PUBLISHED.benchmarks["davis2016"].sequences)
    found = read(davis(tmp_path / "scored", names, root="DAVIS", masks="STM"))
    assert numbers(found, "STM")["J"] == pytest.approx(0.8) and not numbers(found)


def test_masks_without_scores_are_named(tmp_path: Path) -> None:
    made.write(tmp_path / "run" / "run.json", {"conditions": {}})
    assert "without scores" in message(tmp_path / "run")


def got10k(folder: Path, count: int, split: str) -> Path:
    box = np.array([(0.0, 0.0, 10.0, 10.0)] * 3)
    tracked = [
        TrackedBoxes(name, box, box, np.ones(3, np.bool_), (50, 50), np.ones(3)) for name in made.sequence_names(count)
    ]
    document = made.CONDITIONS | {"benchmark": "GOT-10k", "split": split, "first_frames": None}
    folder.mkdir()
    write_document(folder / "scores.json", document | boxes.got10k(tracked).document())
    return folder


def test_boxes_stand_beside_the_paper_on_the_whole_split_only(tmp_path: Path) -> None:
    found = read(got10k(tmp_path / "test", 180, "test"))
    assert place(found) == "got10k"
    assert numbers(found) == {"AO": 1, "SR50": 1, "SR75": 1}
    (curve,) = found.curves
    assert (len(curve.x), curve.y[0], curve.y[-1]) == (101, 1, 0)
    assert isinstance(place(read(got10k(tmp_path / "val", 180, "val"))), DevelopmentSet)
    assert isinstance(place(read(got10k(tmp_path / "part", 179, "test"))), DevelopmentSet)


def test_rows_of_an_ablation_are_one_set(tmp_path: Path) -> None:
    for row, score in (("full", 0.5), ("gate_off", 0.4)):
        identity = {"weights": made.CHECKSUM, "settings": {}, "sequences": ["dev.tar", "ball"], "version": "0.1.0"}
        part = {"identity": identity | {"device": "cpu"}, "date": "2026-11-20", "scores": {"EAO": score}}
        made.write(tmp_path / "ablation" / f"{row}.json", {"vot": part})
    found = read(tmp_path / "ablation")
    assert isinstance(place(found), DevelopmentSet)
    assert [one.tracker for one in found.measurements] == ["everything (interval 5)", "without sample filtering"]
    assert found.measurements[0].conditions.commit == "version 0.1.0"


def test_a_folder_of_folders(tmp_path: Path) -> None:
    made.workspace(tmp_path / "all" / "vot2018", made.analysis(VOT))
    (tmp_path / "all" / "empty").mkdir()
    assert place(read(tmp_path / "all")) == "vot2018"


def test_what_is_unknown_beside_something_known_is_told(tmp_path: Path) -> None:
    made.measured(tmp_path / "a" / "kept.json", {"benchmark": "got10k", "tracker": "DMB", "scores": {"AO": 0.5}})
    made.write(tmp_path / "a" / "package.json", {"name": "x"})
    found = read(tmp_path / "a")
    assert numbers(found) == {"AO": 0.5}
    assert any("package.json" in remark for remark in found.remarks)


def test_unknown_and_damaged_sources_are_one_sentence(tmp_path: Path) -> None:
    assert "does not exist" in message(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    assert "nothing that is known" in message(tmp_path / "empty")
    text = tmp_path / "notes.txt"
    text.write_text("EAO 0.5")
    assert "no JSON" in message(text)
    assert "nothing that is known" in message(made.write(tmp_path / "list.json", {"scores": 1}))
    bare = made.workspace(tmp_path / "bare", made.analysis(VOT))
    (bare / "analysis" / "first.json").unlink()
    assert "vot analysis" in message(bare)
    damaged = made.analysis(VOT)
    del damaged["sequences"]["sequence000"]["length"]
    assert "analyse again" in message(made.workspace(tmp_path / "damaged", damaged))
    half = json.loads((got10k(tmp_path / "half", 2, "val") / "scores.json").read_text()) | {"scores": None}
    assert "write it again" in message(made.write(tmp_path / "half.json", half))
    dated = made.CONDITIONS | {"date": "yesterday", "year": 2016, "objects": [], "all": {}, "first_frames": None}
    assert "write it again" in message(made.write(tmp_path / "dated.json", dated))


ENTRY = {"benchmark": "got10k", "tracker": "DMB", "scores": {"AO": 0.5}}


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        (ENTRY | {"benchmark": "got10"}, "there is no benchmark 'got10'; use vot2016,"),
        (ENTRY | {"set": {}}, 'either "benchmark" or "set"'),
        (ENTRY | {"scores": {"AO": 61.5}}, "AO is 61.5; it must be between 0 and 1"),
        (ENTRY | {"scores": {"AO": "high"}}, "AO is 'high'; it must be a number"),
        (ENTRY | {"scores": {"SR50": 0.5}}, "the paper has no 'SR50' of GOT-10k test; use SR75, AO"),
        (ENTRY | {"hardwear": "x"}, "'hardwear' is not known; use benchmark,"),
        (ENTRY | {"date": "today"}, "a condition is wrong"),
        ({"benchmark": "got10k", "tracker": "DMB"}, '"scores"'),
        ({"set": {"title": "x"}, "tracker": "DMB", "scores": {}}, "needs title, protocol and sequences"),
    ],
)
def test_mistakes_in_a_hand_kept_file_are_named(tmp_path: Path, entry: dict, expected: str) -> None:
    text = message(made.measured(tmp_path / "kept.json", ENTRY, entry))
    assert expected in text and "measurement 2" in text


def test_a_hand_kept_file_says_where_its_numbers_are_from(tmp_path: Path) -> None:
    found = read(made.measured(tmp_path / "kept.json", ENTRY | {"origin": "the server"}, about="of the server"))
    assert any("of the server" in remark for remark in found.remarks)
    (one,) = found.measurements
    assert isinstance(one, Measurement) and one.conditions.row()["source"] == "kept.json: the server"
