"""What is wished of blank cells: values, ranges and categories that columns are to have, as sets that blanks lie in."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sfumato.data.columns.base import Column, plain, shown, without_nan
from sfumato.data.columns.category import Category
from sfumato.data.columns.flags import Flag
from sfumato.data.columns.number import Number
from sfumato.data.core.blanks import Sets
from sfumato.data.tables.dependence import Dependence
from sfumato.data.tables.table_columns import TableColumns
from sfumato.errors import SfumatoError, did_you_mean

NO_VALUE = "missing"
"""What a wish for a missing cell is called."""
_MISSING_NAMES = b"sfumato.stay_missing"
"""Key of the metadata of rows with blanks that names the columns whose blank cells are to stay missing."""


def coalesced(own: pa.Array, new: pa.Array) -> pa.Array:
    """The first where it is there, else the second; in the type of the second where the first fits into it."""
    try:
        return pc.coalesce(own.cast(new.type), new)
    except pa.ArrowException:
        return pc.coalesce(own, new.cast(own.type, safe=False))


def with_fixed(schema: TableColumns, raw: pa.Table, fix: Mapping[str, Any]) -> tuple[pa.Table, Sets]:
    """Rows with single values that `fix` states in their blank cells, and the sets that it states.

    Args:
        schema: of the table.
        raw: rows as `read_with_blanks` gives them.
        fix: name of a column → a value; a range of numbers or times, as `"30..40"` or (30, 40), an end of which may be
            left out; several categories, as `"CH,AT"` or a list; or `"missing"`.

    Raises:
        SfumatoError: if a column is not there or not modelled, or cannot take a value.
    """
    columns = {column.name: column for column in schema.columns}
    sets: Sets = {}
    for name, wanted in fix.items():
        if name not in columns:
            raise SfumatoError(f"fix {name!r} is not a column; {did_you_mean(name, columns)}")
        column = columns[name]
        if _is_missing(column, wanted):
            raw = _with_missing(schema, raw, name)
            continue
        if column.field is None:
            raise SfumatoError(f"fix {name!r}: a {column.kind}, which is not modelled; leave it out")
        values = _values(column, wanted)
        if isinstance(values, list) and len(values) == 1:
            own = without_nan(plain(raw[name]))
            single = column.fit(pa.array(values))
            raw = raw.set_column(raw.column_names.index(name), name, coalesced(own, pa.repeat(single[0], len(raw))))
            continue
        if name in schema.given_names:
            raise SfumatoError(f"fix {name!r}: a condition of this model, which takes one value; give one")
        follows = next((one for one in schema.dependences if one.column is column), None)
        allowed = _allowed(column, values) if follows is None else _keys_with(follows, column, values)
        place = schema.place(column if follows is None else follows.determinant)
        if not (allowed[1] > allowed[0]).any() and np.ndim(allowed[0]):
            raise SfumatoError(f"fix {name}={_typed(wanted)}: out of the range seen in training ({column.range})")
        sets[place] = _both(sets.get(place), allowed)
    return raw, sets


def _is_missing(column: Column, wanted: Any) -> bool:
    """Whether a wish is the word for a missing cell, and no category of the column."""
    known = column.known.to_pylist() if isinstance(column, Category) else ()
    return isinstance(wanted, str) and wanted == NO_VALUE and NO_VALUE not in known


def _with_missing(schema: TableColumns, raw: pa.Table, name: str) -> pa.Table:
    """Rows that remember that the blank cells of a column are to stay missing."""
    flagged = {column.name for entry in schema.entries if isinstance(entry, Flag) for column in entry.columns}
    if name not in flagged:
        raise SfumatoError(
            f"fix {name}={NO_VALUE}: the model does not know when {name} is missing, as no cell of it was in training "
            "or missing_cells was off; leave it out"
        )
    names = sorted({*wanted_missing(raw), name})
    return raw.replace_schema_metadata({**(raw.schema.metadata or {}), _MISSING_NAMES: json.dumps(names).encode()})


def wanted_missing(raw: pa.Table) -> list[str]:
    """The columns whose blank cells are to stay missing."""
    names: list[str] = json.loads((raw.schema.metadata or {}).get(_MISSING_NAMES, b"[]"))
    return names


def sets_from_dependences(schema: TableColumns, raw: pa.Table, sets: Sets) -> Sets:
    """`sets`, and what known cells of columns that follow from another say of that one where it is blank, (N, K)."""
    sets = dict(sets)
    for one in schema.dependences:
        y = without_nan(plain(raw[one.column.name]))
        if y.null_count == len(y) or not one.determinant.absent(plain(raw[one.determinant.name])).any():
            continue
        results = one.values.drop_null().unique()
        codes = pc.fill_null(pc.index_in(one.column.fit(y).cast(results.type), value_set=results), len(results))
        field = one.determinant.field
        assert field is not None, "what others follow from is modelled"
        table = np.zeros((len(results) + 1, field.size))
        keys, values = _pairs(one)
        table[pc.index_in(values, value_set=results).to_numpy(), one.determinant.encode(keys).astype(np.int64)] = 1.0
        table[table.sum(1) == 0] = 1.0
        high = table[codes.to_numpy()]
        place = schema.place(one.determinant)
        sets[place] = _both(sets.get(place), (np.zeros_like(high), high))
    return sets


def _both(first: tuple[np.ndarray, np.ndarray] | None, second: tuple[np.ndarray, np.ndarray]) -> Any:
    """Values that lie in both of two sets."""
    return second if first is None else (np.maximum(first[0], second[0]), np.minimum(first[1], second[1]))


def _typed(wanted: Any) -> str:
    return wanted if isinstance(wanted, str) else ",".join(map(str, wanted)) if _is_several(wanted) else str(wanted)


def _is_several(wanted: Any) -> bool:
    return isinstance(wanted, Collection) and not isinstance(wanted, str | bytes)


def _values(column: Column, wanted: Any) -> list[Any] | tuple[Any, Any]:
    """What is stated of a column: a list of values, or the two ends of a range, None for no end."""
    if isinstance(column, Category):
        known = {str(label) for label in column.known.to_pylist()}
        if isinstance(wanted, str) and wanted not in known:
            wanted = [word.strip() for word in wanted.split(",")]
        values = list(wanted) if _is_several(wanted) else [wanted]
        entries = np.unique(column.condition(values))
        labels: list[Any] = column.decode(entries).to_pylist()
        return labels
    if isinstance(wanted, str) and ".." in wanted:
        low, _, high = wanted.partition("..")
        wanted = (low.strip() or None, high.strip() or None)
    if not _is_several(wanted):
        return [wanted]
    if len(wanted) != 2 or all(end is None for end in wanted):
        raise SfumatoError(
            f"fix {column.name}={_typed(wanted)}: of a column of {column.kind} values give one, or a range as "
            f"{column.name}=LOW..HIGH, an end of which may be left out"
        )
    low, high = wanted
    return low, high


def _allowed(column: Column, values: list[Any] | tuple[Any, Any]) -> tuple[np.ndarray, np.ndarray]:
    """From where to where in each cell of a column these values lie."""
    if isinstance(values, list):
        field = column.field
        assert field is not None, "a column that is fixed is modelled"
        high = np.zeros(field.size)
        high[column.condition(values).astype(np.int64)] = 1.0
        return np.zeros_like(high), high
    assert isinstance(column, Number), "ranges are of numbers"
    least, most = (None if end is None else _number(column, end) for end in values)
    if least is not None and most is not None and least > most:
        raise SfumatoError(f"fix {column.name}={values[0]}..{values[1]}: the first is above the second; exchange them")
    return column.cut.between(least, most)


def _number(column: Number, value: Any) -> float:
    try:
        return float(column.ruler.numbers(column.fit(pa.array([value])))[0])
    except (SfumatoError, pa.ArrowException):
        raise SfumatoError(f"fix {column.name}: {shown(value)} is no {column.kind} value; give one") from None


def _keys_with(one: Dependence, column: Column, values: list[Any] | tuple[Any, Any]) -> tuple[np.ndarray, np.ndarray]:
    """The cells of a determinant whose column lies among these values."""
    low, high = _allowed(column, values)
    keys, values_of_keys = _pairs(one)
    entries = column.encode(values_of_keys)
    cell = entries.astype(np.int64)
    inside = (entries - cell >= low[cell]) & (entries - cell <= high[cell]) & (high[cell] > low[cell])
    field = one.determinant.field
    assert field is not None, "what others follow from is modelled"
    allowed = np.zeros(field.size)
    allowed[one.determinant.encode(keys).astype(np.int64)[inside]] = 1.0
    return np.zeros_like(allowed), allowed


def _pairs(one: Dependence) -> tuple[pa.Array, pa.Array]:
    """The values x and f(x) of a dependence, where neither is missing."""
    there = pc.and_(pc.is_valid(one.keys), pc.is_valid(one.values))
    return one.keys.filter(there), one.values.filter(there)
