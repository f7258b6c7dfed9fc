"""What an anomaly detector is given: rows, or one long series that is cut into windows."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from sfumato import data
from sfumato.data.columns.base import is_number
from sfumato.data.core.options import DataOptions
from sfumato.data.core.schema import Schema
from sfumato.data.io import arrays, frames
from sfumato.data.io.in_memory import unpacked
from sfumato.data.sequences import sequence_io
from sfumato.data.sequences.series import Series
from sfumato.errors import SfumatoError, did_you_mean


class LongSeries(NamedTuple):
    """One series.

    Attributes:
        values: (T, D), in the order of time, NaN where missing.
        names: of the D channels.
        times: of the steps as the source has them; None where it has none.
    """

    values: np.ndarray
    names: tuple[str, ...]
    times: list[Any] | None


class Opened(NamedTuple):
    """Examples that were read.

    Attributes:
        schema: of them.
        raw: as the schema reads them.
        names: of the channels, where they are series as rows of numbers, step by step; None for all else.
    """

    schema: Schema
    raw: Any
    names: tuple[str, ...] | None = None


def long_series(X: Any, time: str | None = None) -> LongSeries:
    """An array (T,) or (T, D), or a table with one or several columns of numbers and possibly one of times.

    Args:
        X: the series, or its file.
        time: column of times, by which rows are sorted; None takes the first column of dates, if there is one.

    Raises:
        SfumatoError: if there is no column of numbers, no such column of times, or fewer than 20 steps.
    """
    is_array_file = isinstance(X, str | Path) and Path(X).suffix in (".npy", ".npz")
    if is_array_file or isinstance(X, np.ndarray | list):
        values = arrays.load(X).x if is_array_file else np.asarray(X)
        values = np.asarray(values, np.float64).reshape(len(values), -1)
        names = tuple(f"x{place + 1}" for place in range(values.shape[1]))
        return _checked(LongSeries(values, names, None), X)
    table = frames.read(X, keep=[] if time is None else [time])[0]
    if time is not None and time not in table.column_names:
        raise SfumatoError(f"time {time!r} is no column; {did_you_mean(time, table.column_names)}")
    dates = [name for name in table.column_names if pa.types.is_temporal(table[name].type)]
    if time is None and dates:
        time = dates[0]
    if time is not None:
        table = table.sort_by(time)
    names = tuple(name for name in table.column_names if name != time and is_number(table[name].type))
    if not names:
        raise SfumatoError(f"{X}: has no column of numbers; a series is one or several columns of them")
    columns = [table[name].cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False) for name in names]
    return _checked(LongSeries(np.stack(columns, 1), names, None if time is None else table[time].to_pylist()), X)


def _checked(series: LongSeries, X: Any) -> LongSeries:
    where = str(X) if isinstance(X, str | Path) else "X"
    if len(series.values) < 20:
        raise SfumatoError(f"{where}: a series of {len(series.values)} steps is too short for windows; give 20 or more")
    arrays.check_finite(series.values, where)
    return series


def opened(X: Any, options: DataOptions, *, flat: bool) -> Opened:
    """A source, read.

    Args:
        X: what `sfumato.data.open` takes.
        options: how it is read.
        flat: take sequences of numbers as rows of numbers, step by step.

    Raises:
        SfumatoError: if it cannot be read.
    """
    schema = data.open(X, options=options).schema
    raw = schema.read(X)
    if not flat or not isinstance(raw, Series):
        return Opened(schema, raw)
    rows = raw.x.reshape(len(raw), -1)
    return Opened(data.open(rows).schema, rows, raw.names)


def step_by_step(X: Any) -> np.ndarray:
    """Series as rows of numbers, step by step, (N, T·D).

    Args:
        X: series, or their file.

    Raises:
        SfumatoError: if they cannot be read.
    """
    series = sequence_io.load(unpacked(X), id=None, time=None, label=None)
    return series.x.reshape(len(series), -1)


def count(schema: Schema, raw: Any) -> int:
    """How many examples there are."""
    first = raw[0] if isinstance(raw, tuple) else raw
    return len(first) if hasattr(first, "__len__") else len(schema.encode(raw).x)
