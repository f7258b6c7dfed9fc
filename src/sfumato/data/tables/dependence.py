"""Columns that follow from another one: found in the training rows, and looked up from there on."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sfumato.data.columns.base import Column, plain, stored, worked
from sfumato.data.columns.category import Category
from sfumato.data.columns.cells import Cells
from sfumato.data.columns.number import Number

EVIDENCE = 20.0
"""Nats of evidence, at least: chance alone makes a column follow from another with probability e⁻²⁰ at most."""
GLANCE = 1000
"""Rows that are looked at before all are."""


@dataclass(frozen=True)
class Dependence:
    """A column y that follows from another: y = f(x) in every training row, also where one of them is missing.

    x takes finitely many values, all seen in training, so that p(y | x) is 1 at f(x) and 0 elsewhere.

    Attributes:
        column: y.
        determinant: x.
        keys: values of x.
        values: f(x) of each.

    >>> from sfumato.data.columns import learn
    >>> rows = pa.table({"school": ["BA", "MA", None, "BA"] * 20, "years": [13, 14, None, 13] * 20})
    >>> kinds = {"school": "categorical", "years": "integer"}
    >>> columns = [learn(name, kind, rows.field(name), rows[name], 64) for name, kind in kinds.items()]
    >>> [follows] = find(columns, rows)
    >>> follows.column.name, follows.determinant.name, follows.look_up(pa.array(["MA", None])).to_pylist()
    ('years', 'school', [14, None])
    """

    column: Column
    determinant: Column
    keys: pa.Array = field(repr=False)
    values: pa.Array = field(repr=False)

    def look_up(self, x: pa.Array) -> pa.Array:
        """f(x), null where x is no value seen in training."""
        return self.values.take(pc.index_in(x, value_set=self.keys))

    def penalty(self, table: pa.Table, seen: int) -> np.ndarray:
        """log(`seen` + 1) for rows whose y is not f(x), and 0 where x was never seen, or y is no column; shape (N,)."""
        if not {self.column.name, self.determinant.name} <= set(table.column_names):
            return np.zeros(table.num_rows)
        raw = plain(table[self.determinant.name])
        x = _canonical(self.determinant, raw)
        known = pc.is_in(x, value_set=self.keys).to_numpy(zero_copy_only=False)
        known &= x.is_null().to_numpy(zero_copy_only=False) == self.determinant.absent(raw)
        there, expected = (_comparable(self.column, each) for each in (plain(table[self.column.name]), self.look_up(x)))
        same = np.isclose(there, expected, rtol=1e-9, atol=0.0, equal_nan=True)
        return np.where(known & ~same, np.log1p(seen), 0.0)

    def followed(self, table: pa.Table, before: pa.Table) -> pa.Table:
        """A table with y as it follows from x, in the rows in which it did so before x was changed."""
        if self.column.name not in table.column_names:
            return table
        y = plain(table[self.column.name])
        values = self.look_up(_canonical(self.determinant, plain(table[self.determinant.name])))
        did = pa.array(self.penalty(before, 1) == 0)
        place = table.column_names.index(self.column.name)
        return table.set_column(place, self.column.name, pc.if_else(did, values, self.column.fit(y).cast(values.type)))

    def to_dict(self) -> dict[str, Any]:
        """As JSON-ready values."""
        return {
            "column": self.column.name,
            "determinant": self.determinant.name,
            "keys": self.keys.cast(stored(self.determinant.form.type)).to_pylist(),
            "values": self.values.cast(stored(self.column.form.type)).to_pylist(),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], columns: Sequence[Column]) -> Self:
        """Back from `to_dict`."""
        by_name = {column.name: column for column in columns}
        y, x = by_name[values["column"]], by_name[values["determinant"]]
        keys, results = (
            pa.array(values[name], stored(column.form.type)).cast(worked(column.form.type))
            for name, column in (("keys", x), ("values", y))
        )
        return cls(y, x, keys, results)


def find(columns: Sequence[Column], table: pa.Table, keep: Collection[str] = ()) -> list[Dependence]:
    """Columns that follow from another one in all rows.

    Of two that follow from each other the later one is given. Were y independent of x, it would be f(x) in each of N
    rows with K values of x with a probability of at most p^(N − K), where p is the share of y's most frequent value;
    that must be e⁻²⁰ or less.

    Args:
        columns: those that are modelled, conditions among them.
        table: the training rows.
        keep: names of columns that are modelled whether they follow or not.
    """
    codes = {column.name: _codes(plain(table[column.name])) for column in columns}
    sources = [column for column in columns if _is_finite(column)]
    follows = {
        y.name: [x for x in sources if x is not y and _determines(codes[x.name], codes[y.name])]
        for y in columns
        if y.name not in keep and _has_type_of_its_own(y)
    }
    determined: set[str] = set()
    for column in reversed(columns):
        if any(x.name not in determined for x in follows.get(column.name, ())):
            determined.add(column.name)
    found = []
    for column in columns:
        if column.name in determined:
            x = next(x for x in follows[column.name] if x.name not in determined)
            found.append(_learned(column, x, table))
    return found


def _learned(column: Column, determinant: Column, table: pa.Table) -> Dependence:
    x = _canonical(determinant, plain(table[determinant.name]))
    y = plain(table[column.name])
    _, first = np.unique(_codes(x), return_index=True)
    places = pa.array(first)
    values = y.take(places)
    if values.type != worked(column.form.type):
        values = values.cast(worked(column.form.type))
    return Dependence(column, determinant, x.take(places), values)


def _is_finite(column: Column) -> bool:
    """Whether all values that can be drawn were seen in training."""
    if isinstance(column, Category):
        return not column.others
    return isinstance(column, Number) and isinstance(column.cut, Cells) and not len(column.cut.edges)


def _has_type_of_its_own(column: Column) -> bool:
    """Whether its values are kept as they are in the table, and not as one of a declared list."""
    return column.form.index is None and not pa.types.is_null(column.form.type)


def _codes(values: pa.Array) -> np.ndarray:
    """A whole number for each different value; missing is one."""
    coded = values.dictionary_encode().indices
    return np.asarray(coded.fill_null(-1).to_numpy(zero_copy_only=False)) + 1


def _determines(x: np.ndarray, y: np.ndarray) -> bool:
    if len(np.unique(y)) < 2:
        return False
    for rows in (slice(GLANCE), slice(None)):
        present, first, group = np.unique(x[rows], return_index=True, return_inverse=True)
        if not (y[rows][first][group] == y[rows]).all():
            return False
    share = np.bincount(y).max() / len(y)
    return bool((len(y) - len(present)) * -np.log(share) >= EVIDENCE)


def _canonical(column: Column, values: pa.Array) -> pa.Array:
    """Values as the column decodes them."""
    return column.decode(column.encode(column.fit(values)))


def _comparable(column: Column, values: pa.Array) -> np.ndarray:
    """Values as numbers, NaN where missing."""
    numbers = column.to_numbers(values)
    return np.asarray(column.encode(values) if numbers is None else numbers, float)
