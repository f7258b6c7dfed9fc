"""What kind of column it is, and the way to learn it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from sfumato.data.columns.base import LARGEST_WHOLE, Column, Form, is_number, is_text, plain, without_nan
from sfumato.data.columns.category import Category
from sfumato.data.columns.fixed import FEWEST_IDS, Constant, Identifier, near_unique
from sfumato.data.columns.missing import MISSING_AMONG_NUMBERS, without
from sfumato.data.columns.number import Number, check, number_from_dict
from sfumato.data.columns.ruler import spelled
from sfumato.data.columns.styles import Style, flattening
from sfumato.data.columns.times import COMPACT, MIN_DATES, find_whole
from sfumato.errors import SfumatoError


def infer(name: str, values: pa.ChunkedArray | pa.Array) -> str:
    """The kind of a column, from its type and its distinct values.

    * one distinct value, or none: constant
    * booleans, text true/false, the numbers 0 and 1: boolean
    * dates, times, durations, text that spells them all in one way (31/01/2024), and whole numbers that all are dates
      (20240131): datetime
    * text that spells numbers with signs and separators ($1,314, 13.5%, 1.234,56): integer or continuous
    * whole numbers 1 apart, each once, in at least 20 rows: identifier; other whole numbers, in whatever type: integer
    * other numbers: continuous
    * text of which a value is that of at most two rows on average, in at least 20 rows: identifier; other text, and
      any column that came with a list of its categories: categorical

    Raises:
        SfumatoError: if the column holds values of a type that is no column of a table.

    >>> infer("age", pa.array([31.0, None, 45.0]))
    'integer'
    """
    declared = pa.types.is_dictionary(values.type)
    flat = without_nan(plain(values)) if supported(values.type) else values
    if (cure := flattening(name, values)) is not None:
        raise SfumatoError(cure)
    if not supported(values.type):
        raise SfumatoError(f"column {name!r} holds {values.type}, which is no value of a table; drop it")
    if flat.null_count == len(flat):
        return "constant"
    distinct = pc.count_distinct(flat, mode="only_valid").as_py()
    unique = distinct == len(flat) >= FEWEST_IDS
    kind = flat.type
    if distinct == 1:
        return "constant"
    if pa.types.is_boolean(kind):
        return "boolean"
    if pa.types.is_temporal(kind):
        return "categorical" if declared else "datetime"
    if is_number(kind):
        return "categorical" if declared else _number(flat, distinct, unique)
    if distinct == 2 and set(pc.utf8_lower(flat.unique().drop_null()).to_pylist()) == {"true", "false"}:
        return "boolean"
    if declared:
        return "categorical"
    own = near_unique(distinct, len(flat) - flat.null_count)
    return _text(flat) or ("identifier" if own else "categorical")


def _text(values: pa.Array) -> str | None:
    """The kind of text that spells times or numbers, if it does, words for missing values left aside."""
    words = without(values.cast(pa.string()), MISSING_AMONG_NUMBERS).drop_null()
    if not len(words) or not pc.match_substring_regex(words[:1], r"\d")[0].as_py():
        return None
    if (spelling := spelled(words)) is not None and (len(words.unique()) >= MIN_DATES or spelling not in COMPACT):
        return "datetime"
    style = Style.find(words)
    if style is None:
        return None
    numbers = style.parse(words)
    return "integer" if style.digits == 0 and pc.all(pc.equal(numbers, pc.round(numbers))).as_py() else "continuous"


def supported(kind: pa.DataType) -> bool:
    """Whether values of this type can stand in a table."""
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    simple = is_text(kind) or is_number(kind) or pa.types.is_boolean(kind) or pa.types.is_null(kind)
    return simple or (pa.types.is_temporal(kind) and not pa.types.is_interval(kind))


def _number(values: pa.Array, distinct: int, unique: bool) -> str:
    if pa.types.is_decimal(values.type):
        if values.type.scale <= 0 and (pc.max(pc.abs(values.cast(pa.float64()))).as_py() or 0) > LARGEST_WHOLE:
            return "identifier" if unique else "categorical"
        # Rounding to whole numbers may not fit the digits of the type.
        values = values.cast(pa.float64())
    ends = pc.min_max(values).as_py()
    if distinct == 2 and (ends["min"], ends["max"]) == (0, 1):
        return "boolean"
    if pa.types.is_integer(values.type):
        if find_whole(values) is not None:
            return "datetime"
        if max(abs(ends["min"]), abs(ends["max"])) > LARGEST_WHOLE:
            return "identifier" if unique else "categorical"
        return "identifier" if unique and ends["max"] - ends["min"] + 1 == distinct else "integer"
    if abs(ends["min"]) > 2**53 or abs(ends["max"]) > 2**53:
        return "continuous"
    if not pc.all(pc.equal(values, pc.round(values))).as_py():
        return "continuous"
    return "integer" if find_whole(values.cast(pa.int64())) is None else "datetime"


def learn(
    name: str, kind: str, field: pa.Field, values: pa.ChunkedArray, cells: int | None, *, whole: bool = True
) -> Column:
    """Learn one column of the training rows.

    Args:
        name, kind: of the column.
        field, values: as arrow has it.
        cells: how many a number is cut into, at most; None standardises it instead.
        whole: whether every category has an entry of its own, however many there are.

    Raises:
        SfumatoError: if it holds a value that is not of this kind.
    """
    form, flat = Form.of(field, values), without_nan(plain(values))
    if flat.null_count == len(flat):
        return Constant(name, "constant", form, 1.0)
    if pa.types.is_floating(flat.type):
        check(name, "continuous", flat)
    if kind == "constant":
        return Constant.learn(name, kind, form, flat)
    if kind == "identifier":
        return Identifier.learn(name, kind, form, flat)
    if kind in ("categorical", "boolean"):
        column = Category.learn(name, kind, form, flat, whole=whole)
        if kind == "boolean" and len(column.labels) > 2:
            raise SfumatoError(
                f"column {name!r} has {len(column.labels)} values and cannot be boolean; set it to categorical"
            )
        return column
    return Number.learn(name, kind, form, flat, cells)


def load(values: Mapping[str, Any]) -> Column:
    """A column from its `to_dict`."""
    rest = dict(values)
    style, name, kind = rest.pop("style"), rest.pop("name"), rest.pop("kind")
    form, missing = Form.from_dict(rest.pop("form")), rest.pop("missing")
    if style == "number":
        return number_from_dict(name, kind, form, missing, rest)
    plainly: dict[str, type[Category] | type[Constant] | type[Identifier]] = {
        "category": Category,
        "constant": Constant,
        "identifier": Identifier,
    }
    return plainly[style](name, kind, form, missing, **rest)
