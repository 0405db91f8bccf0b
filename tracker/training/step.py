"""The forward pass of a training step, recurrent as in Section IV-A.

The first frame is remembered with its label, the prediction of the second one is remembered for the third, and the
loss is summed and propagated through all of it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from tracker.network import DMBNet, QueryFeatures, Window
from tracker.network.model import mask_logit
from tracker.network.reader import to_rows
from tracker.training.distillation import Teacher
from tracker.training.frozen import Encoder
from tracker.training.losses import hard_iou, segmentation_loss
from tracker.training.synthesis import Batch


@dataclass(frozen=True)
class StepConfig:
    """How the predictions count."""

    coarse_weight: float  # weight of the stride-8 prediction's loss
    window: float  # side of the refined window, share of the region's
    teacher_weight: float = 0.0  # weight of the distance to the teacher's features
    hardest_share: float = 1.0  # share of the pixels, the hardest ones, that half of the cross-entropy counts


def draw_windows(centers: NDArray[np.float32], cells: int, share: float, rng: np.random.Generator) -> list[Window]:
    """Windows of stride-8 cells around targets at `centers` (N x 2, pixels), jittered, inside the region."""
    side = max(2, round(share * cells))
    slack = 0.25 * side
    corners = centers / 8.0 - side / 2 + rng.uniform(-slack, slack, size=centers.shape)
    corners = np.clip(np.round(corners), 0, cells - side).astype(int)
    return [Window(int(top), int(left), side, side) for left, top in corners]


def cut(tensor: Tensor, windows: list[Window], factor: int) -> Tensor:
    """Cut one window per sample from a grid `factor` times as fine as stride 8, and stack them."""
    parts = []
    for index, window in enumerate(windows):
        rows, columns = window.slices(factor)
        parts.append(tensor[index, :, rows, columns])
    return torch.stack(parts)


class TrainingStep(nn.Module):
    """The network with its loss: one `forward` for all that is differentiated, as DistributedDataParallel needs it."""

    def __init__(self, model: DMBNet, config: StepConfig, teacher: Teacher | None = None) -> None:
        super().__init__()
        self.model, self.config, self.teacher = model, config, teacher
        self.prepare(torch.float32)

    def prepare(self, dtype: torch.dtype) -> None:
        """Get ready for what is frozen now; call it again where that, or what is frozen, has changed.

        Args:
            dtype: the precision of the arithmetic.
        """
        self.encode_query, self.encode_memory = (
            Encoder(encoder, dtype) for encoder in (self.model.query_encoder, self.model.memory_encoder)
        )

    def remember(self, image: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """As `DMBNet.encode_memory`."""
        key, value = self.model.memory_key_value(self.encode_memory(image, mask, 1.0 - mask)[2])
        return to_rows(key), to_rows(value)

    def forward(self, batch: Batch, rng: np.random.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """Predict the later frames of a batch of B samples of T frames.

        Returns:
            The loss; the IoU of each later frame, (T-1) x B, NaN where the target is absent; and the last frame's
            logit B x 1 x S x S, detached.
        """
        model, config = self.model, self.config
        count, frames = batch.images.shape[:2]
        # frame by frame, so that each frame's features are a part of all frames' that needs no copy
        images = model.normalize(batch.images.transpose(0, 1).flatten(0, 1))
        images = images.contiguous(memory_format=torch.channels_last)
        image = images.split(count)
        keys, values = self.remember(image[0], batch.memory_mask)
        strides = self.encode_query(images[count:])
        encoded = QueryFeatures(*model.query_key_value(strides[2]), *strides)
        features = list(zip(*(part.split(count) for part in encoded), strict=True))
        loss, ious = torch.zeros((), device=images.device), []
        for frame in range(1, frames):
            query = QueryFeatures(*features[frame - 1])
            features8, coarse = model.decode_coarse(query, keys, values, batch.maps[:, frame])
            windows = draw_windows(batch.centers[:, frame], features8.shape[-1], config.window, rng)
            refined = mask_logit(model.decoder.refine(cut(query.stride4, windows, 2), cut(features8, windows, 1)))
            label = batch.labels[:, frame]
            share = config.hardest_share
            loss = loss + segmentation_loss(refined.float(), cut(label, windows, 8), hardest_share=share)
            coarse_loss = segmentation_loss(coarse.float(), label, hardest_share=share)
            loss = loss + config.coarse_weight * coarse_loss
            logit = coarse.float().clone()
            for index, window in enumerate(windows):
                rows, columns = window.slices(8)
                logit[index, :, rows, columns] = refined[index].to(logit.dtype)
            ious.append(hard_iou(logit.detach(), label))
            if frame + 1 < frames:
                mask = torch.sigmoid(logit)
                if batch.memory_error is not None:
                    mask = (mask + batch.memory_error[:, frame]).clamp(0.0, 1.0)
                more_keys, more_values = self.remember(image[frame], mask)
                keys, values = torch.cat([keys, more_keys], 1), torch.cat([values, more_values], 1)
        loss = loss / (frames - 1)
        if self.teacher is not None:
            first = keys[:, : encoded.query.shape[-2] * encoded.query.shape[-1]]
            remembered = (image[0], batch.memory_mask)
            loss = loss + config.teacher_weight * self.teacher.loss(encoded, images[count:], first, remembered)
        return loss, torch.stack(ious), logit.detach()
