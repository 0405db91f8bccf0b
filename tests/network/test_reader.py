"""Reading a memory that was padded to a fixed length."""

from __future__ import annotations

import pytest
import torch

from tracker.network.reader import pad_memory, read_memory


@pytest.mark.parametrize("rows", [12, 13, 40])
def test_padding_is_overlooked(rows: int) -> None:
    torch.manual_seed(0)
    query, value = torch.randn(1, 8, 2, 3), torch.randn(1, 5, 2, 3)
    keys, values = torch.randn(1, 12, 8), torch.randn(1, 12, 5)
    padded = pad_memory(keys, values, rows)
    assert [tuple(tensor.shape) for tensor in padded] == [(1, rows, 8), (1, rows, 5), (1, 1, rows)]
    plain = read_memory(query, value, keys, values)
    torch.testing.assert_close(read_memory(query, value, *padded), plain, rtol=1e-5, atol=1e-5)
    if rows > 12:
        # rows that answer for nothing would be found, if they were read
        assert not torch.allclose(read_memory(query, value, *padded[:2]), plain, atol=1e-2)


def test_the_bias_has_the_memorys_type() -> None:
    keys, values = torch.randn(1, 3, 8).bfloat16(), torch.randn(1, 3, 5).bfloat16()
    assert all(tensor.dtype == torch.bfloat16 for tensor in pad_memory(keys, values, 4))
    assert pad_memory(keys, values, 4)[2].flatten().tolist() == [0, 0, 0, float("-inf")]
