"""The rows of the joint batch, for terms that compare every example with every other."""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed
from torch import Tensor

from sfumato.distributions.noise import place


def joint(values: Tensor) -> Tensor:
    """All rows of the joint batch, in order, whichever processes hold them; shape (B, …) to (B of all, …).

    With its gradient: a row's gradient is summed over the processes, in the weights that make the sum of the
    processes' gradients that of the mean over the joint batch. On one process, `values` itself.

    >>> joint(torch.arange(3.0))
    tensor([0., 1., 2.])
    """
    start, total = place(len(values))
    return values if total == len(values) else _Joint.apply(values, start, total)


class _Joint(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor, start: int, total: int) -> Tensor:
        ctx.start, ctx.count = start, len(values)
        rows = values.new_zeros(total, *values.shape[1:])
        rows[start : start + len(values)] = values
        # The others hold zeros in these rows: a sum joins shares of any size in one message.
        torch.distributed.all_reduce(rows)
        return rows

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        # Each process differentiates the mean over its own rows, to be weighted by their number when gradients are
        # summed. What others found here must carry their weights, not this one's.
        summed = gradients[0] * ctx.count
        torch.distributed.all_reduce(summed)
        return summed[ctx.start : ctx.start + ctx.count] / ctx.count, None, None
