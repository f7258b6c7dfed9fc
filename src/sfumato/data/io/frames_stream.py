"""Table files larger than memory: their types, their rows piece by piece, and a fair part of them to learn from."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from sfumato.data.columns.base import is_number, is_text, plain
from sfumato.data.io import csv, frames, table_files
from sfumato.data.io.csv import FileLayout
from sfumato.data.io.frame_columns import frames_types
from sfumato.data.io.reading import USUAL, Reading
from sfumato.errors import SfumatoError

RESERVOIR = 300_000
"""Training rows that quantiles are learned from when there are more."""


def look(path: str | Path, keep: Collection[str] = (), reading: Reading = USUAL) -> FileLayout:
    """The arrow type of each column, by which `batches` reads every piece alike, and what to know of the file.

    A text file is read through once; text that spells booleans stays text.

    Args:
        path: as `batches` takes it.
        keep: what is wanted of the index that pandas wrote into a Parquet file, and otherwise left out.
        reading: which words are missing values, and whether a text file has a header.

    Raises:
        SfumatoError: if the file is missing, empty, ragged or damaged.
    """
    place, ending = table_files.checked(path)
    try:
        if ending.startswith((".parquet", ".pq")):
            if ending.endswith(".gz"):
                table = table_files.parquet(place, ending, keep)
                return FileLayout(dict(zip(table.schema.names, table.schema.types, strict=True)), (), {})
            is_parts = ending == table_files.PARTS
            schema = table_files.parts(place).schema if is_parts else pq.ParquetFile(place).schema_arrow
            chosen = table_files.columns_of(schema, keep)
            return FileLayout({schema.names[place]: schema.types[place] for place in chosen}, (), {})
        return csv.look(place, reading)
    except (OSError, EOFError, pa.ArrowException) as error:
        raise table_files.damaged(place, ending, error) from None


def batches(
    path: str | Path, rows: int, *, known: Mapping[str, pa.DataType] | None = None, reading: Reading = USUAL
) -> Iterator[pa.Table]:
    """Tables of at most `rows` rows, in the file's order.

    Args:
        path: CSV, TSV or Parquet, also with .gz (.parquet.gz is read whole).
        rows: at most this many in a table.
        known: the types that `look` says of the file; None asks it.
        reading: as `look` takes it.

    Raises:
        SfumatoError: if the file is missing, empty, ragged or damaged.
    """
    place, ending = table_files.checked(path)
    keep = () if known is None else known
    try:
        if ending.endswith(".parquet.gz"):
            table = table_files.parquet(place, ending, keep)
            table = frames.without(frames_types.taken(table), reading)
            yield from (table.slice(start, rows) for start in range(0, len(table), rows))
        elif ending == table_files.PARTS:
            dataset = table_files.parts(place)
            chosen = table_files.columns_of(dataset.schema, keep)
            for batch in dataset.to_batches(batch_size=rows):
                piece = pa.Table.from_batches([batch]).select(chosen).replace_schema_metadata(None)
                yield frames.without(frames_types.taken(piece), reading)
        elif ending in (".parquet", ".pq"):
            with pq.ParquetFile(place, pre_buffer=False) as file:
                chosen = table_files.columns_of(file.schema_arrow, keep)
                for batch in file.iter_batches(rows):
                    piece = pa.Table.from_batches([batch]).select(chosen).replace_schema_metadata(None)
                    yield frames.without(frames_types.taken(piece), reading)
        else:
            yield from csv.batches(place, rows, look(place).types if known is None else known, reading)
    except (OSError, EOFError, pa.ArrowException) as error:
        raise table_files.damaged(place, ending, error) from None


def reservoir(pieces: Iterable[pa.Table], *, rows: int = RESERVOIR, seed: int = 0) -> pa.Table:
    """A random part of the rows of all pieces, in order; memory stays flat.

    Each row is as likely to be kept as any other. Beside them stays the first row of each label of a text column, and
    the rows with the least and the greatest number of each column, so that no rare category and no end of a range
    is lost.

    Args:
        pieces: tables of the same columns (the training rows alone).
        rows: how many are kept, if there are so many.
        seed: of the choice.

    Raises:
        SfumatoError: if there are no rows.
    """
    generator = np.random.default_rng(seed)
    kept: pa.Table | None = None
    keys = np.empty(0)
    always = np.empty(0, bool)
    seen: dict[str, pa.Array] = {}
    ends: dict[str, tuple[float, float]] = {}
    for piece in pieces:
        marked = _landmarks(piece, seen, ends)
        draws = generator.random(len(piece))
        kept = piece if kept is None else pa.concat_tables([kept, piece])
        keys, always = np.concatenate([keys, draws]), np.concatenate([always, marked])
        if len(keys) > 2 * rows + always.sum():
            kept, keys, always = _least(kept, keys, always, rows)
    if kept is None or not kept.num_rows:
        raise SfumatoError("no training rows; give a table with some")
    return _least(kept, keys, always, rows)[0].combine_chunks()


def _least(table: pa.Table, keys: np.ndarray, always: np.ndarray, rows: int) -> tuple[pa.Table, np.ndarray, np.ndarray]:
    """The rows with the least keys, and those always kept."""
    if len(keys) <= rows:
        return table, keys, always
    stay = always | (keys <= np.partition(keys, rows - 1)[rows - 1])
    return table.filter(pa.array(stay)).combine_chunks(), keys[stay], always[stay]


def _landmarks(piece: pa.Table, seen: dict[str, pa.Array], ends: dict[str, tuple[float, float]]) -> np.ndarray:
    """Which rows are the first of a label, or stretch the range of a column."""
    marked = np.zeros(len(piece), bool)
    for name in piece.column_names:
        values = plain(piece[name])
        if is_text(values.type):
            _mark_labels(name, values, seen, marked)
        elif is_number(values.type) and values.null_count < len(values):
            numbers = values.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
            if np.isnan(numbers).all():
                continue
            low, high = ends.get(name, (np.inf, -np.inf))
            least, most = int(np.nanargmin(numbers)), int(np.nanargmax(numbers))
            marked[least] |= numbers[least] < low
            marked[most] |= numbers[most] > high
            ends[name] = (min(low, numbers[least]), max(high, numbers[most]))
    return marked


def _mark_labels(name: str, values: pa.Array, seen: dict[str, pa.Array], marked: np.ndarray) -> None:
    labels = values.unique().drop_null()
    if name in seen:
        labels = labels.filter(pc.invert(pc.is_in(labels, value_set=seen[name])))
    if not len(labels):
        return
    marked[pc.index_in(labels, value_set=values).to_numpy()] = True
    seen[name] = pa.concat_arrays([seen[name], labels]) if name in seen else labels
