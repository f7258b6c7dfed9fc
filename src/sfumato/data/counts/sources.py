"""What counts can come from: `.h5ad`, `.mtx`, sparse `.npz`, tables, sparse matrices, AnnData objects."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from scipy import sparse

from sfumato.data.columns.base import is_number, is_text, plain
from sfumato.data.core.labels import LABEL
from sfumato.data.core.options import DataOptions
from sfumato.data.io import arrays, frames
from sfumato.data.io.count_files import count_matrix, h5ad, mtx
from sfumato.data.io.count_files.count_matrix import CountMatrix, as_rows, is_annotated, no_columns
from sfumato.errors import SfumatoError, did_you_mean

H5AD = ".h5ad"
COUNT_FORMS = ("file", "anndata", "sparse", "array")
"""What examples can come as, and go back as."""


class Counted(NamedTuple):
    """A matrix of counts, what it came as, and notes on how it was read.

    Attributes:
        matrix: the counts.
        form: one of `COUNT_FORMS`.
        notes: what should be known before training.
        without: whether columns that are dropped are gone already.
    """

    matrix: CountMatrix
    form: str = "file"
    notes: tuple[str, ...] = ()
    without: bool = False


def has_layers(source: Any) -> bool:
    """Whether a source can have several matrices."""
    return is_annotated(source) or (isinstance(source, str | Path) and str(source).lower().endswith(H5AD))


def load(source: Any, options: DataOptions, *, counts: bool = True) -> Counted:
    """Any of these sources.

    Args:
        source: a path or an object.
        options: which matrix it is, and which columns of tables are no counts.
        counts: refuse numbers that are none.

    Raises:
        SfumatoError: if it is damaged, or its numbers are no counts.
    """
    read = _unchecked(source, options)
    if options.layer is not None and not has_layers(source):
        raise SfumatoError(f"layer={options.layer!r}: {read.matrix.name} has no layers; leave it out")
    matrix = read.matrix
    if not len(matrix) or not matrix.x.shape[1]:
        raise SfumatoError(f"{matrix.name}: has no {'columns' if len(matrix) else 'rows'}; give at least 2 examples")
    if counts and (wrong := count_matrix.not_counts(matrix)):
        raise SfumatoError(
            f"{matrix.name}: {_where(options)} holds {wrong}, which is no count; {_cure(source, options)}"
        )
    return _distinct(read)


def _distinct(read: Counted) -> Counted:
    """Names of columns that stand there twice with a number behind the second."""
    seen: dict[str, int] = {}
    names = []
    for name in read.matrix.names:
        seen[name] = seen.get(name, -1) + 1
        names.append(f"{name}-{seen[name]}" if seen[name] else name)
    return read._replace(matrix=replace(read.matrix, names=tuple(names)))


def _where(options: DataOptions) -> str:
    if options.layer is None:
        return "X"
    return "raw/X" if options.layer == h5ad.RAW else f"layers/{options.layer}"


def _cure(source: Any, options: DataOptions) -> str:
    """What to do where the matrix holds other numbers than counts."""
    matrices: list[str] = []
    if isinstance(source, str | Path) and has_layers(source):
        matrices = [name for name in h5ad.layers(Path(source)) if name != options.layer]
        matrices = [name for name in matrices if not count_matrix.not_counts(h5ad.read(Path(source), name))]
    elif is_annotated(source):
        matrices = [name for name in _layers(source) if name != options.layer]
        matrices = [name for name in matrices if not count_matrix.not_counts(_annotated(source, name))]
    if matrices:
        return f"counts are in {' and '.join(matrices)}: choose with --layer {matrices[0]}"
    return "they look normalised: give the counts as they were measured"


def _unchecked(source: Any, options: DataOptions) -> Counted:
    if isinstance(source, CountMatrix):
        return Counted(source)
    if isinstance(source, str | Path):
        return _from_file(Path(source), options)
    if is_annotated(source):
        return Counted(_annotated(source, options.layer), "anndata")
    if not isinstance(source, tuple) and frames.is_frame(source):
        return Counted(_from_table(frames.read(source)[0], "table", options), without=True)
    x, y = source if isinstance(source, tuple) and len(source) == 2 else (source, None)
    labels = None if y is None else arrays.as_array(y, "y")
    if not sparse.issparse(x):
        loaded = arrays.from_memory(source, most=2)
        return Counted(CountMatrix(as_rows(loaded.x), _labelled(loaded.labels, len(loaded.x))), "array")
    if labels is not None and labels.shape != (x.shape[0],):
        raise SfumatoError(f"X has {x.shape[0]} rows, but y has shape {labels.shape}; give one label a row")
    return Counted(CountMatrix(as_rows(x), _labelled(labels, x.shape[0])), "sparse")


def _from_file(path: Path, options: DataOptions) -> Counted:
    name = path.name.lower()
    if path.is_dir():
        matrix = mtx.matrix_of(path)
        if matrix is None:
            raise SfumatoError(f"{path}: no matrix.mtx in this folder; give the file itself")
        path, name = matrix, matrix.name
    if name.endswith(mtx.MTX_SUFFIXES):
        read, notes = mtx.read(path)
        return Counted(read, notes=notes)
    if name.endswith(H5AD):
        return Counted(h5ad.read(path, options.layer))
    if not path.is_file():
        raise SfumatoError(f"{path}: no such file; check the name and the folder")
    if name.endswith(".npz") and count_matrix.holds_sparse(path):
        return Counted(count_matrix.read_npz(path))
    if name.endswith((".npz", ".npy")):
        loaded = arrays.from_file(path, most=2)
        return Counted(CountMatrix(as_rows(loaded.x), _labelled(loaded.labels, len(loaded.x)), name=str(path)))
    table = frames.read(path, reading=options.reading)[0]
    return Counted(_from_table(table, str(path), options), without=True)


def _labelled(labels: np.ndarray | None, total: int) -> pa.Table:
    """Labels as the one column beside examples."""
    if labels is None:
        return no_columns(total)
    missing = np.array([value is None or value != value or value == "" for value in labels.tolist()], bool)
    return pa.table({LABEL: pa.array(labels.tolist(), mask=missing)})


def _from_table(table: pa.Table, name: str, options: DataOptions) -> CountMatrix:
    """Columns of numbers as counts, all others, conditions and the label beside them; a first one of names."""
    beside = {*options.given, *options.kinds, options.label}
    numbers = [
        column
        for column in table.column_names
        if is_number(table[column].type) and column not in beside and column not in options.drop
    ]
    for absent in set(options.drop) - {*table.column_names}:
        raise SfumatoError(f"drop={absent!r} is not a column of {name}; {did_you_mean(absent, table.column_names)}")
    if not numbers:
        raise SfumatoError(f"{name}: has no column of numbers, so no counts; leave counts out")
    for column in numbers:
        if table[column].null_count:
            raise SfumatoError(f"{name}: column {column!r} has a blank cell; counts are 0 where nothing was seen")
    others = [column for column in table.column_names if column not in numbers and column not in options.drop]
    first = table.column_names[0]
    index: tuple[str, ...] = ()
    if others and others[0] == first and first not in beside and is_text(plain(table[first]).type):
        values = plain(table[first])
        if pc.count_distinct(values).as_py() == len(values):
            index, others = tuple(values.to_pylist()), others[1:]
    # By columns, so that no more than one of them is dense at a time.
    parts = [sparse.csc_array(plain(table[column]).to_numpy(zero_copy_only=False)[:, None]) for column in numbers]
    obs = table.select(others) if others else no_columns(table.num_rows)
    return CountMatrix(as_rows(sparse.hstack(parts, format="csc")), obs, tuple(numbers), index, name)


def _layers(source: Any) -> list[str]:
    return [*(getattr(source, "layers", None) or ()), *([h5ad.RAW] if getattr(source, "raw", None) is not None else [])]


def _annotated(source: Any, layer: str | None) -> CountMatrix:
    """The matrix of an AnnData object."""
    if layer is not None and layer not in _layers(source):
        there = ", ".join(_layers(source)) or "nothing"
        raise SfumatoError(f"layer={layer!r} is not there; the object has {there}")
    holder = source.raw if layer == h5ad.RAW else source
    x = source.layers[layer] if layer not in (None, h5ad.RAW) else holder.X
    if x is None:
        raise SfumatoError(f"X is empty; name the layer of the counts: layer={(_layers(source) or ['…'])[0]!r}")
    x = x if sparse.issparse(x) else np.asarray(x)
    total = x.shape[0]
    obs = source.obs
    table = no_columns(total)
    if isinstance(obs, Mapping):
        table = frames.read(obs)[0] if obs else table
    elif obs is not None and len(obs.columns):
        table = frames.read(obs.reset_index(drop=True))[0]
    return CountMatrix(as_rows(x), table, tuple(map(str, holder.var_names)), tuple(map(str, source.obs_names)), "X")
