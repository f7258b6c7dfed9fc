"""Distances between real and sampled columns, and the dependence between columns."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import narwhals as nw
import numpy as np
import pyarrow as pa

from sfumato.data.columns.base import Column as TableColumn
from sfumato.data.columns.base import plain
from sfumato.data.core.schema import Schema
from sfumato.data.io import frames
from sfumato.data.tables.schema import TableSchema


@dataclass(frozen=True)
class ColumnPair:
    """One column of two tables.

    Attributes:
        name: as the user calls it.
        real, sampled: floats with NaN where missing; for categories the index into `levels`, NaN where missing;
            for dates days since 1970.
        levels: names of the categories; empty for numbers.
        dated: whether the numbers are dates.
    """

    name: str
    real: np.ndarray
    sampled: np.ndarray
    levels: tuple[str, ...] = ()
    dated: bool = False

    @property
    def distance(self) -> float:
        """0 when both have the same distribution, 1 when they have nothing in common.

        Kolmogorov–Smirnov for numbers (the largest gap between the two cumulative distributions), total variation
        for categories (the share of rows that would have to change their category). A missing value is one more
        category, or stands at one end of the line or the other, whichever sets the two farther apart.

        >>> ColumnPair("c", np.array([0.0, 0.0, 1.0, 1.0]), np.array([0.0, 1.0, 1.0, 1.0]), ("a", "b")).distance
        0.25
        >>> ColumnPair("c", np.array([0.0, 1.0, np.nan, np.nan]), np.array([0.0, 0.0, 1.0, 1.0])).distance
        0.5
        """
        if not len(self.real) or not len(self.sampled):
            return float(bool(len(self.real)) != bool(len(self.sampled)))
        if not self.levels:
            return max(_gap(np.nan_to_num(self.real, nan=end), np.nan_to_num(self.sampled, nan=end)) for end in ENDS)
        return float(np.abs(self.shares(self.real) - self.shares(self.sampled)).sum() / 2)

    def shares(self, values: np.ndarray) -> np.ndarray:
        """The share of each level, and at the end that of missing values."""
        coded = np.where(np.isnan(values), len(self.levels), values).astype(int)
        counts = np.bincount(coded, minlength=len(self.levels) + 1)
        return np.asarray(counts / max(counts.sum(), 1))


ENDS = (-np.inf, np.inf)


def _gap(real: np.ndarray, sampled: np.ndarray) -> float:
    """The largest gap between two cumulative distributions."""
    every = np.concatenate([real, sampled])
    below = [np.searchsorted(np.sort(x), every, side="right") / len(x) for x in (real, sampled)]
    return float(np.abs(below[0] - below[1]).max())


@dataclass(frozen=True)
class Aligned:
    """One column of several tables, made comparable.

    Attributes:
        name: as the user calls it.
        values: one array for each table, as `ColumnPair` has them.
        levels: names of the categories, in order; empty for numbers.
        dated: whether the numbers are dates.
    """

    name: str
    values: tuple[np.ndarray, ...]
    levels: tuple[str, ...] = ()
    dated: bool = False

    def pair(self, real: int, sampled: int) -> ColumnPair:
        """Two of the tables, by place."""
        return ColumnPair(self.name, self.values[real], self.values[sampled], self.levels, self.dated)


def columns(
    real: Any, sampled: Any, *, categories: Collection[str] = (), leave: Collection[str] = ()
) -> list[ColumnPair]:
    """The columns of two tables of any dataframe library, made comparable.

    Args:
        real, sampled: tables with the same columns.
        categories: numeric columns that are categories all the same.
        leave: columns to leave out.
    """
    return [column.pair(0, 1) for column in aligned([real, sampled], categories=categories, leave=leave)]


def aligned(tables: Sequence[Any], *, categories: Collection[str] = (), leave: Collection[str] = ()) -> list[Aligned]:
    """The columns that several tables of any dataframe library share; see `columns`."""
    frames = [nw.from_native(table, eager_only=True) for table in tables]
    shared_columns = []
    for name in frames[0].columns:
        if name in leave or any(name not in frame.columns for frame in frames):
            continue
        parts = [frame[name] for frame in frames]
        if all(isinstance(part.dtype, nw.Date | nw.Datetime) for part in parts):
            shared_columns.append(Aligned(str(name), tuple(map(_days, parts)), dated=True))
        elif all(part.dtype.is_numeric() for part in parts) and name not in categories:
            shared_columns.append(Aligned(str(name), tuple(map(_floats, parts))))
        else:
            shared_columns.append(_category(str(name), list(map(_held, parts))))
    return shared_columns


def schema_columns(schema: Schema, tables: Sequence[Any]) -> list[Aligned]:
    """The columns of decoded tables or vectors; constants and identifiers, which are not modelled, are left out.

    What is a number, a date or a category is what the schema says, whatever type the tables have it in.

    Raises:
        SfumatoError: if a table has a value that its column cannot take.
    """
    if isinstance(schema, TableSchema):
        arrow = [frames.read(table)[0] for table in tables]
        modelled = [column for column in schema.columns if column.field is not None]
        return [_aligned(column, [plain(table[column.name]) for table in arrow]) for column in modelled]
    described = {row["column"]: row["kind"] for row in schema.describe()}
    rows = [table.astype(float) for table in tables]
    names = [str(place) for place in range(rows[0].shape[1])]
    shared_columns = [Aligned(name, tuple(x[:, place] for x in rows)) for place, name in enumerate(names)]
    return [column for column in shared_columns if described.get(column.name) != "constant"]


def _aligned(column: TableColumn, parts: Sequence[pa.Array]) -> Aligned:
    """One column of several tables, as the schema reads it."""
    numbers = [column.to_numbers(part) for part in parts]
    if any(values is None for values in numbers):
        return _category(column.name, [part.to_pylist() for part in parts])
    return Aligned(column.name, tuple(values for values in numbers if values is not None), dated=column.dated)


def _held(series: nw.Series[Any]) -> list[Any]:
    """The values, None where one is missing, in whatever way the frame's library says so."""
    return [None if missing else value for value, missing in zip(series.to_list(), series.is_null(), strict=True)]


