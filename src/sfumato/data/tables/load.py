"""Tables opened: held whole, or read piece by piece into a shard of encoded rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from sfumato.data.columns import infer
from sfumato.data.columns.base import plain
from sfumato.data.core.batching.batches import Resident
from sfumato.data.core.batching.encoded import Encoded
from sfumato.data.core.batching.shards import shard
from sfumato.data.core.batching.streaming import Streamed, streams
from sfumato.data.core.dataset import Dataset
from sfumato.data.core.labels import Label, as_names, codes
from sfumato.data.core.options import DataOptions
from sfumato.data.core.schema import Schema
from sfumato.data.core.source import Source
from sfumato.data.core.split import split
from sfumato.data.io import csv, frames, frames_stream
from sfumato.data.tables import column_hints
from sfumato.data.tables.private.drawn import drawn_rows, filled, private_rows
from sfumato.data.tables.schema import TableSchema
from sfumato.errors import SfumatoError, did_you_mean

FEWEST_SERIES_ROWS, EVEN_STEPS = 50, 0.9
"""Rows that look like one series are at least so many, and this share of the steps between their times is the usual
one."""

STREAMED_ROWS = 1 << 17
"""Rows of a table that is streamed looked at together."""

Pieces = Callable[[], Iterator[pa.Table]]


def open_table(source: Source, options: DataOptions) -> Dataset:
    """A table from a file, a frame, or a built-in set."""
    if source.builtin:
        return from_frame(source.builtin, source.described("table"), source.value, "file", options, source.schema)
    if source.path is None:
        frame, kind = frames.read(source.value, reading=options.reading)
        return from_frame("table", f"{kind} frame", frame, kind, options, source.schema)
    path, where = source.path, source.described("table")
    name = path.name.partition(".")[0]
    keep = {*options.drop, *options.given, *options.kinds, options.label or ""}
    if streams(options, _estimate(path)):
        layout = frames_stream.look(path, keep, options.reading)
        pieces = partial(frames_stream.batches, path, STREAMED_ROWS, known=layout.types, reading=options.reading)
        return _from_pieces(name, where, pieces, "file", options, (layout.notes, layout.hints), layout.missing)
    return from_frame(name, where, *frames.read(path, keep=keep, reading=options.reading), options, source.schema)


def _estimate(path: Path) -> int:
    """Bytes of the encoded rows of a file, without reading it; damage is reported when it is read."""
    if path.is_dir():
        return int(frames.parts(path).count_rows() * len(frames.parts(path).schema) * 4)
    if path.suffix in (".parquet", ".pq"):
        try:
            metadata = pq.read_metadata(path)
        except (OSError, pa.ArrowException):
            return 0
        return int(metadata.num_rows * metadata.num_columns * 4)
    return path.stat().st_size * (5 if path.suffix == ".gz" else 1)


def from_frame(
    name: str, source: str, frame: pa.Table, kind: str, options: DataOptions, known: Schema | None = None
) -> Dataset:
    """Split an arrow table, learn its schema on the training split unless it is `known`, encode every part."""
    if streams(options, frame.num_rows * frame.num_columns * 4):
        return _from_pieces(
            name,
            source,
            lambda: (frame.slice(start, STREAMED_ROWS) for start in range(0, len(frame), STREAMED_ROWS)),
            kind,
            options,
            csv.notes(frame),
        )
    notes, hints = csv.notes(frame)
    labels = label_values(frame, options)
    parts = split(len(frame), options.split, labels=codes(labels), seed=options.seed, source=source)
    learned = frame.take(pa.array(parts[0]))
    kinds = TableSchema.kinds(frame, options)
    charge, examples, how = None, len(learned), options
    if options.epsilon is None:
        hints |= column_hints.of_frame(frame, kinds, but=hints)
    elif known is None:
        # The label is learned too where it is no column of the model.
        label = _label_name(frame, options)
        counted = kinds if label is None else {label: infer(label, frame[label])} | kinds
        (learned, charge), hints = private_rows(learned, counted, options), {}
        # Columns were drawn by themselves: what they seem to have to do with each other is chance.
        how = replace(options, orders=False, dependences=False)
    if isinstance(known, TableSchema):
        schema = known
    else:
        schema = TableSchema.learn(learned, how, frame_kind=kind, examples=examples, kinds=kinds, hints=hints)
    encoded = schema.encode(frame)
    if options.epsilon is None:
        index = _learn_labels(schema, labels, parts[0])
    else:
        encoded = filled(encoded, schema)
        if known is None:
            index = _labels_of(schema, labels, _labels(learned, _label_name(learned, options)))
        else:
            index = None if labels is None else Label(tuple(schema.label_names)).index(labels)

    def part(rows: np.ndarray) -> Resident:
        chosen = torch.from_numpy(rows)
        given = None if encoded.given is None else encoded.given[chosen]
        return Resident(encoded.x[chosen], given, None if index is None else index[rows])

    train, valid, test = (part(rows) for rows in parts)
    notes = (*notes, *schema.cautions(options))
    if known is None and options.epsilon is None:
        notes = (*notes, *_series_notes(frame, kinds))
    drawn = None
    if charge is not None:
        drawn, charge = drawn_rows(schema, train, options, charge)
    return Dataset(name, source, schema, train, valid, test, options, notes=notes, charge=charge, drawn=drawn)


def _series_notes(frame: pa.Table, kinds: Mapping[str, str]) -> tuple[str, ...]:
    """A note where rows look like the steps of one series: numbers, and times that go on evenly."""
    times = [name for name, kind in kinds.items() if kind == "datetime"]
    others = {kind for kind in kinds.values() if kind != "datetime"}
    if len(times) != 1 or not others or others - {"continuous", "integer"} or len(frame) < FEWEST_SERIES_ROWS:
        return ()
    stamps = plain(frame[times[0]])
    if not (pa.types.is_timestamp(stamps.type) or pa.types.is_date(stamps.type)) or stamps.null_count:
        return ()
    steps = np.diff(stamps.cast(pa.timestamp("us")).to_numpy(zero_copy_only=False).astype(np.int64))
    if steps.min() <= 0 or np.mean(steps == np.median(steps)) < EVEN_STEPS:
        return ()
    return (
        f"{times[0]} goes on evenly from row to row; if the rows are one series, --model td_vae takes it as such and "
        "forecasts it",
    )


def _from_pieces(
    name: str,
    source: str,
    pieces: Pieces,
    kind: str,
    options: DataOptions,
    about: tuple[tuple[str, ...], dict[str, str]],
    missing: Mapping[str, str] | None = None,
) -> Dataset:
    """Count, split, learn from a fair part of the training rows, and encode into a shard: a pass for each."""
    total, label_parts = 0, []
    for piece in pieces():
        total += len(piece)
        if (values := label_values(piece, options)) is not None:
            label_parts.append(values)
    labels = np.concatenate(label_parts) if label_parts else None
    parts = split(total, options.split, labels=codes(labels), seed=options.seed, source=source)
    part = np.zeros(total, np.int8)
    for number, rows in enumerate(parts):
        part[rows] = number
    learned = frames_stream.reservoir(
        (piece.filter(pa.array(part[start : start + len(piece)] == 0)) for start, piece in _numbered(pieces)),
        seed=options.seed,
    )
    learned = csv.marked(learned, missing or {})
    kinds = TableSchema.kinds(learned, options)
    notes, hints = about
    hints = hints | column_hints.of_frame(learned, kinds, but=hints)
    schema = TableSchema.learn(learned, options, frame_kind=kind, examples=len(parts[0]), kinds=kinds, hints=hints)
    del learned
    width = schema.spec.entries
    store = shard((total, width + len(schema.given_names)), np.dtype(np.float32))
    for start, piece in _numbered(pieces):
        encoded = schema.encode(piece)
        store[start : start + len(piece), :width] = encoded.x
        if encoded.given is not None:
            store[start : start + len(piece), width:] = encoded.given

    def encode(raw: np.ndarray, rows: np.ndarray) -> Encoded:
        both = torch.from_numpy(raw)
        return Encoded(both[:, :width], both[:, width:] if schema.given_names else None)

    index = _learn_labels(schema, labels, parts[0])
    train, valid, test = (Streamed(store, part, number, encode, labels=index) for number in range(3))
    return Dataset(name, source, schema, train, valid, test, options, notes=(*notes, *schema.cautions(options)))


def _numbered(pieces: Pieces) -> Iterator[tuple[int, pa.Table]]:
    """Each piece with the number of its first row."""
    start = 0
    for piece in pieces():
        yield start, piece
        start += len(piece)


def _learn_labels(schema: TableSchema, labels: np.ndarray | None, rows: np.ndarray) -> np.ndarray | None:
    """Name the labels of the training rows in the schema; the index of every row's label."""
    if labels is None:
        return None
    return _labels_of(schema, labels, labels[rows])


