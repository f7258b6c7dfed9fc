"""Python's own values as a column: numbers of several types, values that differ in type, and what arrow cannot hold."""

from __future__ import annotations

import datetime
import enum
import json
import logging
import re
from collections.abc import Sequence
from decimal import Decimal
from numbers import Real
from pathlib import PurePath
from typing import Any
from uuid import UUID

import numpy as np
import pyarrow as pa

from sfumato.errors import SfumatoError

logger = logging.getLogger("sfumato.data")

TYPES_FIELD = "sfumato.words"
"""Mark of a field of text whose words were values of several types: the names of those, as a JSON list."""

SPELT = (str, bool, int, float, Decimal, datetime.date, datetime.time, datetime.timedelta, UUID, PurePath, enum.Enum)
"""Types of values that stand for labels by the word that `str` makes of them."""

IS_WHOLE = re.compile(r"[+-]?\d+").fullmatch


def column(name: str, values: Any) -> tuple[pa.Array, dict[str, str]]:
    """Values of one column as an arrow array, missing ones null, and the marks of its field.

    Where they are not of one type, all numbers become floats, dates among times become times, and all else becomes
    words, which `objects` reads back. Half a character (a lone surrogate) becomes `�`, with a warning.

    >>> array, marks = column("n", [1, "a", None])
    >>> array.to_pylist(), objects(array.to_pylist(), marks)
    (['1', 'a', None], [1, 'a', None])

    Raises:
        SfumatoError: naming the column, if a value is of a kind that no table holds.
    """
    try:
        converted = pa.array(values, from_pandas=True)
        array = converted.combine_chunks() if isinstance(converted, pa.ChunkedArray) else converted
        if not (pa.types.is_date(array.type) and _has_times(values)):
            return array, {}
    except (pa.ArrowException, TypeError, ValueError, OverflowError):
        pass
    return _differing(name, [_plainly(value) for value in values])


def objects(words: Sequence[str | None], marks: dict[str, str]) -> list[Any]:
    """Words as the values they were: as numbers and booleans where they are spelt so and such were among them."""
    kinds = json.loads(marks[TYPES_FIELD])
    return [None if word is None else _value(word, kinds) for word in words]


def _value(word: str, kinds: Sequence[str]) -> Any:
    if "bool" in kinds and word in ("True", "False"):
        return word == "True"
    if "int" in kinds and IS_WHOLE(word):
        return int(word)
    if "float" in kinds:
        try:
            return float(word)
        except ValueError:
            return word
    return word


def _plainly(value: Any) -> Any:
    """A value without the wrapping of numpy, torch or pandas, None where missing; of an enumeration its name."""
    if value is None or type(value).__name__ in ("NAType", "NaTType"):
        return None
    if isinstance(value, np.datetime64 | np.timedelta64):
        value = None if np.isnat(value) else value.astype(f"{value.dtype.kind}8[us]").item()
    elif isinstance(value, np.generic) or getattr(value, "ndim", None) == 0:
        value = value.item()
    if isinstance(value, enum.Enum) and not isinstance(value, str | int | float):
        value = value.name
    if isinstance(value, str):
        return str(value)
    return None if isinstance(value, float | Decimal) and value != value else value


def _has_times(values: Any) -> bool:
    """Whether there are times among dates, of which arrow would leave the day alone."""
    objects = not hasattr(values, "dtype") or values.dtype.kind == "O"
    return objects and any(isinstance(value, datetime.datetime) and value == value for value in values)


def _differing(name: str, values: list[Any]) -> tuple[pa.Array, dict[str, str]]:
    present = [value for value in values if value is not None]
    types = {type(value) for value in present}
    if len(types) == 1 and next(iter(types)).__name__ in ("Period", "Interval"):
        return _of_pandas(name, values), {}
    if all(issubclass(kind, str) for kind in types):
        return _whole(name, values), {}
    if all(issubclass(kind, datetime.date) for kind in types):
        return _made(name, [_moment(value) for value in values], None), {}
    big = any(issubclass(kind, int) for kind in types) and any(
        isinstance(value, int) and abs(value) >= 2**63 for value in present
    )
    if all(issubclass(kind, Real | Decimal) and kind is not bool for kind in types) and not big:
        return _made(name, [None if value is None else float(value) for value in values], pa.float64()), {}
    wrong = next((value for value in present if not isinstance(value, SPELT)), None)
    if wrong is not None:
        raise SfumatoError(
            f"column {name!r} holds {_kind(wrong)}, which is no value of a table; make it a number or text, as with "
            f"frame[{name!r}].map(str), or take it out"
        )
    kinds = sorted({kind.__name__ for kind in types if kind in (bool, int, float)})
    words = _whole(name, [None if value is None else str(value) for value in values])
    return words, {TYPES_FIELD: json.dumps(kinds)}


def _of_pandas(name: str, values: list[Any]) -> pa.Array:
    """Nothing but periods of one frequency, or intervals of one kind."""
    import pandas as pd

    try:
        return pa.array(pd.array(values), from_pandas=True)
    except (pa.ArrowException, TypeError, ValueError):
        raise SfumatoError(
            f"column {name!r} holds periods or intervals of several kinds; make them one, or text, as with "
            f"frame[{name!r}].map(str)"
        ) from None


def _kind(value: Any) -> str:
    return f"values of type {type(value).__name__}"


def _moment(value: Any) -> Any:
    if value is None or isinstance(value, datetime.datetime):
        return value
    return datetime.datetime(value.year, value.month, value.day)


def _made(name: str, values: list[Any], kind: pa.DataType | None) -> pa.Array:
    try:
        return pa.array(values, kind)
    except (pa.ArrowException, TypeError, OverflowError, ValueError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise SfumatoError(
            f"column {name!r} cannot be read as one kind of value ({reason}); convert it, or take it out"
        ) from None


def _whole(name: str, words: list[str | None]) -> pa.Array:
    """Text; a lone surrogate, which UTF-8 cannot hold, becomes the mark of what is no character."""
    spelt = [word if word is None else repaired(word) for word in words]
    count = sum(old != new for old, new in zip(words, spelt, strict=True))
    if count:
        rows = "1 value holds" if count == 1 else f"{count} values hold"
        logger.warning("column %r: %s half a character (a lone surrogate); taken as \ufffd", name, rows)
    return pa.array(spelt, pa.string())


def repaired(word: str) -> str:
    """A word whose lone surrogates are `�`.

    >>> repaired("caf\\udce9"), repaired("é")
    ('caf�', 'é')
    """
    if word.isascii():
        return word
    return word.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
