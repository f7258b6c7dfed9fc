"""Sequences as a kind of data: `.ts` files, and arrays and long tables where an option says so."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any

import numpy as np

from sfumato.data.core.batching.batches import Resident
from sfumato.data.core.dataset import Dataset
from sfumato.data.core.kinds import Kind, OptionUse
from sfumato.data.core.labels import codes
from sfumato.data.core.options import DataOptions
from sfumato.data.core.source import Source
from sfumato.data.core.split import split
from sfumato.data.io import frames
from sfumato.data.sequences import sequence_io
from sfumato.data.sequences.long_series import Windows, named_as, on_grid
from sfumato.data.sequences.schema import SequenceSchema
from sfumato.data.sequences.series import Series
from sfumato.errors import SfumatoError


def accepts(source: Source, options: DataOptions) -> bool:
    """Whether it is a `.ts` file, or an option says that it holds sequences."""
    named = (options.time, options.id, options.window, options.horizon)
    wanted = options.sequences or any(value is not None for value in named)
    return isinstance(source.value, Series) or source.endswith(sequence_io.TS) or (wanted and not source.builtin)


def holds_series(source: Any) -> bool:
    """Whether a model of sequences alone can take a source without `sequences`: a table, or an array (T,)."""
    if isinstance(source, str | os.PathLike):
        return str(source).lower().endswith(tuple(set(frames.TABLE_SUFFIXES) - {".txt", ".txt.gz"}))
    return frames.is_frame(source) or getattr(source, "ndim", 0) == 1


def load(source: Source, options: DataOptions) -> Dataset:
    """Sequences, held whole; one series alone, or several where a window or a horizon is set, cut into windows.

    Raises:
        SfumatoError: if a series is too short for windows, or they are to be read from disk while training.
    """
    columns = {"id": options.id, "time": options.time, "label": options.label, "drop": options.drop}
    series = sequence_io.load(source.value, {"size": options.size}, **columns)  # type: ignore[arg-type]
    where = source.described("array in memory")
    if options.streaming == "yes":
        raise SfumatoError("streaming=yes: sequences are held whole; leave streaming out")
    if len(series) == 1 or options.window is not None or options.horizon is not None:
        return _windows(series, where, options)
    parts = split(len(series), options.split, labels=codes(series.labels), seed=options.seed, source=where)
    split_up = [_rows(series, rows) for rows in parts]
    schema = SequenceSchema.learn(split_up[0], options)
    return _dataset(schema, split_up, where, options)


def _windows(series: Series, where: str, options: DataOptions) -> Dataset:
    """Long series as windows, split by time."""
    gridded, grid = on_grid(series)
    windows = Windows.choose(gridded, grid, options, series.name)
    if series.image_shape:
        windows = replace(windows, lead=0)
    split_up = [named_as(part, series) for part in windows.split(gridded, options.split)]
    schema = SequenceSchema.learn(split_up[0], options, windows)
    return replace(_dataset(schema, split_up, where, options), notes=(windows.described(gridded, series.name),))


def _dataset(schema: SequenceSchema, parts: list[Series], where: str, options: DataOptions) -> Dataset:
    batches = []
    for part in parts:
        encoded = schema.encode(part)
        index = None if schema.label is None or part.labels is None else schema.label.index(part.labels)
        batches.append(Resident(encoded.x, None, index, time=encoded.time))
    train, valid, test = batches
    has_label = parts[0].labels is not None
    return Dataset(parts[0].name, where, schema, train, valid, test, options, has_label=has_label)


def _rows(series: Series, rows: np.ndarray) -> Series:
    time, labels = (None if values is None else values[rows] for values in (series.time, series.labels))
    return replace(series, x=series.x[rows], time=time, labels=labels)


KIND = Kind(
    name="sequence",
    schema=SequenceSchema,
    accepts=accepts,
    load=load,
    plural="sequences",
    order=10,
    suffixes=(sequence_io.TS,),
    options={
        "size": OptionUse("images and videos"),
        "sequences": OptionUse("arrays"),
        "id": OptionUse("tables of sequences"),
        "time": OptionUse("tables of sequences"),
        "window": OptionUse("long series"),
        "horizon": OptionUse("long series"),
    },
    file_suffix=".csv",
)
