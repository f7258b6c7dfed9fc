"""Which histograms the columns of a private training need, and numbers of single columns drawn from them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from sfumato.data.core.options import DataOptions
from sfumato.data.core.private.marginals import NoisyCounts, NumberCounts
from sfumato.errors import SfumatoError, did_you_mean
from sfumato.formatting import listed
from sfumato.privacy_budget import COLUMNS_SHARE, Budget, ColumnCharge, release_threshold


@dataclass(frozen=True)
class CountedColumn:
    """A column whose distribution by itself is counted.

    Attributes:
        name: its name.
        is_number: whether it holds numbers, and not categories.
        whole: whether these are whole.
        bounds: the range of a number, where the user gave it.
    """

    name: str
    is_number: bool
    whole: bool = True
    bounds: tuple[float, float] | None = None

    @property
    def histograms(self) -> int:
        """Values and missing cells; of a number intervals, its range and its digits too, where they are not known."""
        if not self.is_number:
            return 1
        return 2 + (self.bounds is None) + (not self.whole)


@dataclass
class PrivateColumns:
    """The counts of the columns of one table, whose noise follows from the budget and from how many there are.

    Attributes:
        columns: those that are counted.
        rows: number of training rows, which is taken as known.
        budget: (ε, δ) of all.
    """

    columns: list[CountedColumn]
    rows: int
    budget: Budget
    counts: NoisyCounts = field(init=False)

    def __post_init__(self) -> None:
        noise = self.budget.multiplier(COLUMNS_SHARE) * math.sqrt(max(self.histograms, 1))
        threshold = release_threshold(noise, len(self.columns), self.budget.threshold_delta)
        self.counts = NoisyCounts(noise, threshold)

    @property
    def histograms(self) -> int:
        """Of all columns together."""
        return sum(column.histograms for column in self.columns)

    def numbers(self, column: CountedColumn, values: np.ndarray) -> np.ndarray:
        """As many numbers as `values`, NaN where missing, drawn from noisy counts of them.

        Raises:
            SfumatoError: if the range was not given, and cannot be told from the noise.
        """
        digits = None
        if not column.whole:
            digits = self.counts.digits(values[~np.isnan(values)], self.rows)
        known = NumberCounts.of(values, self.counts, column.bounds, whole=column.whole)
        if known is None:
            raise SfumatoError(
                f"column {column.name!r}: its range cannot be told from the noise ({self.counts.noise:.0f} rows); give "
                f"it, as --range {column.name}=LOW..HIGH, or a larger epsilon"
            )
        return known.rows(len(values), whole=column.whole, digits=digits)

    def charge(self, uncovered: tuple[str, ...]) -> ColumnCharge:
        """What the counts cost, and what they are."""
        numbers = [column for column in self.columns if column.is_number]
        searched = [column.name for column in numbers if column.bounds is None]
        charged = ["how often each column has each of its values, and how often none"]
        if numbers:
            charged.append("cells, quantiles and digits of columns of numbers")
        if searched:
            charged.append(f"the range of {listed(searched)}")
        stated = [f"the range of {column.name}" for column in numbers if column.bounds is not None]
        return ColumnCharge(
            (self.budget.multiplier(COLUMNS_SHARE),) if self.columns else (),
            self.counts.noise,
            self.histograms,
            self.counts.threshold,
            self.budget.threshold_delta,
            tuple(charged),
            tuple(stated),
            uncovered,
        )


def ranges(options: DataOptions, names: list[str]) -> Mapping[str, tuple[float, float]]:
    """The ranges that the user gave, by column.

    Raises:
        SfumatoError: if one is not written as LOW..HIGH, or is of no column of numbers.
    """
    known = {}
    for name, text in options.ranges.items():
        if name not in names:
            raise SfumatoError(f"range {name!r} is no column of numbers; {did_you_mean(name, names)}")
        least, _, most = text.partition("..")
        try:
            low, high = float(least), float(most)
        except ValueError:
            low = high = math.nan
        if not (math.isfinite(low) and math.isfinite(high) and low < high):
            raise SfumatoError(f"range {name}={text}: write it as LOW..HIGH, two numbers, as in {name}=0..100")
        known[name] = (low, high)
    return known