def _labels_of(schema: TableSchema, labels: np.ndarray | None, learned: np.ndarray | None) -> np.ndarray | None:
    """Name the labels that were learned in the schema; the index of every row's label, −1 of one that was not."""
    if labels is None or learned is None:
        return None
    label = Label.learn(learned)
    schema.label_names = label.names
    return label.index(labels)


def label_values(frame: pa.Table, options: DataOptions) -> np.ndarray | None:
    """The values of the column that stratifies, for each row; None without one.

    Raises:
        SfumatoError: if the option names a column that is not there.
    """
    return _labels(frame, _label_name(frame, options))


def _label_name(frame: pa.Table, options: DataOptions) -> str | None:
    """The column that stratifies: `label`, else the first condition that is made of categories."""
    names = frame.column_names
    if options.label is not None:
        if options.label not in names:
            raise SfumatoError(f"label={options.label!r} is not a column; {did_you_mean(options.label, names)}")
        return options.label
    for name in options.given:
        kind = frame.schema.field(name).type if name in names else pa.null()
        words = pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_dictionary(kind)
        if words or pa.types.is_boolean(kind) or options.kinds.get(name) == "categorical":
            return name
    return None


def _labels(frame: pa.Table, name: str | None) -> np.ndarray | None:
    """The values of the label: floats as they are, all else as names."""
    if name is None:
        return None
    column = frame[name]
    if pa.types.is_floating(column.type):
        return column.to_numpy()
    # Words are looked at once each, not once a row.
    coded = column.combine_chunks()
    coded = coded if pa.types.is_dictionary(coded.type) else coded.dictionary_encode()
    coded = coded.combine_chunks() if isinstance(coded, pa.ChunkedArray) else coded
    words = as_names(np.array([*coded.dictionary.to_pylist(), None], object))
    return words[coded.indices.fill_null(len(words) - 1).to_numpy(zero_copy_only=False).astype(np.int64)]
