"""Counts and what was made of them, written as files or given back as what they came as."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from scipy import sparse

from sfumato.data.io import frames
from sfumato.data.io.count_files import h5ad, mtx
from sfumato.data.io.count_files.count_matrix import INDEX, CountMatrix
from sfumato.errors import SfumatoError
from sfumato.files import replacing

LAYER_KEY, LATENTS_KEY = "sfumato", "X_sfumato"
"""Where decoded expression and codes stand in an .h5ad file: in `layers` and in `obsm`."""
PROBABILITIES_KEY = "sfumato_probabilities"
"""Where probabilities of classes stand in `obsm`."""
TABLE_ENDINGS = (".csv", ".tsv", ".csv.gz", ".tsv.gz", ".parquet")


def compact(values: np.ndarray) -> sparse.csr_array | np.ndarray:
    """Whole numbers as a sparse matrix; expectations dense, in single precision."""
    if not (values % 1 == 0).all():
        return values.astype(np.float32)
    most = np.abs(values).max(initial=0)
    return sparse.csr_array(values.astype(np.int32 if most < 2**31 else np.int64))


def as_came(matrix: CountMatrix, form: str) -> Any:
    """A matrix as what the training data came as; an AnnData object where that package is installed."""
    if form == "sparse":
        return sparse.csr_matrix(matrix.x) if sparse.issparse(matrix.x) else matrix.x
    if form == "array":
        return matrix.to_dense()
    if form == "anndata" and find_spec("anndata") is not None:
        return _as_anndata(matrix)
    return matrix


def _as_anndata(matrix: CountMatrix) -> Any:
    obs = matrix.obs.to_pandas()
    obs.index = list(matrix.index or map(str, range(len(matrix))))
    pandas = import_module("pandas")
    var = pandas.DataFrame(index=list(matrix.names or map(str, range(matrix.x.shape[1]))))
    x = sparse.csr_matrix(matrix.x) if sparse.issparse(matrix.x) else matrix.x
    return import_module("anndata").AnnData(x, obs=obs, var=var)


def as_table(matrix: CountMatrix) -> pa.Table:
    """Names of examples, what is known of them, then a column of counts for each name."""
    dense = matrix.to_dense()
    columns: dict[str, Any] = {INDEX: pa.array(matrix.index)} if matrix.index else {}
    columns |= {name: matrix.obs[name] for name in matrix.obs.column_names}
    names = matrix.names or tuple(f"x{place + 1}" for place in range(dense.shape[1]))
    return pa.table(columns | {name: dense[:, place] for place, name in enumerate(names)})


def write(matrix: CountMatrix, path: Path) -> None:
    """Write counts; what the name ends in decides the format.

    Raises:
        SfumatoError: if no format has this ending.
    """
    name = path.name.lower()
    if name.endswith(".h5ad"):
        h5ad.write(matrix, path)
    elif name.endswith(mtx.MTX_SUFFIXES):
        mtx.write(matrix, path)
    elif name.endswith(".npz"):
        with replacing(path) as temporary:
            sparse.save_npz(temporary, sparse.csr_matrix(matrix.x))
    elif name.endswith(TABLE_ENDINGS):
        frames.write(as_table(matrix), path)
    else:
        endings = ", ".join((".h5ad", *mtx.MTX_SUFFIXES, ".npz", *TABLE_ENDINGS))
        raise SfumatoError(f"{path}: counts are not written as this; let it end in {endings}")


def write_layer(matrix: CountMatrix, path: Path, source: Any) -> None:
    """Decoded expression in `layers["sfumato"]` of a copy of an .h5ad file; as `write` does of anything else.

    A file whose matrix has other columns, or others beside those of the model, gets a matrix of its own.
    """
    name = str(source).lower()
    if not (path.name.lower().endswith(".h5ad") and isinstance(source, str | Path) and name.endswith(".h5ad")):
        write(matrix, path)
        return
    known = h5ad.names(Path(source))
    if known and known != matrix.names:
        write(matrix, path)
        return
    h5ad.copy_with(
        Path(source), path, lambda file: h5ad.write_matrix(h5ad.in_group(file, "layers"), LAYER_KEY, matrix.x)
    )


def write_annotated(
    what: str, columns: Mapping[str, np.ndarray], path: Path, source: Any, matrix: CountMatrix | None
) -> None:
    """Codes in `obsm`, or classes in `obs`, of a copy of an .h5ad file, or of a new one of what was read.

    Args:
        what: "codes" or "classes".
        columns: name → one value for each example.
        path: where to.
        source: the file, if it is of this format.
        matrix: what was read of any other source; None for an .h5ad file.
    """

    def change(file: Any) -> None:
        if what == "codes":
            h5ad.write_matrix(h5ad.in_group(file, "obsm"), LATENTS_KEY, np.stack(list(columns.values()), 1))
            return
        first, *others = columns
        labels = [None if value is None else str(value) for value in columns[first].tolist()]
        h5ad.write_columns(file["obs"], {f"{LAYER_KEY}_{first}": pa.array(labels).dictionary_encode()})
        probabilities = np.stack([columns[name] for name in others], 1)
        h5ad.write_matrix(h5ad.in_group(file, "obsm"), PROBABILITIES_KEY, probabilities)

    if matrix is None:
        h5ad.copy_with(Path(source), path, change)
        return
    h5ad.write(replace(matrix), path)
    with h5ad.opened(path, "r+") as file:
        change(file)
