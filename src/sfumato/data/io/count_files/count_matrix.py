"""A matrix of counts with what is known of its rows and columns, and scipy's own files of such matrices."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from zipfile import BadZipFile, ZipFile, is_zipfile

import numpy as np
import pyarrow as pa
from scipy import sparse

from sfumato.errors import SfumatoError

INDEX = "index"
"""What the names of examples are called where they become a column."""


def no_columns(total: int) -> pa.Table:
    """A table of so many rows and no column.

    >>> no_columns(3).num_rows
    3
    """
    return pa.table({INDEX: pa.nulls(total)}).select([])


@dataclass(frozen=True, eq=False)
class CountMatrix:
    """N examples (cells) of D columns (genes), as AnnData objects have them.

    Attributes:
        x: counts, (N, D), sparse by rows; expectations are dense.
        obs: what is known of each example, a table of N rows, perhaps without columns.
        names: of the columns; empty where they have none.
        index: names of the examples; empty where they have none.
        name: what the matrix is called in messages.
    """

    x: sparse.csr_array | np.ndarray
    obs: pa.Table
    names: tuple[str, ...] = ()
    index: tuple[str, ...] = field(default=(), repr=False)
    name: str = "X"

    def __len__(self) -> int:
        return int(self.x.shape[0])

    def take(self, rows: Sequence[int] | np.ndarray) -> CountMatrix:
        """Some of the examples, by their numbers from 0, in this order."""
        at = np.asarray(rows, np.int64)
        index = tuple(self.index[row] for row in at.tolist()) if self.index else ()
        return replace(self, x=self.x[at], obs=self.obs.take(pa.array(at)), index=index)

    def columns(self, places: Sequence[int] | np.ndarray, names: Sequence[str]) -> CountMatrix:
        """Some of the columns, by their numbers from 0, in this order."""
        return replace(self, x=self.x[:, np.asarray(places, np.int64)], names=tuple(names))

    def to_dense(self) -> np.ndarray:
        """x as an array."""
        return np.asarray(sparse.csr_array(self.x).toarray() if sparse.issparse(self.x) else self.x)

    def tolist(self) -> list[list[float]]:
        """x as lists, a row for each example."""
        listed: list[list[float]] = self.to_dense().tolist()
        return listed


def named_column(matrix: CountMatrix, place: int) -> str:
    """A column as messages name it."""
    return f"column {place}" if not matrix.names else repr(matrix.names[place])


def not_counts(matrix: CountMatrix) -> str:
    """Why numbers are no counts, as "0.5 in row 1, column 2"; "" where all are whole, finite and not negative."""
    x = sparse.csr_array(matrix.x)
    data = x.data
    if data.dtype.kind in "bu":
        return ""
    if data.dtype.kind not in "if":
        return f"values of type {data.dtype}"
    wrong = data < 0
    if data.dtype.kind == "f":
        wrong |= ~np.isfinite(data) | (data != np.round(data))
    if not wrong.any():
        return ""
    first = int(np.argmax(wrong))
    row = int(np.searchsorted(x.indptr, first, side="right")) - 1
    return f"{data[first]:g} in row {row + 1}, {named_column(matrix, int(x.indices[first]))}"


def as_rows(x: Any) -> sparse.csr_array:
    """Any matrix as one that is sparse by rows, without duplicate or explicit zeros.

    Whole numbers held as floats become integers, the narrower type that holds them.
    """
    rows = sparse.csr_array(x)
    if rows is x or np.shares_memory(rows.data, getattr(x, "data", np.empty(0)) if sparse.issparse(x) else x):
        rows = rows.copy()
    rows.sum_duplicates()
    rows.eliminate_zeros()
    if rows.data.dtype == bool:
        return rows.astype(np.int32)
    whole = rows.data.dtype.kind in "iu" or bool(np.isfinite(rows.data).all() and (rows.data % 1 == 0).all())
    if whole and (not rows.nnz or np.abs(rows.data).max() < 2**53):
        most = np.abs(rows.data).max() if rows.nnz else 0
        return rows.astype(np.int32 if most < 2**31 else np.int64)
    return rows


def is_annotated(value: Any) -> bool:
    """Whether it is an AnnData object, or one like it."""
    return all(hasattr(value, name) for name in ("X", "obs", "var_names", "obs_names"))


def holds_counts(value: Any) -> bool:
    """Whether it is an object for counts: a sparse matrix, perhaps with labels, an AnnData object, a `CountMatrix`."""
    x = value[0] if isinstance(value, tuple) and len(value) == 2 else value
    return sparse.issparse(x) or isinstance(value, CountMatrix) or is_annotated(value)


def looks_counted(x: Any) -> bool:
    """Whether a sparse matrix holds counts: whole numbers from 0 on, of which one is above 1.

    >>> looks_counted(sparse.csr_array([[0, 3], [1, 0]])), looks_counted(sparse.csr_array([[0, 1], [1, 0]]))
    (True, False)
    """
    data = (
        x.data if hasattr(x, "data") and isinstance(x.data, np.ndarray) and x.data.dtype != object else x.tocsr().data
    )
    if data.dtype.kind not in "iuf" or not data.size:
        return False
    return bool(np.isfinite(data).all() and data.min() >= 0 and data.max() > 1 and (data % 1 == 0).all())


def holds_sparse(path: Path) -> bool:
    """Whether a `.npz` file is one of `scipy.sparse.save_npz`."""
    try:
        with ZipFile(path) as archive:
            return {"format.npy", "shape.npy", "data.npy"} <= set(archive.namelist())
    except (OSError, BadZipFile):
        return False


def read_npz(path: Path) -> CountMatrix:
    """A matrix that `scipy.sparse.save_npz` wrote.

    Raises:
        SfumatoError: if the file is damaged.
    """
    if not is_zipfile(path):
        raise SfumatoError(f"{path}: damaged, not readable as .npz; write it again with scipy.sparse.save_npz")
    try:
        x = sparse.load_npz(path)
    except Exception as error:  # A damaged archive raises whatever the part that is damaged leads to.
        raise SfumatoError(
            f"{path}: damaged, not readable as a sparse matrix ({error}); write it again with scipy.sparse.save_npz"
        ) from None
    return CountMatrix(as_rows(x), no_columns(x.shape[0]), name=str(path))
