"""The reference density of scores, which makes them independent of the units of columns.

A density in the units of the data cannot rank rows: a value with a probability of its own has none per unit, and in
another unit all others are more or less likely than it. So the score of a row is its log-density with respect to
a measure that goes with the data: for each column, Lebesgue measure on the axis where the training values, by
themselves, are normal.

    score(x) = log p(x) − Σ_d log r_d(x_d),    log r_d = log m_d(x_d) + ½ (y_d² − 1)

m_d is the column's own density in training, y_d = Φ⁻¹(share of training values below x_d). It is the sum of what the
columns say together beyond each alone, log p(x) − Σ log m_d(x_d), and of how far out each lies, ½ (1 − y_d²), which
is 0 in the mean. A row of typical values that have nothing to do with each other scores about 0. Any monotone change of
a column leaves shares as they are, and so scores, but for what a model makes of where in its cell a number lies.
"""

from __future__ import annotations

import math

import numpy as np
from scipy.special import ndtri
from torch import Tensor

NORMAL_REFERENCE = -0.5 * math.log(2 * math.pi * math.e)
"""log r of a number standardised by its mean and deviation, as it is for one that is normal in training."""


def ordered_reference(shares: np.ndarray) -> np.ndarray:
    """log r of cells in order, which hold these shares of the training values; y² is its mean over the cell.

    >>> cells = np.array([0.25, 0.5, 0.25])
    >>> (ordered_reference(cells) - np.log(cells)).round(3).tolist()
    [0.429, -0.429, 0.429]
    """
    ends = np.concatenate([[0.0], np.cumsum(shares) / shares.sum()])
    log_m: np.ndarray = np.log(shares) + _outlying(ends[:-1], ends[1:])
    return log_m


def unordered_reference(shares: np.ndarray) -> np.ndarray:
    """log r of categories; how far out one lies is the share of training values that are no more frequent than it.

    |y| of a category is such that a normal value is larger with the probability of that share.

    >>> labels = np.array([0.05, 0.9, 0.05])
    >>> (unordered_reference(labels) - np.log(labels)).round(3).tolist()
    [1.696, -0.188, 1.696]
    """
    _, group = np.unique(shares, return_inverse=True)
    tails = np.concatenate([[0.0], np.cumsum(np.bincount(group, shares))])
    tails /= tails[-1]
    # Twice the half of the line where y > 0.
    cost = _outlying(1 - tails[1:] / 2, 1 - tails[:-1] / 2)
    log_m: np.ndarray = np.log(shares) + cost[group]
    return log_m


def normal_reference(x: Tensor) -> Tensor:
    """(B,): Σ log r of standardised entries; NaN add nothing."""
    return NORMAL_REFERENCE * (~x.isnan()).flatten(1).sum(1).to(x)


def _outlying(low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """½ (y² − 1) in the mean over shares between `low` and `high`: −½ [y φ(y)] / (high − low), where y = Φ⁻¹(share)."""
    return -0.5 * (_moment(high) - _moment(low)) / (high - low)


def _moment(share: np.ndarray) -> np.ndarray:
    """y φ(y) at y = Φ⁻¹(share); 0 at both ends."""
    y = ndtri(np.clip(share, 1e-300, 1.0 - 1e-16))
    return np.asarray(y * np.exp(-0.5 * y**2) / math.sqrt(2 * math.pi))
