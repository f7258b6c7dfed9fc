"""What rows of a table must keep, as a user states it: ranges of columns, rules between them, values of their own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from sfumato.data.columns.base import Column, is_number, plain, shown
from sfumato.data.tables.rules.expressions import Expression, Operand
from sfumato.data.tables.schema import TableSchema
from sfumato.errors import SfumatoError, did_you_mean

RangeOf = str | tuple[Any, Any] | Sequence[Any]
"""The least and the largest value, either of them None for no end; or both as text, `18..99`."""


class Constraints:
    """Ranges, rules and columns without repeats, checked on rows as they are written.

    A cell that is missing breaks nothing.

    Arguments:
        schema: of the table.
        ranges: name of a column → its least and largest value.
        rules: comparisons of columns, see `sfumato.data.tables.rules.expressions`.
        unique: columns no value of which stands twice.

    Raises:
        SfumatoError: if a column is not there, a range has no ends, or a rule cannot be read.

    >>> from sfumato.data.core.options import DataOptions
    >>> rows = pa.table({"a": [1, 2, 3, 4, 9], "b": [2, 2, 2, 5, None]})
    >>> kept = Constraints(TableSchema.learn(rows, DataOptions()), {"a": "2..9"}, ["a <= b"], ["b"])
    >>> {name: broken.tolist() for name, broken in kept.broken(rows).items()}
    {'range a=2..9': [True, False, False, False, False], "rule 'a <= b'": [False, False, True, False, False]}
    >>> kept.repeated(rows)["unique b"].tolist()
    [False, True, True, False, False]
    """

    def __init__(
        self,
        schema: TableSchema,
        ranges: Mapping[str, RangeOf] | None = None,
        rules: Sequence[str] = (),
        unique: Sequence[str] = (),
    ) -> None:
        self._columns = {column.name: column for column in schema.columns}
        self._ranges = {name: self._ends(name, ends) for name, ends in (ranges or {}).items()}
        rules = (rules,) if isinstance(rules, str) else rules
        self._rules = [Expression(rule, tuple(self._columns)) for rule in rules]
        self._unique = [
            self._column(name, "unique").name for name in ((unique,) if isinstance(unique, str) else unique)
        ]

    def __bool__(self) -> bool:
        return bool(self._ranges or self._rules or self._unique)

    def broken(self, table: pa.Table) -> dict[str, np.ndarray]:
        """Each range and each rule → which rows do not keep it, (N,)."""
        named = frozenset(self._ranges).union(*(rule.named for rule in self._rules))
        operands = {name: self._operand(self._columns[name], table) for name in named}
        broken = {}
        for name, (words, low, high) in self._ranges.items():
            values = operands[name].values
            broken[f"range {name}={words}"] = (values < low) | (values > high)
        return broken | {f"rule {rule.text!r}": rule.broken(operands) for rule in self._rules}

    def repeated(self, table: pa.Table) -> dict[str, np.ndarray]:
        """Each column without repeats → which rows have a value that stands in a row before them, (N,)."""
        repeated = {}
        for name in self._unique:
            codes = plain(table[name]).dictionary_encode().indices
            codes = codes.fill_null(-1).to_numpy(zero_copy_only=False)
            first = np.zeros(len(codes), bool)
            first[np.unique(codes, return_index=True)[1]] = True
            repeated[f"unique {name}"] = ~first & (codes >= 0)
        return repeated

    def _column(self, name: str, what: str) -> Column:
        if name not in self._columns:
            raise SfumatoError(f"{what} {name!r} is not a column; {did_you_mean(name, self._columns)}")
        return self._columns[name]

    def _ends(self, name: str, ends: RangeOf) -> tuple[str, float, float]:
        """A range as it is shown, and its ends as numbers."""
        column, wrong = self._column(name, "range"), f"range {name}={ends}: "
        if isinstance(ends, str):
            low, dots, high = ends.partition("..")
            if not dots:
                raise SfumatoError(f"{wrong}write it as {name}=LOW..HIGH, as 18..99; either may be left out")
            ends = (low.strip() or None, high.strip() or None)
        if len(ends) != 2 or ends[0] is ends[1] is None:
            raise SfumatoError(f"{wrong}give the least value, the largest, or both")
        if _numbers(column, pa.nulls(1)) is None:
            raise SfumatoError(f"{wrong}{name} is {column.kind}, which has no order; ranges are of numbers and times")
        least = -np.inf if ends[0] is None else _read(column, ends[0])
        most = np.inf if ends[1] is None else _read(column, ends[1])
        if least > most:
            raise SfumatoError(f"{wrong}the first is above the second; exchange them")
        return "..".join("" if end is None else str(end) for end in ends), least, most

    def _operand(self, column: Column, table: pa.Table) -> Operand:
        values = plain(table[column.name])
        numbers = _numbers(column, values)
        if numbers is not None:
            return Operand(numbers, read=lambda word: _read(column, word))
        words = values.cast(pa.string()).to_numpy(zero_copy_only=False)
        return Operand(np.array(words, object))


def _numbers(column: Column, values: pa.Array) -> np.ndarray | None:
    """Values of a column as numbers; also of identifiers, constants and categories that are numbers or booleans."""
    numbers, kind = column.to_numbers(values), column.form.type
    if numbers is None and (is_number(kind) or pa.types.is_boolean(kind)):
        return np.asarray(values.cast(kind).cast(pa.float64()).to_numpy(zero_copy_only=False), float)
    return numbers


def _read(column: Column, value: Any) -> float:
    """A value that a person typed or passed, as the column's numbers.

    Raises:
        SfumatoError: if the column cannot take it.
    """
    if isinstance(value, float | int) and column.kind not in ("datetime",):
        return float(value)
    try:
        numbers = _numbers(column, pa.array([value]))
    except (SfumatoError, pa.ArrowException):
        numbers = None
    if numbers is None or np.isnan(numbers[0]):
        raise SfumatoError(f"{shown(value)} is no value of column {column.name!r}, which holds {column.kind} values")
    return float(numbers[0])
