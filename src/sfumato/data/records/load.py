"""Mixed records opened: every part learned by the schema of its own kind."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pyarrow as pa
from torch import Tensor

from sfumato.data.columns.base import is_text, plain
from sfumato.data.core.batching.batches import Resident
from sfumato.data.core.dataset import Dataset
from sfumato.data.core.labels import Label, codes
from sfumato.data.core.options import PART_KINDS, DataOptions
from sfumato.data.core.source import Source
from sfumato.data.core.split import split
from sfumato.data.io import csv
from sfumato.data.records import images, raw
from sfumato.data.records.raw import RawRecords, RawRows
from sfumato.data.records.schema import RecordSchema, texts_of
from sfumato.data.tables.load import label_values
from sfumato.data.tables.schema import TableSchema
from sfumato.data.text import tokens
from sfumato.data.text.lines import Lines
from sfumato.data.text.schema import SymbolSchema, check_length
from sfumato.errors import SfumatoError, did_you_mean


def open_records(source: Source, options: DataOptions) -> Dataset:
    """Rows of a file or a frame, held whole.

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
    labels = label_values(cells.table, options)
    parts = split(len(cells), options.split, labels=codes(labels), seed=options.seed, source=where)
    schema, records, notes = _learn(cells, options, parts[0])
    encoded, index = schema.encode(records).x, None
    if labels is not None:
        label = Label.learn(labels[parts[0]])
        schema.label_names, index = label.names, label.index(labels)
    train, valid, test = (Resident(encoded[rows], None, None if index is None else index[rows]) for rows in parts)
    name = "records" if source.path is None else source.path.name.partition(".")[0]
    return Dataset(name, where, schema, train, valid, test, options, notes=(*notes, *_of_nothing(encoded)))


def _learn(cells: RawRows, options: DataOptions, rows: np.ndarray) -> tuple[RecordSchema, RawRecords, tuple[str, ...]]:
    """The schema of the training rows `rows`, all rows as it reads them, and what to know of them."""
    pictured = [name for name in cells.names if name not in options.drop and _is_pictured(cells, name, options)]
    texts = [name for name in cells.table.column_names if name not in pictured and _is_text(cells, name, options)]
    table = cells.table.drop_columns([name for name in (*pictured, *texts) if name in cells.table.column_names])
    own = replace(options, missing_cells=False, dependences=False, kinds=_of_values(options.kinds))
    table_schema, notes = _learn_table(table, own, rows, cells, bool(pictured or texts))
    learned = {name: _learn_text(cells, name, rows, options) for name in texts}
    pairs = {name: images.learn(cells, name, rows, options) for name in pictured}
    kept = [] if table_schema is None else [column.name for column in table_schema.columns]
    schema = RecordSchema(
        table_schema,
        {name: schema for name, (schema, _) in learned.items()},
        {name: schema for name, (schema, _) in pairs.items()},
        names=[name for name in cells.names if name in (*kept, *texts, *pictured)],
        missing={name: _share_missing(cells, name, rows) for name in (*texts, *pictured)},
        frame_kind=cells.frame_kind,
        reading=options.reading,
    )
    records = RawRecords(
        None if table_schema is None else table,
        {name: texts_of(cells, name) for name in texts},
        {name: pictures for name, (_, pictures) in pairs.items()},
        len(cells),
    )
    return schema, records, (*notes, *(note for _, cut in learned.values() for note in cut))


def _of_nothing(encoded: Tensor) -> tuple[str, ...]:
    """A note on rows in which every part is missing; none without such rows."""
    nothing = np.flatnonzero(encoded.isnan().all(1).numpy())
    if not len(nothing):
        return ()
    rows = "1 row has" if len(nothing) == 1 else f"{len(nothing):,} rows have"
    return (f"{rows} nothing in any part, the first is row {nothing[0] + 1}: nothing is learned of them",)


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
    if name in options.kinds or not is_text(column.type):
        return False
    return raw.are_paths(column.slice(0, raw.ROWS_LOOKED_AT).to_pylist())


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


def _learn_text(
    cells: RawRows, name: str, rows: np.ndarray, options: DataOptions
) -> tuple[SymbolSchema, tuple[str, ...]]:
    """The schema of a column of texts, learned on the training rows, and a note on texts that are cut."""
    values = texts_of(cells, name)
    there = np.array([value is not None for value in values])
    where = f"{cells.where}column {name!r}"
    if not there[rows].any():
        raise SfumatoError(f"{where} has no text in the training rows; leave it out (drop)")
    every, learned = Lines(values[there], None, where), Lines(values[rows][there[rows]], None, where)
    own = tokens.learn(learned.x.tolist(), options)
    longest, notes = check_length(every, options, own)
    return SymbolSchema.learn(learned, options, longest=longest, tokens=own), notes


def _share_missing(cells: RawRows, name: str, rows: np.ndarray) -> float:
    """Share of the training rows in which a text or an image is missing."""
    values = cells.cells(name)
    return float(np.mean([values[row] is None or (isinstance(values[row], str) and not values[row]) for row in rows]))
