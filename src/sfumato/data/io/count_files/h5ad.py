"""`.h5ad` files, the layout of AnnData, read and written with h5py alone."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from scipy import sparse

from sfumato.data.io.count_files.count_matrix import CountMatrix, as_rows, no_columns
from sfumato.errors import SfumatoError, did_you_mean, need
from sfumato.files import replacing

RAW = "raw"
"""What `raw/X` is called as a layer."""
DENSE_AT_A_TIME = 1 << 24
"""Values of a dense matrix that are read together."""


def _h5py() -> Any:
    return need("h5py", "counts", "an .h5ad file")


@contextmanager
def opened(path: Path, mode: str = "r") -> Iterator[Any]:
    """The file, open.

    Raises:
        SfumatoError: if it is not there, empty, or none of this format, or is damaged where it is looked at.
    """
    h5py = _h5py()
    if not path.exists():
        raise SfumatoError(f"{path}: no such file; check the name and the folder")
    if path.stat().st_size == 0:
        raise SfumatoError(f"{path}: the file is empty (0 bytes); write it again")
    try:
        with h5py.File(path, mode) as file:
            yield file
    except (OSError, KeyError, RuntimeError, ValueError, TypeError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise SfumatoError(f"{path}: damaged, not readable as .h5ad ({reason}); write it again") from None


def layers(path: Path) -> list[str]:
    """The matrices beside X: names of layers, and `raw`."""
    with opened(path) as file:
        return [*file.get("layers", ()), *([RAW] if RAW in file and "X" in file[RAW] else ())]


def names(path: Path) -> tuple[str, ...]:
    """The names of the columns of X."""
    with opened(path) as file:
        return _index(file["var"]) if "var" in file else ()


def read(path: Path, layer: str | None = None) -> CountMatrix:
    """A matrix of the file with the names of its rows and columns, and what is known of the rows.

    Args:
        path: of the file.
        layer: name of a layer, or `raw` for `raw/X`; None for X.

    Raises:
        SfumatoError: if the file is damaged, or there is no such matrix.
    """
    known = layers(path)
    if layer is not None and layer not in known:
        cure = did_you_mean(layer, known) if known else "the file has none; leave layer out"
        raise SfumatoError(f"{path}: no layer is called {layer!r}; {cure}")
    with opened(path) as file:
        group, var = file, "var"
        if layer == RAW:
            group = file[RAW]
        elif "X" not in file and layer is None:
            also = f"; its layers are {', '.join(known)}: choose one with --layer" if known else ""
            raise SfumatoError(f"{path}: no matrix X{also or '; write one with AnnData'}")
        x = as_rows(_matrix(group["X"] if layer in (None, RAW) else file["layers"][layer]))
        names = _index(group[var]) if var in group else ()
        obs = _frame(file["obs"], file, x.shape[0]) if "obs" in file else no_columns(x.shape[0])
        index = _index(file["obs"]) if "obs" in file else ()
    for what, found, wanted in (("obs", len(index), x.shape[0]), ("var", len(names), x.shape[1])):
        if found and found != wanted:
            raise SfumatoError(f"{path}: {what} has {found} rows for {wanted} of the matrix; write the file again")
    return CountMatrix(x, obs, names, index, str(path))


def _matrix(stored: Any) -> Any:
    if isinstance(stored, _h5py().Dataset):
        if stored.ndim != 2:
            raise ValueError(f"X has {stored.ndim} axes")
        step = max(1, DENSE_AT_A_TIME // max(stored.shape[1], 1))
        parts = [sparse.csr_array(stored[at : at + step]) for at in range(0, stored.shape[0], step)]
        return sparse.vstack(parts, format="csr") if parts else sparse.csr_array(stored.shape)
    kind = _text(stored.attrs.get("encoding-type", stored.attrs.get("h5sparse_format", "csr")))
    shape = stored.attrs["shape"] if "shape" in stored.attrs else stored.attrs["h5sparse_shape"]
    build = sparse.csc_array if kind.startswith("csc") else sparse.csr_array
    matrix = build((stored["data"][:], stored["indices"][:], stored["indptr"][:]), shape=tuple(map(int, shape)))
    matrix.check_format(full_check=True)
    return matrix


def _text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _texts(values: Any) -> list[str]:
    return [_text(value) for value in np.asarray(values).tolist()]


def _index(frame: Any) -> tuple[str, ...]:
    """The names of the rows of a frame; empty where they have none."""
    if isinstance(frame, _h5py().Dataset):
        key = next((name for name in ("index", "_index") if name in (frame.dtype.names or ())), None)
        return tuple(_texts(frame[key])) if key else ()
    key = _text(frame.attrs.get("_index", "_index"))
    return tuple(_texts(frame[key][:])) if key in frame and isinstance(frame[key], _h5py().Dataset) else ()


def _frame(stored: Any, file: Any, total: int) -> pa.Table:
    """The columns of a frame in either of its encodings; columns of other types are left out."""
    columns: dict[str, pa.Array] = {}
    if isinstance(stored, _h5py().Dataset):
        values = stored[:]
        for name in values.dtype.names or ():
            labels = f"{name}_categories"
            categories = _texts(file["uns"][labels][:]) if "uns" in file and labels in file["uns"] else None
            if name not in ("index", "_index"):
                columns[name] = _coded(values[name], categories) if categories else _plain(values[name])
    else:
        index = _text(stored.attrs.get("_index", "_index"))
        listed = _texts(stored.attrs["column-order"]) if "column-order" in stored.attrs else list(stored)
        for name in listed:
            if name in stored and name not in (index, "__categories") and (read := _column(stored, name)) is not None:
                columns[name] = read
    return pa.table(columns) if columns else no_columns(total)


def _column(frame: Any, name: str) -> pa.Array | None:
    stored = frame[name]
    if isinstance(stored, _h5py().Dataset):
        if stored.ndim != 1:
            return None
        if "categories" in stored.attrs:  # Before AnnData 0.8, by a reference to the list of categories.
            return _coded(stored[:], _texts(frame[stored.attrs["categories"]][:]))
        return _plain(stored[:])
    if "codes" in stored and "categories" in stored:
        categories = stored["categories"]
        labels = categories["values"][:] if not isinstance(categories, _h5py().Dataset) else categories[:]
        return _coded(stored["codes"][:], labels if labels.dtype.kind in "iub" else _texts(labels))
    if "values" in stored and "mask" in stored:  # Numbers, booleans and text of which some are missing.
        values = stored["values"][:]
        values = np.array(_texts(values), object) if values.dtype.kind in "OSU" else values
        return pa.array(values, mask=stored["mask"][:].astype(bool))
    return None


def _coded(codes: np.ndarray, categories: Any) -> pa.Array:
    codes = codes.astype(np.int32)
    return pa.DictionaryArray.from_arrays(pa.array(codes, mask=codes < 0), pa.array(categories))


def _plain(values: np.ndarray) -> pa.Array:
    return pa.array(_texts(values)) if values.dtype.kind in "OSU" else pa.array(values)


def write(matrix: CountMatrix, path: Path) -> None:
    """A new file of a matrix, whole or not at all."""
    h5py = _h5py()
    with replacing(path) as temporary, h5py.File(temporary, "w") as file:
        _encoded(file, "anndata", "0.1.0")
        write_matrix(file, "X", matrix.x)
        counted = tuple(map(str, range(len(matrix))))
        _write_frame(file, "obs", matrix.obs, matrix.index or counted)
        names = matrix.names or tuple(map(str, range(matrix.x.shape[1])))
        _write_frame(file, "var", no_columns(len(names)), names)
        for name in ("layers", "obsm", "varm", "obsp", "varp", "uns"):
            _encoded(file.create_group(name), "dict", "0.1.0")


def copy_with(source: Path, target: Path, change: Callable[[Any], None]) -> None:
    """A copy of a file that `change` adds to, whole or not at all.

    Raises:
        SfumatoError: if the copy would replace the file itself.
    """
    if target.exists() and target.samefile(source):
        raise SfumatoError(f"{target}: is the file that is read; give the copy another name")
    with replacing(target) as temporary:
        shutil.copyfile(source, temporary)
        with opened(temporary, "r+") as file:
            change(file)


def write_matrix(group: Any, name: str, x: Any) -> None:
    """A matrix in the place of one of this name, sparse ones by rows."""
    if name in group:
        del group[name]
    if not sparse.issparse(x):
        _encoded(group.create_dataset(name, data=np.asarray(x), compression="gzip"), "array", "0.2.0")
        return
    rows = sparse.csr_array(x)
    stored = group.create_group(name)
    _encoded(stored, "csr_matrix", "0.1.0")
    stored.attrs["shape"] = np.array(rows.shape, np.int64)
    for part in ("data", "indices", "indptr"):
        stored.create_dataset(part, data=getattr(rows, part), compression="gzip")


def in_group(file: Any, name: str) -> Any:
    """A group of the file such as `layers`, made where it is not there."""
    if name not in file:
        _encoded(file.create_group(name), "dict", "0.1.0")
    return file[name]


def write_columns(frame: Any, columns: Mapping[str, pa.Array]) -> None:
    """Columns added to a frame, in the place of those of their names.

    Raises:
        SfumatoError: if the frame has the encoding of AnnData before 0.7, to which nothing can be added.
    """
    if isinstance(frame, _h5py().Dataset):
        raise SfumatoError("obs is stored as before AnnData 0.7; write the file again with a later version")
    order = _texts(frame.attrs["column-order"]) if "column-order" in frame.attrs else []
    for name, values in columns.items():
        if name in frame:
            del frame[name]
        _write_column(frame, name, values)
        order += [] if name in order else [name]
    frame.attrs.create("column-order", order, dtype=_h5py().string_dtype())


def _write_frame(file: Any, name: str, table: pa.Table, index: tuple[str, ...]) -> None:
    frame = file.create_group(name)
    _encoded(frame, "dataframe", "0.2.0")
    frame.attrs["_index"] = "_index"
    frame.attrs.create("column-order", [], dtype=_h5py().string_dtype())
    _strings(frame, "_index", index)
    write_columns(frame, {column: table[column] for column in table.column_names})


def _write_column(frame: Any, name: str, values: Any) -> None:
    values = values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values
    coded = pa.types.is_dictionary(values.type)
    if coded or pa.types.is_string(values.type) or pa.types.is_large_string(values.type):
        values = values if coded else values.dictionary_encode()
        values = values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values
        group = frame.create_group(name)
        _encoded(group, "categorical", "0.2.0")
        group.attrs["ordered"] = bool(values.type.ordered)
        _strings(group, "categories", [str(label) for label in values.dictionary.to_pylist()])
        codes = values.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int32)
        _encoded(group.create_dataset("codes", data=codes), "array", "0.2.0")
        return
    if values.null_count:
        values = values.cast(pa.float64())
    _encoded(frame.create_dataset(name, data=values.to_numpy(zero_copy_only=False)), "array", "0.2.0")


def _strings(group: Any, name: str, values: Any) -> None:
    stored = group.create_dataset(name, data=np.array(list(values), object), dtype=_h5py().string_dtype())
    _encoded(stored, "string-array", "0.2.0")


def _encoded(stored: Any, kind: str, version: str) -> None:
    stored.attrs["encoding-type"], stored.attrs["encoding-version"] = kind, version
