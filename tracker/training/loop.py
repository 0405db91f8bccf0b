"""The training loop: samples in, checkpoints and weights out, resumable at any step."""

from __future__ import annotations

import logging
import signal
import time
from collections.abc import Generator, Iterator
from contextlib import closing, nullcontext
from copy import deepcopy
from dataclasses import asdict, replace
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from tracker.checkpoints.trunk import load_trunk, trunk_stride
from tracker.checkpoints.weights import WEIGHTS_NAMES, load_weights, save_weights
from tracker.config import ModelName
from tracker.engine.engine import resolve_precision
from tracker.files import replacing
from tracker.network import ARCHITECTURES, DMBNet
from tracker.network.backbone import StrideOn
from tracker.training.checkpoint import CHECKPOINT, UNREADABLE, branch, checkpoint_stride, unusable
from tracker.training.compaction import compact
from tracker.training.distillation import Teacher
from tracker.training.distributed import World
from tracker.training.drawer import MaterialDrawer
from tracker.training.frozen import freeze
from tracker.training.initialization import keys_from_pca, quiet_mask_stems, scale_values
from tracker.training.loader import SYNTHESIS, WINDOWS, MaterialDataset, Stream, seed_of
from tracker.training.packing import Packed
from tracker.training.plan import START_ONLY, PlanError, Stage, TrainingConfig, lasting
from tracker.training.report import Facts, Report
from tracker.training.step import StepConfig, TrainingStep
from tracker.training.synthesis import Batch, SynthesisConfig, Synthesizer

log = logging.getLogger(__name__)

REMEDY = "continue it with the plan that it was made with, or name another output folder"
HEAD_START_STEPS = 6  # steps whose images the keys' PCA is computed from


def build_optimizer(model: DMBNet, config: TrainingConfig) -> torch.optim.AdamW:
    """AdamW with a smaller rate for the layers that come from ImageNet."""
    pretrained: list[nn.Parameter] = []
    new: list[nn.Parameter] = []
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            from_imagenet = "encoder." in name and "conv1_m" not in name and "conv1_o" not in name
            (pretrained if from_imagenet else new).append(parameter)
    groups = [{"params": new, "base": config.rate}, {"params": pretrained, "base": config.encoder_rate}]
    return torch.optim.AdamW(groups, lr=config.rate, weight_decay=config.weight_decay, fused=True)


