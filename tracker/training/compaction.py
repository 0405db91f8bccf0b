"""A smaller network out of a larger one, as the start of its training: blocks left out, channels pruned by their norms.

No data are needed. What comes out imitates the larger network badly; `distillation` and the usual losses do the rest.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tracker.errors import UserError
from tracker.network import Architecture, DMBNet
from tracker.network.backbone import Trunk
from tracker.network.decoder import Decoder, Refinement, ResidualBlock

STAGES = ("res2", "res3", "res4")


class CompactionError(UserError):
    """A network is asked to become larger; the message names both sizes."""


def kept_blocks(count: int, total: int) -> list[int]:
    """Which of a stage's blocks stay.

    The first one changes resolution and channels, and nothing can replace it. The last ones make the features that the
    keys, the filter and the decoder know; the first blocks after a change of resolution refine what later ones repeat.
    """
    return [0, *range(total - count + 1, total)]


def _pick(tensor: Tensor, outputs: Tensor | None, inputs: Tensor | None) -> Tensor:
    """Some of a weight's outputs and inputs; None: all."""
    tensor = tensor if outputs is None else tensor[outputs]
    return tensor if inputs is None or tensor.dim() == 1 else tensor[:, inputs]


def _copy(target: nn.Module, source: nn.Module, outputs: Tensor | None = None, inputs: Tensor | None = None) -> None:
    """Copy a layer, or some channels of it."""
    for name, tensor in target.named_parameters(recurse=False):
        tensor.copy_(_pick(getattr(source, name), outputs, inputs))


def _largest(scores: Tensor, count: int) -> Tensor:
    """The channels with the largest scores, in their order."""
    return scores.topk(count).indices.sort().values


def _reach(weight: Tensor, axis: int) -> Tensor:
    """Norm of each channel's weights: of outputs (axis 0) or inputs (axis 1)."""
    return weight.transpose(0, axis).flatten(1).norm(dim=1)


def _share(weight: Tensor, axis: int) -> Tensor:
    """Each channel's share of a layer's squared weights, so that layers count alike."""
    squares = _reach(weight, axis).square()
    return squares / squares.sum()


def _blocks(decoder: Decoder) -> list[ResidualBlock]:
    return [decoder.block, *(block for part in _refinements(decoder) for block in (part.block_skip, part.block))]


def _refinements(decoder: Decoder) -> tuple[Refinement, Refinement]:
    return decoder.refine8, decoder.refine4


def stream_channels(decoder: Decoder, count: int) -> Tensor:
    """The channels that stay in the decoder's residual stream, by what writes and reads them.

    One choice for all levels: shortcuts and upsampled features are added channel by channel.
    """
    parts = _refinements(decoder)
    writers = [decoder.conv, *(part.conv_skip for part in parts), *(block.conv2 for block in _blocks(decoder))]
    readers = [decoder.predict, *(block.conv1 for block in _blocks(decoder))]
    scores = sum(_share(conv.weight, 0) for conv in writers) + sum(_share(conv.weight, 1) for conv in readers)
    assert isinstance(scores, Tensor)
    return _largest(scores, count)


def value_channels(full: DMBNet, count: int) -> tuple[Tensor, Tensor]:
    """The channels that stay of the memory's and of the query's value, by what writes and reads them."""
    read = _reach(full.decoder.conv.weight, 1).chunk(2)  # the read-out is the one value, then the other
    return tuple(
        _largest(_reach(part.value.weight, 0) * norm, count)
        for part, norm in zip((full.memory_key_value, full.query_key_value), read, strict=True)
    )  # type: ignore[return-value]


def _compact_block(target: ResidualBlock, source: ResidualBlock, stream: Tensor) -> None:
    hidden = _reach(source.conv1.weight, 0) * _reach(source.conv2.weight, 1)
    kept = _largest(hidden, target.conv1.out_channels)
    _copy(target.conv1, source.conv1, kept, stream)
    _copy(target.conv2, source.conv2, stream, kept)


def _compact_decoder(target: Decoder, source: Decoder, readout: Tensor) -> None:
    stream = stream_channels(source, target.predict.in_channels)
    _copy(target.conv, source.conv, stream, readout)
    _copy(target.predict, source.predict, None, stream)
    for ours, theirs in zip(_refinements(target), _refinements(source), strict=True):
        _copy(ours.conv_skip, theirs.conv_skip, stream)
    for block, larger in zip(_blocks(target), _blocks(source), strict=True):
        _compact_block(block, larger, stream)
    if target.merge is not None and source.merge is not None:
        last = source.merge.in_channels - 1  # the spatial map, behind the stream
        position = torch.tensor([last], device=stream.device)
        _copy(target.merge, source.merge, stream, torch.cat([stream, position]))


def _compact_trunk(target: Trunk, source: Trunk) -> None:
    for stage in STAGES:
        blocks, larger = list(getattr(target, stage)), list(getattr(source, stage))
        for block, number in zip(blocks, kept_blocks(len(blocks), len(larger)), strict=True):
            block.load_state_dict(larger[number].state_dict())
    others = {name: tensor for name, tensor in source.state_dict().items() if not name.startswith(STAGES)}
    target.load_state_dict(others, strict=False)


@torch.no_grad()
def compact(full: DMBNet, architecture: Architecture) -> DMBNet:
    """Make a smaller network that begins with the weights of a larger one.

    Args:
        full: any network; it stays as it is.
        architecture: of the new one, in no size above that of `full`.

    Returns:
        The new network, on the CPU in float32; of the same kind and stride convention.

    Raises:
        CompactionError: a size of it is above that of `full`.
    """
    given = full.architecture
    sizes = zip((*architecture.blocks, architecture.value_channels, architecture.decoder_width),
                (*given.blocks, given.value_channels, given.decoder_width), strict=True)  # fmt: skip
    if any(wanted > largest for wanted, largest in sizes):
        raise CompactionError(
            f"a network of {given.text} cannot become one of {architecture.text}; begin with a larger one"
        )
    model = DMBNet(
        stride_on=full.stride_on,
        coarse_prediction=full.coarse_prediction,
        position=full.position,
        spatial_map=full.spatial_map,
        architecture=architecture,
    )
    for ours, theirs in ((model.query_encoder, full.query_encoder), (model.memory_encoder, full.memory_encoder)):
        _compact_trunk(ours, theirs)
    memory, query = value_channels(full, architecture.value_channels)
    for part, larger, kept in (
        (model.memory_key_value, full.memory_key_value, memory),
        (model.query_key_value, full.query_key_value, query),
    ):
        _copy(part.key, larger.key)
        _copy(part.value, larger.value, kept)
    _compact_decoder(model.decoder, full.decoder, torch.cat([memory, given.value_channels + query]))
    return model
