"""Times of the steps of sequences: columns of a table as numbers, and numbers as the column they came from."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sfumato.data.columns import supported
from sfumato.data.columns.base import is_number, is_text, plain, shown
from sfumato.data.columns.ruler import as_words, spelled
from sfumato.data.columns.times import find_whole, has_date, parse
from sfumato.errors import SfumatoError

DAY_SECONDS, LAST, LAST_NS = 86_400, 253_402_300_799, 9_200_000_000
"""Seconds of a day, and those since 1970 to the end of the year 9999 and to that of nanoseconds in 64 bits."""


def as_stamps(times: np.ndarray, dates: str) -> pa.Array:
    """Times (N,) as a table's column has them: whole numbers where all are, or dates of the type `dates` names.

    >>> as_stamps(np.array([0.0, 90061.0]), "timestamp[s]")[1].as_py()
    datetime.datetime(1970, 1, 2, 1, 1, 1)

    Raises:
        SfumatoError: for a date beyond the year 9999.
    """
    none = ~np.isfinite(times)
    if not dates:
        whole = not none.any() and (np.abs(times) < 2**53).all() and (times == np.round(times)).all()
        return pa.array(times.astype(np.int64) if whole else times)
    kind = _type_of(dates)
    times = np.where(none, 0.0, times)
    if pa.types.is_time(kind):
        times = times % DAY_SECONDS
    elif (times > LAST).any():
        raise SfumatoError("the times lie beyond the year 9999: give shorter jumps")
    elif pa.types.is_timestamp(kind) and kind.unit == "ns" and (np.abs(times) > LAST_NS).any():
        kind = pa.timestamp("us", kind.tz)
    return pa.array(np.round(times * 1e6).astype(np.int64), _micro(kind), mask=none).cast(kind, safe=False)


def sort_of_times(dates: str) -> str:
    """Whether times are dates, times of day, or numbers, which lengths of time in seconds are too.

    >>> sort_of_times("timestamp[s]"), sort_of_times("time32[s]"), sort_of_times("duration[us]"), sort_of_times("")
    ('dates', 'times of day', 'numbers', 'numbers')
    """
    if not dates or pa.types.is_duration(_type_of(dates)):
        return "numbers"
    return "times of day" if pa.types.is_time(_type_of(dates)) else "dates"


def _type_of(dates: str) -> pa.DataType:
    """The type that is written so; arrow itself reads none with a time zone."""
    unit, _, zone = dates.removeprefix("timestamp[").removesuffix("]").partition(", tz=")
    return pa.timestamp(unit, zone) if zone else pa.type_for_alias(dates)


def _micro(kind: pa.DataType) -> pa.DataType:
    """The type of times that are counted in microseconds, of the sort `kind` is."""
    if pa.types.is_duration(kind):
        return pa.duration("us")
    return pa.time64("us") if pa.types.is_time(kind) else pa.timestamp("us", getattr(kind, "tz", None))


def as_moments(column: pa.ChunkedArray, name: str, column_name: str) -> pa.ChunkedArray:
    """A column of times; text and whole numbers that spell dates in one way as dates, as tables take them.

    Raises:
        SfumatoError: for other text.
    """
    words = plain(column) if supported(column.type) else column
    if pa.types.is_integer(words.type) and find_whole(words) is not None:
        words = as_words(words)
    if not is_text(words.type):
        return column
    present = words.drop_null()
    spelling = spelled(present) if len(present) else None
    if spelling is None:
        shows = f", as {shown(present[0].as_py())}" if len(present) else ""
        raise SfumatoError(
            f"{name}: column {column_name!r} holds text{shows}, which is not all dates spelt in one way; "
            "write its times as 2024-05-31 18:30:00, or as numbers"
        )
    moments = parse(words, spelling)
    if not has_date(spelling):
        return pa.chunked_array([moments.cast(pa.int64()).cast(pa.int32()).cast(pa.time32("s"))])
    return pa.chunked_array([pc.assume_timezone(moments, "UTC") if spelling.endswith("Z") else moments])


def as_numbers(column: pa.ChunkedArray, name: str, column_name: str) -> np.ndarray:
    """A column as floats; dates, times and spans of time as seconds."""
    if pa.types.is_temporal(column.type):
        moments = column.cast(_micro(column.type), safe=False).cast(pa.int64())
        column = pc.divide(moments.cast(pa.float64(), safe=False), 1e6)
    elif pa.types.is_boolean(column.type):
        column = column.cast(pa.int8())
    elif not is_number(column.type):
        raise SfumatoError(
            f"{name}: column {column_name!r} holds {column.type}, not numbers; leave it out (--drop {column_name})"
        )
    values: np.ndarray = column.cast(pa.float64(), safe=False).combine_chunks().to_numpy(zero_copy_only=False)
    if np.isinf(values).any():
        raise SfumatoError(
            f"{name}: column {column_name!r}, row {int(np.argmax(np.isinf(values))) + 1} is infinite; fix it"
        )
    return values
