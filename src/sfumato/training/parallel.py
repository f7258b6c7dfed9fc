"""Data parallel training: every process holds the whole model and its own rows of each joint batch.

Under `torchrun --nproc-per-node N` the same call of `fit` trains on N processes. Noise is drawn for the joint batch on
every process (`distributions.noise`), gradients are summed, so parameters follow those of one process up to rounding.
Buffers that a forward pass updates from its own rows (batch norm) are taken from process 0 at each validation.
"""

from __future__ import annotations

import atexit
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor

from sfumato.errors import SfumatoError


@dataclass(frozen=True)
class Group:
    """The processes that train together; a world of one needs no communication."""

    rank: int = 0
    world: int = 1

    def share(self, joint: int) -> tuple[int, int]:
        """First row and number of rows of this process in a joint batch, as `torch.tensor_split` cuts it.

        >>> [Group(rank, 3).share(8) for rank in range(3)]
        [(0, 3), (3, 3), (6, 2)]
        """
        base, extra = divmod(joint, self.world)
        return self.rank * base + min(self.rank, extra), base + (self.rank < extra)

    def sum_(self, tensors: Sequence[Tensor]) -> None:
        """Replace each tensor by its sum over the processes, with one message."""
        if self.world == 1:
            return
        flat = torch.cat([tensor.flatten() for tensor in tensors])
        dist.all_reduce(flat)
        start = 0
        for tensor in tensors:
            tensor.copy_(flat[start : start + tensor.numel()].view_as(tensor))
            start += tensor.numel()

    def any(self, flag: bool, device: torch.device) -> bool:
        """Whether the flag is up on any process."""
        if self.world == 1:
            return flag
        flags = torch.tensor(float(flag), device=device)
        dist.all_reduce(flags, op=dist.ReduceOp.MAX)
        return bool(flags.item())

    def from_first(self, tensors: Iterable[Tensor]) -> None:
        """Overwrite tensors by those of process 0."""
        if self.world > 1:
            for tensor in tensors:
                dist.broadcast(tensor.detach(), src=0)

    def wait(self) -> None:
        """Wait until all processes are here."""
        if self.world > 1:
            dist.barrier()


def join(device: torch.device) -> Group:
    """The group this process belongs to, made from torchrun's environment where there is none yet.

    Raises:
        SfumatoError: if the processes cannot reach each other.
    """
    if not dist.is_available():
        return Group()
    if not dist.is_initialized():
        if int(os.environ.get("WORLD_SIZE", "1")) == 1:
            return Group()
        if device.type == "cuda":
            torch.cuda.set_device(device)
        try:
            dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
        except (RuntimeError, ValueError) as error:
            raise SfumatoError(f"the processes of WORLD_SIZE cannot meet ({error}); start with torchrun") from None
        atexit.register(_leave)
    return Group(dist.get_rank(), dist.get_world_size())


def _leave() -> None:
    if dist.is_initialized():
        dist.destroy_process_group()
