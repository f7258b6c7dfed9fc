"""Tables in and out: files, and the frames of pandas, polars and arrow, by way of one arrow table."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from numbers import Integral
from pathlib import Path
from typing import Any

import narwhals as nw
import pyarrow as pa
import pyarrow.parquet as pq

from sfumato.data import frames_text
from sfumato.errors import SfumatoError
from sfumato.files import replacing

SUFFIXES = (".csv", ".tsv", ".parquet", ".csv.gz", ".tsv.gz", ".parquet.gz", ".txt", ".txt.gz", ".pq")
"""Endings of the files read and written here."""

DTYPE = "sfumato.dtype"
NAME = "sfumato.name"


def suffix(path: str | Path) -> str:
    """The ending of a table file.

    Raises:
        SfumatoError: if it is not one of `SUFFIXES`.

    >>> suffix("new/people.CSV.gz")
    '.csv.gz'
    """
    name = Path(path).name.lower()
    for ending in sorted(SUFFIXES, key=len, reverse=True):
        if name.endswith(ending):
            return ending
    raise SfumatoError(f"{path}: not a kind of table file known here; let it end in {', '.join(SUFFIXES)}")


def is_frame(source: Any) -> bool:
    """Whether it is a frame of pandas, polars, arrow, or of another library that narwhals knows.

    Raises:
        SfumatoError: if it is a frame with two columns of one name, or with labels of several types.
    """
    if isinstance(source, pa.Table | pa.RecordBatch):
        return True
    made = _narwhal(source)
    if isinstance(made, nw.DataFrame) and made.implementation.is_pandas():
        _check_labels(made.to_native().columns)
    return isinstance(made, nw.DataFrame | nw.LazyFrame)


def _narwhal(source: Any) -> Any:
    try:
        return nw.from_native(source, pass_through=True)
    except nw.exceptions.DuplicateError:
        names = [str(name) for name in source.columns]
        twice = next(name for name in names if names.count(name) > 1)
        raise SfumatoError(f"column {twice!r} stands there twice; give each column a name of its own") from None


def read(
    source: Any, *, types: Mapping[str, pa.DataType] | None = None, keep: Collection[str] = ()
) -> tuple[pa.Table, str]:
    """A table file or frame as an arrow table, and what it was: file, pandas, polars or arrow.

    The fields' metadata remember what arrow has no word for (a pandas dtype, how a text file spells booleans);
    `give` and `write` bring it back.

    Args:
        source: path, frame, or mapping of names to columns.
        types: arrow types of columns of a text file that are not to be guessed.
        keep: what is wanted of the index that pandas wrote into a Parquet file, and otherwise left out.

    Raises:
        SfumatoError: if the file is missing, empty, ragged or damaged, or a column is not one of a table.
    """
    if isinstance(source, str | Path):
        table, kind = _file(Path(source), types, keep), "file"
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
    return table, kind


def checked(path: str | Path) -> tuple[Path, str]:
    """A path that holds something, and its ending.

    Raises:
        SfumatoError: if it is missing, a folder, or empty.
    """
    place, ending = Path(path), suffix(path)
    if not place.exists():
        raise SfumatoError(f"{place}: no such file; check the spelling of its path")
    if place.is_dir():
        raise SfumatoError(f"{place}: a folder, where a table file should be; name a file in it")
    if not place.stat().st_size:
        raise SfumatoError(f"{place}: empty file (0 bytes); write a header and rows into it")
    return place, ending


def damaged(path: Path, ending: str, error: Exception) -> SfumatoError:
    """The error that says a file could not be read."""
    return SfumatoError(f"{path}: damaged, or not a {ending} file ({_first_line(error)}); replace it")


def _file(path: Path, types: Mapping[str, pa.DataType] | None, keep: Collection[str]) -> pa.Table:
    place, ending = checked(path)
    try:
        if ending.startswith((".parquet", ".pq")):
            table = parquet(place, ending, keep)
        else:
            table = frames_text.read(place, types or {})
    except (OSError, EOFError, pa.ArrowException) as error:
        raise damaged(place, ending, error) from None
    if not table.num_rows:
        raise SfumatoError(f"{path}: no rows below the header; add some")
    return table


def parquet(path: Path, ending: str, keep: Collection[str] = ()) -> pa.Table:
    """A Parquet file, whole, with the columns that `columns_of` says."""
    if ending.endswith(".gz"):
        with pa.CompressedInputStream(pa.OSFile(str(path)), "gzip") as stream:
            table = pq.ParquetFile(pa.BufferReader(stream.read())).read()
    else:
        table = pq.ParquetFile(path).read()
    return table.select(columns_of(table.schema, keep)).replace_schema_metadata(None)


def columns_of(schema: pa.Schema, keep: Collection[str] = ()) -> list[int]:
    """Which columns of a Parquet file are a table's own, or in `keep`: not the index that pandas says it wrote.

    A file that has nothing else keeps it.

    >>> columns_of(pa.schema({"a": pa.int64(), "n": pa.int64()}, {"pandas": '{"index_columns": ["n"]}'}))
    [0]
    """
    try:
        told = json.loads((schema.metadata or {}).get(b"pandas", b"{}")).get("index_columns", [])
    except (ValueError, AttributeError):
        told = []
    index = {name for name in told if isinstance(name, str)} - set(keep)
    return [place for place, name in enumerate(schema.names) if name not in index] or list(range(len(schema.names)))


def _mapping(source: Mapping[str, Any]) -> pa.Table:
    arrays = {str(name): _column(str(name), values) for name, values in source.items()}
    if len({len(array) for array in arrays.values()}) > 1:
        lengths = ", ".join(f"{name} {len(array)}" for name, array in arrays.items())
        raise SfumatoError(f"columns of different lengths: {lengths}; make them equal")
    return pa.table(arrays)


def _column(name: str, values: Any) -> pa.Array:
    try:
        return pa.array(values, from_pandas=True)
    except (pa.ArrowException, TypeError, OverflowError) as error:
        raise SfumatoError(
            f"column {name!r} cannot be read as one kind of value ({_first_line(error)}); convert it, or take it out"
        ) from None


def _frame(source: Any) -> tuple[pa.Table, str]:
    made = _narwhal(source)
    if isinstance(made, nw.LazyFrame):
        made = made.collect()
    if not isinstance(made, nw.DataFrame):
        raise SfumatoError(f"{type(source).__name__} is no table; give a path, or a frame of pandas, polars or arrow")
    if made.implementation.is_pandas():
        return _from_pandas(made.to_native()), "pandas"
    table = made.to_arrow().replace_schema_metadata(None)
    if not made.implementation.is_polars():
        return table, "arrow"
    native = made.to_native()
    fields = [field.with_metadata({DTYPE: type(native.schema[field.name]).__name__}) for field in table.schema]
    return table.cast(pa.schema(fields)) if table.num_columns else table, "polars"


def _from_pandas(frame: Any) -> pa.Table:
    arrays, fields = [], []
    for place, label in enumerate(frame.columns):
        _check_label(label)
        series = frame.iloc[:, place]
        array = _column(str(label), series)
        if isinstance(array, pa.ChunkedArray):
            array = array.combine_chunks()
        marks = {DTYPE: str(series.dtype)}
        if isinstance(label, int):
            marks[NAME] = str(label)
        arrays.append(array)
        fields.append(pa.field(str(label), array.type, metadata=marks))
    return pa.table(arrays, schema=pa.schema(fields))


def _check_labels(labels: Any) -> None:
    """Refuse labels of pandas' columns that are not all text, or all whole numbers."""
    for label in labels:
        _check_label(label)
    words = [label for label in labels if isinstance(label, str)]
    if 0 < len(words) < len(labels):
        number = next(label for label in labels if not isinstance(label, str))
        raise SfumatoError(
            f"columns {words[0]!r} and {number} are called by text and by a number; call all alike, as with "
            "frame.columns = frame.columns.map(str)"
        )


