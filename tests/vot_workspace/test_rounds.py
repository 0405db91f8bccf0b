"""Experiments in real time are evaluated after the others and alone; our stack has one beside its twin without time."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from tracker.cluster.tasks import Place
from vot_workspace.challenges import find_stack
from vot_workspace.layout import Layout, read_workspace
from vot_workspace.parallel import rounds
from vot_workspace.writer import STACKS, WorkspaceError


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    (tmp_path / "sequences" / "car").mkdir(parents=True)
    (tmp_path / "sequences" / "car" / "groundtruth.txt").write_text("0,0,9,9\n")
    (tmp_path / "sequences" / "list.txt").write_text("car\n")
    (tmp_path / "config.yaml").write_text("registry: []\nstack: vot2018/shortterm\n")
    return read_workspace(tmp_path)


def test_what_is_timed_comes_last_and_alone(layout: Layout) -> None:
    for place in (Place(4), Place(cluster="tcp://there:8786")):
        assert rounds(layout, None, place) == [(["baseline", "unsupervised"], False), (["realtime"], True)]
        assert rounds(layout, ["realtime", "baseline"], place) == [(["baseline"], False), (["realtime"], True)]
        assert rounds(layout, ["realtime"], place) == [(["realtime"], True)]


def test_where_nothing_would_compete_there_is_one_round(layout: Layout) -> None:
    assert rounds(layout, None, Place()) == [(["baseline", "realtime", "unsupervised"], False)]
    assert rounds(layout, ["baseline"], Place(4)) == [(["baseline"], False)]
    layout.experiments["realtime"]["realtime"] = None  # written down, but off
    assert rounds(layout, None, Place(4)) == [(["baseline", "realtime", "unsupervised"], False)]


def test_an_unknown_experiment_is_named(layout: Layout) -> None:
    with pytest.raises(WorkspaceError, match="no experiment 'fast'; it has: baseline, realtime"):
        rounds(layout, ["fast"], Place(2))


def test_the_stack_measures_the_same_with_and_without_time() -> None:
    assert find_stack("realtime").file == STACKS / "realtime.yaml"
    experiments = yaml.safe_load((STACKS / "realtime.yaml").read_text())["experiments"]
    assert experiments["realtime"].pop("realtime") == {"grace": 3}
    assert experiments["realtime"] == experiments["baseline"]
    assert experiments["baseline"] == yaml.safe_load((STACKS / "dev.yaml").read_text())["experiments"]["baseline"]