def _floats(series: nw.Series[Any]) -> np.ndarray:
    return np.array([np.nan if value is None else float(value) for value in _held(series)])


def _days(series: nw.Series[Any]) -> np.ndarray:
    return _floats(series.dt.timestamp("ms")) / 86_400_000


def _category(name: str, parts: Sequence[Sequence[Any]]) -> Aligned:
    index: dict[str, int] = {}

    def code(value: Any) -> float:
        if value is None or value != value:
            return np.nan
        return index.setdefault(str(value), len(index))

    coded = [np.array([code(value) for value in part], float) for part in parts]
    return Aligned(name, tuple(coded), tuple(index))


def trends(table: Sequence[ColumnPair]) -> dict[tuple[str, str], float]:
    """How well the dependence of each pair of columns matches, 1 for a perfect match; NaN if undefined.

    Two numbers: 1 − |ρ_real − ρ_sampled|/2, with Pearson's ρ. Otherwise 1 − ½ Σ |p_real − p_sampled| over the joint
    table, numbers cut into ten equal bins over the range of the real ones, and missing values in their own bin. These
    are the published definitions of SDMetrics (correlation similarity, contingency similarity), except that a column
    that is constant only in the sampled rows has ρ_sampled = 0 there, and that missing values count: for two numbers, ρ
    is that of the rows that have both, and the result is the smaller of its match and the match of the missing values.

    >>> up, down = np.arange(4.0), np.arange(4.0)[::-1]
    >>> trends([ColumnPair("a", up, up), ColumnPair("b", up, down)])
    {('a', 'b'): 0.0}
    """
    bins = [_binned(column) for column in table]
    values = {}
    for i, j in combinations(range(len(table)), 2):
        first, second = table[i], table[j]
        if first.levels or second.levels:
            sides = [_joint(bins[i][side], bins[j][side]) for side in (0, 1)]
            value = _match(*sides)
        else:
            real, sampled = _correlation(first.real, second.real), _correlation(first.sampled, second.sampled)
            # A column that is constant only in the sampled rows has no dependence there.
            value = 1 - abs(real - (0.0 if np.isnan(sampled) else sampled)) / 2
            missing = [_joint(np.isnan(a).astype(int), np.isnan(b).astype(int)) for a, b in _sides(first, second)]
            value = float(np.minimum(value, _match(*missing)))
        values[first.name, second.name] = value
    return values


