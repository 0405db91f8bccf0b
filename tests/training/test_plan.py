"""Plans: the schedule is the stated one, and a wrong file is one sentence."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest

from tracker.training.plan import PLANS, PlanError, Stage, TrainingConfig, read_plan

HELD_OUT = ("bmx-bumps", "breakdance-flare", "car-turn", "dog-agility", "kite-walk", "scooter-gray")
STAGE = "[[stages]]\nsteps = 3\nsize = 64\nframes = 2\nbatch = 1\nfactor = [2, 3]\n"


def test_schedule_warms_up_and_decays_in_the_last_stage_only() -> None:
    stages = (
        Stage(steps=10, size=64, frames=2, batch=1, factor=(2, 3)),
        Stage(steps=10, size=64, frames=2, batch=1, factor=(2, 3), decay=True),
    )
    config = TrainingConfig(stages=stages, warmup=5, final_rate=0.1)
    rates = [config.rate_at(step) for step in range(config.steps)]
    assert rates[:5] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])
    assert rates[5:11] == pytest.approx([1.0] * 6)
    assert all(after < before for before, after in pairwise(rates[10:]))
    assert 0.1 < rates[-1] < 0.15


@pytest.mark.parametrize("name", sorted(path.stem for path in PLANS.glob("*.toml")))
def test_the_projects_own_plans_hold_out_the_validation_sequences(name: str) -> None:
    config = read_plan(name)
    assert config.steps >= 200 and set(HELD_OUT) == set(config.held_out)


def test_the_long_run_is_a_trunk_that_branches_continue() -> None:
    trunk, branch = read_plan("long"), read_plan("decay")
    assert sum(stage.steps * stage.batch for stage in trunk.stages if stage.frames == 3) >= 120_000
    assert not any(stage.decay for stage in trunk.stages) and all(stage.decay for stage in branch.stages)
    assert sum(stage.steps * stage.batch for stage in branch.stages) == 2000
    for name in ("rate", "encoder_rate", "query_trained", "memory_trained", "instance_share", "max_gap", "families"):
        assert getattr(trunk, name) == getattr(branch, name), f"a branch goes on with the trunk's {name}"
    assert all(0.0 < share <= 0.2 for share in vars(trunk.families).values())


def test_a_file_changes_what_it_names_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('rate = 1\nquery_trained = ["res3", "res4"]\n' + STAGE + "decay = true\n")
    stage = Stage(steps=3, size=64, frames=2, batch=1, factor=(2.0, 3.0), decay=True)
    assert read_plan(path) == TrainingConfig(stages=(stage,), rate=1.0, query_trained=("res3", "res4"))


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("rate = ", "not a TOML file"),
        ("rate = 1", r"no \[\[stages\]\]"),
        ("rates = 1\n" + STAGE, "'rates', which is not a field"),
        ("rate = 'high'\n" + STAGE, "'rate' is 'high'; give a value of type float"),
        ("warmup = true\n" + STAGE, "type int"),
        ("held_out = [1]\n" + STAGE, "a list of names"),
        ("query_trained = ['res5']\n" + STAGE, "names 'res5'"),
        ("memory_trained = ['res4', 'bn1']\n" + STAGE, "'memory_trained' names 'bn1'"),
        ("hardest_share = 0\n" + STAGE, "'hardest_share' is 0; give a share above it"),
        ("blur_share = 1.5\n" + STAGE, "'blur_share' is 1.5; give a share from 0 to 1"),
        ("video_share = 2\n" + STAGE, "from 0 to 1"),
        ("pair_share = -0.1\n" + STAGE, "'pair_share' is -0.1"),
        ("position = 'none'\n" + STAGE, "'position' is 'none'; give one of: add, concat"),
        ("spatial_map = 1\n" + STAGE, "'spatial_map' is 1; give one of: distance, response"),
        (STAGE.replace("steps = 3", "steps = 0"), "stage 1: 'steps' is 0"),
        (STAGE.replace("size = 64", "size = 100"), "multiple of 16"),
        (STAGE.replace("[2, 3]", "[3, 2]"), "low <= high"),
        (STAGE.replace("[2, 3]", "2"), "two numbers"),
        (STAGE.replace("batch = 1\n", ""), "lacks 'batch'"),
        (STAGE + "video_share = -1\n", "stage 1: 'video_share' is -1"),
        (STAGE + "video_share = 'all'\n", "stage 1: 'video_share' is 'all'; give a value of type float"),
        (STAGE + "encoders = 0\n", "stage 1: 'encoders' is 0; give a value of type bool"),
    ],
)
def test_a_wrong_plan_is_one_sentence(tmp_path: Path, text: str, sentence: str) -> None:
    path = tmp_path / "plan.toml"
    path.write_text(text)
    with pytest.raises(PlanError, match=sentence):
        read_plan(path)


def test_a_missing_plan_names_the_projects_own() -> None:
    with pytest.raises(PlanError, match="concat, decay, fine, first, larger, long, longer, response, steady, tight"):
        read_plan("nowhere")
