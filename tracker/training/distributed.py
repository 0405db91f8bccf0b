"""Several training processes, one per GPU, as `torchrun` starts them; a single process is the plain case of it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

import torch
from torch import Tensor, distributed

TIMEOUT = timedelta(minutes=10)


@dataclass(frozen=True)
class World:
    """This process among all."""

    rank: int = 0
    size: int = 1
    local_rank: int = 0  # among the processes of this machine: the number of its GPU

    @property
    def leads(self) -> bool:
        """Whether this process writes the log and the files."""
        return self.rank == 0

    def mean(self, values: Tensor) -> Tensor:
        """The mean of each value over all processes; the others' NaNs do not count."""
        if self.size == 1:
            return values
        table = values.double()
        known = ~table.isnan()
        sums = torch.stack([table.nan_to_num(), known.double()])
        distributed.all_reduce(sums)
        return sums[0] / sums[1]

    def any(self, flag: bool, device: torch.device) -> bool:
        """Whether the flag is set in any process: all of them must leave the loop at the same step."""
        if self.size == 1:
            return flag
        value = torch.tensor(float(flag), device=device)
        distributed.all_reduce(value, op=distributed.ReduceOp.MAX)
        return bool(value.item())

    def wait(self) -> None:
        """Wait until all processes are here."""
        if self.size > 1:
            distributed.barrier()


def join(environment: Mapping[str, str] = os.environ, *, cuda: bool) -> World:
    """Join the processes that torchrun has started; alone where it has not.

    Args:
        environment: as torchrun sets it: RANK, WORLD_SIZE, LOCAL_RANK and the address of the first process.
        cuda: whether the processes train on GPUs.
    """
    size = int(environment.get("WORLD_SIZE", "1"))
    if size == 1:
        return World()
    distributed.init_process_group("nccl" if cuda else "gloo", timeout=TIMEOUT)
    return World(int(environment["RANK"]), size, int(environment.get("LOCAL_RANK", "0")))


def leave() -> None:
    """Leave the group, if there is one."""
    if distributed.is_available() and distributed.is_initialized():
        distributed.destroy_process_group()
