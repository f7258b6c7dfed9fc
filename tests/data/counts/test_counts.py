"""Counts: files and objects in, named columns, what they are refused for, and the same kind of thing back."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch
from scipy import io, sparse

import sfumato
from sfumato import data
from sfumato.data import DataOptions
from sfumato.data.counts import sources
from sfumato.data.io.count_files import mtx
from sfumato.data.io.count_files.count_matrix import CountMatrix
from sfumato.data.registry import load_schema
from sfumato.errors import SfumatoError

h5py = pytest.importorskip("h5py", reason="h5py is not installed (the extra counts)")
from sfumato.data.io.count_files import h5ad  # noqa: E402

RANDOM = np.random.default_rng(0)
GENES = tuple(f"G{place}" for place in range(6))
DENSE = RANDOM.poisson(np.exp(RANDOM.normal(size=(40, 6))))
OBS = pa.table(
    {
        "cell_type": pa.array(["T", "B"] * 20).dictionary_encode(),
        "batch": [0, 0, 1, 1] * 10,
        "mito": np.linspace(0, 0.25, 40),
    }
)


def matrix(x: Any = DENSE) -> CountMatrix:
    return CountMatrix(sparse.csr_array(x), OBS, GENES, tuple(f"c{place}" for place in range(40)))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "cells.h5ad"
    h5ad.write(matrix(), path)
    return path


def opened(source: Any, **options: Any) -> data.Dataset:
    return data.open(source, options=DataOptions(**options))


def whole(dataset: data.Dataset) -> np.ndarray:
    parts = [dataset.train, dataset.valid, dataset.test]
    return np.concatenate([part.take(slice(None)).x.numpy() for part in parts])


def same_rows(x: np.ndarray, y: np.ndarray) -> bool:
    return sorted(map(tuple, x.tolist())) == sorted(map(tuple, y.tolist()))


def test_a_file_is_read_with_its_names_and_conditions_and_stays_sparse(file: Path) -> None:
    dataset = opened(file, given=("cell_type", "mito"))
    schema = dataset.schema
    assert schema.kind == "counts"
    assert schema.spec.shape == (6,)
    assert schema.spec.likelihood == "negative_binomial"
    assert schema.given_names == ("cell_type", "mito")
    assert schema.label_names == ("B", "T")
    assert same_rows(whole(dataset), DENSE)
    batch = dataset.train.take(torch.tensor([3, 0, 3]))
    assert batch.x.dtype == torch.float32
    assert batch.given is not None
    assert batch.given.shape == (3, 2)
    again = load_schema(schema.to_dict())
    assert schema.equivalent(again)
    assert again.encode(again.read(file)).x.equal(torch.from_numpy(DENSE).float())


@pytest.mark.parametrize("stored", ["dense", "csc", "float", "old categories", "oldest"])
def test_every_encoding_of_the_format_is_read_alike(file: Path, stored: str) -> None:
    with h5py.File(file, "r+") as opened_file:
        if stored in ("dense", "float"):
            h5ad.write_matrix(opened_file, "X", DENSE.astype(float if stored == "float" else int))
        elif stored == "csc":
            columns = sparse.csc_array(DENSE)
            del opened_file["X"]
            group = opened_file.create_group("X")
            group.attrs.update({"encoding-type": "csc_matrix", "shape": columns.shape})
            for part in ("data", "indices", "indptr"):
                group[part] = getattr(columns, part)
        elif stored == "old categories":
            obs = opened_file["obs"]
            codes, labels = obs["cell_type"]["codes"][:], obs["cell_type"]["categories"][:]
            del obs["cell_type"]
            obs["__categories/cell_type"] = labels
            obs["cell_type"] = codes
            obs["cell_type"].attrs["categories"] = obs["__categories/cell_type"].ref
        else:
            names = np.array([f"c{place}".encode() for place in range(40)])
            columns = [("index", "S4"), ("cell_type", "i1"), ("batch", "i8"), ("mito", "f8")]
            rows = list(zip(names, [1, 0] * 20, OBS["batch"].to_pylist(), OBS["mito"].to_pylist(), strict=True))
            del opened_file["obs"]
            opened_file["obs"] = np.array(rows, columns)
            opened_file["uns/cell_type_categories"] = np.array([b"B", b"T"])
    read = h5ad.read(file)
    assert read.x.data.dtype.kind == "i"
    assert (read.to_dense() == DENSE).all()
    assert read.names == GENES
    assert read.index[:2] == ("c0", "c1")
    for name in OBS.column_names:
        assert read.obs[name].to_pylist() == OBS[name].to_pylist(), name


def test_the_matrix_of_counts_is_looked_for_where_x_is_normalised(file: Path) -> None:
    with h5py.File(file, "r+") as opened_file:
        h5ad.write_matrix(opened_file, "X", np.log1p(DENSE))
        h5ad.write_matrix(opened_file["layers"], "scaled", DENSE / 3)
        h5ad.write_matrix(opened_file["layers"], "spliced", sparse.csr_array(DENSE))
    with pytest.raises(SfumatoError, match=r"X holds .* in row \d+, 'G\d', which is no count; .*--layer spliced"):
        opened(file)
    assert same_rows(whole(opened(file, layer="spliced")), DENSE)
    with pytest.raises(SfumatoError, match=r"layers/scaled holds .*--layer spliced"):
        opened(file, layer="scaled")
    with pytest.raises(SfumatoError, match="no layer is called 'splice'; did you mean spliced"):
        opened(file, layer="splice")
    with h5py.File(file, "r+") as opened_file:
        del opened_file["layers"]["spliced"]
    with pytest.raises(SfumatoError, match="they look normalised: give the counts"):
        opened(file)


def anndata_like() -> SimpleNamespace:
    obs = OBS.to_pandas().set_index(pd.Index(matrix().index))
    return SimpleNamespace(X=DENSE, obs=obs, var_names=pd.Index(GENES), obs_names=obs.index, layers={}, raw=None)


def table() -> pd.DataFrame:
    columns = {"cell": list(matrix().index), "cell_type": OBS["cell_type"].to_pylist()}
    return pd.DataFrame(columns | {name: DENSE[:, place] for place, name in enumerate(GENES)})


@pytest.mark.parametrize(
    "source",
    [lambda: sparse.csr_matrix(DENSE), lambda: sparse.coo_array(DENSE.astype(float)), anndata_like, matrix],
    ids=["csr_matrix", "coo_array", "AnnData", "CountMatrix"],
)
def test_objects_are_counts(source: Callable[[], Any]) -> None:
    assert same_rows(whole(opened(source())), DENSE)


def test_tables_and_arrays_are_counts_when_they_are_said_to_be(tmp_path: Path) -> None:
    assert opened(DENSE).schema.kind == "vector"
    assert opened(DENSE, counts=True).schema.kind == "counts"
    path = tmp_path / "cells.csv"
    table().to_csv(path, index=False)
    dataset = opened(path, counts=True, label="cell_type", drop=("G5",))
    assert dataset.schema.label_names == ("B", "T")
    assert same_rows(whole(dataset), DENSE[:, :5])
    assert list(dataset.schema.read(path).index) == list(matrix().index)
    np.save(tmp_path / "x.npy", DENSE + 0.5)
    with pytest.raises(SfumatoError, match=r"holds \d\.5 in row 1, column 0, which is no count"):
        opened(tmp_path / "x.npy", counts=True)


def test_other_sparse_matrices_and_likelihoods_are_rows_of_numbers() -> None:
    assert opened(sparse.csr_array(DENSE / 2)).schema.kind == "vector"
    assert opened(sparse.csr_array(DENSE), likelihood="gaussian").schema.kind == "vector"
    assert opened(sparse.csr_array((DENSE > 1).astype(int))).schema.kind == "vector", "zeros and ones say too little"


@pytest.mark.parametrize("zipped", [False, True])
def test_a_folder_of_10x_genomics_is_read_and_written(tmp_path: Path, zipped: bool) -> None:
    end = ".gz" if zipped else ""
    mtx.write(matrix(), tmp_path / f"matrix.mtx{end}")
    for name in ("features.tsv", "barcodes.tsv") if zipped else ():
        (tmp_path / f"{name}.gz").write_bytes(gzip.compress((tmp_path / name).read_bytes()))
        (tmp_path / name).unlink()
    for source in (tmp_path, tmp_path / f"matrix.mtx{end}"):
        read = opened(source).schema.read(source)
        assert (read.to_dense() == DENSE).all()
        assert read.names == GENES
        assert read.index == matrix().index
    bare = tmp_path / "bare.mtx"
    io.mmwrite(bare, sparse.coo_array(DENSE))
    dataset = opened(bare)
    assert same_rows(whole(dataset), DENSE)
    assert "rows are taken as examples" in dataset.notes[0]


def test_new_examples_may_have_their_columns_in_another_order(file: Path, tmp_path: Path) -> None:
    schema = opened(file).schema
    order = [3, 1, 5, 0, 2, 4]
    other = tmp_path / "other.h5ad"
    h5ad.write(CountMatrix(sparse.csr_array(DENSE[:, order]), OBS, tuple(GENES[at] for at in order)), other)
    assert (schema.read(other).to_dense() == DENSE).all()
    h5ad.write(CountMatrix(sparse.csr_array(DENSE[:, :4]), OBS, GENES[:4]), other)
    with pytest.raises(SfumatoError, match=r"other.h5ad: 2 of the 6 columns of this model are not there \(G4, G5\)"):
        schema.read(other)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("cut.h5ad", "cut", "cut.h5ad: damaged, not readable as .h5ad"),
        ("empty.h5ad", b"", r"empty.h5ad: the file is empty \(0 bytes\)"),
        ("text.h5ad", b"not a file of HDF5", "text.h5ad: damaged, not readable"),
        ("none.h5ad", None, "none.h5ad: no such file"),
        ("empty.mtx", b"", "the file is empty"),
        ("text.mtx", b"1 2 3", "damaged, not readable as a Matrix Market file"),
        ("cut.mtx", b"%%MatrixMarket matrix coordinate integer general\n3 3 4\n1 1 2\n", "damaged"),
        ("none.mtx.gz", None, "none.mtx.gz: no such file"),
    ],
)
def test_bad_files_are_one_line(
    file: Path, tmp_path: Path, name: str, content: bytes | str | None, message: str
) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_bytes(file.read_bytes()[:3000] if isinstance(content, str) else content)
    with pytest.raises(SfumatoError, match=message) as refused:
        opened(path)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (np.array([[1, -2], [0, 1]]), "-2 in row 1, column 1"),
        (np.array([[1.0, np.nan], [0, 1]]), "nan in row 1, column 1"),
        (np.array([[1.0, 2], [0, np.inf]]), "inf in row 2, column 1"),
        (np.array([[1.0, 2]]), "one row"),
        (np.zeros((5, 0)), "no rows or no columns|no columns"),
    ],
)
def test_bad_matrices_are_one_line(x: np.ndarray, message: str) -> None:
    with pytest.raises(SfumatoError, match=message):
        opened(x, counts=True)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"given": ("cell",)}, "given='cell' is not a column .*; did you mean cell_type"),
        ({"label": "clone"}, "label='clone' is not a column"),
        ({"drop": ("G9",)}, "drop='G9' is not a column"),
        ({"kinds": {"clone": "categorical"}}, "kind='clone' is not a column"),
        ({"likelihood": "cells"}, "cells|h5ad"),
        ({"streaming": "yes"}, "streaming=yes: counts are held whole"),
        ({"header": "none"}, "header is none: that is for text files of tables"),
    ],
)
def test_options_that_do_not_fit_are_refused(file: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(SfumatoError, match=message):
        opened(file, **options)


def test_options_of_counts_are_refused_for_other_data(file: Path) -> None:
    with pytest.raises(SfumatoError, match=r"layer is raw: that is for .h5ad"):
        opened("moons", layer="raw")
    with pytest.raises(SfumatoError, match=r"layer='raw': .* has no layers"):
        opened(sparse.csr_array(DENSE), layer="raw")


def test_without_h5py_there_is_one_line(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "h5py", None)
    with pytest.raises(SfumatoError, match=r"pip install 'sfumato\[counts\]'"):
        opened(file)


def test_samples_come_back_as_what_the_data_came_as() -> None:
    how = {"steps": 2, "latent_dim": 2, "width": 8, "depth": 1}
    new = sfumato.fit(sparse.csr_array(DENSE), **how).sample(3, seed=0)
    assert sparse.issparse(new)
    assert new.shape == (3, 6)
    assert new.dtype == np.int32
    fitted = sfumato.fit(anndata_like(), given=["batch"], model="cvae", **how)
    drawn = fitted.sample(3, {"batch": 1}, seed=0)
    assert isinstance(drawn, CountMatrix)
    assert drawn.names == GENES
    assert drawn.obs["batch"].to_pylist() == [1, 1, 1]
    expression = fitted.reconstruct(anndata_like())
    np.testing.assert_allclose(expression.x.sum(1), DENSE.sum(1), rtol=1e-5)
    assert expression.obs["cell_type"].to_pylist() == OBS["cell_type"].to_pylist()


def test_labels_of_a_sparse_matrix_are_predicted() -> None:
    y = np.array(OBS["cell_type"].to_pylist())
    fitted = sfumato.Autoencoder(model="m2", steps=2, latent_dim=2, width=8).fit(sparse.csr_matrix(DENSE), y)
    assert fitted.predict(sparse.csr_matrix(DENSE)).shape == (40,)
    assert fitted.classes_.tolist() == ["B", "T"]
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        sfumato.Autoencoder(model="m2").fit(sparse.csr_matrix(DENSE), y[:-1])


def test_the_command_line_writes_into_copies(cli: Callable[..., Any], file: Path, tmp_path: Path) -> None:
    before = file.read_bytes()
    small = ("--steps", 2, "--latent-dim", 2, "--width", 8, "--no-report", "--quiet")
    shown = cli("data", file)
    assert shown.code == 0, shown.err
    for words in ("6 columns (G0, G1", "zeros", "median", "can be a condition or label", "negative_binomial"):
        assert words in shown.out
    assert cli("fit", file, "--model", "m2", "--given", "cell_type", *small, "--run", "run").code == 0
    for name in ("s.h5ad", "s.mtx", "s.npz", "s.csv"):
        assert cli("sample", "run", "-n", 7, "--seed", 0, "-o", name).code == 0
        assert len(sources.load(str(tmp_path / name), DataOptions(counts=True)).matrix) == 7
    assert cli("reconstruct", "run", file, "-o", "r.h5ad").code == 0
    assert cli("encode", "run", file, "-o", "e.h5ad").code == 0
    assert cli("predict", "run", file, "-o", "p.h5ad").code == 0
    with h5py.File("r.h5ad") as copy:
        np.testing.assert_allclose(copy["layers/sfumato"][:].sum(1), DENSE.sum(1), rtol=1e-4)
        assert (h5ad.read(Path("r.h5ad")).to_dense() == DENSE).all()
    with h5py.File("e.h5ad") as copy:
        assert copy["obsm/X_sfumato"].shape == (40, 2)
    predicted = h5ad.read(Path("p.h5ad")).obs
    assert set(predicted["sfumato_cell_type"].to_pylist()) <= {"B", "T"}
    assert predicted["cell_type"].to_pylist() == OBS["cell_type"].to_pylist()
    refused = cli("encode", "run", file, "-o", file, "--overwrite")
    assert refused.code == 2
    assert "is the file that is read" in refused.err
    assert file.read_bytes() == before
    assert cli("sample", "run", "-o", "s.png").code == 2
    assert cli("evaluate", "run", "--quick").code == 0
