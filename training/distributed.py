"""Several processes that train one network together, as `torchrun` starts them; one process without it.

Every process sees the same order of recordings and takes its share of each batch; gradients are averaged after each
step, so all hold the same weights. Only the first one validates, writes files and decides when to stop; the others
are told.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel

T = TypeVar("T")

CPU = torch.device("cpu")

WORLD_SIZE, RANK, LOCAL_RANK = "WORLD_SIZE", "RANK", "LOCAL_RANK"  # what torchrun tells each process


@dataclass(frozen=True, slots=True)
class Ranks:
    """Which of the processes this is. rank: 0 is the one that writes. device: what this process calculates on."""

    rank: int = 0
    world: int = 1
    device: torch.device = CPU

    @property
    def first(self) -> bool:
        """Whether this process validates and writes."""
        return self.rank == 0

    def share(self, rows: NDArray[np.intp]) -> NDArray[np.intp]:
        """This process's part of a batch. One recording at least: all processes must take each step together."""
        return rows[self.rank :: self.world] if len(rows) >= self.world else rows[:1]

    def parallel(self, network: nn.Module) -> nn.Module:
        """The network for the forward passes of training: its gradients are averaged over the processes."""
        return DistributedDataParallel(network) if self.world > 1 else network

    def told(self, value: T) -> T:
        """What the first process has; all wait for it."""
        if self.world == 1:
            return value
        box = [value]
        distributed.broadcast_object_list(box, src=0)
        return box[0]

    def wait(self) -> None:
        """Go on when all processes have come here."""
        if self.world > 1:
            distributed.barrier()


@contextmanager
def joined() -> Iterator[Ranks]:
    """Join the processes that torchrun started, on one GPU each where there are GPUs; alone without torchrun."""
    world = int(os.environ.get(WORLD_SIZE, "1"))
    local = int(os.environ.get(LOCAL_RANK, "0"))
    device = torch.device("cuda", local) if torch.cuda.is_available() else torch.device("cpu")
    if world == 1:
        yield Ranks(device=device)
        return
    distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield Ranks(int(os.environ[RANK]), world, device)
    finally:
        distributed.destroy_process_group()
