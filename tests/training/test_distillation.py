"""A compact network learns from a full one, and continues where it stopped, with the same teacher."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.training.test_loop import losses, trainer
from tracker.checkpoints.weights import load_weights, read_weights, save_weights
from tracker.network import ARCHITECTURES, Architecture, DMBNet
from tracker.training.distillation import Teacher, distance
from tracker.training.plan import PlanError

PLAN = {"architecture": "compact", "teacher_weight": 1.0, "query_trained": ("res2", "res3", "res4"), "average": 0.5}


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Smaller sizes for the compact model, to be quick."""
    monkeypatch.setitem(ARCHITECTURES, "compact", Architecture((1, 1, 1), 8, 8))


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Full weights that stand for the trained ones."""
    torch.manual_seed(2)
    path = tmp_path_factory.mktemp("full") / "full.safetensors"
    save_weights(DMBNet(), path)
    return path


def test_distances_are_relative() -> None:
    wanted = 5.0 * torch.randn(2, 3, 4, 4)
    assert distance(wanted, wanted) == 0.0
    assert distance(torch.zeros_like(wanted), wanted).item() == pytest.approx(1.0)
    assert distance(2.0 * wanted, wanted).item() == pytest.approx(1.0)


def test_a_teacher_finds_itself_and_has_no_gradients(full: Path) -> None:
    teacher, pupil = Teacher(full, torch.device("cpu")), load_weights(full)
    images, masks = torch.rand(2, 3, 32, 32), torch.rand(2, 1, 32, 32)
    keys = pupil.encode_memory(images, masks)[0]
    itself = teacher.loss(pupil.encode_query(images), images, keys, (images, masks))
    assert itself.item() == pytest.approx(0.0, abs=1e-8)
    other = teacher.loss(pupil.encode_query(1.0 - images), images, keys.requires_grad_(), (images, masks))
    other.backward()  # type: ignore[no-untyped-call]
    assert other > 0.01 and keys.grad is not None
    assert all(parameter.grad is None for parameter in teacher.model.parameters())


@pytest.mark.usefixtures("small")
def test_it_is_made_small_learns_from_the_teacher_and_resumes(tmp_path: Path, full: Path) -> None:
    whole = trainer(tmp_path / "whole", None, weights=full, **PLAN)
    assert whole.model.architecture == ARCHITECTURES["compact"]
    expected = losses(whole, 4)
    lonely = trainer(tmp_path / "lonely", None, weights=full, **PLAN | {"teacher_weight": 0.0})
    assert losses(lonely, 1)[0] < expected[0], "the distance to the teacher counts"

    first = trainer(tmp_path / "parts", None, weights=full, **PLAN)
    found = losses(first, 2)
    first.save()
    second = trainer(tmp_path / "parts", None, teacher=full, **PLAN)
    assert second.step == 2
    found += losses(second, 2)
    assert found == pytest.approx(expected, rel=1e-6)
    second.save()
    file = tmp_path / "parts" / "dmb_compact.safetensors"
    assert load_weights(file, model="compact").architecture == ARCHITECTURES["compact"]
    assert read_weights(file)[1]["teacher"] == read_weights(full)[1]["checksum"]
    assert not any("teacher" in name for name, _ in first.forward.named_parameters())


@pytest.mark.usefixtures("small")
def test_a_missing_a_useless_and_another_teacher_are_named(tmp_path: Path, full: Path) -> None:
    trainer(tmp_path / "run", None, weights=full, **PLAN).save()
    with pytest.raises(PlanError, match=r"teacher is missing.*--teacher"):
        trainer(tmp_path / "run", None, **PLAN)
    other = tmp_path / "other.safetensors"
    save_weights(DMBNet(architecture=Architecture((1, 1, 1), 8, 8)), other)
    with pytest.raises(PlanError, match=r"had another teacher.*--teacher"):
        trainer(tmp_path / "run", None, teacher=other, **PLAN)
    with pytest.raises(PlanError, match=r"no 'teacher_weight'.*teaches nothing; leave it out"):
        trainer(tmp_path / "fresh", None, weights=full, teacher=full)
