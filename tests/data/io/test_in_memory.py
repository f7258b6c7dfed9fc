"""What PyTorch, scipy and numpy hold: taken as it would be as an array, or refused in one line."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from scipy import sparse
from torch.utils.data import (
    ConcatDataset,
    DataLoader,
    Dataset,
    IterableDataset,
    Subset,
    SubsetRandomSampler,
    TensorDataset,
    WeightedRandomSampler,
)

import sfumato
from sfumato import data
from sfumato.data.core.options import DataOptions
from sfumato.data.io.arrays import as_array
from sfumato.data.io.in_memory import unpacked
from sfumato.errors import SfumatoError

X = torch.randn(30, 3, generator=torch.Generator().manual_seed(1))
Y = torch.arange(30) % 2
KINDS: dict[str, tuple[Callable[[], torch.Tensor], torch.Tensor]] = {
    "bool": (lambda: X > 0, X > 0),
    "half": (lambda: X.half(), X.half()),
    "bfloat16": (lambda: X.bfloat16(), X.bfloat16().float()),
    "float8": (lambda: X.to(torch.float8_e5m2), X.to(torch.float8_e5m2).float()),
    "uint8": (lambda: (X.abs() * 10).to(torch.uint8), (X.abs() * 10).to(torch.uint8)),
    "uint16": (lambda: (X.abs() * 10).to(torch.uint16), (X.abs() * 10).to(torch.uint16)),
    "wants gradients": (lambda: X.clone().requires_grad_() * 2, X * 2),
    "sparse rows": (lambda: X.relu().to_sparse_csr(), X.relu()),
    "negative bit": (lambda: torch.complex(X, X).conj().imag, -X),
    "expanded": (lambda: X[:, :1].expand(30, 3), X[:, :1].repeat(1, 3)),
}


class Plain(Dataset[Any]):
    """Items made by a function."""

    def __init__(self, make: Callable[[int], Any], total: int = 30) -> None:
        self.make, self.total = make, total

    def __len__(self) -> int:
        return self.total

    def __getitem__(self, row: int) -> Any:
        return self.make(row)


class Endless(IterableDataset[Any]):
    def __iter__(self) -> Any:
        while True:
            yield X[0]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.filterwarnings("ignore:Sparse CSR")
def test_tensors_of_every_kind_are_read(kind: str) -> None:
    make, wanted = KINDS[kind]
    found = as_array(make(), "X")
    np.testing.assert_allclose(found, wanted.numpy(), atol=1e-6)
    assert found.dtype == wanted.numpy().dtype


@pytest.mark.parametrize(
    ("made", "x", "y"),
    [
        (TensorDataset(X), X, None),
        (TensorDataset(X, Y), X, Y),
        (Subset(TensorDataset(X, Y), [4, 9, 2]), X[[4, 9, 2]], Y[[4, 9, 2]]),
        (Subset(Subset(Plain(lambda row: X[row]), range(10)), [1, 3]), X[[1, 3]], None),
        (ConcatDataset([TensorDataset(X[:10], Y[:10]), TensorDataset(X[10:], Y[10:])]), X, Y),
        (Plain(lambda row: (X[row].numpy(), int(Y[row]))), X, Y),
        (Plain(lambda row: {"label": Y[row], "image": X[row]}), X, Y),
        (DataLoader(TensorDataset(X, Y), batch_size=8, shuffle=True), X, Y),
        (DataLoader(Plain(lambda row: X[row]), sampler=SubsetRandomSampler([7, 5])), X[[5, 7]], None),
        (list(X), X, None),
        (sparse.csc_array(X.relu().numpy()), X.relu(), None),
        ((sparse.coo_matrix(X.relu().numpy()), Y), X.relu(), Y),
    ],
)
def test_datasets_loaders_and_sparse_matrices_are_their_examples(made: Any, x: torch.Tensor, y: Any) -> None:
    found = unpacked(made)
    labels = None
    if isinstance(found, tuple):
        found, labels = found
    np.testing.assert_array_equal(np.asarray(found), x.numpy())
    assert (labels is None) == (y is None)
    assert y is None or np.array_equal(np.asarray(labels), y.numpy())


def test_images_of_a_dataset_are_read_with_their_labels() -> None:
    made = Plain(lambda row: (Image.fromarray(np.full((8, 8), row, np.uint8)), row % 3))
    opened = data.open(made, options=DataOptions(given=("label",)))
    assert opened.schema.kind == "image"
    assert opened.schema.spec.shape == (1, 8, 8)
    assert opened.schema.label_names == ("0", "1", "2")


def test_a_model_takes_them_wherever_it_takes_an_array() -> None:
    auto = sfumato.fit(TensorDataset(X, Y), steps=3, latent_dim=2, width=8, depth=1)
    wanted = auto.encode(X.numpy())
    for made in (DataLoader(TensorDataset(X)), X.clone().requires_grad_(), sparse.csr_array(X.numpy()), [*X]):
        np.testing.assert_allclose(auto.encode(made), wanted, atol=1e-6)
        np.testing.assert_allclose(auto.transform(made), wanted, atol=1e-6)
        assert auto.score_samples(made).shape == (30,)


def test_masked_entries_are_missing() -> None:
    counts = np.ma.masked_equal(np.arange(60).reshape(20, 3) % 7, 3)
    opened = data.open(counts)
    assert opened.schema.spec.columns[0].missing
    found = unpacked(counts)
    np.testing.assert_array_equal(np.isnan(found), counts.mask)
    assert unpacked(np.ma.masked_array([[1, 2]], mask=False)).dtype.kind == "i"
    auto = sfumato.Autoencoder(steps=3, latent_dim=2, width=8, depth=1).fit(counts)
    np.testing.assert_allclose(auto.encode(counts), auto.encode(found))


def test_records_are_tables() -> None:
    rows = [{"a": row % 4, "b": "xyz"[row % 3]} for row in range(20)]
    fields = np.array([(row["a"], row["b"]) for row in rows], [("a", "i4"), ("b", "U1")])
    for made in (rows, fields):
        schema = data.open(made).schema
        assert schema.kind == "table"
        assert [row["kind"] for row in schema.describe()] == ["integer", "categorical"]


def test_sequences_of_several_lengths_in_a_list() -> None:
    lengths = [4, 6, 5, 6, 3]
    for made in ([np.arange(t) * 1.0 for t in lengths], [torch.arange(t) for t in lengths]):
        schema = data.open(made, options=DataOptions(sequences=True)).schema
        assert schema.spec.shape == (6, 1)
    with pytest.raises(SfumatoError, match="several numbers of channels"):
        data.open([np.zeros((4, 2)), np.zeros((5, 3)), np.zeros((4, 2))], options=DataOptions(sequences=True))


def test_what_is_no_label_is_left_out_and_said(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "sfumato.data"):
        assert isinstance(unpacked(TensorDataset(X, X)), torch.Tensor)
    assert "no label for each example" in caplog.text


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (Endless(), "Endless has no length"),
        (Plain(lambda row: torch.zeros(2 + row % 2)), r"several shapes, as \(2,\) and \(3,\)"),
        (TensorDataset(X, Y, Y), "TensorDataset of 3 tensors"),
        (DataLoader(TensorDataset(X), sampler=WeightedRandomSampler([1.0] * 30, 30)), "a WeightedRandomSampler draws"),
        (torch.empty(3, 2, device="meta"), "X: a tensor of torch.float32 .* cannot be read"),
    ],
)
def test_what_cannot_be_read_is_refused_in_one_line(made: Any, said: str) -> None:
    with pytest.raises(SfumatoError, match=said) as caught:
        data.open(made)
    assert "\n" not in str(caught.value)


def test_a_memory_map_is_read(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", X.numpy())
    opened = data.open(np.load(tmp_path / "a.npy", mmap_mode="r"))
    assert opened.schema.spec.shape == (3,)
