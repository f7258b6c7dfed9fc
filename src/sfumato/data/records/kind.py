"""Mixed records as a kind of data: tables with a column of images, or of free text beside others."""

from __future__ import annotations

import gzip
from collections.abc import Mapping

import pyarrow as pa

from sfumato.data.columns.base import is_text, plain
from sfumato.data.core.kinds import Kind, OptionUse
from sfumato.data.core.options import PART_KINDS, DataOptions
from sfumato.data.core.source import Source
from sfumato.data.io import frames, frames_stream
from sfumato.data.io.image_files import IMAGE_SUFFIXES
from sfumato.data.records import raw
from sfumato.data.records.load import open_records
from sfumato.data.records.schema import RecordSchema
from sfumato.data.tables.kind import KIND as TABLE
from sfumato.errors import SfumatoError

HEAD_BYTES = 1 << 16
"""Of a text file: without the ending of an image among them it is not looked into further."""


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
    first = raw.first_rows(source.value)
    if _is_requested(options) or raw.object_columns(first):
        return True
    try:
        table, _ = frames.read(first)
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
        rows = next(frames_stream.batches(source.path, raw.ROWS_LOOKED_AT, reading=options.reading), None)
    except (SfumatoError, OSError, EOFError):
        return []
    return [] if rows is None else _path_columns(rows, options)


def _path_columns(table: pa.Table, options: DataOptions) -> list[str]:
    chosen = {*options.drop, *options.kinds}
    texts = [name for name in table.column_names if is_text(plain(table[name]).type) and name not in chosen]
    return [name for name in texts if raw.are_paths(plain(table[name]).to_pylist())]


KIND = Kind(
    name="record",
    schema=RecordSchema,
    accepts=accepts,
    load=open_records,
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
