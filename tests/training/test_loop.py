"""The loop: it learns, it resumes where it stopped, and its schedule is the stated one."""

from __future__ import annotations

import os
import signal
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.training.test_synthesis import frame
from tracker.checkpoints.weights import load_weights, save_weights
from tracker.cli.train import main
from tracker.network import DMBNet
from tracker.training import run as command
from tracker.training.distributed import World
from tracker.training.drawer import MaterialDrawer
from tracker.training.loop import Trainer
from tracker.training.plan import PlanError, Stage, TrainingConfig
from tracker.training.report import Report
from tracker.training.sources import Files


def trainer(
    output: Path,
    trunk: Path | None,
    steps: int = 4,
    weights: Path | None = None,
    accumulate: int = 1,
    teacher: Path | None = None,
    origin: Path | None = None,
    begin: int = 0,
    warmup: int = 1,
    seed: int = 3,
    **facts: object,
) -> Trainer:
    drawer = MaterialDrawer(Files([frame(seed) for seed in range(3)], {}))
    stages = (Stage(steps=2, size=64, frames=2, batch=2, factor=(2.0, 2.5)),)
    stages += (Stage(steps=steps - 2, size=64, frames=3, batch=1, factor=(2.0, 2.5), decay=True),)
    config = TrainingConfig(stages=stages, warmup=warmup, seed=seed, **facts)  # type: ignore[arg-type]
    device = torch.device("cpu")
    starts = {"trunk": trunk, "weights": weights, "teacher": teacher, "origin": origin}
    return Trainer(config, drawer, **starts, begin=begin, output=output, device=device, accumulate=accumulate)


def losses(run: Trainer, steps: int) -> list[float]:
    """Train some steps; returns their losses."""
    material = iter(run.stream(range(run.step, run.step + steps)))
    return [run.train_step(material)[0].loss for _ in range(steps)]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, trunk: Path) -> tuple[Trainer, list[float]]:
    """A run of four steps with a running average, which does not change its losses."""
    run = trainer(tmp_path_factory.mktemp("whole"), trunk, average=0.5)
    return run, losses(run, 4)


@pytest.mark.parametrize("average", [0.0, 0.5])
def test_resuming_continues_the_very_same_losses(
    tmp_path: Path, trunk: Path, whole: tuple[Trainer, list[float]], average: float
) -> None:
    uninterrupted, expected = whole
    first = trainer(tmp_path / "parts", trunk, average=average)
    found = losses(first, 2)
    first.save()
    second = trainer(tmp_path / "parts", None, average=average)
    assert second.step == 2
    found += losses(second, 2)
    assert found == pytest.approx(expected, rel=1e-6)
    model = uninterrupted.average if average else uninterrupted.model
    for ours, theirs in zip(second.average.parameters(), model.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs)
    assert load_weights(tmp_path / "parts" / "dmb_r50.safetensors").stride_on == "1x1"


