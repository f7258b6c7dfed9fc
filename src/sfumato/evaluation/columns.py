"""How far sampled columns are from real ones, and how columns hang together: numbers only, no pictures."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import narwhals as nw
import numpy as np
from scipy.stats import ks_2samp


@dataclass(frozen=True)
class Column:
    """One column of two tables.

    Attributes:
        name: as the user calls it.
        real, made: floats with NaN where missing; for categories the index into `levels`, NaN where missing;
            for dates days since 1970.
        levels: names of the categories; empty for numbers.
        dated: whether the numbers are dates.
    """

    name: str
    real: np.ndarray
    made: np.ndarray
    levels: tuple[str, ...] = ()
    dated: bool = False

    @property
    def distance(self) -> float:
        """0 when both have the same distribution, 1 when they have nothing in common.

        Kolmogorov–Smirnov for numbers (the largest gap between the two cumulative distributions), total variation
        for categories (the share of rows that would have to change their category). Missing values are left out.

        >>> Column("c", np.array([0.0, 0.0, 1.0, 1.0]), np.array([0.0, 1.0, 1.0, 1.0]), ("a", "b")).distance
        0.25
        """
        real, made = self.real[~np.isnan(self.real)], self.made[~np.isnan(self.made)]
        if not len(real) or not len(made):
            return float(bool(len(real)) != bool(len(made)))
        if not self.levels:
            return float(ks_2samp(real, made, method="asymp").statistic)
        return float(np.abs(self.shares(real) - self.shares(made)).sum() / 2)

    def shares(self, values: np.ndarray) -> np.ndarray:
        """The share of each level among the values present."""
        counts = np.bincount(values[~np.isnan(values)].astype(int), minlength=len(self.levels))
        return np.asarray(counts / max(counts.sum(), 1))


def columns(real: Any, made: Any, *, categories: Collection[str] = (), leave: Collection[str] = ()) -> list[Column]:
    """The columns of two tables of any dataframe library, made comparable.

    Args:
        real, made: tables with the same columns.
        categories: numeric columns that are categories all the same.
        leave: columns to leave out.
    """
    first, second = nw.from_native(real, eager_only=True), nw.from_native(made, eager_only=True)
    found = []
    for name in first.columns:
        if name in leave or name not in second.columns:
            continue
        one, two = first[name], second[name]
        dates = nw.Date, nw.Datetime
        if isinstance(one.dtype, dates) and isinstance(two.dtype, dates):
            found.append(Column(str(name), _days(one), _days(two), dated=True))
        elif one.dtype.is_numeric() and two.dtype.is_numeric() and name not in categories:
            found.append(Column(str(name), _floats(one), _floats(two)))
        else:
            found.append(_category(str(name), one.to_list(), two.to_list()))
    return found


def _floats(series: nw.Series[Any]) -> np.ndarray:
    return np.array([np.nan if value is None else float(value) for value in series.to_list()])


def _days(series: nw.Series[Any]) -> np.ndarray:
    return _floats(series.dt.timestamp("ms")) / 86_400_000


def _category(name: str, real: Sequence[Any], made: Sequence[Any]) -> Column:
    index: dict[str, int] = {}

    def code(value: Any) -> float:
        if value is None or value != value:
            return np.nan
        return index.setdefault(str(value), len(index))

    first, second = np.array([code(value) for value in real]), np.array([code(value) for value in made])
    return Column(name, first.astype(float), second.astype(float), tuple(index))


def associations(table: Sequence[Column], made: bool = False) -> np.ndarray:
    """How strongly each pair of columns hangs together, (D, D), from the real values or those `made`.

    Two numbers: Pearson's correlation, −1 … 1. Two categories: Cramér's V, 0 … 1. A number and a category: the
    correlation ratio η, 0 … 1 (the share of the number's spread that the category explains, as a root).
    Rows in which either is missing are left out; NaN where a column does not vary.
    """
    values = [column.made if made else column.real for column in table]
    found = np.eye(len(table))
    for i in range(len(table)):
        for j in range(i):
            both = ~(np.isnan(values[i]) | np.isnan(values[j]))
            one, two = values[i][both], values[j][both]
            found[i, j] = found[j, i] = _association(one, two, bool(table[i].levels), bool(table[j].levels))
    return found


def _association(one: np.ndarray, two: np.ndarray, one_is_category: bool, two_is_category: bool) -> float:
    if len(one) < 2 or np.ptp(one) == 0 or np.ptp(two) == 0:
        return float("nan")
    if one_is_category and two_is_category:
        return _cramer(one, two)
    if one_is_category:
        return _correlation_ratio(one, two)
    if two_is_category:
        return _correlation_ratio(two, one)
    return float(np.corrcoef(one, two)[0, 1])


def _cramer(one: np.ndarray, two: np.ndarray) -> float:
    _, rows = np.unique(one, return_inverse=True)
    _, columns = np.unique(two, return_inverse=True)
    shape = rows.max() + 1, columns.max() + 1
    counts = np.bincount(np.ravel_multi_index((rows, columns), shape), minlength=shape[0] * shape[1])
    table = counts.reshape(shape) / len(one)
    expected = table.sum(1, keepdims=True) * table.sum(0, keepdims=True)
    chi2 = ((table - expected) ** 2 / expected).sum()
    return float(np.sqrt(chi2 / (min(shape) - 1)))


def _correlation_ratio(category: np.ndarray, number: np.ndarray) -> float:
    _, codes = np.unique(category, return_inverse=True)
    sizes = np.bincount(codes)
    means = np.bincount(codes, weights=number) / sizes
    between = (sizes * (means - number.mean()) ** 2).sum()
    return float(np.sqrt(min(between / ((number - number.mean()) ** 2).sum(), 1.0)))
