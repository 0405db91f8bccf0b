"""The training loop: samples in, checkpoints and weights out, resumable at any step.

Recurrent as in Section IV-A: the first frame is remembered with its label, the prediction of the second one is
remembered for the third, and the loss is summed and propagated through all of it.
"""

from __future__ import annotations

import logging
import os
import signal
import time
from copy import deepcopy
from dataclasses import asdict
from pathlib import Path
from pickle import UnpicklingError
from types import FrameType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from tracker.engine import resolve_precision
from tracker.network import DMBNet, QueryFeatures, Window
from tracker.training.initialisation import initialise
from tracker.training.losses import hard_iou, segmentation_loss
from tracker.training.plan import PlanError, Stage, TrainingConfig
from tracker.training.sources import MaterialDrawer
from tracker.training.synthesis import Batch, SynthesisConfig, Synthesiser
from tracker.weights import load_trunk, load_weights, save_weights

log = logging.getLogger(__name__)


def freeze(model: DMBNet, query_trained: tuple[str, ...]) -> None:
    """Freeze batch norms everywhere and the parts of the query encoder that do not train."""
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval()
            module.requires_grad_(False)
    for name, part in model.query_encoder.named_children():
        if name not in query_trained:
            part.requires_grad_(False)


def build_optimizer(model: DMBNet, config: TrainingConfig) -> torch.optim.AdamW:
    """AdamW with a smaller rate for the layers that come from ImageNet."""
    pretrained: list[nn.Parameter] = []
    new: list[nn.Parameter] = []
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            from_imagenet = "encoder." in name and "conv1_m" not in name and "conv1_o" not in name
            (pretrained if from_imagenet else new).append(parameter)
    groups = [{"params": new, "base": config.rate}, {"params": pretrained, "base": config.encoder_rate}]
    return torch.optim.AdamW(groups, lr=config.rate, weight_decay=config.weight_decay)


def draw_windows(centres: np.ndarray, cells: int, share: float, rng: np.random.Generator) -> list[Window]:
    """Windows of stride-8 cells around targets at `centres` (N x 2, pixels), jittered, inside the region."""
    side = max(2, round(share * cells))
    slack = 0.25 * side
    corners = centres / 8.0 - side / 2 + rng.uniform(-slack, slack, size=centres.shape)
    corners = np.clip(np.round(corners), 0, cells - side).astype(int)
    return [Window(int(top), int(left), side, side) for left, top in corners]


def cut(tensor: Tensor, windows: list[Window], factor: int) -> Tensor:
    """Cut one window per sample from a grid `factor` times as fine as stride 8, and stack them."""
    parts = []
    for index, window in enumerate(windows):
        rows, columns = window.slices(factor)
        parts.append(tensor[index, :, rows, columns])
    return torch.stack(parts)