def _check_label(label: Any) -> None:
    if isinstance(label, bool) or not isinstance(label, str | Integral):
        raise SfumatoError(
            f"column {label} has a label of type {type(label).__name__}, not text or a whole number; rename it, "
            "as with frame.columns = frame.columns.map(str)"
        )


def give(table: pa.Table, kind: str) -> Any:
    """An arrow table as the kind of frame that came in; for a file, a pandas frame where pandas is installed.

    Whole numbers and booleans that hold missing values become pandas' nullable Int64 and boolean.
    """
    if kind == "polars":
        return _to_polars(table)
    if kind == "arrow":
        return table.cast(pa.schema([field.remove_metadata() for field in table.schema]))
    try:
        import pandas as pd
    except ImportError:
        if kind == "pandas":
            raise SfumatoError("these data came as a pandas frame: pip install pandas") from None
        return give(table, "arrow")
    columns = {}
    for field, column in zip(table.schema, table.columns, strict=True):
        marks = field.metadata or {}
        label: str | int = int(marks[NAME.encode()]) if NAME.encode() in marks else field.name
        columns[label] = _series(pd, column, marks.get(DTYPE.encode(), b"").decode())
    return pd.DataFrame(columns)


def _series(pd: Any, column: pa.ChunkedArray, dtype: str) -> Any:
    kind = column.type
    if column.null_count and (pa.types.is_integer(kind) or pa.types.is_boolean(kind)):
        nullable = "boolean" if pa.types.is_boolean(kind) else _nullable(kind)
        if not dtype or dtype[0].islower():
            dtype = dtype if dtype.endswith("]") else nullable
    try:
        wanted = pd.api.types.pandas_dtype(dtype) if dtype else None
    except TypeError:
        wanted = None
    if isinstance(wanted, pd.api.extensions.ExtensionDtype) and dtype != "category":
        try:
            return column.to_pandas(types_mapper=lambda _: wanted)
        except (NotImplementedError, TypeError, ValueError):
            return column.to_pandas()
    if dtype == "object":
        return pd.Series(column.to_pylist(), dtype=object)
    return column.to_pandas()


