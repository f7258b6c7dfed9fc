"""Sequences in: arrays of numbers or images, `.ts` files of the archive, long tables of id, time and values."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from typing import Any, NotRequired, TypedDict, Unpack

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sfumato.data.columns import supported
from sfumato.data.columns.base import is_number, is_text, plain
from sfumato.data.columns.ruler import spelled
from sfumato.data.columns.times import has_date
from sfumato.data.io import arrays, frames, ts, video_files
from sfumato.data.sequences.series import FLAT, Keys, Series
from sfumato.data.sequences.stamps import as_moments, as_numbers, as_stamps
from sfumato.errors import SfumatoError, did_you_mean

TS = ".ts"
FORECAST_COLUMNS = ("future", "ahead")
"""Columns of what `sfumato forecast` writes, whose names no channel can have."""


class ColumnRoles(TypedDict):
    """What the columns of a long table are, as `from_table` takes them."""

    id: str | None
    time: str | None
    label: str | None
    drop: NotRequired[tuple[str, ...]]
    channels: NotRequired[tuple[str, ...] | None]


class VideoSize(TypedDict):
    """What size frames of videos are brought to, as `video_files.load` takes it."""

    size: NotRequired[int | None]
    shape: NotRequired[tuple[int, ...]]


def load(source: Any, video: VideoSize | None = None, **columns: Unpack[ColumnRoles]) -> Series:
    """Whatever of these `source` is.

    Args:
        source: the sequences.
        video: the size of frames, where it is chosen or known.
        columns: of a long table.

    Raises:
        SfumatoError: if it is none of them, or its numbers cannot be used.
    """
    if isinstance(source, Series):
        return source
    source_name = str(source) if isinstance(source, str | Path) else "X"
    source = with_index(source)
    if arrays.is_array(source) and (padded := _padded(source)) is not None:
        return padded
    if isinstance(source, str | Path):
        if not Path(source).exists():
            raise SfumatoError(f"{source}: no such file; check the name and the folder")
        if Path(source).suffix.lower() == TS:
            return from_ts(Path(source))
        if video_files.is_videos(Path(source)) and not frames.is_parts(Path(source)):
            clips = video_files.load(Path(source), **(video or {}))
            return replace(from_array(clips.frames, clips.labels, source_name), files=tuple(clips.names))
    if arrays.is_array(source) or (isinstance(source, str | Path) and Path(source).suffix in (".npy", ".npz")):
        loaded = arrays.load(source, most=5)
        return from_array(loaded.x, loaded.labels, source_name if isinstance(source, str | Path) else loaded.name)
    keep = [name for name in (columns["id"], columns["time"], columns["label"]) if name is not None]
    return from_table(frames.read(source, keep=keep)[0], source_name, **columns)


def with_index(source: Any) -> Any:
    """A pandas frame, or a Series as such, with an index of dates as a column; all else as it is."""
    if type(source).__module__.partition(".")[0] != "pandas" or not hasattr(source, "index"):
        return source
    if source.ndim == 1:
        source = source.to_frame(FLAT[0] if source.name is None else str(source.name))
    index = source.index.to_timestamp() if hasattr(source.index, "to_timestamp") else source.index
    if getattr(index.dtype, "kind", "") != "M":
        return source
    return source.set_axis(index.rename(index.name or "time")).reset_index()


def _padded(source: Any) -> Series | None:
    """One long array of numbers as a single sequence, and a list of such of several lengths as theirs; else None.

    Raises:
        SfumatoError: if arrays in a list have several numbers of channels.
    """
    x, labels = source if isinstance(source, tuple) else (source, None)
    if not isinstance(x, list):
        values = arrays.as_array(x, "X")
        return from_array(values[None], labels) if values.ndim == 1 and values.dtype.kind in "biuf" else None
    if not x or not all(np.ndim(item) in (1, 2) for item in x if not isinstance(item, str)):
        return None
    rows = [arrays.as_array(item, "X") for item in x]
    if any(row.dtype.kind not in "biuf" for row in rows) or len({len(row) for row in rows}) == 1:
        return None
    if len({row.shape[1:] for row in rows}) > 1:
        raise SfumatoError("X: its sequences have several numbers of channels; give each as (T,), or each as (T, D)")
    padded = np.full((len(rows), max(map(len, rows)), *rows[0].shape[1:]), np.nan)
    for place, row in enumerate(rows):
        padded[place, : len(row)] = row
    return from_array(padded, None if labels is None else arrays.as_array(labels, "y"))


def from_array(x: np.ndarray, labels: np.ndarray | None = None, name: str = "X") -> Series:
    """(N, T) or (N, T, D) numbers, or images (N, T, H, W) or (N, T, C, H, W).

    Raises:
        SfumatoError: for another shape, or infinite entries.
    """
    if not 2 <= x.ndim <= 5:
        raise SfumatoError(
            f"{name}: has shape {x.shape}; sequences are (N, T), (N, T, D) with D channels, or (N, T, C, H, W) images"
        )
    values = np.asarray(x, np.float64)
    arrays.check_finite(values.reshape(len(x), -1), name)
    if x.ndim == 2:
        return Series(values[:, :, None], None, labels, FLAT, True, name)
    image_shape, values = x.shape[2:] if x.ndim > 3 else (), values.reshape(*x.shape[:2], -1)
    word = "pixel" if image_shape else "x"
    names = tuple(f"{word}{channel + 1}" for channel in range(values.shape[2]))
    return Series(values, None, labels, names, False, name, image_shape)


def from_table(
    table: pa.Table,
    name: str,
    *,
    id: str | None,
    time: str | None,
    label: str | None,
    drop: tuple[str, ...] = (),
    channels: tuple[str, ...] | None = None,
) -> Series:
    """A long table: one row for each step, with columns that say which sequence it is of and when it was.

    Rows may stand in any order; without a column of times they are taken as they stand, one step apart.

    Args:
        table: the rows.
        name: of the table in error messages.
        id: column that identifies the sequences; None where all rows are one series.
        time: column of times; of one series None takes the first of dates, or of numbers that count on evenly.
        label: column of labels.
        drop: columns that are no channels.
        channels: the columns that are, of a model that is trained: any others are passed over, `label` and `drop`
            need not be there, and `Series.keys` are kept. None takes all others.

    Raises:
        SfumatoError: if a column is not there or holds no numbers, or a sequence has two rows of one time.
    """
    if channels is not None:
        wanted = [column for column in (id, time, *channels) if column is not None]
        missing = next((column for column in wanted if column not in table.column_names), None)
        if missing is not None:
            raise SfumatoError(
                f"{name}: column {missing!r} is missing; this model takes sequences as a table of {', '.join(wanted)}"
            )
        label, drop = label if label in table.column_names else None, ()
    for option, column in (("id", id), ("time", time), ("label", label), *(("drop", column) for column in drop)):
        if column is not None and column not in table.column_names:
            raise SfumatoError(f"{name}: {option} {column!r} is no column; {did_you_mean(column, table.column_names)}")
    if id is None:
        time = time or (_time_column(table, drop) if channels is None else None)
        _check_single(table, name, time, (label, *drop))
    names = channels or tuple(column for column in table.column_names if column not in (id, time, label, *drop))
    taken = next((column for column in names if channels is None and column in FORECAST_COLUMNS), None)
    if taken is not None:
        raise SfumatoError(
            f"{name}: column {taken!r} has the name of one that forecast adds; rename it, "
            f"or leave it out (--drop {taken})"
        )
    if not names:
        raise SfumatoError(f"{name}: has no column of values beside id and time; give at least one")
    ids = pa.chunked_array([np.zeros(len(table), np.int64)]) if id is None else table[id]
    if pa.types.is_dictionary(ids.type):
        # Categories may stand in another order than the rows, and some in none of them.
        ids = ids.cast(ids.type.value_type)
    coded = ids.combine_chunks().dictionary_encode()
    order = coded.indices.to_numpy(zero_copy_only=False)
    if np.isnan(order.astype(float)).any():
        raise SfumatoError(f"{name}: column {id!r} has missing entries; say which sequence each row is of")
    order = order.astype(np.int64)
    moments = None if time is None else as_moments(table[time], name, time)
    stamps = None if moments is None or time is None else as_numbers(moments, name, time)
    if stamps is not None and np.isnan(stamps).any():
        raise SfumatoError(f"{name}: column {time!r} has missing entries; give each row its time")
    sort = np.argsort(order, kind="stable") if stamps is None else np.lexsort((stamps, order))
    values = np.stack([_channel(table[column], name, column) for column in names], 1)[sort]
    order = order[sort]
    starts = np.flatnonzero(np.diff(order, prepend=-1))
    place = np.arange(len(order)) - starts[order]
    shape = (len(starts), int(place.max(initial=0)) + 1)
    x = np.full((*shape, len(names)), np.nan)
    x[order, place] = values
    when = None
    if stamps is not None:
        stamps = stamps[sort]
        same = (np.diff(stamps) == 0) & (np.diff(order) == 0)
        if same.any():
            at = int(np.argmax(same))
            whose = "the series" if id is None else table[id][int(sort[at])]
            raise SfumatoError(f"{name}: {whose} has two rows of the same {time}; keep one of them")
        when = np.full(shape, np.nan)
        when[order, place] = stamps
    labels = None
    if label is not None:
        labels = np.array(table[label].take(pa.array(sort[starts])).to_pylist(), object)
    keys = None
    if channels is not None and id is not None:
        times = None if time is None else table[time].take(pa.array(sort))
        keys = Keys(coded.dictionary, times, np.bincount(order, minlength=len(starts)), sort)
    dates = str(moments.type) if moments is not None and pa.types.is_temporal(moments.type) else ""
    return Series(x, when, labels, names, False, Path(name).stem, keys=keys, dates=dates, time_column=time)


def _time_column(table: pa.Table, drop: tuple[str, ...]) -> str | None:
    """The first column of dates, or else the first of numbers that count on evenly; None if there is none."""
    columns = {name: table[name] for name in table.column_names if name not in drop and supported(table[name].type)}
    for name, column in columns.items():
        if pa.types.is_temporal(column.type) and not pa.types.is_duration(column.type):
            return name
        present = plain(column).drop_null()
        if is_text(present.type) and len(present) and (spelling := spelled(present)) and has_date(spelling):
            return name
    for name, column in columns.items():
        if is_number(column.type) and len(columns) > 1 and len(column) > 2 and not column.null_count:
            steps = np.diff(column.to_numpy().astype(float))
            if steps[0] > 0 and np.ptp(steps) == 0:
                return name
    return None


def _check_single(table: pa.Table, name: str, time: str | None, others: Collection[str | None]) -> None:
    """Refuse a table that holds several series with no column that identifies them, and name a candidate.

    Raises:
        SfumatoError: if a time occurs twice.
    """
    rows = len(table)
    if time is None or pc.count_distinct(table[time]).as_py() == rows:
        return
    free = [column for column in table.column_names if column != time and column not in others]
    could = next(
        (column for column in free if 1 < pc.count_distinct(plain(table[column])).as_py() <= rows // 2), free[0]
    )
    raise SfumatoError(
        f"{name}: column {time!r} has times that occur twice; say which column identifies the series (--id {could})"
    )


def from_ts(path: Path) -> Series:
    """A `.ts` file of the UCR/UEA archive, see `sfumato.data.io.ts`.

    Raises:
        SfumatoError: if it is damaged.
    """
    content = ts.read(path)
    arrays.check_finite(content.x.reshape(len(content.x), -1), str(path))
    flat = content.x.shape[2] == 1
    names = FLAT if flat else tuple(f"x{channel + 1}" for channel in range(content.x.shape[2]))
    return Series(content.x, content.time, content.labels, names, flat, path.stem)


def to_table(
    x: np.ndarray,
    names: tuple[str, ...],
    *,
    id: str = "id",
    time: str | None = "step",
    stamps: np.ndarray | None = None,
    keys: Keys | None = None,
    dates: str = "",
) -> pa.Table:
    """(N, T) or (N, T, …) as a long table of ids, times and values, without steps where nothing is.

    Args:
        x: the sequences.
        names: of the columns of values.
        id: name of the column of ids.
        time: name of that of times; None for a table without.
        stamps: the times, (N, T); None counts the steps.
        keys: ids and times, which also say how long each sequence is; None counts the sequences from 0.
        dates: type of the column of times if `stamps` are seconds since 1970, as in `Series`.
    """
    values = x.reshape(*x.shape[:2], -1).astype(float)
    n, t, _ = values.shape
    present = ~np.isnan(values).all(2) if keys is None else np.arange(t) < keys.lengths[:, None]
    which = np.repeat(np.arange(n), present.sum(1))
    columns: dict[str, Any] = {id: which if keys is None else keys.ids.take(pa.array(which))}
    if time is not None and keys is not None and keys.times is not None:
        columns[time] = keys.times
    elif time is not None:
        columns[time] = as_stamps((np.tile(np.arange(t), (n, 1)) if stamps is None else stamps)[present], dates)
    return pa.table(columns | {name: values[..., place][present] for place, name in enumerate(names)})


def _channel(column: pa.ChunkedArray, name: str, column_name: str) -> np.ndarray:
    """A column of values as floats.

    Raises:
        SfumatoError: if it holds dates, which as seconds since 1970 are no values to model.
    """
    if pa.types.is_temporal(column.type) and not pa.types.is_duration(column.type):
        raise SfumatoError(
            f"{name}: column {column_name!r} holds dates or times ({column.type}), and a channel is numbers; "
            f"say that it holds the times (--time {column_name}), or leave it out (--drop {column_name})"
        )
    return as_numbers(column, name, column_name)