def test_a_run_that_is_ended_by_a_signal_goes_on_with_the_same_losses(
    tmp_path: Path, trunk: Path, whole: tuple[Trainer, list[float]], monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[float] = []
    monkeypatch.setattr(Report, "step", lambda self, number, facts, waited: told.append(facts.loss))
    run = trainer(tmp_path, trunk, average=0.5)
    train_step = run.train_step

    def interrupted(material: object) -> object:
        if run.step == 1:
            os.kill(os.getpid(), signal.SIGTERM)
        return train_step(material)  # type: ignore[arg-type]

    monkeypatch.setattr(run, "train_step", interrupted)
    run.run()
    assert run.step == 2
    trainer(tmp_path, None, average=0.5).run()
    assert told == pytest.approx(whole[1], rel=1e-6)


def test_the_average_is_saved_and_another_run_starts_from_it(tmp_path: Path, trunk: Path) -> None:
    run = trainer(tmp_path / "first", trunk, average=0.9)
    start = run.model.decoder.predict.weight.clone()
    losses(run, 1)
    now, mean = run.model.decoder.predict.weight, run.average.decoder.predict.weight
    # after one step the average has a memory of 2 / 11
    torch.testing.assert_close(mean, torch.lerp(start, now, 9 / 11))
    run.save()
    saved = tmp_path / "first" / "dmb_r50.safetensors"
    torch.testing.assert_close(load_weights(saved).decoder.predict.weight, mean.detach(), rtol=1e-3, atol=1e-4)
    second = trainer(tmp_path / "second", None, weights=saved)
    torch.testing.assert_close(second.model.decoder.predict.weight, mean.detach(), rtol=1e-3, atol=1e-4)
    losses(second, 1)
    assert not torch.equal(second.model.decoder.predict.weight, load_weights(saved).decoder.predict.weight)


def test_a_branch_starts_with_weights_and_optimizer_and_leaves_the_trunk_alone(tmp_path: Path, trunk: Path) -> None:
    first = trainer(tmp_path / "trunk", trunk, average=0.9)
    losses(first, 2)
    first.save()
    before = {path.name: path.read_bytes() for path in (tmp_path / "trunk").iterdir() if path.is_file()}
    second = trainer(tmp_path / "branch", None, origin=tmp_path / "trunk", average=0.5, rate=1e-3, seed=9)
    assert second.step == second.begun == 0
    now = first.model.decoder.predict.weight
    for model in (second.model, second.average):
        assert torch.equal(model.decoder.predict.weight, now), "the weights of the trunk, not their average"
    assert not torch.equal(first.average.decoder.predict.weight, now)
    ours, theirs = (run.optimizer.state[run.model.decoder.predict.weight] for run in (second, first))
    assert torch.equal(ours["exp_avg"], theirs["exp_avg"]) and ours["step"] == theirs["step"] == 2
    assert [group["base"] for group in second.optimizer.param_groups] == [1e-3, second.config.encoder_rate]
    losses(second, 1)
    second.save()
    assert before == {path.name: path.read_bytes() for path in (tmp_path / "trunk").iterdir() if path.is_file()}
    again = trainer(tmp_path / "branch", None, origin=tmp_path / "trunk", average=0.5, rate=1e-3, seed=9)
    assert again.step == 1, "it goes on as any other run"


def test_a_branch_off_nothing_or_off_another_kind_of_run_is_one_sentence(tmp_path: Path, trunk: Path) -> None:
    with pytest.raises(PlanError, match=r"none/checkpoint\.pt' cannot be read \(No such file.*--from"):
        trainer(tmp_path / "branch", None, origin=tmp_path / "none")
    trainer(tmp_path / "trunk", trunk).save()
    with pytest.raises(PlanError, match=r"checkpoint\.pt' cannot be continued .*the same parts trained, with --from"):
        trainer(tmp_path / "branch", None, origin=tmp_path / "trunk", memory_trained=("res4",))
    (tmp_path / "trunk" / "checkpoint.pt").write_bytes(b"PK damaged")
    with pytest.raises(PlanError, match=r"checkpoint\.pt' cannot be continued .*--from"):
        trainer(tmp_path / "branch", None, origin=tmp_path / "trunk")


def test_a_run_whose_checkpoint_was_lost_goes_on_from_its_weights_with_the_same_samples(
    tmp_path: Path, trunk: Path
) -> None:
    def seen(run: Trainer, steps: int) -> list[tuple[torch.Tensor, float]]:
        material = iter(run.stream(range(run.step, run.step + steps)))
        made = [run.train_step(material) for _ in range(steps)]
        return [(batch.images, facts.rate / run.config.rate) for facts, batch, _ in made]

    first = trainer(tmp_path / "first", trunk, steps=6, warmup=3, average=0.5)
    losses(first, 1)
    first.save()
    expected = [batch for batch, _ in seen(first, 3)]
    weights = tmp_path / "first" / "dmb_r50.safetensors"
    second = trainer(tmp_path / "second", None, weights=weights, steps=6, warmup=3, average=0.5, begin=1)
    found = seen(second, 2)
    second.save()
    third = trainer(tmp_path / "second", None, steps=6, warmup=3, average=0.5)
    found += seen(third, 1)
    assert all(torch.equal(ours, theirs) for (ours, _), theirs in zip(found, expected, strict=True))
    assert [share for _, share in found[:1]] == pytest.approx([1 / 3]), "a new optimizer warms up, wherever it begins"
    assert third.begun == 1 and third.step == 4
    assert found[1][1] == pytest.approx(2 / 3) and found[2][1] == pytest.approx(third.config.rate_at(3, 1))
    with pytest.raises(PlanError, match="no step 6 to begin with; it has 6 steps"):
        trainer(tmp_path / "late", None, weights=weights, steps=6, begin=6)


def test_the_network_has_its_strides_where_the_trunk_states_them(tmp_path: Path, trunk: Path) -> None:
    stated = tmp_path / "trunk.safetensors"
    save_file(load_file(trunk), stated, metadata={"stride_on": "3x3"})
    for file, stride_on, strides in ((trunk, "1x1", (2, 1)), (stated, "3x3", (1, 2))):
        output = tmp_path / stride_on
        trainer(output, file).save()
        resumed = trainer(output, None).model  # the checkpoint's network has them at the same place
        for model in (resumed, load_weights(output / "dmb_r50.safetensors")):
            assert model.stride_on == stride_on
            for encoder in (model.query_encoder, model.memory_encoder):
                for stage in (encoder.res3, encoder.res4):
                    assert (stage[0].conv1.stride[0], stage[0].conv2.stride[0]) == strides


def test_a_run_teaches_weights_the_coarse_prediction(tmp_path: Path) -> None:
    given = tmp_path / "given.safetensors"
    save_weights(DMBNet(stride_on="3x3", coarse_prediction=False), given)
    assert trainer(tmp_path / "with", None, weights=given).model.coarse_prediction
    run = trainer(tmp_path / "without", None, weights=given, coarse_weight=0.0)
    assert not run.model.coarse_prediction
    run.save()
    resumed = trainer(tmp_path / "without", None, coarse_weight=0.0)
    resumed.save()
    assert not load_weights(tmp_path / "without" / "dmb_r50.safetensors").coarse_prediction


def test_the_head_starts_are_those_of_the_plan(tmp_path: Path, trunk: Path) -> None:
    both = trainer(tmp_path / "both", trunk, pca_keys=True).model
    keys = trainer(tmp_path / "keys", trunk, pca_keys=True, quiet_mask_stems=False).model
    stems = trainer(tmp_path / "stems", trunk).model

    def pca(model: DMBNet) -> bool:
        return bool((model.query_key_value.key.weight[:, :, 0, 0] == 0).all())  # only the center tap acts

    def deviation(model: DMBNet) -> float:
        return float(model.memory_encoder.conv1_m.weight.detach().std())

    assert pca(both) and pca(keys) and not pca(stems)
    assert deviation(both) == pytest.approx(deviation(stems), rel=0.1) and deviation(keys) > 2 * deviation(both)


def test_the_spatial_map_is_shown_from_the_step_that_the_plan_names(tmp_path: Path, trunk: Path) -> None:
    run = trainer(tmp_path / "run", trunk, map_from=2)
    material = iter(run.stream(range(4)))
    assert [bool(run.train_step(material)[1].maps.any()) for _ in range(4)] == [False, False, True, True]


def test_a_concatenating_decoder_starts_as_an_adding_one_and_is_saved_as_what_it_is(tmp_path: Path) -> None:
    torch.manual_seed(1)
    given = tmp_path / "adds.safetensors"
    save_weights(DMBNet(), given)
    run = trainer(tmp_path / "run", None, weights=given, position="concat", spatial_map="response")
    adds, readout, skip = load_weights(given), torch.randn(1, 1024, 4, 4), torch.randn(1, 512, 8, 8)
    spatial_map = torch.rand(1, 1, 4, 4)
    expected = adds.decoder.features(readout, skip, spatial_map)
    torch.testing.assert_close(run.model.decoder.features(readout, skip, spatial_map), expected, rtol=1e-4, atol=1e-4)
    losses(run, 1)
    assert run.model.decoder.merge is not None and run.model.decoder.merge.weight[0, 1] != 0.0, "it is trained"
    run.save()
    saved = load_weights(tmp_path / "run" / "dmb_r50.safetensors")
    assert (saved.position, saved.spatial_map) == ("concat", "response")
    trainer(tmp_path / "run", None, position="concat", spatial_map="response")  # goes on
    for back in ({"spatial_map": "response"}, {"position": "concat"}):
        with pytest.raises(PlanError, match=r"was trained with '(concat|response)'; start from weights of"):
            trainer(tmp_path / "back", None, weights=tmp_path / "run" / "dmb_r50.safetensors", **back)


def test_a_fresh_run_needs_something_to_start_from(tmp_path: Path) -> None:
    with pytest.raises(PlanError, match="trunk or weights"):
        trainer(tmp_path, None)


def test_a_checkpoint_that_cannot_be_continued_is_named(tmp_path: Path, trunk: Path) -> None:
    run = trainer(tmp_path, trunk, pca_keys=True)
    run.save()
    run.device = torch.device("meta")
    run.load()  # what is read goes to memory of the host, and from there where it belongs
    with pytest.raises(PlanError, match=r"checkpoint\.pt.*made by another plan"):
        trainer(tmp_path, None, pca_keys=True, query_trained=("res3", "res4"))
    # a head start is over, whatever the plan says of it by now; what the run began with is kept on record
    continued = trainer(tmp_path, None, pca_keys=False, quiet_mask_stems=False)
    assert continued.config.pca_keys and continued.config.quiet_mask_stems
    (tmp_path / "checkpoint.pt").write_bytes(b"PK damaged")
    with pytest.raises(PlanError, match=r"checkpoint\.pt.*cannot be continued"):
        trainer(tmp_path, None)


def test_batch_norms_and_the_frozen_query_stages_do_not_move(tmp_path: Path, trunk: Path) -> None:
    run = trainer(tmp_path, trunk)
    before = {name: tensor.clone() for name, tensor in run.model.state_dict().items()}
    losses(run, 1)
    after = run.model.state_dict()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert "decoder.predict.weight" in changed
    assert "memory_encoder.conv1_m.weight" in changed
    assert "memory_encoder.res2.0.conv1.weight" in changed
    assert "query_encoder.res4.0.conv1.weight" in changed
    assert not any("bn" in name or "downsample.1" in name for name in changed)
    assert not any(name.startswith(("query_encoder.res3", "query_encoder.conv1")) for name in changed)


def test_frozen_encoders_stand_still_and_train_again_in_the_next_stage(tmp_path: Path, trunk: Path) -> None:
    run = trainer(tmp_path, trunk)
    first, second = run.config.stages
    run.config = run.dataset.config = replace(run.config, stages=(replace(first, encoders=False), second))

    def moved(steps: int) -> set[str]:
        before = {name: tensor.clone() for name, tensor in run.model.named_parameters()}
        losses(run, steps)
        return {name for name, tensor in run.model.named_parameters() if not torch.equal(before[name], tensor)}

    frozen = moved(2)
    assert "decoder.predict.weight" in frozen and "memory_key_value.key.weight" in frozen
    assert not any("encoder." in name for name in frozen)
    trained = moved(1)
    assert {"memory_encoder.conv1.weight", "query_encoder.res4.0.conv1.weight"} <= trained
    assert "query_encoder.res3.0.conv1.weight" not in trained


@pytest.mark.parametrize("words", ["CUDA out of memory", "CUDA error: CUBLAS_STATUS_ALLOC_FAILED"])
def test_a_full_memory_is_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, words: str
) -> None:
    class Crowded:
        def __init__(self, *arguments: object, **options: object) -> None: ...

        def run(self, **options: object) -> None:
            raise torch.OutOfMemoryError(words)

    monkeypatch.setattr(command, "Trainer", Crowded)
    monkeypatch.setattr(command, "read_files", lambda config, folders: Files([frame(0)], {}))
    assert main(["first", "--data", str(tmp_path), "--output", str(tmp_path / "o"), "--device", "cpu"]) == 1
    assert capsys.readouterr().err == ("dmb train: error: the memory of the device is full; raise --accumulate\n")
    monkeypatch.setattr(Crowded, "run", lambda self, **options: (_ for _ in ()).throw(RuntimeError("a bug")))
    with pytest.raises(RuntimeError, match="a bug"):
        main(["first", "--data", str(tmp_path), "--output", str(tmp_path / "o"), "--device", "cpu"])


def test_coordinates_on_a_gpu_are_multiplied_in_full_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "resolve_device", torch.device)
    before = torch.get_float32_matmul_precision()
    assert command.choose_device("cuda", World()).type == "cuda"
    assert torch.get_float32_matmul_precision() == before == "highest"


def test_missing_data_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["first", "--data", str(tmp_path), "--trunk", str(tmp_path / "t"), "--output", str(tmp_path / "o")]
    assert main(arguments) == 1
    assert "no stills-*.tar" in capsys.readouterr().err
