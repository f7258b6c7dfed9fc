"""Entries that are not known but must lie in a set: how likely the set is, and draws from it."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from sfumato.distributions import noise
from sfumato.distributions.discrete import draw
from sfumato.distributions.tilted import Neighbours, draw_tilted, log_share


class Allowed(NamedTuple):
    """The values that an unknown entry may take.

    Attributes:
        low: of a line of cells, the place in each cell from which on numbers are allowed, (K,); of categories 0; of a
            real number the least one, ().
        high: the place up to which they are, (K,); of categories 1 where one is allowed and 0 where it is not; of a
            real number the largest one, ().
    """

    low: Tensor
    high: Tensor

    def of_rows(self, change: Callable[[Tensor], Tensor]) -> Allowed:
        """With `change` applied to ends that each example has for itself, (B, K); those that all share stay."""
        return Allowed(*(change(end) if end.dim() == 2 else end for end in self))


def restricted_entry(
    kind: str, logits: Tensor, neighbours: Neighbours | None, low: Tensor, high: Tensor
) -> tuple[Tensor, Tensor]:
    """Draws of a column within a set A, x ~ p(x | x ∈ A), and log p(x ∈ A), each (B,).

    Args:
        kind: of the column: category, level or cells.
        logits: of its categories or cells, (B, K).
        neighbours: of its cells; None for a uniform density in each.
        low, high: as `Allowed` has them, (K,) or (B, K).

    >>> probability = torch.tensor([[0.2, 0.3, 0.5]])
    >>> low, high = torch.zeros(3), torch.tensor([0.0, 1.0, 1.0])
    >>> x, log_p = restricted_entry("category", probability.log(), None, low, high)
    >>> bool(x[0] > 0), round(float(log_p.exp()), 4)
    (True, 0.8)
    """
    total = logits.logsumexp(1)
    if kind != "cells":
        kept = logits.masked_fill(high <= low, -torch.inf)
        return draw(kept).to(logits.dtype), kept.logsumexp(1) - total
    low, high = low.expand_as(logits), high.expand_as(logits)
    slopes = torch.zeros_like(logits) if neighbours is None else neighbours.slopes(logits)
    kept = logits + log_share(slopes, low, high)
    cell = draw(kept)[:, None]
    start, end = low.gather(1, cell), high.gather(1, cell)
    if neighbours is None:
        place = start + (end - start) * 0.999 * noise.uniform(start)
    else:
        near = neighbours.at(cell)
        place = draw_tilted(near.slopes(logits), near.counts, start, end)
    return (cell + place)[:, 0], kept.logsumexp(1) - total


def restricted_normal(mean: Tensor, scale: Tensor, low: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
    """Draws of N(μ, σ²) between two ends, by inversion, and the log-probability of lying there, each of the shape of μ.

    >>> x, log_p = restricted_normal(torch.zeros(1), torch.ones(1), torch.tensor(0.0), torch.tensor(torch.inf))
    >>> bool(x > 0), round(float(log_p.exp()), 4)
    (True, 0.5)
    """
    # Where both ends lie above the mean the upper tail is used, which is exact there.
    start, end = (low.double() - mean) / scale, (high.double() - mean) / scale
    flip = start > 0
    start, end = torch.where(flip, -end, start), torch.where(flip, -start, end)
    below, above = torch.special.log_ndtr(start), torch.special.log_ndtr(end)
    log_p = above + torch.log1p(-torch.exp(below - above).clamp(max=1 - 1e-12))
    share = torch.exp(below - above)
    uniform = noise.uniform(mean).double()
    standard = _inverse_log_ndtr(above + torch.log(share + uniform * (1 - share)))
    standard = torch.minimum(torch.maximum(standard, start), end)
    standard = torch.where(flip, -standard, standard)
    x = (mean + scale * standard).to(mean.dtype)
    return torch.minimum(torch.maximum(x, low.to(x)), high.to(x)), log_p.to(mean.dtype)


def _inverse_log_ndtr(log_p: Tensor) -> Tensor:
    """x with log Φ(x) = log p: by ndtri, far out in the lower tail by Newton's method on its asymptote."""
    x = torch.where(log_p > -30, torch.special.ndtri(log_p.exp()), -torch.sqrt((-2 * log_p).clamp(min=1.0)))
    far = log_p <= -30
    for _ in range(4):
        value = torch.special.log_ndtr(x)
        slope = torch.exp(-0.5 * x.square() - 0.9189385332046727 - value)
        x = torch.where(far, x - (value - log_p) / slope, x)
    return x
