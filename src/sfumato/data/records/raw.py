"""Raw records: a table of values and texts, and the cells that are images; from files and frames, and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any

import narwhals as nw
import numpy as np
import pyarrow as pa

from sfumato.data.columns.base import is_text, plain
from sfumato.data.io import frames
from sfumato.data.io.image_files import IMAGE_SUFFIXES
from sfumato.data.io.reading import USUAL, Reading
from sfumato.errors import SfumatoError

ROWS_LOOKED_AT = 1000
"""Rows that tell whether a column is of paths to images."""


@dataclass(frozen=True)
class RawRows:
    """Rows of a table as they came.

    Attributes:
        table: all columns whose cells are values; those of paths among them.
        objects: name of a column of images in memory → its cells, None where missing.
        names: of all columns, in order.
        frame_kind: what the rows were, as `frames.read` says.
        folder: that paths are relative to.
        where: what begins a message: the file.
    """

    table: pa.Table
    objects: dict[str, list[Any]]
    names: tuple[str, ...]
    frame_kind: str
    folder: Path = Path()
    where: str = ""

    def __len__(self) -> int:
        return len(next(iter(self.objects.values()))) if not self.table.num_columns else int(self.table.num_rows)

    def cells(self, name: str) -> list[Any]:
        """The cells of a column; None where missing."""
        values: list[Any] = self.objects[name] if name in self.objects else plain(self.table[name]).to_pylist()
        return values


@dataclass(frozen=True)
class Pictures:
    """The images of a column.

    Attributes:
        pixels: (N, …) as `ImageSchema` takes them; 0 where there is none.
        present: which of them there are, (N,).
    """

    pixels: np.ndarray
    present: np.ndarray

    def take(self, rows: np.ndarray) -> Pictures:
        """Some of them, by their numbers from 0."""
        return Pictures(self.pixels[rows], self.present[rows])

    def cells(self) -> list[Any]:
        """One array for each row, None where there is none."""
        return [image if there else None for image, there in zip(self.pixels, self.present, strict=True)]


@dataclass(frozen=True)
class RawRecords:
    """Rows as the schema of records reads them.

    Attributes:
        table: columns of values, as the table's schema reads them; no columns where there are none.
        texts: name → texts, (N,) objects, None where missing.
        pictures: name → images.
        total: number of rows.
    """

    table: pa.Table | None
    texts: dict[str, np.ndarray] = field(default_factory=dict)
    pictures: dict[str, Pictures] = field(default_factory=dict)
    total: int = 0

    def __len__(self) -> int:
        return self.total

    def take(self, rows: Sequence[int] | np.ndarray) -> RawRecords:
        """Some of the rows, by their numbers from 0, in this order."""
        index = np.asarray(rows, np.int64)
        return replace(
            self,
            table=None if self.table is None else self.table.take(pa.array(index)),
            texts={name: values[index] for name, values in self.texts.items()},
            pictures={name: values.take(index) for name, values in self.pictures.items()},
            total=len(index),
        )


def are_paths(values: Sequence[Any]) -> bool:
    """Whether the cells of a column, where there are some, are all names of image files.

    >>> are_paths(["a/1.png", None, "2.JPG"]), are_paths(["https://example.org/1.png"]), are_paths([None])
    (True, False, False)
    """
    there = [value for value in values if value is not None and value != ""]
    return bool(there) and all(
        isinstance(value, str | Path) and str(value).lower().endswith(IMAGE_SUFFIXES) and "://" not in str(value)
        for value in there
    )


def first_rows(source: Any) -> Any:
    """The first rows of a frame or mapping in memory, enough to see what its columns are."""
    if isinstance(source, Mapping):
        columns = {name: values for name, values in source.items() if hasattr(values, "__iter__")}
        return {name: list(islice(values, ROWS_LOOKED_AT)) for name, values in columns.items()}
    if isinstance(source, pa.Table | pa.RecordBatch):
        return source.slice(0, ROWS_LOOKED_AT)
    first = nw.from_native(source).head(ROWS_LOOKED_AT)
    return (first.collect() if isinstance(first, nw.LazyFrame) else first).to_native()


def is_image(value: Any) -> bool:
    """Whether a cell is an image in memory: an array of two or three axes, or one of Pillow."""
    shape = getattr(value, "shape", None)
    return len(shape) in (2, 3) if shape is not None else hasattr(value, "__array_interface__")


def object_columns(source: Any) -> dict[str, list[Any]]:
    """The columns of a frame or mapping in memory whose cells are images, or paths as objects."""
    objects: dict[str, list[Any]] = {}
    for name, values in _columns(source):
        if isinstance(values, np.ndarray) and values.ndim > 2:
            objects[name] = list(values)
            continue
        cells = list(values)
        first = next((cell for cell in cells if not _is_missing(cell)), None)
        if is_image(first) or isinstance(first, Path):
            objects[name] = [None if _is_missing(cell) else cell for cell in cells]
    return objects


def _columns(source: Any) -> list[tuple[str, Any]]:
    """The columns of a frame or mapping in memory that may hold objects."""
    if isinstance(source, Mapping):
        return [(str(name), values) for name, values in source.items() if hasattr(values, "__len__")]
    if nw.dependencies.is_pandas_dataframe(source):
        return [(str(name), source[name]) for name in source.columns if source[name].dtype == object]
    if nw.dependencies.is_polars_dataframe(source):
        return [(name, source[name]) for name in source.columns if str(source[name].dtype) == "Object"]
    return []


def _is_missing(cell: Any) -> bool:
    return cell is None or (isinstance(cell, float) and cell != cell)


def read(source: Any, texts: Sequence[str] = (), reading: Reading = USUAL) -> RawRows:
    """The rows of a file, frame or mapping.

    Args:
        source: path, frame of pandas, polars or arrow, or mapping of names to columns.
        texts: columns whose cells are text, whatever they look like.
        reading: of text files.

    Raises:
        SfumatoError: if it cannot be read.
    """
    types = dict.fromkeys(texts, pa.string())
    if isinstance(source, str | Path):
        table, kind = frames.read(source, types=types, reading=reading)
        return RawRows(table, {}, tuple(table.column_names), kind, Path(source).parent, f"{source}: ")
    objects = object_columns(source)
    if isinstance(source, Mapping):
        names = tuple(map(str, source))
        rest: Any = {str(name): values for name, values in source.items() if str(name) not in objects}
    elif objects:
        names = tuple(map(str, source.columns))
        rest = source[[name for name in source.columns if str(name) not in objects]]
    else:
        names, rest = (), source
    if len(objects) and len(objects) == len(names):
        _check_lengths(objects)
        return RawRows(pa.table({}), objects, names, _kind_of(source))
    table, kind = frames.read(rest, types=types, reading=reading)
    _check_lengths(objects | {table.column_names[0]: table[0]})
    return RawRows(table, objects, names or tuple(table.column_names), kind)


def _kind_of(source: Any) -> str:
    if nw.dependencies.is_pandas_dataframe(source):
        return "pandas"
    return "polars" if nw.dependencies.is_polars_dataframe(source) else "arrow"


def _check_lengths(columns: Mapping[str, Any]) -> None:
    lengths = {name: len(values) for name, values in columns.items()}
    if len(set(lengths.values())) > 1:
        shown = ", ".join(f"{name} {length}" for name, length in lengths.items())
        raise SfumatoError(f"columns of different lengths: {shown}; make them equal")


def as_frame(table: pa.Table | None, objects: Mapping[str, list[Any]], names: Sequence[str], kind: str) -> Any:
    """Columns of values and of objects as the kind of frame that came in; of arrow, a mapping of names to columns."""
    if table is None:
        frame: Any = {}
        if kind in ("pandas", "file"):
            frame = frames.give(pa.table({"": pa.nulls(len(next(iter(objects.values()))))}), kind)[[]]
    else:
        frame = frames.give(table, kind)
    for place, name in enumerate(names):
        if name not in objects:
            continue
        if nw.dependencies.is_pandas_dataframe(frame):
            column = np.empty(len(objects[name]), object)
            column[:] = objects[name]
            frame.insert(min(place, frame.shape[1]), name, column)
        elif nw.dependencies.is_polars_dataframe(frame):
            import polars as pl

            frame.insert_column(min(place, frame.width), pl.Series(name, objects[name], dtype=pl.Object))
    if isinstance(frame, pa.Table | dict):
        values = {} if table is None else {name: table[name].to_pylist() for name in table.column_names}
        return {name: objects[name] if name in objects else values[name] for name in names}
    return frame


def is_free_text(column: pa.ChunkedArray) -> bool:
    """Whether cells are sentences: text with spaces, most of which differ from each other."""
    values = plain(column)
    if not is_text(values.type):
        return False
    words = [value for value in values.to_pylist() if value]
    spaces = np.mean([" " in word.strip() for word in words]) if words else 0.0
    return bool(spaces > 0.5 and len(set(words)) > 0.5 * len(words))
