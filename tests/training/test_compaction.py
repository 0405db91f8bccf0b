"""Compaction: what is kept is copied, and what is left out was the least."""

from __future__ import annotations

import pytest
import torch

from tracker.network import Architecture, DMBNet
from tracker.network.decoder import ResidualBlock
from tracker.training.compaction import CompactionError, compact, kept_blocks, stream_channels, value_channels

LARGE, SMALL = Architecture((2, 2, 3), 16, 12), Architecture((1, 2, 2), 8, 6)


@pytest.fixture
def full() -> DMBNet:
    torch.manual_seed(0)
    return DMBNet(architecture=LARGE, position="concat", stride_on="3x3").eval()


def test_the_first_and_the_last_blocks_stay() -> None:
    assert kept_blocks(4, 6) == [0, 3, 4, 5]
    assert kept_blocks(1, 3) == [0]
    assert kept_blocks(3, 3) == [0, 1, 2]


def test_encoders_and_keys_are_copied(full: DMBNet) -> None:
    model = compact(full, SMALL)
    assert (model.architecture, model.stride_on, model.position) == (SMALL, "3x3", "concat")
    for ours, theirs in ((model.query_encoder, full.query_encoder), (model.memory_encoder, full.memory_encoder)):
        pairs = ((ours.res4[0], theirs.res4[0]), (ours.res4[1], theirs.res4[2]), (ours.res2[0], theirs.res2[0]))
        for block, larger in pairs:
            for found, wanted in zip(block.state_dict().values(), larger.state_dict().values(), strict=True):
                assert torch.equal(found, wanted)
        assert torch.equal(ours.conv1.weight, theirs.conv1.weight)
    assert torch.equal(model.memory_encoder.conv1_m.weight, full.memory_encoder.conv1_m.weight)
    assert torch.equal(model.query_key_value.key.weight, full.query_key_value.key.weight)


@torch.no_grad()
def test_channels_that_do_nothing_are_the_ones_left_out(full: DMBNet) -> None:
    """With half of the channels silent everywhere, the smaller network answers as the larger one."""
    decoder, values = full.decoder, LARGE.value_channels
    silent, mute = torch.tensor([1, 3, 4, 7, 8, 11]), torch.tensor([0, 2, 5, 6, 9, 12, 13, 15])
    writers = [decoder.conv, decoder.refine8.conv_skip, decoder.refine4.conv_skip]
    for module in decoder.modules():
        if isinstance(module, ResidualBlock):
            writers.append(module.conv2)
            for tensor in (module.conv1.weight, module.conv1.bias):
                tensor[silent] = 0.0  # hidden channels
            module.conv2.weight[:, silent] = 0.0
            module.conv1.weight[:, silent] = 0.0
    for conv in writers:
        conv.weight[silent], conv.bias[silent] = 0.0, 0.0  # type: ignore[index]
    decoder.predict.weight[:, silent] = 0.0
    assert decoder.merge is not None
    decoder.merge.weight[silent], decoder.merge.weight[:, silent] = 0.0, 0.0
    for part in (full.memory_key_value, full.query_key_value):
        part.value.weight[mute] = 0.0
        part.value.bias[mute] = 0.0  # type: ignore[index]
    loud = [channel for channel in range(values) if channel not in mute]
    assert value_channels(full, 8)[0].tolist() == loud
    assert stream_channels(decoder, 6).tolist() == [0, 2, 5, 6, 9, 10]

    smaller = compact(full, Architecture(LARGE.blocks, 8, 6)).eval()
    image, spatial_map = torch.rand(1, 3, 64, 64), torch.rand(1, 1, 4, 4)
    answers = []
    for model in (full, smaller):
        keys, memory = model.encode_memory(image, torch.ones(1, 1, 64, 64) * 0.3)
        features = model.encode_query(image)
        coarse = model.decode_coarse(features, keys, memory, spatial_map)[1]
        answers.append((coarse, model.segment(features, keys, memory, spatial_map)))
    for found, wanted in zip(*answers, strict=True):
        torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-4)
    assert float(answers[0][0].std()) > 0.0


def test_a_network_does_not_grow(full: DMBNet) -> None:
    for larger in (Architecture((2, 2, 4), 8, 6), Architecture((1, 1, 1), 17, 6), Architecture((1, 1, 1), 8, 13)):
        with pytest.raises(CompactionError, match=r"blocks 2-2-3.*cannot become one of blocks.*larger one"):
            compact(full, larger)
