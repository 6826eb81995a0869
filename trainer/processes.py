"""One process or many: `torchrun`, Ray Train or plain Python, recognised by the environment."""

from __future__ import annotations

import os
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from relforge.machine import count_usable_cpus


@dataclass(frozen=True)
class Processes:
    """This process among the others.

    Args:
        rank, world_size: number and count of processes.
        device: where this one computes.
    """

    rank: int
    world_size: int
    device: torch.device

    @property
    def first(self) -> bool:
        """Whether this process writes files."""
        return self.rank == 0

    def wrap(self, model: nn.Module, *, all_used: bool = False) -> nn.Module:
        """The model with gradients averaged over processes; the model itself where there is one process.

        Args:
            all_used: every trainable parameter has a gradient in every batch. Otherwise the graph of every
                batch is searched for those that have none.
        """
        if self.world_size == 1:
            return model
        devices = [self.device] if self.device.type == "cuda" else None
        return DistributedDataParallel(
            model,
            devices,
            find_unused_parameters=not all_used,
            static_graph=all_used,
            gradient_as_bucket_view=True,
        )

    def loading_threads(self, wanted: int | None) -> int:
        """Threads that load batches ahead: those that are wanted, or 8, or fewer where this process has fewer
        cores to itself."""
        if wanted is not None:
            return wanted
        here = int(os.environ.get("LOCAL_WORLD_SIZE", self.world_size))
        return max(1, min(8, count_usable_cpus() // here))

    def local(self, model: nn.Module) -> AbstractContextManager[None]:
        """Within it, gradients of a wrapped model stay in this process and add up."""
        if isinstance(model, DistributedDataParallel):
            return model.no_sync()
        return nullcontext()

    def mean(self, value: Tensor) -> Tensor:
        """Mean over processes; every process must call it."""
        if self.world_size > 1:
            value = value.clone()
            torch.distributed.all_reduce(value)
            value /= self.world_size
        return value

    def mean_number(self, value: float) -> float:
        """The same of a number; one process alone waits for no GPU."""
        return float(self.mean(torch.tensor(value, device=self.device))) if self.world_size > 1 else value


def join() -> Processes:
    """Join the group that `torchrun` or Ray Train has set up; a group of one otherwise."""
    world_size = int(os.environ.get("WORLD_SIZE", "1"))
    local = int(os.environ.get("LOCAL_RANK", "0"))
    cuda = torch.cuda.is_available()
    device = torch.device("cuda", local) if cuda else torch.device("cpu")
    if cuda:
        torch.cuda.set_device(device)
    if world_size == 1:
        return Processes(0, 1, device)
    if not torch.distributed.is_initialized():
        torch.distributed.init_process_group("nccl" if cuda else "gloo")
    return Processes(torch.distributed.get_rank(), world_size, device)
