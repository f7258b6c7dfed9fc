"""A density inside a cell that leans towards one end, and sums to one over the numbers that the cell holds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from sfumato.distributions import noise
from sfumato.spec import Field

STEEPEST = 30.0
SMALL_SLOPE = 0.03
"""Slopes below this are taken by their series."""


class Neighbours(NamedTuple):
    """Of each cell of several columns side by side: its neighbours, how many numbers it holds, and a part of its slope.

    Attributes:
        below: position of the next lower cell, shape (K,); of the cell itself where there is none, or it is an atom.
        above: position of the next higher cell, likewise.
        counts: numbers that a cell can hold, shape (K,); 0 of a stretch of real numbers.
        offsets: added to what the neighbours say of the slope, shape (K,).
    """

    below: Tensor
    above: Tensor
    counts: Tensor
    offsets: Tensor

    def at(self, index: Tensor | slice) -> Neighbours:
        """Those of some cells."""
        return Neighbours(*(values[index] for values in self))

    def between(self, start: int, end: int) -> Neighbours:
        """Those of a column whose logits begin at `start`, for its logits alone."""
        part = self.at(slice(start, end))
        return part._replace(below=part.below - start, above=part.above - start)

    @classmethod
    def of(cls, fields: Sequence[Field]) -> Neighbours:
        """Of columns that are not real, their logits side by side; what is no cell is its own neighbour.

        Offsets are 0.
        """
        below, above, cell_counts = [], [], []
        start = 0
        for field in fields:
            counts = field.counts or (1,) * field.size
            atom = [count == 1 for count in counts]
            for cell in range(field.size):
                low, high = max(cell - 1, 0), min(cell + 1, field.size - 1)
                below.append(start + (cell if atom[low] else low))
                above.append(start + (cell if atom[high] else high))
                cell_counts.append(float(counts[cell]))
            start += field.size
        return cls(torch.tensor(below), torch.tensor(above), torch.tensor(cell_counts), torch.zeros(start))

    def slopes(self, logits: Tensor) -> Tensor:
        """How steep log-densities are in cells: as from the cell below to the one above, plus the offsets.

        Atoms, and cells of which nothing is known, have no slope.

        Args:
            logits: of all cells, (B, K).

        Returns:
            Of the cells that `at` chose for each example, (B, D), or of all, (B, K).
        """
        apart = (self.above - self.below).clamp(min=1)
        above, below = (
            logits[:, cells] if cells.ndim == 1 else logits.gather(1, cells) for cells in (self.above, self.below)
        )
        rise = (above - below) / apart
        return (rise + self.offsets).clamp(-STEEPEST, STEEPEST).masked_fill(self.counts == 1, 0.0)


def log_tilt(place: Tensor, slope: Tensor, count: Tensor) -> Tensor:
    """log f(u) of the place u in a cell, u in [0, 1), with slope s.

        f(u) = e^{s(u − ½)} / [sinh(s/2) / (s/2)]                              ∫ f = 1           real numbers
        f(u) = e^{s(u − ½)} / [sinh(s/2) / (c sinh(s/2c))]                     1/c Σ_k f = 1     u = (k + ½)/c, k < c

    For c = 1 it is 1 for every slope.

    >>> place = (torch.arange(4) + 0.5) / 4
    >>> float(log_tilt(place, torch.tensor(3.0), torch.tensor(4.0)).exp().mean().round(decimals=5))
    1.0
    """
    within = torch.where(count > 0, slope / count.clamp(min=1), 0.0)
    return slope * (place - 0.5) - _log_sinhc(slope) + _log_sinhc(within)


def _log_sinhc(slope: Tensor) -> Tensor:
    """log [sinh(s/2) / (s/2)]."""
    size = slope.abs()
    safe = size.clamp(min=SMALL_SLOPE)
    return torch.where(size < SMALL_SLOPE, slope.square() / 24, safe / 2 + torch.log(-torch.expm1(-safe)) - safe.log())


def log_share(slope: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """log of the share of a cell between two places, log ∫ f(u) du from `low` to `high`; −∞ where that is empty.

    Of a cell of c numbers likewise, if both places are where one of its numbers ends and the next begins.

    >>> low, high = torch.tensor(0.25), torch.tensor(0.5)
    >>> place = torch.linspace(0.25, 0.5, 1001)
    >>> density = log_tilt(place, torch.tensor(-4.0), torch.tensor(0.0)).exp()
    >>> bool((log_share(torch.tensor(-4.0), low, high).exp() - torch.trapezoid(density, place)).abs() < 1e-6)
    True
    """
    low, width = _from_the_thick_end(slope, low, high)
    size = slope.abs()
    safe = size.clamp(min=SMALL_SLOPE)
    steep = torch.log(-torch.expm1(-safe * width.clamp(min=1e-12))) - torch.log(-torch.expm1(-safe)) - safe * low
    flat = width.clamp(min=1e-12).log() + size * (0.5 - low - width / 2)
    return torch.where(size < SMALL_SLOPE, flat, steep).masked_fill(width <= 0, -torch.inf)


def draw_tilted(slope: Tensor, count: Tensor, low: Tensor | float = 0.0, high: Tensor | float = 1.0) -> Tensor:
    """Places drawn with these slopes, of a cell of c numbers one of (k + ½)/c; below 1 also in single precision.

    Args:
        slope: of the log-density.
        count: how many numbers the cell holds, 0 of a stretch of real numbers.
        low, high: places between which all draws are.
    """
    low, high = torch.as_tensor(low).to(slope), torch.as_tensor(high).to(slope)
    start, width = _from_the_thick_end(slope, low, high)
    uniform = noise.uniform(slope)
    size = slope.abs()
    safe = size.clamp(min=SMALL_SLOPE)
    steep = -torch.log1p(uniform * torch.expm1(-safe * width)) / safe
    down = start + torch.where(size < SMALL_SLOPE, uniform * width, steep)
    place = torch.where(slope > 0, 1 - down, down).clamp(0, 1 - 2**-10)
    place = torch.maximum(place, low.clamp(max=1 - 2**-16))
    numbers = count.clamp(min=1)
    first, last = torch.round(low * numbers), torch.round(high * numbers) - 1
    step = torch.maximum(torch.minimum((place * numbers).floor(), last), first)
    return torch.where(count > 0, (step + 0.5) / numbers, place)


def _from_the_thick_end(slope: Tensor, low: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
    """Where a stretch begins, seen from the end at which the density is highest, and its width."""
    return torch.where(slope > 0, 1 - high, low), high - low
