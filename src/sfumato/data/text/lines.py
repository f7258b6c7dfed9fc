"""Sequences of symbols in: lines of text, lists of strings, arrays of whole numbers."""

from __future__ import annotations

import csv
import gzip
import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

import numpy as np
import pyarrow as pa

from sfumato.data.core.options import DataOptions
from sfumato.data.io import arrays, folder_labels, frames
from sfumato.data.io.image_files import IMAGE_SUFFIXES
from sfumato.errors import SfumatoError, did_you_mean
from sfumato.files import files_in, replacing

TEXT = (".txt", ".txt.gz")
DELIMITERS = "\t;,|"
SNIFFED = 50
"""Lines that tell whether a .txt file is a table."""


PARQUET = (".parquet", ".pq")
TEXT_COLUMN = "text"
"""What the column of sequences is called in a table."""


@dataclass(frozen=True)
class Lines:
    """Raw sequences of symbols.

    Attributes:
        x: (N,) strings, or (N, T) whole numbers as floats, NaN where missing or beyond the end.
        labels: (N,) or None.
        name: what to call the source.
    """

    x: np.ndarray
    labels: np.ndarray | None = None
    name: str = "array"

    def __len__(self) -> int:
        return len(self.x)


@dataclass(frozen=True)
class TextColumn:
    """Where text stands in a table.

    Attributes:
        name: of its column.
        label: name of the column of labels, or None.
    """

    name: str
    label: str | None = None

    def load(self, source: Any, *, need_label: bool = True) -> Lines | None:
        """Texts and labels of a table, None of what is none; a missing text is empty.

        Args:
            source: a file, or a frame in memory.
            need_label: whether the column of labels must be there.

        Raises:
            SfumatoError: if a column is missing, or a label.
        """
        if isinstance(source, str | Path):
            if not str(source).lower().endswith(frames.TABLE_SUFFIXES) or not Path(source).is_file():
                return None
        elif isinstance(source, Lines) or not (isinstance(source, Mapping) or frames.is_frame(source)):
            return None
        where = str(source) if isinstance(source, str | Path) else "table"
        wanted = [name for name in (self.name, self.label) if name is not None]
        table, _ = frames.read(source, types={name: pa.string() for name in wanted})
        label = self.label if need_label or self.label in table.column_names else None
        for name in [self.name] if label is None else wanted:
            if name not in table.column_names:
                raise SfumatoError(f"{where}: {name!r} is not a column; {did_you_mean(name, table.column_names)}")
        x = np.empty(table.num_rows, object)
        x[:] = ["" if text is None else str(text) for text in table[self.name].to_pylist()]
        labels = None if label is None else table[label].to_pylist()
        if labels is not None and None in labels:
            raise SfumatoError(f"{where}: row {labels.index(None) + 1} has no {label!r}; fill it in, or drop the row")
        return Lines(x, None if labels is None else np.array(labels), where)


def is_requested(source: Any, options: DataOptions) -> bool:
    """Whether a source is to be read as sequences of symbols: an option says so, it holds strings, or lines of text."""
    if options.symbols or options.text or strings(source[0] if _is_pair(source) else source) is not None:
        return True
    if not isinstance(source, str | Path):
        return False
    path = Path(source)
    return is_folder_of_texts(path) or (is_text(source) and path.is_file() and not _is_table(path))


def is_folder_of_texts(path: Path) -> bool:
    """Whether it is a folder with at least as many files of text as others, of which none is an image."""
    if not path.is_dir():
        return False
    texts = others = 0
    for file in files_in(path):
        if str(file).lower().endswith(IMAGE_SUFFIXES):
            return False
        texts, others = texts + is_text(file), others + (not is_text(file))
    return texts >= max(others, 1)


def from_folder(folder: Path) -> Lines:
    """Each file of text in a folder as one sequence, with its lines; subfolders are labels.

    Raises:
        SfumatoError: if a file is damaged, or not text.
    """
    paths = sorted(filter(is_text, files_in(folder)))
    x = np.empty(len(paths), object)
    x[:] = [_decoded(path).replace("\r\n", "\n").removesuffix("\n") for path in paths]
    return Lines(x, folder_labels.labels_of(paths, folder), str(folder))


def is_text(path: str | Path) -> bool:
    """Whether a name ends as that of a text file."""
    return str(path).lower().endswith(TEXT)


def is_gzip(path: str | Path) -> bool:
    """Whether a name ends as that of a compressed file."""
    return str(path).lower().endswith(".gz")


def strings(source: Any) -> np.ndarray | None:
    """A list, tuple or array of nothing but strings as an (N,) array of objects, anything else as None.

    >>> strings(["ab", "c"])
    array(['ab', 'c'], dtype=object)
    """
    if isinstance(source, np.ndarray) and source.ndim == 1 and source.dtype.kind in "UO":
        source = source.tolist()
    if not isinstance(source, list | tuple) or not source or not all(isinstance(value, str) for value in source):
        return None
    array = np.empty(len(source), object)
    array[:] = [str(value) for value in source]
    return array


