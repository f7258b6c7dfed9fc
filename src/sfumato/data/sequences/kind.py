"""Sequences as a kind of data: `.ts` files, and arrays and long tables where an option says so."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from sfumato.data.core.batches import Resident
from sfumato.data.core.dataset import Dataset
from sfumato.data.core.kinds import Kind, OptionUse
from sfumato.data.core.labels import codes
from sfumato.data.core.options import DataOptions
from sfumato.data.core.source import Source
from sfumato.data.core.split import split
from sfumato.data.sequences import sequence_io
from sfumato.data.sequences.schema import SequenceSchema
from sfumato.data.sequences.sequence_io import Series
from sfumato.errors import SfumatoError


def accepts(source: Source, options: DataOptions) -> bool:
    """Whether it is a `.ts` file, or an option says that it holds sequences."""
    wanted = options.sequences or options.time is not None or options.id is not None
    return isinstance(source.value, Series) or source.endswith(sequence_io.TS) or (wanted and not source.builtin)


def load(source: Source, options: DataOptions) -> Dataset:
    """Sequences, held whole.

    Raises:
        SfumatoError: if there is one alone, or they are to be read from disk while training.
    """
    columns = {"id": options.id, "time": options.time, "label": options.label, "drop": options.drop}
    series = sequence_io.load(source.value, **columns)  # type: ignore[arg-type]
    where = source.described("array in memory")
    if options.streaming == "yes":
        raise SfumatoError("streaming=yes: sequences are held whole; leave streaming out")
    if len(series) == 1:
        raise sequence_io.one_long(series, where, options)
    parts = split(len(series), options.split, labels=codes(series.labels), seed=options.seed, source=where)
    split_up = [_rows(series, rows) for rows in parts]
    schema = SequenceSchema.learn(split_up[0], options)
    batches = []
    for part in split_up:
        encoded = schema.encode(part)
        index = None if schema.label is None or part.labels is None else schema.label.index(part.labels)
        batches.append(Resident(encoded.x, None, index, time=encoded.time))
    train, valid, test = batches
    return Dataset(series.name, where, schema, train, valid, test, options, has_label=series.labels is not None)


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
        "sequences": OptionUse("arrays"),
        "id": OptionUse("tables of sequences"),
        "time": OptionUse("tables of sequences"),
    },
    file_suffix=".csv",
)
