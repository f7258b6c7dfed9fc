"""Noisy counts of single columns, and rows that have them: what is learned of columns under differential privacy.

A schema that is learned from such rows follows from the noisy counts alone, so that all in it (ranges, categories,
cells, shares of missing values) costs what the counts cost, and nothing else of the data can be in it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sfumato.randomness.entropy import secret_normal

LARGEST_POWER = 64
"""Numbers are looked for from 2^−64 to 2^64, and what lies beyond counts as the nearest of these."""
STANDS_OUT = 5.0
"""Standard deviations of the noise above which there are rows between a power of two and the next. Of all 258 such
intervals without rows one is above once in 13,000 times."""
GRID = 64
"""Intervals of one width over the range of a column."""
FINE_OCTAVES, PARTS_OF_OCTAVE = 12, 4
"""Towards 0 intervals get narrower over so many octaves, each of which has so many."""
MAX_DIGITS = 8
"""Digits after the point that are told apart."""
DIGIT_SLIPS = 0.001
"""Share of numbers that may have more digits."""


@dataclass(frozen=True)
class NoisyCounts:
    """Counts of rows with Gaussian noise from the system's entropy.

    A row adds 1 to one count of each histogram, so that H histograms with noise σ√H are together one Gaussian mechanism
    with noise multiplier σ.

    Attributes:
        noise: standard deviation of the noise of each count.
        threshold: the least noisy count of a value to be released whose existence is not known beforehand.
    """

    noise: float
    threshold: float

    def __call__(self, counts: np.ndarray) -> np.ndarray:
        """One histogram."""
        return counts + self.noise * secret_normal(len(counts))

    def frequent(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Which of the values, none missing, may be released, in order, and their noisy counts."""
        known, counts = np.unique(values, return_counts=True)
        noisy = self(counts)
        kept = noisy >= self.threshold
        return known[kept], noisy[kept]

    def present(self, count: int) -> float:
        """How many rows there are of one thing that is known to be possible; 0 where that may be noise."""
        noisy = float(self(np.array([count]))[0])
        return noisy if noisy > 3 * self.noise else 0.0

    def range(self, numbers: np.ndarray) -> tuple[float, float] | None:
        """The powers of two between which nearly all numbers lie; None if none stands out from the noise.

        >>> NoisyCounts(0.001, 1.0).range(np.array([17.0, 90.0]))
        (16.0, 128.0)
        """
        edges = _octaves()
        part = np.clip(np.searchsorted(edges, numbers, "right") - 1, 0, len(edges) - 2)
        stands_out = np.flatnonzero(self(np.bincount(part, minlength=len(edges) - 1)) > STANDS_OUT * self.noise)
        if not len(stands_out):
            return None
        low, high = float(edges[stands_out[0]]), float(edges[stands_out[-1] + 1])
        # The interval of 0 alone ends at the smallest number there is.
        return (0.0 if 0 < low < _SMALLEST or low == -_SMALLEST else low), (0.0 if high == _SMALLEST else high)

    def digits(self, numbers: np.ndarray, total: int) -> int | None:
        """The fewest digits after the point that nearly all numbers keep to; None if they are more than `MAX_DIGITS`.

        Args:
            numbers: those that are there.
            total: number of rows.
        """
        needed = np.full(len(numbers), MAX_DIGITS + 1)
        for digits in range(MAX_DIGITS, -1, -1):
            needed[np.isclose(np.round(numbers, digits), numbers, rtol=1e-14, atol=0.0)] = digits
        noisy = self(np.bincount(needed, minlength=MAX_DIGITS + 2))
        longer = np.append(np.cumsum(noisy[::-1])[::-1][1:], 0.0)
        slips = DIGIT_SLIPS * total + STANDS_OUT * self.noise
        return next((digits for digits in range(MAX_DIGITS + 1) if longer[digits] <= slips), None)