def _sides(first: ColumnPair, second: ColumnPair) -> tuple[tuple[np.ndarray, np.ndarray], ...]:
    """The values of two columns in real rows, and in samples."""
    return (first.real, second.real), (first.sampled, second.sampled)


HISTOGRAM_BINS = 10


def _binned(column: ColumnPair) -> tuple[np.ndarray, np.ndarray]:
    """Real and sampled values as whole numbers, −1 where missing: the category, or the bin a number falls into."""
    if column.levels:
        return tuple(np.where(np.isnan(x), -1, x).astype(int) for x in (column.real, column.sampled))  # type: ignore[return-value]
    known = column.real[~np.isnan(column.real)]
    edges = np.linspace(known.min(), known.max(), HISTOGRAM_BINS + 1)[1:-1] if len(known) else np.zeros(0)
    return tuple(  # type: ignore[return-value]
        np.where(np.isnan(x), -1, np.searchsorted(edges, x, side="right")) for x in (column.real, column.sampled)
    )


def _joint(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """A number for each pair of values."""
    return np.asarray((first + 1) * (1 << 31) + second + 1)


def _match(real: np.ndarray, sampled: np.ndarray) -> float:
    if not len(real) or not len(sampled):
        return float("nan")
    values, index = np.unique(np.concatenate([real, sampled]), return_inverse=True)
    shares = [np.bincount(part, minlength=len(values)) / len(part) for part in (index[: len(real)], index[len(real) :])]
    return float(1 - np.abs(shares[0] - shares[1]).sum() / 2)


def _correlation(first: np.ndarray, second: np.ndarray) -> float:
    both = ~(np.isnan(first) | np.isnan(second))
    return association(first[both], second[both], False, False)


def associations(table: Sequence[ColumnPair], of_samples: bool = False) -> np.ndarray:
    """The association of each pair of columns, (D, D), of the real values or of the samples.

    Two numbers: Pearson's correlation, −1 … 1. Two categories: Cramér's V, 0 … 1. A number and a category: the
    correlation ratio η, 0 … 1 (the share of the number's spread that the category explains, as a root).
    Rows in which either is missing are left out; NaN where a column does not vary.
    """
    values = [column.sampled if of_samples else column.real for column in table]
    matrix = np.eye(len(table))
    for i in range(len(table)):
        for j in range(i):
            both = ~(np.isnan(values[i]) | np.isnan(values[j]))
            first, second = values[i][both], values[j][both]
            matrix[i, j] = matrix[j, i] = association(first, second, bool(table[i].levels), bool(table[j].levels))
    return matrix


def association(first: np.ndarray, second: np.ndarray, first_is_category: bool, second_is_category: bool) -> float:
    """The association of two columns of known values, see `associations`."""
    if len(first) < 2 or np.ptp(first) == 0 or np.ptp(second) == 0:
        return float("nan")
    if first_is_category and second_is_category:
        return _cramer(first, second)
    if first_is_category:
        return _correlation_ratio(first, second)
    if second_is_category:
        return _correlation_ratio(second, first)
    return float(np.corrcoef(first, second)[0, 1])


def _cramer(first: np.ndarray, second: np.ndarray) -> float:
    _, rows = np.unique(first, return_inverse=True)
    _, columns = np.unique(second, return_inverse=True)
    shape = rows.max() + 1, columns.max() + 1
    counts = np.bincount(np.ravel_multi_index((rows, columns), shape), minlength=shape[0] * shape[1])
    table = counts.reshape(shape) / len(first)
    expected = table.sum(1, keepdims=True) * table.sum(0, keepdims=True)
    chi2 = ((table - expected) ** 2 / expected).sum()
    return float(np.sqrt(chi2 / (min(shape) - 1)))


def _correlation_ratio(category: np.ndarray, number: np.ndarray) -> float:
    _, codes = np.unique(category, return_inverse=True)
    sizes = np.bincount(codes)
    means = np.bincount(codes, weights=number) / sizes
    between = (sizes * (means - number.mean()) ** 2).sum()
    return float(np.sqrt(min(between / ((number - number.mean()) ** 2).sum(), 1.0)))