def run_batch(model: DMBNet, batch: Batch, config: TrainingConfig, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Forward pass over the frames of a batch.

    Returns:
        The summed loss, and the IoU of each later frame: (T-1) x B, NaN where the target is absent.
    """
    count, frames = batch.images.shape[:2]
    images = model.normalise(batch.images.flatten(0, 1)).contiguous(memory_format=torch.channels_last)
    images = images.unflatten(0, (count, frames))
    keys, values = model.encode_memory(images[:, 0], batch.memory_mask)
    later = images[:, 1:].flatten(0, 1).contiguous(memory_format=torch.channels_last)
    features = [part.unflatten(0, (count, frames - 1)) for part in model.encode_query(later)]
    loss, ious = torch.zeros((), device=images.device), []
    for frame in range(1, frames):
        query = QueryFeatures(*(part[:, frame - 1] for part in features))
        features8, coarse = model.decode_coarse(query, keys, values, batch.maps[:, frame])
        windows = draw_windows(batch.centres[:, frame], features8.shape[-1], config.window, rng)
        refined = 2.0 * model.decoder.refine(cut(query.stride4, windows, 2), cut(features8, windows, 1)).diff(dim=1)
        label = batch.labels[:, frame]
        loss = loss + segmentation_loss(refined.float(), cut(label, windows, 8))
        loss = loss + config.coarse_weight * segmentation_loss(coarse.float(), label)
        logit = coarse.float().clone()
        for index, window in enumerate(windows):
            rows, columns = window.slices(8)
            logit[index, :, rows, columns] = refined[index].to(logit.dtype)
        ious.append(hard_iou(logit.detach(), label))
        if frame + 1 < frames:
            more_keys, more_values = model.encode_memory(images[:, frame], torch.sigmoid(logit))
            keys, values = torch.cat([keys, more_keys], 1), torch.cat([values, more_values], 1)
    return loss / (frames - 1), torch.stack(ious)


class Trainer:
    """Holds everything that a run changes.

    Args:
        config: the run.
        drawer: the data.
        trunk: ImageNet weights that a fresh run starts from, or
        weights: DMB's own weights that it goes on from.
        output: folder for checkpoints and weights; an existing checkpoint there is continued.
        device: where to train.
    """

    def __init__(
        self,
        config: TrainingConfig,
        drawer: MaterialDrawer,
        *,
        trunk: Path | None = None,
        weights: Path | None = None,
        output: Path,
        device: torch.device,
    ) -> None:
        self.config, self.drawer, self.output, self.device = config, drawer, output, device
        self.output.mkdir(parents=True, exist_ok=True)
        self.checkpoint = output / "checkpoint.pt"
        self.bfloat16 = resolve_precision("auto", device) == torch.bfloat16
        self.step = 0
        self.stopping = False
        torch.manual_seed(config.seed)
        self.rng = np.random.default_rng(config.seed)
        self.synthesiser = Synthesiser(self._synthesis(config.stages[0]), seed=config.seed + 1, device=device)
        self.model = self._start(trunk, weights)
        self.model.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.model.train()
        freeze(self.model, config.query_trained)
        self.optimizer = build_optimizer(self.model, config)
        self.average = deepcopy(self.model) if config.average else self.model
        if self.checkpoint.is_file():
            self.load()

    def _start(self, trunk: Path | None, weights: Path | None) -> DMBNet:
        """The network before the first step; what it holds does not matter where a checkpoint is continued."""
        if weights is not None:
            return load_weights(weights).requires_grad_(True)
        model = DMBNet(stride_on="1x1")
        if not self.checkpoint.is_file():
            if trunk is None:
                raise PlanError(f"no checkpoint in '{self.output}' to continue; name a trunk or weights to start from")
            load_trunk(model, trunk)
            model.eval()
            batches = [self._batch(self.config.stages[0]) for _ in range(6)]
            images = torch.cat([batch.images.flatten(0, 1) for batch in batches]).to("cpu")
            kept = initialise(model, model.normalise(images))
            log.info("keys start as a PCA of the trunk's features (%.0f%% of the variance)", 100 * kept)
        return model

    @torch.no_grad()
    def _update_average(self) -> None:
        """Move the average towards the weights; its memory grows with the steps, so that the start is forgotten."""
        decay = min(self.config.average, (1.0 + self.step) / (10.0 + self.step))
        for mean, value in zip(self.average.parameters(), self.model.parameters(), strict=True):
            if value.requires_grad:
                mean.lerp_(value, 1.0 - decay)

    def _synthesis(self, stage: Stage) -> SynthesisConfig:
        return SynthesisConfig(size=stage.size, frames=stage.frames, factor=stage.factor)

    def _batch(self, stage: Stage) -> Batch:
        self.synthesiser.config = self._synthesis(stage)
        return self.synthesiser.compose([self.drawer.draw(stage.frames, self.rng) for _ in range(stage.batch)])

    def save(self) -> None:
        """Write the resumable state and the weights, each atomically."""
        state = {
            "step": self.step,
            "model": self.model.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "rng": [self.rng.bit_generator.state, self.synthesiser.rng.bit_generator.state],
            "generator": self.synthesiser.generator.get_state(),
        }
        temporary = self.checkpoint.with_suffix(".tmp")
        torch.save(state, temporary)
        os.replace(temporary, self.checkpoint)
        facts = {"stage": "stills and video", "steps": str(self.step), "config": str(asdict(self.config))}
        save_weights(self.average, self.output / "dmb_r50.safetensors", facts)
        log.info("step %d saved in %s", self.step, self.output)

    def load(self) -> None:
        """Continue from the checkpoint in the output folder.

        Raises:
            PlanError: it is damaged, or was made by a plan that trains other parts.
        """
        remedy = "continue it with the plan that it was made with, or name another output folder"
        try:
            state: dict[str, Any] = torch.load(self.checkpoint, map_location=self.device, weights_only=True)
            self.model.load_state_dict(state["model"])
            if self.average is not self.model:
                self.average.load_state_dict(state["average"])
            self.optimizer.load_state_dict(state["optimizer"])
            self.rng.bit_generator.state, self.synthesiser.rng.bit_generator.state = state["rng"]
            self.synthesiser.generator.set_state(state["generator"].cpu())
            self.step = state["step"]
        except (RuntimeError, UnpicklingError, EOFError, KeyError, ValueError) as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise PlanError(f"checkpoint '{self.checkpoint}' cannot be continued ({reason}); {remedy}") from error
        log.info("continuing from step %d", self.step)

    def _stop(self, number: int, frame: FrameType | None) -> None:
        log.info("signal %d: saving after this step", number)
        self.stopping = True

    def train_step(self) -> tuple[float, list[float], float]:
        """One optimisation step; returns the loss, the mean IoU of each later frame, and the padded share."""
        share = self.config.rate_at(self.step)
        for group in self.optimizer.param_groups:
            group["lr"] = group["base"] * share
        stage, _ = self.config.stage_at(self.step)
        batch = self._batch(stage)
        with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.bfloat16):
            loss, ious = run_batch(self.model, batch, self.config, self.rng)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), self.config.gradient_norm)
        self.optimizer.step()
        self.step += 1
        if self.average is not self.model:
            self._update_average()
        return float(loss.detach()), ious.nanmean(dim=1).tolist(), batch.padding

    def run(self, *, until: int | None = None, report_every: int = 20) -> None:
        """Train to the last step (or `until`); SIGTERM and Ctrl-C save and return."""
        previous = {number: signal.signal(number, self._stop) for number in (signal.SIGTERM, signal.SIGINT)}
        last = min(self.config.steps, until or self.config.steps)
        saved = reported = time.monotonic()
        losses: list[float] = []
        ious: list[float] = []
        padding: list[float] = []
        samples = 0
        try:
            while self.step < last and not self.stopping:
                stage, _ = self.config.stage_at(self.step)
                loss, iou, padded = self.train_step()
                losses.append(loss)
                ious.append(float(np.nanmean(iou)))
                padding.append(padded)
                samples += stage.batch
                now = time.monotonic()
                if len(losses) >= report_every:
                    speed = samples / (now - reported)
                    log.info(
                        "step %d/%d  size %d  loss %.3f  IoU %.3f  padding %.2f  %.2f samples/s",
                        *(self.step, last, stage.size, np.mean(losses), np.nanmean(ious), np.mean(padding), speed),
                    )
                    losses, ious, padding, samples, reported = [], [], [], 0, now
                if now - saved > 60 * self.config.save_minutes:
                    self.save()
                    saved = time.monotonic()
        finally:
            self.save()
            for number, handler in previous.items():
                signal.signal(number, handler)
