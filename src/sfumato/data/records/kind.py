"""Mixed records as a kind of data: tables with a column of images, or of free text beside others."""

from __future__ import annotations

import gzip
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pyarrow as pa

from sfumato.data.columns.base import is_text, plain
from sfumato.data.core.batching.batches import Resident
from sfumato.data.core.dataset import Dataset
from sfumato.data.core.kinds import Kind, OptionUse
from sfumato.data.core.labels import Label, codes
from sfumato.data.core.options import PART_KINDS, DataOptions
from sfumato.data.core.source import Source
from sfumato.data.core.split import split
from sfumato.data.io import csv, frames, frames_stream
from sfumato.data.io.image_files import IMAGE_SUFFIXES
from sfumato.data.records import images, raw
from sfumato.data.records.raw import RawRecords, RawRows
from sfumato.data.records.schema import RecordSchema, texts_of
from sfumato.data.tables.kind import KIND as TABLE
from sfumato.data.tables.load import label_values
from sfumato.data.tables.schema import TableSchema
from sfumato.data.text import tokens
from sfumato.data.text.lines import Lines
from sfumato.data.text.schema import SymbolSchema, check_length
from sfumato.errors import SfumatoError, did_you_mean

ROWS_LOOKED_AT, HEAD_BYTES = 1000, 1 << 16
"""Rows of a file that tell whether a column is of paths to images, and bytes without which it is not looked into."""


def accepts(source: Source, options: DataOptions) -> bool:
    """Whether it is a table of which a column is of images, or an option says that one is of images or text."""
    if source.builtin or options.sequences or options.symbols or options.counts or options.id:
        return False
    if source.path is not None:
        if not source.path.is_file() or not source.endswith(*frames.TABLE_SUFFIXES):
            return False
        return _is_requested(options) or bool(_paths_in_file(source, options))
    if not (isinstance(source.value, Mapping) or frames.is_frame(source.value)):
        return False
    if _is_requested(options) or raw.object_columns(source.value):
        return True
    try:
        table, _ = frames.read(source.value)
    except SfumatoError:
        return False
    return bool(_path_columns(table, options))


def _is_requested(options: DataOptions) -> bool:
    return any(kind in PART_KINDS for kind in options.kinds.values())


def _paths_in_file(source: Source, options: DataOptions) -> list[str]:
    """Columns of paths to images, by the first rows of a file; what cannot be read is left to tables."""
    assert source.path is not None, "only files are looked into"
    try:
        if "parquet" not in (ending := frames.suffix(source.path)) and ending != ".pq":
            with gzip.open(source.path) if ending.endswith(".gz") else source.path.open("rb") as file:
                head = file.read(HEAD_BYTES).decode("utf-8", "replace").lower()
            if not any(suffix in head for suffix in IMAGE_SUFFIXES):
                return []
        rows = next(frames_stream.batches(source.path, ROWS_LOOKED_AT, reading=options.reading), None)
    except (SfumatoError, OSError, EOFError):
        return []
    return [] if rows is None else _path_columns(rows, options)


def _path_columns(table: pa.Table, options: DataOptions) -> list[str]:
    chosen = {*options.drop, *options.kinds}
    texts = [name for name in table.column_names if is_text(plain(table[name]).type) and name not in chosen]
    return [name for name in texts if raw.are_paths(plain(table[name]).to_pylist())]


def load(source: Source, options: DataOptions) -> Dataset:
    """Rows of a file or a frame, held whole: every part learned by the schema of its own kind.

    Raises:
        SfumatoError: if an option is not for records, or a column cannot be read as what it is.
    """
    where = source.described("records in memory")
    _check(options)
    requested = [name for name, kind in options.kinds.items() if kind in PART_KINDS]
    cells = raw.read(source.value, requested, options.reading)
    for name in (*options.drop, *requested):
        if name not in cells.names:
            raise SfumatoError(f"{where}: {name!r} is not a column; {did_you_mean(name, cells.names)}")
    pictured = [name for name in cells.names if name not in options.drop and _is_pictured(cells, name, options)]
    texts = [name for name in cells.table.column_names if name not in pictured and _is_text(cells, name, options)]
    table = cells.table.drop_columns([name for name in (*pictured, *texts) if name in cells.table.column_names])
    labels = label_values(cells.table, options)
    parts = split(len(cells), options.split, labels=codes(labels), seed=options.seed, source=where)

    own = replace(options, missing_cells=False, dependences=False, kinds=_of_values(options.kinds))
    table_schema, notes = _learn_table(table, own, parts[0], cells, bool(pictured or texts))
    learned = {name: _learn_text(cells, name, parts[0], options) for name in texts}
    pairs = {name: images.learn(cells, name, parts[0], options) for name in pictured}
    missing = {name: _share_missing(cells, name, parts[0]) for name in (*texts, *pictured)}
    kept = [] if table_schema is None else [column.name for column in table_schema.columns]
    schema = RecordSchema(
        table_schema,
        learned,
        {name: pair[0] for name, pair in pairs.items()},
        names=[name for name in cells.names if name in (*kept, *texts, *pictured)],
        missing=missing,
        frame_kind=cells.frame_kind,
        reading=options.reading,
    )
    records = RawRecords(
        None if table_schema is None else table,
        {name: texts_of(cells, name) for name in texts},
        {name: pair[1] for name, pair in pairs.items()},
        len(cells),
    )
    encoded, index = schema.encode(records).x, None
    nothing = np.flatnonzero(encoded.isnan().all(1).numpy())
    if len(nothing):
        rows = "1 row has" if len(nothing) == 1 else f"{len(nothing):,} rows have"
        notes = (*notes, f"{rows} nothing in any part, the first is row {nothing[0] + 1}: nothing is learned of them")
    if labels is not None:
        label = Label.learn(labels[parts[0]])
        schema.label_names, index = label.names, label.index(labels)
    train, valid, test = (Resident(encoded[rows], None, None if index is None else index[rows]) for rows in parts)
    name = "records" if source.path is None else source.path.name.partition(".")[0]
    return Dataset(name, where, schema, train, valid, test, options, notes=notes)