def load(source: Any) -> Lines:
    """Whatever of these `source` is.

    Raises:
        SfumatoError: if it is none of them, or holds other numbers than whole ones.
    """
    if isinstance(source, Lines):
        return source
    x, labels = source if _is_pair(source) else (source, None)
    array = strings(x)
    if array is not None:
        return Lines(array, _labels(labels, len(array)), "text")
    if isinstance(source, str | Path) and Path(source).suffix not in (".npy", ".npz"):
        path = Path(source)
        if is_folder_of_texts(path):
            return from_folder(path)
        return from_table(path) if _holds_table(path) else from_text(path)
    loaded = arrays.load(source)
    name = str(source) if isinstance(source, str | Path) else loaded.name
    if loaded.x.ndim != 2:
        raise SfumatoError(f"{name}: has shape {loaded.x.shape}; sequences of symbols are (N, T) whole numbers")
    values = np.asarray(loaded.x, np.float64)
    arrays.check_finite(values, name)
    broken = np.argwhere(~np.isnan(values) & (values != np.round(values)))
    if len(broken):
        row, place = broken[0]
        raise SfumatoError(
            f"{name}: row {row + 1}, place {place + 1} is {values[row, place]:g}; symbols are whole numbers"
        )
    return Lines(values, loaded.labels, name)


def _holds_table(path: Path) -> bool:
    """Whether sequences stand in a table: in a .parquet, or in a .csv or .tsv whose one column is `TEXT_COLUMN`."""
    if is_text(path) or not str(path).lower().endswith(frames.TABLE_SUFFIXES) or not path.is_file():
        return False
    if frames.suffix(path).startswith(PARQUET):
        return True
    try:
        with _opened(path) as file:
            head = file.readline(1 << 16).decode("utf-8-sig", "replace").rstrip("\r\n")
    except (OSError, EOFError):
        return False
    return head in (TEXT_COLUMN, f'"{TEXT_COLUMN}"')


def from_table(path: Path) -> Lines:
    """The column `TEXT_COLUMN` of a table, as made sequences are written.

    Raises:
        SfumatoError: for a table without that column or without rows, a row of several cells, or what is not UTF-8.
    """
    ending = frames.suffix(path)
    if ending.startswith(PARQUET):
        table = frames.read(path)[0]
        if TEXT_COLUMN not in table.column_names:
            raise SfumatoError(f"{path}: has no column {TEXT_COLUMN!r}; call the column of sequences so")
        texts = ["" if value is None else str(value) for value in table[TEXT_COLUMN].to_pylist()]
    else:
        mark = "\t" if ending.startswith(".tsv") else ","
        rows = csv.reader(io.StringIO(_decoded(path), newline=""), delimiter=mark, strict=True)
        try:
            texts = [_only(row, path, rows.line_num) for row in rows][1:]
        except csv.Error as error:
            raise SfumatoError(f"{path}: line {rows.line_num} is no row of a table ({error}); fix it") from None
    if not texts:
        raise SfumatoError(f"{path}: the table has no rows; give one with some")
    x = np.empty(len(texts), object)
    x[:] = texts
    return Lines(x, None, str(path))


def _only(row: list[str], path: Path, line: int) -> str:
    if len(row) > 1:
        raise SfumatoError(f"{path}: line {line} has {len(row)} cells, and its header one; put quotes around the text")
    return row[0] if row else ""


def _opened(path: Path) -> IO[bytes]:
    return cast(IO[bytes], gzip.open(path)) if is_gzip(path) else path.open("rb")


def _decoded(path: Path) -> str:
    try:
        with _opened(path) as file:
            return file.read().decode("utf-8-sig")
    except (OSError, EOFError) as error:
        raise SfumatoError(f"{path}: damaged, not readable as text ({error})") from None
    except UnicodeDecodeError as error:
        raise SfumatoError(f"{path}: byte {error.start} is not UTF-8 text; save the file as UTF-8") from None


def from_text(path: Path) -> Lines:
    """One sequence for each line of a UTF-8 file, as it stands there; an empty line is an empty sequence.

    Raises:
        SfumatoError: if the file is missing, empty, or not text.
    """
    if not path.exists():
        raise SfumatoError(f"{path}: no such file; check the name and the folder")
    if path.is_dir():
        raise SfumatoError(f"{path}: a folder, where a text file should be; name a file in it")
    text = _decoded(path)
    if not text.strip():
        raise SfumatoError(f"{path}: holds no text; write one sequence on each line")
    rows = text.replace("\r\n", "\n").removesuffix("\n").split("\n")
    x = np.empty(len(rows), object)
    x[:] = rows
    return Lines(x, None, str(path))


def write(x: np.ndarray, path: str | Path) -> None:
    """Write strings one to a line, whole or not at all.

    Raises:
        SfumatoError: if the place cannot be written to, or a string holds several lines.
    """
    broken = next((row for row in x if "\n" in row), None)
    if broken is not None:
        raise SfumatoError(f"{path}: {broken!r} is of several lines; write .csv or .parquet")
    text = "".join(f"{row}\n" for row in x)
    with replacing(path) as temporary:
        data = text.encode("utf-8")
        temporary.write_bytes(gzip.compress(data) if is_gzip(path) else data)


def _is_table(path: Path) -> bool:
    """Whether each of the first lines is cut by one delimiter into the same number of cells, two or more."""
    try:
        with _opened(path) as file:
            head = [line.decode("utf-8-sig", "replace").rstrip("\r\n") for line in file.readlines(1 << 16)]
    except (OSError, EOFError):
        return False
    seen = [line for line in head[:SNIFFED] if line]
    return len(seen) > 1 and any(
        seen[0].count(mark) and len({line.count(mark) for line in seen}) == 1 for mark in DELIMITERS
    )


def _is_pair(source: Any) -> bool:
    return isinstance(source, tuple) and len(source) == 2 and not isinstance(source[0], str | Path)


def _labels(labels: Any, total: int) -> np.ndarray | None:
    if labels is None:
        return None
    array = np.asarray(labels)
    if array.shape != (total,):
        raise SfumatoError(f"the text has {total} rows, but the labels have shape {array.shape}; give one a row")
    return array