class Trainer:
    """Holds everything that a run changes.

    Args:
        config: the run.
        drawer: the data.
        trunk: ImageNet weights that a fresh run starts from, or
        weights: DMB's own weights that it goes on from, or
        origin: another run's folder, from whose checkpoint it branches off: with its weights as they are, not their
            average, and its optimizer.
        begin: the step of the plan that a fresh run begins with, and warms up from: for one whose checkpoint was lost.
        teacher: weights whose features are imitated where the plan gives that a weight; default: `weights`. They are
            not in the checkpoint, and must be the same ones when it is continued.
        output: folder for checkpoints and weights; an existing checkpoint there is continued.
        device: where to train.
        world: this process among all that train.
        accumulate: parts that each process computes its share of a batch in, where memory is short.
        workers: processes that decode samples ahead; 0 decodes in this one.

    Raises:
        PlanError: the plan's batches cannot be divided so, nothing to start from, a teacher that is missing, without
            effect or another than before, or a checkpoint that does not fit.
        CompactionError: the plan's network is larger than the weights'.
        WeightsError: the trunk or weights cannot be read.
    """

    def __init__(
        self,
        config: TrainingConfig,
        drawer: MaterialDrawer,
        *,
        trunk: Path | None = None,
        weights: Path | None = None,
        origin: Path | None = None,
        begin: int = 0,
        teacher: Path | None = None,
        output: Path,
        device: torch.device,
        world: World | None = None,
        accumulate: int = 1,
        workers: int = 0,
    ) -> None:
        self.config, self.output, self.device = config, output, device
        self.world, self.accumulate, self.workers = world or World(), accumulate, workers
        parts = self.world.size * accumulate
        for number, stage in enumerate(config.stages, 1):
            if stage.batch % parts:
                raise PlanError(
                    f"stage {number} has batches of {stage.batch}, which {self.world.size} processes with "
                    f"{accumulate} parts each cannot share evenly; choose a multiple of {parts}"
                )
        self.output.mkdir(parents=True, exist_ok=True)
        self.checkpoint = output / CHECKPOINT
        self.bfloat16 = resolve_precision("auto", device) == torch.bfloat16
        if not 0 <= begin < config.steps:
            raise PlanError(f"the plan has no step {begin} to begin with; it has {config.steps} steps")
        self.step = self.begun = begin
        self.stopping = False
        torch.manual_seed(config.seed)
        self.dataset = MaterialDataset(config, drawer, parts)
        self.parts = range(self.world.rank * accumulate, (self.world.rank + 1) * accumulate)
        self.synthesizer = Synthesizer(SynthesisConfig(), device=device)
        self.teacher = self._load_teacher(teacher, weights)
        self.model = self._start(trunk, weights, origin)
        self.model.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.model.train()
        self._freeze(encoders=any(stage.encoders for stage in config.stages))
        self.optimizer = build_optimizer(self.model, config)
        if origin is not None and not self.checkpoint.is_file():
            branch(self.model, self.optimizer, origin)
        self.average = deepcopy(self.model) if config.average else self.model
        if self.checkpoint.is_file():
            self.load()
        self.encoders: bool | None = None  # whether they train in the stage at hand; None before the first step
        counted = StepConfig(config.coarse_weight, config.window, config.teacher_weight, config.hardest_share)
        self.plain = TrainingStep(self.model, counted, self.teacher)
        self.forward: nn.Module = self.plain  # or what several processes share it by

    def _load_teacher(self, teacher: Path | None, weights: Path | None) -> Teacher | None:
        """The plan's teacher, where it has one."""
        if not self.config.teacher_weight:
            if teacher is not None:
                raise PlanError(f"the plan has no 'teacher_weight', so that '{teacher}' teaches nothing; leave it out")
            return None
        source = teacher or weights
        if source is None:
            raise PlanError("the plan's teacher is missing; name the same weights as at the run's start with --teacher")
        return Teacher(source, self.device)

    def _start(self, trunk: Path | None, weights: Path | None, origin: Path | None) -> DMBNet:
        """The network before the first step; what it holds does not matter where a checkpoint is continued."""
        if self.checkpoint.is_file():
            if trunk or weights or origin:
                log.info("'%s' is continued; %s is not read again", self.checkpoint, trunk or weights or origin)
            return self._network(checkpoint_stride(self.checkpoint), self.config.architecture)
        if origin is not None:
            return self._network(checkpoint_stride(origin / CHECKPOINT), self.config.architecture)
        if weights is not None:
            return self._continued(load_weights(weights), weights)
        if trunk is None:
            raise PlanError(f"no checkpoint in '{self.output}' to continue; name a trunk or weights to start from")
        model = self._network(trunk_stride(trunk), "full")
        load_trunk(model, trunk)
        self._head_start(model.eval())
        return self._sized(model)

    def _sized(self, model: DMBNet) -> DMBNet:
        """A network made as small as the plan wants it."""
        wanted = ARCHITECTURES[self.config.architecture]
        if model.architecture == wanted:
            return model
        log.info("%s is made out of %s", wanted.text, model.architecture.text)
        return compact(model, wanted)

    def _head_start(self, model: DMBNet) -> None:
        """Set what the trunk does not hold, as the plan wants it."""
        scale_values(model)
        if self.config.quiet_mask_stems:
            quiet_mask_stems(model)
        if self.config.pca_keys:
            steps = range(min(HEAD_START_STEPS, self.config.steps))
            batches = [self._batch(self.dataset[step, 0], step, 0) for step in steps]
            images = torch.cat([batch.images.flatten(0, 1) for batch in batches]).to("cpu")
            kept = keys_from_pca(model, model.normalize(images))
            log.info("keys start as a PCA of the trunk's features (%.0f%% of the variance)", 100 * kept)

    def _network(self, stride_on: StrideOn, size: ModelName) -> DMBNet:
        """The network that the plan trains, in some size, with untrained numbers."""
        return DMBNet(
            architecture=ARCHITECTURES[size],
            stride_on=stride_on,
            coarse_prediction=self.config.coarse_weight > 0,
            position=self.config.position,
            spatial_map=self.config.spatial_map,
        )

    def _continued(self, loaded: DMBNet, weights: Path) -> DMBNet:
        """The plan's network with the numbers of `loaded`.

        Only from the usual kind to another: a concatenating decoder starts from an adding one, and one that sees
        responses from one that saw distances.
        """
        for name, usual in (("position", "add"), ("spatial_map", "distance")):
            wanted, given = getattr(self.config, name), getattr(loaded, name)
            if given not in (wanted, usual):
                raise PlanError(
                    f"the plan's {name} is '{wanted}', and '{weights}' was trained with '{given}'; start from weights "
                    f"of '{wanted}' or '{usual}'"
                )
        loaded = self._sized(loaded)
        model = self._network(loaded.stride_on, self.config.architecture)
        model.load_state_dict(loaded.state_dict(), strict=False)
        model.coarse_prediction |= loaded.coarse_prediction
        return model

    @torch.no_grad()
    def _update_average(self) -> None:
        """Move the average toward the weights; its memory grows with the steps, so that the start is forgotten."""
        done = self.step - self.begun
        decay = min(self.config.average, (1.0 + done) / (10.0 + done))
        for mean, value in zip(self.average.parameters(), self.model.parameters(), strict=True):
            mean.lerp_(value, 1.0 - decay)

    def _batch(self, packed: Packed, step: int, part: int) -> Batch:
        stage, _ = self.config.stage_at(step)
        self.synthesizer.config = SynthesisConfig(
            size=stage.size,
            frames=stage.frames,
            factor=stage.factor,
            spatial_map=self.config.spatial_map,
            families=self.config.families,
        )
        batch = self.synthesizer.compose(packed, seed_of(self.config, step, part, SYNTHESIS))
        if step < self.config.map_from:
            batch.maps.zero_()
        return batch

    def save(self) -> None:
        """Write the resumable state and the weights, each atomically; only the leading process does.

        Raises:
            OSError: one of them cannot be written; what was saved before is whole.
        """
        if not self.world.leads:
            return
        state = {
            "step": self.step,
            "begun": self.begun,
            "plan": asdict(self.config),
            "stride_on": self.model.stride_on,
            "coarse_prediction": self.model.coarse_prediction,
            "model": self.model.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "teacher": self.teacher.checksum if self.teacher else "",
        }
        with replacing(self.checkpoint) as draft, draft.open("wb") as file:
            torch.save(state, file)
        facts = {"stage": "stills and video", "steps": str(self.step), "config": str(asdict(self.config))}
        if self.teacher:
            facts["teacher"] = self.teacher.checksum
        save_weights(self.average, self.output / WEIGHTS_NAMES[self.config.architecture], facts)
        log.info("step %d saved in %s", self.step, self.output)

    def _save_on_the_way(self) -> None:
        """Save, or say that it cannot be: the disk may have room again in time for the next one."""
        try:
            self.save()
        except OSError as error:
            log.warning("step %d is not saved (%s); training goes on and will try again", self.step, error)

    def load(self) -> None:
        """Continue from the checkpoint in the output folder.

        Raises:
            PlanError: it is damaged, or was made by another plan.
        """
        try:
            state: dict[str, Any] = torch.load(self.checkpoint, map_location="cpu", weights_only=True)
            # to the device goes what belongs there as it is filled in; AdamW counts its steps on the host
            plan = asdict(TrainingConfig(stages=())) | state["plan"]  # what it did not name yet is at its default
            if lasting(plan) != lasting(asdict(self.config)):
                raise PlanError(f"checkpoint '{self.checkpoint}' was made by another plan; {REMEDY}")
            if self.teacher and state["teacher"] != self.teacher.checksum:
                raise PlanError(
                    f"checkpoint '{self.checkpoint}' had another teacher (checksum {str(state['teacher'])[:12]}, not "
                    f"{self.teacher.checksum[:12]}); name that one's weights with --teacher"
                )
            if state["stride_on"] != self.model.stride_on:
                raise ValueError(f"its stride convention is '{state['stride_on']}'")
            self.model.load_state_dict(state["model"])
            for model in (self.model, self.average):
                model.coarse_prediction = bool(state["coarse_prediction"])
            if self.average is not self.model:
                self.average.load_state_dict(state["average"])
            self.optimizer.load_state_dict(state["optimizer"])
            self.step, self.begun = state["step"], state.get("begun", 0)
            self.config = replace(self.config, **{name: plan[name] for name in START_ONLY})  # as it really began
        except PlanError:
            raise
        except UNREADABLE as error:
            raise unusable(self.checkpoint, error, REMEDY) from error
        log.info("continuing from step %d", self.step)

    def _stop(self, number: int, frame: FrameType | None) -> None:
        log.info("signal %d: saving after this step", number)
        self.stopping = True

    def _freeze(self, *, encoders: bool) -> None:
        """Let those parts of the encoders train that the plan names, or none."""
        trained = (self.config.query_trained, self.config.memory_trained) if encoders else ((), ())
        freeze(self.model, *trained)

    def _enter(self, stage: Stage) -> None:
        """Freeze the encoders or let them train, as the stage wants it."""
        if stage.encoders == self.encoders:
            return
        self.encoders = stage.encoders
        self._freeze(encoders=stage.encoders)
        self.plain.prepare(torch.bfloat16 if self.bfloat16 else torch.float32)
        if self.world.size > 1:
            # what is exchanged between the processes is fixed when it is built, so it is built anew
            self.forward = DistributedDataParallel(self.plain)

    def stream(self, steps: range) -> Stream:
        """The material that this process trains on in `steps`, in order."""
        pin = self.device.type == "cuda"
        return Stream(self.dataset, steps, self.parts, workers=self.workers, pin=pin)

    def train_part(self, material: Packed, part: int) -> tuple[Tensor, Tensor, Batch, Tensor]:
        """Add the gradients of one part of a step; returns loss, IoUs (T-1) x B, the batch and its last logit."""
        batch = self._batch(material, self.step, part)
        rng = np.random.default_rng(seed_of(self.config, self.step, part, WINDOWS))
        waits = isinstance(self.forward, DistributedDataParallel) and part != self.parts[-1]
        # gradients are exchanged once a step, with its last part
        with self.forward.no_sync() if waits else nullcontext():  # type: ignore[operator]
            with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.bfloat16):
                loss, ious, logit = self.forward(batch, rng)
            (loss / self.accumulate).backward()
        return loss.detach(), ious, batch, logit

    def train_step(self, material: Iterator[Packed]) -> tuple[Facts, Batch, Tensor]:
        """One optimization step; returns its facts, and the last part's batch and logit to be shown."""
        share = self.config.rate_at(self.step, self.begun)
        for group in self.optimizer.param_groups:
            group["lr"] = group["base"] * share
        stage, _ = self.config.stage_at(self.step)
        self._enter(stage)
        self.optimizer.zero_grad(set_to_none=True)
        losses, ious, paddings = list[Tensor](), list[Tensor](), list[Tensor]()
        for part in self.parts:  # of their batches only the last stays, to be shown
            loss, iou, batch, logit = self.train_part(next(material), part)
            losses, ious, paddings = [*losses, loss], [*ious, iou], [*paddings, batch.padding]
        norm = nn.utils.clip_grad_norm_(self.model.parameters(), self.config.gradient_norm)
        self.optimizer.step()
        self.step += 1
        if self.average is not self.model:
            self._update_average()
        means = torch.stack([torch.stack(losses).mean(), norm, torch.stack(paddings).mean()])
        values = self.world.mean(torch.cat([means, torch.cat(ious, dim=1).nanmean(dim=1)]))
        return Facts(values, self.config.rate * share, stage.size, stage.batch), batch, logit

    def run(self, *, until: int | None = None, report_every: int = 20) -> None:
        """Train to the last step (or `until`); SIGTERM and Ctrl-C save and return."""
        previous = {number: signal.signal(number, self._stop) for number in (signal.SIGTERM, signal.SIGINT)}
        last = min(self.config.steps, until or self.config.steps)
        folder = self.output if self.world.leads else None
        stream = self.stream(range(self.step, last))
        saved = time.monotonic()
        try:
            reporting = Report(folder, first=self.step, last=last, every=report_every)
            material: Generator[Packed, None, None] = iter(stream)
            with reporting as report, closing(material):
                while self.step < last and not self.world.any(self.stopping, self.device):
                    facts, batch, logit = self.train_step(material)
                    report.step(self.step, facts, stream.waited)
                    if time.monotonic() - saved > 60 * self.config.save_minutes:
                        self._save_on_the_way()
                        report.picture(self.step, batch, logit)
                        saved = time.monotonic()
                    elif self.step == last:
                        report.picture(self.step, batch, logit)
        finally:
            try:
                self.save()
            finally:
                for number, handler in previous.items():
                    signal.signal(number, handler)