def _check(options: DataOptions) -> None:
    """Refuse options that records do not take.

    Raises:
        SfumatoError: if one is given.
    """
    if options.given:
        raise SfumatoError(
            f"given={options.given[0]!r}: mixed records have no conditions, as any part can be asked for the others: "
            "leave it out, and use complete"
        )
    if options.likelihood != "auto":
        raise SfumatoError(f"likelihood={options.likelihood}: each part of a record has its own; leave it out")
    if options.streaming == "yes":
        raise SfumatoError("streaming=yes: mixed records are held whole; leave streaming out")


def _of_values(kinds: Mapping[str, str]) -> dict[str, str]:
    return {name: kind for name, kind in kinds.items() if kind not in PART_KINDS}


def _is_pictured(cells: RawRows, name: str, options: DataOptions) -> bool:
    if name in cells.objects or options.kinds.get(name) == "image":
        return True
    column = plain(cells.table[name])
    return name not in options.kinds and is_text(column.type) and raw.are_paths(column.to_pylist())


def _is_text(cells: RawRows, name: str, options: DataOptions) -> bool:
    if name in options.drop:
        return False
    return options.kinds.get(name) == "text" or (name not in options.kinds and raw.is_free_text(cells.table[name]))


def _learn_table(
    table: pa.Table, options: DataOptions, rows: np.ndarray, cells: RawRows, others: bool
) -> tuple[TableSchema | None, tuple[str, ...]]:
    """The schema of the columns of values, None where there are none that are modelled; and what to know of it."""
    kinds = TableSchema.kinds(table, replace(options, drop=tuple(set(options.drop) & set(table.column_names))))
    if others and not set(kinds.values()) - {"constant", "identifier"}:
        return None, tuple(f"column {name!r} is {kind}, and left out" for name, kind in kinds.items())
    notes, hints = csv.notes(table)
    schema = TableSchema.learn(
        table.take(pa.array(rows)), options, frame_kind=cells.frame_kind, kinds=kinds, hints=hints
    )
    return schema, (*notes, *schema.cautions(options))


def _learn_text(cells: RawRows, name: str, rows: np.ndarray, options: DataOptions) -> SymbolSchema:
    values = texts_of(cells, name)
    there = np.array([value is not None for value in values])
    where = f"{cells.where}column {name!r}"
    if not there[rows].any():
        raise SfumatoError(f"{where} has no text in the training rows; leave it out (drop)")
    train = Lines(values[rows][there[rows]], None, where)
    own = tokens.learn(train.x.tolist(), options)
    longest = check_length(Lines(values[there], None, where), options, own)
    return SymbolSchema.learn(train, options, longest=longest, tokens=own)


def _share_missing(cells: RawRows, name: str, rows: np.ndarray) -> float:
    """Share of the training rows in which a text or an image is missing."""
    values = cells.cells(name)
    return float(np.mean([values[row] is None or (isinstance(values[row], str) and not values[row]) for row in rows]))


KIND = Kind(
    name="record",
    schema=RecordSchema,
    accepts=accepts,
    load=load,
    plural="mixed records",
    source="table of mixed records",
    order=95,
    suffixes=frames.TABLE_SUFFIXES,
    options={
        "size": OptionUse("images and videos"),
        "longest": OptionUse("sequences of symbols"),
        "tokens": OptionUse("text"),
        "vocabulary": OptionUse("text"),
        **{
            name: OptionUse(TABLE.options[name].on)
            for name in ("missing_values", "missing_cells", "orders", "dependences", "header", "cells")
        },
    },
    file_suffix=".csv",
    examples_suggested=64,
    named_columns=True,
    needs_file="mixed records need a place to go: add -o records.csv; their images come into a folder beside it",
)
