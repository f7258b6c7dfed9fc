"""Which cells are missing, as entries of their own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from sfumato.data.columns.base import Column, plain
from sfumato.data.columns.reference import unordered_reference
from sfumato.spec import Field


@dataclass(frozen=True)
class Flag:
    """Whether cells of a column are missing, or of several that are missing in the same training rows: 1 or 0.

    Attributes:
        columns: the column, or the columns; some training cells of each are missing and some are not.

    >>> from sfumato.data.columns.base import Form
    >>> from sfumato.data.columns.category import Category
    >>> sex = Category.learn("sex", "categorical", Form(pa.string()), pa.array(["f", None, "m", "f"]))
    >>> Flag((sex,)).encode(pa.table({"sex": ["m", None]})).tolist(), Flag((sex,)).frequencies().round(2).tolist()
    ([0.0, 1.0], [-0.29, -1.39])
    """

    columns: tuple[Column, ...]

    @property
    def field(self) -> Field:
        """What a model may know of it."""
        return Field("category", 2)

    @property
    def _shares(self) -> np.ndarray:
        missing = self.columns[0].missing
        return np.array([1 - missing, missing])

    def encode(self, table: pa.Table) -> np.ndarray:
        """Rows as float32 entries, shape (N,): 1 where all of the columns are missing, NaN where none is in the table.

        Raises:
            SfumatoError: naming column, row and value, if one cannot be taken.
        """
        absent = self._absent(table)
        if not absent:
            return np.full(table.num_rows, np.nan, np.float32)
        return np.asarray(np.all(absent, axis=0), np.float32)

    def out_of_range_penalty(self, table: pa.Table, seen: int) -> np.ndarray:
        """log(`seen` + 1) for rows in which some of the columns are missing and some are not, else 0; shape (N,)."""
        absent = self._absent(table)
        apart = np.any(absent, axis=0) & ~np.all(absent, axis=0) if absent else np.zeros(table.num_rows, bool)
        return np.where(apart, np.log1p(seen), 0.0)

    def _absent(self, table: pa.Table) -> list[np.ndarray]:
        here = [column for column in self.columns if column.name in table.column_names]
        return [column.absent(plain(table[column.name])) for column in here]

    def volumes(self) -> np.ndarray:
        """0: a probability has no unit."""
        return np.zeros(1)

    def references(self) -> np.ndarray:
        """log of what scores compare with, as of a category of two labels."""
        return unordered_reference(self._shares)

    def frequencies(self) -> np.ndarray:
        """log of the shares of training rows in which the cells are there, and missing."""
        return np.log(self._shares)


def missing_together(columns: Sequence[Column], table: pa.Table) -> list[list[str]]:
    """The names of columns some of whose cells are missing, those together that are missing in the same rows.

    >>> from sfumato.data.columns import learn
    >>> rows = pa.table({"a": [1.5, None, 2.0], "b": ["x", None, "y"], "c": [None, "x", "y"]})
    >>> kinds = {"a": "continuous", "b": "categorical", "c": "categorical"}
    >>> missing_together([learn(name, kind, rows.field(name), rows[name], 4) for name, kind in kinds.items()], rows)
    [['a', 'b'], ['c']]
    """
    groups: dict[bytes, list[str]] = {}
    for column in columns:
        if 0 < column.missing < 1:
            absent = column.absent(plain(table[column.name]))
            groups.setdefault(np.packbits(absent).tobytes(), []).append(column.name)
    return list(groups.values())


def with_flags(columns: Sequence[Column], groups: Sequence[Sequence[str]]) -> list[Column | Flag]:
    """The entries of x: of each column that is modelled one, and before the first of a group its flag.

    Args:
        columns: all that are no conditions; those that are not modelled, constants and identifiers, can have a flag.
        groups: as `missing_together` gives them.
    """
    by_name: Mapping[str, Column] = {column.name: column for column in columns}
    first = {group[0]: Flag(tuple(by_name[name] for name in group)) for group in groups}
    entries: list[Column | Flag] = []
    for column in columns:
        if column.name in first:
            entries.append(first[column.name])
        if column.field is not None:
            entries.append(column)
    return entries
