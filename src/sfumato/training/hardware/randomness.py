"""What makes the same seed give the same weights: the order of the data, and the same kernels every time."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch


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