def _nullable(kind: pa.DataType) -> str:
    name = str(kind)
    return name.replace("uint", "UInt").replace("int", "Int") if "uint" in name else name.replace("int", "Int")


def _to_polars(table: pa.Table) -> Any:
    import polars as pl

    plain = table.cast(pa.schema([_undeclared(field) for field in table.schema]))
    frame = pl.from_arrow(plain)
    assert isinstance(frame, pl.DataFrame)
    for field, column in zip(table.schema, table.columns, strict=True):
        mark = (field.metadata or {}).get(DTYPE.encode(), b"").decode()
        if mark == "Enum":
            chunk = column.chunk(0) if column.num_chunks else None
            labels = chunk.dictionary.to_pylist() if chunk is not None else []
            frame = frame.with_columns(pl.col(field.name).cast(pl.Enum(labels)))
        elif mark == "Categorical":
            frame = frame.with_columns(pl.col(field.name).cast(pl.Categorical))
    return frame


def _undeclared(field: pa.Field) -> pa.Field:
    kind = field.type.value_type if pa.types.is_dictionary(field.type) else field.type
    return pa.field(field.name, kind)


def write(table: pa.Table, path: str | Path) -> None:
    """Write a table, whole or not at all; what `path` ends in decides the format.

    In text files a missing value is an empty field, and a float column keeps its point (181.0), so that it is read
    again as one.

    Raises:
        SfumatoError: if the ending is not one of `SUFFIXES`, or the place cannot be written to.
    """
    target, ending = Path(path), suffix(path)
    if not target.parent.exists():
        raise SfumatoError(f"{target.parent}: no such folder; make it first")
    with replacing(target) as temporary, pa.OSFile(str(temporary), "wb") as file:
        sink = pa.CompressedOutputStream(file, "gzip") if ending.endswith(".gz") else file
        if ending.startswith((".parquet", ".pq")):
            pq.write_table(table.replace_schema_metadata(None), sink)
        else:
            frames_text.write(table, sink, "\t" if ending.startswith((".tsv", ".txt")) else ",")
        if sink is not file:
            sink.close()


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