@dataclass(frozen=True)
class NumberCounts:
    """How many rows a column of numbers has where, as noisy counts have it.

    Attributes:
        values, of_values: frequent single numbers, and how many rows have each.
        edges, of_intervals: ends of intervals, and how many rows have another number in each.
        missing: rows without a number.
    """

    values: np.ndarray
    of_values: np.ndarray
    edges: np.ndarray
    of_intervals: np.ndarray
    missing: float

    @classmethod
    def of(
        cls, numbers: np.ndarray, counts: NoisyCounts, bounds: tuple[float, float] | None, *, whole: bool
    ) -> NumberCounts | None:
        """The counts of a column, (N,) with NaN where missing; None where no range can be found.

        Args:
            numbers: of the column.
            counts: how they are counted.
            bounds: the range, where the user gave one; numbers outside count as the nearest end.
            whole: whether all numbers are whole.
        """
        total = len(numbers)
        present = numbers[~np.isnan(numbers)]
        missing = counts.present(total - len(present))
        if bounds is None:
            bounds = counts.range(present)
            if bounds is None:
                return None
        if whole:
            bounds = float(np.ceil(bounds[0])), max(float(np.floor(bounds[1])), float(np.ceil(bounds[0])))
        present = np.clip(present, *bounds)
        values, of_values = counts.frequent(present)
        edges = grid(*bounds, whole=whole)
        others = present[~np.isin(present, values)]
        part = np.clip(np.searchsorted(edges, others, "right") - 1, 0, len(edges) - 2)
        noisy = counts(np.bincount(part, minlength=len(edges) - 1).astype(float))
        left = total - missing - float(of_values.sum())
        return cls(values, of_values, edges, on_simplex(noisy, max(left, 0.0)), missing)

    def rows(self, total: int, *, whole: bool, digits: int | None) -> np.ndarray:
        """So many numbers with these counts, NaN where missing; those of an interval spread evenly over it."""
        of_rows = apportioned(np.concatenate([self.of_values, self.of_intervals, [self.missing]]), total)
        known, inside = of_rows[: len(self.values)], of_rows[len(self.values) : -1]
        parts = [np.repeat(self.values, known)]
        for low, high, count in zip(self.edges[:-1], self.edges[1:], inside, strict=True):
            spread = low + (np.arange(count) + 0.5) / max(count, 1) * (high - low)
            parts.append(np.floor(spread) if whole else spread)
        numbers = np.concatenate(parts)
        if digits is not None:
            numbers = np.round(numbers, digits)
        return np.append(numbers, np.full(of_rows[-1], np.nan))


_SMALLEST = 2.0**-LARGEST_POWER


def _octaves() -> np.ndarray:
    """Ends of the intervals in which the range of a column is looked for, those of 0 and of both signs."""
    positive = 2.0 ** np.arange(-LARGEST_POWER, LARGEST_POWER + 1)
    return np.concatenate([-positive[::-1], positive])


def grid(low: float, high: float, *, whole: bool) -> np.ndarray:
    """Ends of the intervals in which a column is counted: of one width, and finer towards 0, where it lies inside.

    It follows from the range alone. Of few whole numbers each has an interval of its own.

    >>> grid(1.0, 4.0, whole=True).tolist()
    [1.0, 2.0, 3.0, 4.0, 5.0]
    """
    if whole:
        low, high = np.floor(low), np.floor(high) + 1
        if high - low <= 2 * GRID:
            return np.arange(low, high + 1)
    elif not high > low:
        high = np.nextafter(low, np.inf)
    even = np.linspace(low, high, GRID + 1)
    furthest = max(abs(low), abs(high))
    fine = furthest * 2.0 ** (-np.arange(1, FINE_OCTAVES * PARTS_OF_OCTAVE) / PARTS_OF_OCTAVE)
    edges = np.concatenate([even, fine[fine < high], -fine[-fine > low]])
    return np.unique(np.round(edges) if whole else edges)


def on_simplex(counts: np.ndarray, total: float) -> np.ndarray:
    """The nearest counts that are at least 0 and sum to `total` (Duchi et al. 2008).

    >>> on_simplex(np.array([5.0, -1.0, 3.0]), 6.0).tolist()
    [4.0, 0.0, 2.0]
    """
    falling = np.sort(counts)[::-1]
    above = (np.cumsum(falling) - total) / np.arange(1, len(counts) + 1)
    kept = np.flatnonzero(falling > above)
    shift = above[kept[-1]] if len(kept) else above[-1]
    return np.maximum(counts - shift, 0.0)


def apportioned(counts: np.ndarray, total: int) -> np.ndarray:
    """Whole numbers in proportion to counts that sum to `total`, by largest remainders.

    >>> apportioned(np.array([1.0, 1.0, 2.5]), 9).tolist()
    [2, 2, 5]
    """
    positive = np.maximum(counts, 0.0)
    if not positive.sum():
        positive = np.append(np.zeros(len(counts) - 1), 1.0)
    exact = positive / positive.sum() * total
    whole = np.floor(exact).astype(np.int64)
    whole[np.argsort(whole - exact, kind="stable")[: total - whole.sum()]] += 1
    return whole
