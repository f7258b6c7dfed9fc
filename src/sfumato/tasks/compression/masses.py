"""Integer masses: probabilities as whole numbers, of at least 1 each, that sum to a fixed total."""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from sfumato.tasks.compression import functions

MASS_TOTAL = 2.0**22
"""Sum of the masses of binary and categorical symbols."""
TABLE_TOTAL = 2.0**30
"""Mass of a tabulated distribution function at its upper end."""
TABLE_PIECES, NORMAL_REACH = 2048, 9
"""Places a unit of tabulated distribution functions, and how far that of the normal reaches."""


def binary(logits: Tensor) -> Tensor:
    """Masses (N, 2) of 0 and 1 from log-odds (N,), in sum `MASS_TOTAL`.

    >>> binary(torch.tensor([0.0, 99.0]).double()).tolist()
    [[2097152.0, 2097152.0], [1.0, 4194303.0]]
    """
    ones = torch.round(functions.sigmoid(logits) * MASS_TOTAL).clamp(1.0, MASS_TOTAL - 1.0)
    return torch.stack([MASS_TOTAL - ones, ones], -1)


def categorical(logits: Tensor) -> Tensor:
    """Masses (N, K) of softmax(logits), each at least 1, in sum `MASS_TOTAL`; the largest takes what rounding leaves.

    >>> categorical(torch.tensor([[0.0, 0.0, -99.0]]).double()).tolist()
    [[2097152.0, 2097151.0, 1.0]]
    """
    size = logits.shape[-1]
    masses = 1.0 + torch.floor(functions.softmax(logits, -1) * (MASS_TOTAL - size))
    largest = logits.argmax(-1, keepdim=True)
    rest = MASS_TOTAL - functions.total(masses, (masses.dim() - 1,), keepdim=True)
    return masses.scatter(-1, largest, masses.gather(-1, largest) + rest)


class Table(NamedTuple):
    """A distribution function at evenly spaced places, as whole numbers.

    It never falls, at no pair of arguments, since each operation keeps the order of what it is given.

    Attributes:
        values: whole numbers from 0 to `TABLE_TOTAL`, at −reach … reach.
        reach: beyond ±reach it is 0 and `TABLE_TOTAL`.
    """

    values: Tensor
    reach: int

    @property
    def pieces(self) -> int:
        """Places a unit."""
        return (len(self.values) - 1) // (2 * self.reach)

    def nearest(self, x: Tensor) -> Tensor:
        """Whole numbers at the places just below x, of any shape: for masses of many places each."""
        return self.values[self._place(x).long()]

    def between(self, x: Tensor) -> Tensor:
        """Whole numbers at x, of any shape, on straight lines from place to place."""
        place = self._place(x)
        at = torch.floor(place).long().clamp_max(len(self.values) - 2)
        below, above = self.values[at], self.values[at + 1]
        return below + torch.floor((above - below) * (place - at))

    def _place(self, x: Tensor) -> Tensor:
        return (x.clamp(-self.reach, self.reach) + self.reach) * float(self.pieces)


@cache
def normal() -> Table:
    """Φ, by Simpson's rule.

    >>> abs(float(normal().between(torch.tensor(1.0))) / TABLE_TOTAL - 0.8413447) < 1e-6
    True
    """
    return Table(_rounded(_normal_distribution()), NORMAL_REACH)


@cache
def logistic() -> Table:
    """1/(1 + e^−x).

    >>> float(logistic().between(torch.tensor(0.0))) / TABLE_TOTAL
    0.5
    """
    reach = 24
    x = torch.arange(-reach * TABLE_PIECES, reach * TABLE_PIECES + 1).double() / TABLE_PIECES
    return Table(_rounded(functions.sigmoid(x)), reach)


def _rounded(values: Tensor) -> Tensor:
    whole = torch.floor(values * TABLE_TOTAL)
    whole[0], whole[-1] = 0.0, TABLE_TOTAL
    return whole


@cache
def _normal_distribution() -> Tensor:
    half = torch.arange(-2 * NORMAL_REACH * TABLE_PIECES, 2 * NORMAL_REACH * TABLE_PIECES + 1).double() / (
        2 * TABLE_PIECES
    )
    density = functions.exp(-0.5 * (half * half))
    areas = density[:-1:2] + 4.0 * density[1::2]
    areas = areas + density[2::2]
    # One sum after the other, as numpy's running sums are.
    sums = torch.from_numpy(np.concatenate([[0.0], np.add.accumulate(areas.numpy())]))
    return sums / float(sums[-1])


@cache
def normal_quantiles(count: int) -> Tensor:
    """Φ⁻¹(k / count) for k = 0 … count, ±9 at the ends, from the table of Φ: cuts the line into equal masses.

    >>> normal_quantiles(4)[[1, 3]].round(decimals=4).tolist()
    [-0.6745, 0.6745]
    """
    values = _normal_distribution()
    wanted = torch.arange(count + 1).double() / float(count)
    at = (torch.searchsorted(values, wanted, right=True) - 1).clamp(0, len(values) - 2)
    inside = (wanted - values[at]) / (values[at + 1] - values[at])
    place = at.double() + inside.clamp(0.0, 1.0)
    quantiles = place / float(TABLE_PIECES) - NORMAL_REACH
    quantiles[0], quantiles[-1] = -NORMAL_REACH, NORMAL_REACH
    return quantiles
