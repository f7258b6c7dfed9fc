"""Symbols with integer masses, one step after the other, each step's masses a function of the symbols before it."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import NamedTuple

import torch
from torch import Tensor


class Step(NamedTuple):
    """N symbols that are coded together.

    Attributes:
        masses: whole numbers of at least 1 as doubles, (N, K): probabilities up to a factor.
        read: what the symbols are in what is coded, a tensor of indices below K that has N entries.
    """

    masses: Tensor
    read: Callable[[Tensor], Tensor]


Steps = Generator[Step, Tensor, Tensor]
"""Yields steps, is sent the N symbols of each, and returns what was coded."""


def viewed(steps: Steps, view: Callable[[Tensor], Tensor]) -> Steps:
    """The same steps, their symbols read from a part or another shape of what is coded.

    Args:
        steps: that read from a view.
        view: what is coded → what `steps` read from.

    Returns:
        What `steps` return.
    """
    try:
        step = next(steps)
        while True:
            symbols = yield Step(step.masses, lambda x, read=step.read: read(view(x)))  # type: ignore[misc]
            step = steps.send(symbols)
    except StopIteration as end:
        coded: Tensor = end.value
        return coded


def digits(cumulative: Callable[[Tensor], Tensor], size: int, shape: tuple[int, ...], base: int = 4) -> Steps:
    """Symbols 0 … size − 1 of `shape`, digit by digit, from their integer distribution functions.

    Each step needs `base` − 1 values of the distribution function, where one step for all would need `size`.

    Args:
        cumulative: the mass below each of the symbols k of shape (*shape, n), whole numbers that never fall as k
            grows; called with k from 0 to `size`.
        size: number of symbols.
        shape: of the symbols.
        base: values of a digit: few for many symbols, many for few, whose steps take longer than their masses.

    Returns:
        The symbols, int64 of `shape`.
    """
    width = 1
    while width * base < size:
        width *= base
    start = torch.zeros(shape, dtype=torch.int64)
    ends = cumulative(start[..., None] + torch.tensor([0, size]))
    while width:
        edges = (start[..., None] + width * torch.arange(1, base)).clamp_max(size)
        below = torch.cat([ends[..., :1], cumulative(edges), ends[..., 1:]], -1)
        # What is rounded may fall where it should not; a mass is never below 1.
        masses = (below[..., 1:] - below[..., :-1]).clamp_min(0.0) + 1.0
        known, at = start, width
        found = yield Step(masses.reshape(-1, base), lambda x, known=known, at=at: (x - known) // at)  # type: ignore[misc]
        found = found.reshape(shape)
        ends = below.gather(-1, torch.stack([found, found + 1], -1))
        start = start + width * found
        width //= base
    return start
