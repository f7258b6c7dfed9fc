"""Data parallel training: every process holds the whole model and its own rows of each joint batch.

Under `torchrun --nproc-per-node N` the same call of `fit` trains on N processes. Noise is drawn for the joint batch on
every process (`distributions.noise`), gradients are summed, so parameters follow those of one process up to rounding.
Buffers that a forward pass updates from its own rows (batch norm) are taken from process 0 at each validation.
"""

from __future__ import annotations

import atexit
import logging
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta

import torch
import torch.distributed as dist
from torch import Tensor

from sfumato.data.core.batching.batches import share
from sfumato.errors import SfumatoError

logger = logging.getLogger("sfumato.training")

MEET = 300
"""Seconds that processes wait for each other at the start, unless torchrun started them."""
ADVICE = "to train on one process: unset RANK WORLD_SIZE; on several: start with torchrun"


@dataclass(frozen=True)
class WorkerGroup:
    """The processes that train together; a world of one needs no communication."""

    rank: int = 0
    world: int = 1

    def share(self, joint: int) -> tuple[int, int]:
        """First row and number of rows of this process in a joint batch, as `torch.tensor_split` cuts it.

        >>> [WorkerGroup(rank, 3).share(8) for rank in range(3)]
        [(0, 3), (3, 3), (6, 2)]
        """
        rows = share(joint, self.rank, self.world)
        return rows.start, rows.stop - rows.start

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


def is_first() -> bool:
    """Whether this is the only process, or the first of those that train together.

    Raises:
        SfumatoError: if the variables of torchrun contradict each other.
    """
    if dist.is_available() and dist.is_initialized():
        return dist.get_rank() == 0
    return _told()[0] == 0


def is_alone() -> bool:
    """Whether no other process trains together with this one."""
    if dist.is_available() and dist.is_initialized():
        return dist.get_world_size() == 1
    return _told()[1] == 1


def join(device: torch.device) -> WorkerGroup:
    """The group this process belongs to, made from torchrun's environment where there is none yet.

    Raises:
        SfumatoError: if the processes cannot reach each other, which is so too where another program has left its
            variables behind.
    """
    if not dist.is_available():
        return WorkerGroup()
    if not dist.is_initialized():
        rank, world = _told()
        if world == 1:
            return WorkerGroup()
        if device.type == "cuda":
            torch.cuda.set_device(device)
        backend = "nccl" if device.type == "cuda" else "gloo"
        try:
            if dist.is_torchelastic_launched():
                dist.init_process_group(backend)
            else:
                dist.init_process_group(backend, store=_store(rank, world), rank=rank, world_size=world)
        except (RuntimeError, ValueError) as error:
            reason = str(error).splitlines()[0]
            raise SfumatoError(f"the {world} processes of WORLD_SIZE cannot meet ({reason}); {ADVICE}") from None
        atexit.register(_leave)
    return WorkerGroup(dist.get_rank(), dist.get_world_size())


def _store(rank: int, world: int) -> dist.Store:
    """Where the processes of another launcher than torchrun meet; the first waits there for the others."""
    missing = [name for name in ("MASTER_ADDR", "MASTER_PORT") if not os.environ.get(name)]
    if missing:
        raise SfumatoError(f"RANK={rank} and WORLD_SIZE={world} are set without {' and '.join(missing)}; {ADVICE}")
    host, port = os.environ["MASTER_ADDR"], os.environ["MASTER_PORT"]
    logger.warning("RANK=%d of WORLD_SIZE=%d: waiting for the other processes at %s:%s", rank, world, host, port)
    return dist.TCPStore(host, int(port), world, rank == 0, timeout=timedelta(seconds=MEET))


def _told() -> tuple[int, int]:
    """RANK and WORLD_SIZE of the environment; a RANK without a WORLD_SIZE above 1 is left over, and means nothing."""
    values = {}
    for name, default in (("RANK", ""), ("WORLD_SIZE", "1")):
        value = os.environ.get(name) or default
        if value and not value.isdecimal():
            raise SfumatoError(f"{name}={value} is set, and is no whole number; {ADVICE}")
        values[name] = value
    world = int(values["WORLD_SIZE"])
    if world <= 1:
        return 0, 1
    if not values["RANK"]:
        raise SfumatoError(f"WORLD_SIZE={world} is set, and RANK is not; {ADVICE}")
    rank = int(values["RANK"])
    if rank >= world:
        raise SfumatoError(f"RANK={rank} is not below WORLD_SIZE={world}; {ADVICE}")
    return rank, world


def _leave() -> None:
    if dist.is_initialized():
        dist.destroy_process_group()
