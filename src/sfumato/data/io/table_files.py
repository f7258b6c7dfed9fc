"""Files of tables: which there are, whether one is there, and what lies in a Parquet file or a folder of its parts."""

from __future__ import annotations

import json
from collections.abc import Collection
from pathlib import Path

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from sfumato.errors import SfumatoError

TABLE_SUFFIXES = (".csv", ".tsv", ".parquet", ".csv.gz", ".tsv.gz", ".parquet.gz", ".txt", ".txt.gz", ".pq")
"""Endings of the files read and written here."""

PARTS = ".parquet folder"
"""What stands for an ending where the parts of a table lie in a folder."""


def suffix(path: str | Path) -> str:
    """The ending of a table file.

    Raises:
        SfumatoError: if it is not one of `TABLE_SUFFIXES`.

    >>> suffix("new/people.CSV.gz")
    '.csv.gz'
    """
    name = Path(path).name.lower()
    for ending in sorted(TABLE_SUFFIXES, key=len, reverse=True):
        if name.endswith(ending):
            return ending
    raise SfumatoError(f"{path}: not a kind of table file known here; let it end in {', '.join(TABLE_SUFFIXES)}")


def checked(path: str | Path) -> tuple[Path, str]:
    """A path that holds something, and its ending.

    Raises:
        SfumatoError: if it is missing, a folder, or empty.
    """
    place = Path(path)
    if is_parts(place):
        return place, PARTS
    ending = suffix(path)
    if not place.exists():
        raise SfumatoError(f"{place}: no such file; check the spelling of its path")
    if place.is_dir():
        raise SfumatoError(f"{place}: a folder, where a table file should be; name a file in it")
    if not place.stat().st_size:
        raise SfumatoError(f"{place}: empty file (0 bytes); write a header and rows into it")
    return place, ending


def is_parts(path: Path) -> bool:
    """Whether it is a folder of Parquet files, as Spark and Dask write a table; also by folders called key=value.

    Names that begin with a dot or an underscore (`_SUCCESS`) are no data.
    """
    if not path.is_dir():
        return False
    data = [entry for entry in path.iterdir() if not entry.name.startswith((".", "_"))]
    return any(
        is_parts(entry) if entry.is_dir() else entry.suffix.lower() in (".parquet", ".pq")
        for entry in data
        if (entry.is_file() or "=" in entry.name)
    )


def parts(path: Path) -> ds.Dataset:
    """The rows of a folder of Parquet files; `key=value` in the name of a folder is a column."""
    return ds.dataset(path, format="parquet", partitioning="hive")


def damaged(path: Path, ending: str, error: Exception) -> SfumatoError:
    """The error that says a file could not be read."""
    return SfumatoError(f"{path}: damaged, or not a {ending} file ({_first_line(error)}); replace it")


def parquet(path: Path, ending: str, keep: Collection[str] = ()) -> pa.Table:
    """A Parquet file, or a folder of its parts, whole, with the columns that `columns_of` says."""
    if ending.endswith(".gz"):
        with pa.CompressedInputStream(pa.OSFile(str(path)), "gzip") as stream:
            table = pq.ParquetFile(pa.BufferReader(stream.read())).read()
    elif ending == PARTS:
        table = parts(path).to_table()
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
        index_columns = json.loads((schema.metadata or {}).get(b"pandas", b"{}")).get("index_columns", [])
    except (ValueError, AttributeError):
        index_columns = []
    index = {name for name in index_columns if isinstance(name, str)} - set(keep)
    return [place for place, name in enumerate(schema.names) if name not in index] or list(range(len(schema.names)))


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
