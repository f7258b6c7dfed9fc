"""Noise of training's own: the user's generators stand afterwards as they stood before."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch
from torch import Tensor

VALIDATION_SEED = 20131220


def states(device: torch.device) -> dict[str, Tensor]:
    """The states of the default generators that work on `device` draws from."""
    found = {"cpu": torch.get_rng_state()}
    if device.type == "cuda":
        found["cuda"] = torch.cuda.get_rng_state(device)
    elif device.type == "mps":
        found["mps"] = torch.mps.get_rng_state()
    return found


def restore(device: torch.device, saved: Mapping[str, Tensor]) -> None:
    """Put back what `states` took; a generator that was not saved is left as it is."""
    torch.set_rng_state(saved["cpu"])
    if device.type == "cuda" and "cuda" in saved:
        torch.cuda.set_rng_state(saved["cuda"], device)
    elif device.type == "mps" and "mps" in saved:
        torch.mps.set_rng_state(saved["mps"])


@contextmanager
def seeded(device: torch.device, seed: int) -> Iterator[None]:
    """Within this block the default generators start from `seed`.

    >>> before = torch.get_rng_state()
    >>> with seeded(torch.device("cpu"), 3):
    ...     _ = torch.randn(2)
    >>> torch.equal(before, torch.get_rng_state())
    True
    """
    before = states(device)
    try:
        torch.default_generator.manual_seed(seed)
        if device.type == "cuda":
            with torch.cuda.device(device):
                torch.cuda.manual_seed(seed)
        elif device.type == "mps":
            torch.mps.manual_seed(seed)
        yield
    finally:
        restore(device, before)


def deterministic(device: torch.device) -> AbstractContextManager[None]:
    """Within this block cuDNN takes the same kernels every time; other devices do so anyway."""
    if device.type != "cuda":
        return nullcontext()
    return torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True)


def order_seed(seed: int, epoch: int) -> int:
    """The seed of the order of the data in one epoch.

    >>> order_seed(0, 1) != order_seed(1, 0)
    True
    """
    return (seed * 1_000_003 + epoch) % 2**63
