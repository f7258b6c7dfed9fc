"""Tables in and out: files, and the frames of pandas, polars and arrow, by way of one arrow table."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import narwhals as nw
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from sfumato.data.columns.base import NUMBER, is_number, is_text
from sfumato.data.io import csv, table_files
from sfumato.data.io.frame_columns import frames_objects, frames_pandas, frames_polars, frames_types
from sfumato.data.io.reading import USUAL, Reading
from sfumato.data.io.table_files import TABLE_SUFFIXES as TABLE_SUFFIXES
from sfumato.data.io.table_files import checked as checked
from sfumato.data.io.table_files import is_parts as is_parts
from sfumato.data.io.table_files import parts as parts
from sfumato.data.io.table_files import suffix as suffix
from sfumato.errors import SfumatoError
from sfumato.files import replacing


def is_frame(source: Any) -> bool:
    """Whether it is a frame of pandas, polars, arrow, or of another library that narwhals knows.

    Raises:
        SfumatoError: if it is a frame with two columns of one name, or with labels of several types.
    """
    if isinstance(source, pa.Table | pa.RecordBatch):
        return True
    frame = _narwhal(source)
    if isinstance(frame, nw.DataFrame) and frame.implementation.is_pandas():
        frames_pandas.check_labels(frame.to_native().columns)
    return isinstance(frame, nw.DataFrame | nw.LazyFrame)


def _narwhal(source: Any) -> Any:
    try:
        return nw.from_native(source, pass_through=True)
    except nw.exceptions.DuplicateError:
        names = [str(name) for name in source.columns]
        twice = next(name for name in names if names.count(name) > 1)
        raise SfumatoError(f"column {twice!r} stands there twice; give each column a name of its own") from None


def read(
    source: Any,
    *,
    types: Mapping[str, pa.DataType] | None = None,
    keep: Collection[str] = (),
    reading: Reading = USUAL,
) -> tuple[pa.Table, str]:
    """A table file or frame as an arrow table, and what it was: file, pandas, polars or arrow.

    The fields' metadata remember what arrow has no word for (a pandas dtype, how a text file spells booleans);
    `give` and `write` bring it back.

    Args:
        source: path, frame, or mapping of names to columns.
        types: arrow types of columns of a text file that are not to be guessed.
        keep: what is wanted of the index that pandas wrote into a Parquet file, and otherwise left out.
        reading: which words are missing values, and whether a text file has a header.

    Raises:
        SfumatoError: if the file is missing, empty, ragged or damaged, or a column is not one of a table.
    """
    if isinstance(source, str | Path):
        table, kind = _file(Path(source), types, keep, reading), "file"
    elif isinstance(source, Mapping):
        table, kind = _mapping(source), "arrow"
    elif isinstance(source, pa.Table):
        table, kind = source, "arrow"
    elif isinstance(source, pa.RecordBatch):
        table, kind = pa.Table.from_batches([source]), "arrow"
    else:
        table, kind = _frame(source)
    if not table.num_rows or not table.num_columns:
        raise SfumatoError(f"the table has no {'rows' if table.num_columns else 'columns'}; give one with some")
    twice = [name for name in table.column_names if table.column_names.count(name) > 1]
    if twice:
        where = f"{source}: " if kind == "file" else ""
        raise SfumatoError(f"{where}column {twice[0]!r} stands there twice; give each column a name of its own")
    table = frames_types.taken(table)
    return table if kind == "file" else without(table, reading), kind


def without(table: pa.Table, reading: Reading) -> pa.Table:
    """A table with null for the words, and the numbers, that a person says stand for missing values, if any."""
    if reading.missing is None:
        return table
    words = pa.array(reading.missing, pa.string())
    numbers = pa.array([float(word) for word in reading.missing if re.match(NUMBER, word)], pa.float64())
    for place, (field, column) in enumerate(zip(table.schema, table.columns, strict=True)):
        if is_text(field.type):
            gone = pc.is_in(column.cast(pa.string()), value_set=words)
        elif is_number(field.type):
            gone = pc.is_in(column.cast(pa.float64(), safe=False), value_set=numbers)
        else:
            continue
        table = table.set_column(place, field, pc.if_else(gone, pa.scalar(None, field.type), column))
    return table


def _file(path: Path, types: Mapping[str, pa.DataType] | None, keep: Collection[str], reading: Reading) -> pa.Table:
    place, ending = checked(path)
    try:
        if ending.startswith((".parquet", ".pq")):
            table = without(frames_types.taken(table_files.parquet(place, ending, keep)), reading)
        else:
            table = csv.read(place, types or {}, reading)
    except (OSError, EOFError, pa.ArrowException) as error:
        raise table_files.damaged(place, ending, error) from None
    if not table.num_rows:
        raise SfumatoError(f"{path}: no rows below the header; add some")
    return table


def _mapping(source: Mapping[str, Any]) -> pa.Table:
    arrays, fields = {}, []
    for name, values in source.items():
        array, marks = frames_objects.column(str(name), values)
        arrays[str(name)] = array
        fields.append(pa.field(str(name), array.type, metadata=marks or None))
    if len({len(array) for array in arrays.values()}) > 1:
        lengths = ", ".join(f"{name} {len(array)}" for name, array in arrays.items())
        raise SfumatoError(f"columns of different lengths: {lengths}; make them equal")
    return pa.table(list(arrays.values()), schema=pa.schema(fields))


def values(name: str, column: Any) -> list[Any]:
    """The values of a column of a frame, an array or a list as Python's own; None where missing.

    >>> import numpy as np
    >>> values("a", np.array(["2024-05-31", "NaT"], "M8[D]"))
    [datetime.date(2024, 5, 31), None]

    Raises:
        SfumatoError: if one is of a kind that no table holds.
    """
    array, _ = frames_pandas.column(name, column) if _is_pandas(column) else frames_objects.column(name, column)
    items: list[Any] = frames_types.taken(pa.table({name: array})).column(0).to_pylist()
    return items


def _is_pandas(column: Any) -> bool:
    return bool(nw.dependencies.is_pandas_series(column))


def _frame(source: Any) -> tuple[pa.Table, str]:
    frame = _narwhal(source)
    if isinstance(frame, nw.LazyFrame):
        frame = frame.collect()
    if not isinstance(frame, nw.DataFrame):
        raise SfumatoError(f"{type(source).__name__} is no table; give a path, or a frame of pandas, polars or arrow")
    if frame.implementation.is_pandas():
        return frames_pandas.read(frame.to_native()), "pandas"
    if not frame.implementation.is_polars():
        return frame.to_arrow().replace_schema_metadata(None), "arrow"
    return frames_polars.read(frame.to_native()), "polars"


def give(table: pa.Table, kind: str) -> Any:
    """An arrow table as the kind of frame that came in; for a file, a pandas frame where pandas is installed.

    Whole numbers and booleans that hold missing values become pandas' nullable Int64 and boolean.
    """
    table = frames_types.as_came(table)
    if kind == "polars":
        return frames_polars.give(table)
    if kind == "arrow":
        return table.cast(pa.schema([field.remove_metadata() for field in table.schema]))
    try:
        import pandas as pd
    except ImportError:
        if kind == "pandas":
            raise SfumatoError("these data came as a pandas frame: pip install pandas") from None
        return give(table, "arrow")
    return frames_pandas.give(pd, table)


def write(table: pa.Table, path: str | Path) -> None:
    """Write a table, whole or not at all; what `path` ends in decides the format.

    In text files a missing value is spelt as most of those of its column were when it was read, else it is an empty
    field; and a float column keeps its point (181.0), so that it is read again as one.

    Raises:
        SfumatoError: if the ending is not one of `TABLE_SUFFIXES`, or the place cannot be written to.
    """
    target, ending = Path(path), suffix(path)
    if not target.parent.exists():
        raise SfumatoError(f"{target.parent}: no such folder; make it first")
    with replacing(target) as temporary, pa.OSFile(str(temporary), "wb") as file:
        sink = pa.CompressedOutputStream(file, "gzip") if ending.endswith(".gz") else file
        if ending.startswith((".parquet", ".pq")):
            pq.write_table(table.replace_schema_metadata(None), sink)
        else:
            csv.write(frames_types.spelt(table), sink, "\t" if ending.startswith((".tsv", ".txt")) else ",")
        if sink is not file:
            sink.close()


def text(table: pa.Table) -> bytes:
    """A table as `write` writes it to a .csv.

    >>> text(pa.table({"a": [1, None]}))
    b'a\\n1\\n""\\n'
    """
    sink = pa.BufferOutputStream()
    csv.write(frames_types.spelt(table), sink, ",")
    return bytes(sink.getvalue())
