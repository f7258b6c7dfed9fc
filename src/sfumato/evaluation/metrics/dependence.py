"""Dependence between columns, pair by pair, in real rows and in samples; and samples with real marginals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from scipy.stats import chi2, rankdata

from sfumato.evaluation.metrics.columns import ColumnPair, association

QUANTILE_BINS = 6
MAX_CHANCE_ASSOCIATION = 0.5
"""The square of an association that chance alone would give, above which rows are too few for the levels there are."""


@dataclass(frozen=True)
class Pair:
    """Two columns, and their association in real rows and in samples.

    Attributes:
        names: of the two.
        real, sampled: associations, −1 … 1 of two numbers, else 0 … 1.
        real_error, sampled_error: their standard errors.
        by_chance: the probability that independent columns show as much as real rows do.
    """

    names: tuple[str, str]
    real: float
    sampled: float
    real_error: float
    sampled_error: float
    by_chance: float

    @property
    def kept(self) -> float:
        """The association in samples, positive if it has the direction of the real one."""
        return self.sampled if self.real >= 0 else -self.sampled

    def is_lost(self, sure: float) -> bool:
        """Whether the association of samples is less than half of the real one, by `sure` standard errors."""
        error = (self.real_error**2 / 4 + self.sampled_error**2) ** 0.5
        return abs(self.real) / 2 - self.kept > sure * error


def pairs(table: Sequence[ColumnPair]) -> list[Pair]:
    """The association of every pair of columns, but those of too many levels for the rows there are.

    Spearman's ρ for two numbers, or Cramér's V of both in six bins of as many rows where that is larger in real rows (a
    ring, a parabola); V for two categories; the correlation ratio η of the number's ranks for one of each. V and η are
    positive by chance; what chance gives their squares on average is taken off,

        a² ← (a² − e)/(1 − e),    e = df/N,    N = n, or n·(min(r, c) − 1) of two categories

    with k − 1 or (r − 1)(c − 1) degrees of freedom. N a² is taken to be χ² for independent columns, and the
    standard error √(1/N + df/2N²a²) is that of the root of a noncentral χ²; for ρ, of one degree of freedom, it is
    1/√n, which is on the safe side. Rows in which either is missing are left out; a column that does not vary in the
    samples alone has no association there.
    """
    real = [_ranks(column, column.real) for column in table]
    sampled = [_ranks(column, column.sampled) for column in table]
    results = []
    for i, j in combinations(range(len(table)), 2):
        kinds = bool(table[i].levels), bool(table[j].levels)
        in_real, in_samples = _strength(real[i], real[j], *kinds), _strength(sampled[i], sampled[j], *kinds)
        if in_real is not None and not any(kinds):
            bent = _in_bins(real[i], real[j])
            in_real, in_samples = (
                (bent, _in_bins(sampled[i], sampled[j]))
                if bent and bent[0] > abs(in_real[0])
                else (in_real, in_samples)
            )
        if in_real is not None:
            other = in_samples or (0.0, *in_real[1:])
            results.append(Pair((table[i].name, table[j].name), in_real[0], other[0], in_real[1], other[1], in_real[2]))
    return results


def _ranks(column: ColumnPair, values: np.ndarray) -> np.ndarray:
    """Categories as they are, numbers by their ranks; NaN where missing."""
    return values if column.levels else rankdata(values, nan_policy="omit")


def _in_bins(first: np.ndarray, second: np.ndarray) -> tuple[float, float, float] | None:
    """The strength of two columns of ranks cut into bins of as many rows."""
    known = ~(np.isnan(first) | np.isnan(second))
    cut = (
        [np.floor(QUANTILE_BINS * (x[known] - 0.5) / known.sum()) for x in (first, second)]
        if known.any()
        else [first, second]
    )
    return _strength(cut[0], cut[1], True, True)


def _strength(
    first: np.ndarray, second: np.ndarray, first_is_category: bool, second_is_category: bool
) -> tuple[float, float, float] | None:
    """An association, its standard error, and how often chance shows as much; None where it cannot be told."""
    both = ~(np.isnan(first) | np.isnan(second))
    first, second = first[both], second[both]
    value = association(first, second, first_is_category, second_is_category)
    if np.isnan(value) or len(first) < 4:
        return None
    degrees, rows = 1, len(first)
    levels = [len(np.unique(x)) for x, own in ((first, first_is_category), (second, second_is_category)) if own]
    if len(levels) == 2:
        degrees, rows = (levels[0] - 1) * (levels[1] - 1), rows * (min(levels) - 1)
    elif levels:
        degrees = levels[0] - 1
    usual, chance = degrees / rows, float(chi2.sf(rows * value**2, degrees))
    if not levels:
        return value, float(1 / np.sqrt(rows)), chance
    if usual > MAX_CHANCE_ASSOCIATION:
        return None
    square = max(value**2 - usual, 0.0) / (1 - usual)
    # Near 0 the root is steep: there the error is that of a square one deviation of chance away from it.
    error = np.sqrt(1 / rows + degrees / (2 * rows**2 * max(square, np.sqrt(2 * degrees) / rows)))
    return float(np.sqrt(square)), float(error), chance


def share_kept(dependent: Sequence[Pair]) -> tuple[float, float]:
    """The share of the dependence in real rows that samples keep, and its standard error; 1 and 0 without pairs.

        Σ r·m / Σ r², m within 0 … r

    >>> pairs = [Pair(("a", "b"), 0.8, 0.4, 0.01, 0.01, 0.0), Pair(("a", "c"), -0.1, 0.1, 0.01, 0.01, 0.0)]
    >>> share, error = share_kept(pairs)
    >>> round(share, 3), round(error, 3)
    (0.492, 0.012)
    """
    whole = sum(pair.real**2 for pair in dependent)
    if not whole:
        return 1.0, 0.0
    part = sum(abs(pair.real) * min(max(pair.kept, 0.0), abs(pair.real)) for pair in dependent)
    noise = sum((pair.real * pair.sampled_error) ** 2 for pair in dependent)
    return part / whole, noise**0.5 / whole


def with_real_shapes(column: ColumnPair, seed: int = 0) -> np.ndarray:
    """The sampled values mapped to the distribution of the real ones, in the order of the sampled ones.

    A number becomes the real number of its rank, ties in random order. Of categories that are too frequent some rows,
    chosen at random, take one of those that are too rare. What is missing stays missing.
    """
    random = np.random.default_rng(seed)
    real, sampled = column.real[~np.isnan(column.real)], column.sampled.copy()
    known = np.flatnonzero(~np.isnan(sampled))
    if not len(real) or not len(known):
        return sampled
    wanted = np.sort(real)[((np.arange(len(known)) + 0.5) / len(known) * len(real)).astype(int)]
    if not column.levels:
        sampled[known[np.lexsort((random.random(len(known)), sampled[known]))]] = wanted
        return sampled
    size = len(column.levels)
    target = np.bincount(wanted.astype(int), minlength=size)
    surplus = np.bincount(sampled[known].astype(int), minlength=size) - target
    mixed = random.permutation(known)
    moved = [mixed[sampled[mixed] == level][:count] for level, count in enumerate(surplus) if count > 0]
    if moved:
        sampled[random.permutation(np.concatenate(moved))] = np.repeat(np.arange(size), np.clip(-surplus, 0, None))
    return sampled
