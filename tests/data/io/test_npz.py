"""`.npz` files under the names that their fields use."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import sparse

from sfumato import data
from sfumato.data.core.options import DataOptions
from sfumato.data.io import npz
from sfumato.errors import SfumatoError

RANDOM = np.random.default_rng(0)


def rows(total: int, *shape: int) -> np.ndarray:
    return RANDOM.normal(size=(total, *(shape or (4,))))


@pytest.mark.parametrize(
    ("arrays", "sizes", "labelled"),
    [
        (
            {"trainX": rows(40), "trainY": np.arange(40) % 3, "testX": rows(9), "testY": np.arange(9) % 3},
            (36, 4, 9),
            True,
        ),
        ({"x_train": rows(40), "x_val": rows(7), "x_test": rows(9)}, (40, 7, 9), False),
        ({"training_data": rows(30), "valid_data": rows(5), "valid_labels": np.arange(5)}, (30, 5, 0), False),
        ({"images": rows(30), "labels": np.eye(3)[np.arange(30) % 3]}, (24, 3, 3), True),
        ({"inputs": rows(30), "targets": np.arange(30.0)[:, None] / 7, "fold": np.arange(30)}, (24, 3, 3), True),
        ({"embeddings": rows(30), "label": np.arange(30) % 2}, (24, 3, 3), True),
        ({"train": rows(30), "test": rows(6)}, (27, 3, 6), False),
        ({"arr_0": rows(30), "arr_1": np.arange(30) % 2}, (24, 3, 3), True),
        ({"X": rows(30), "data": rows(9)}, (24, 3, 3), False),
    ],
)
def test_arrays_are_known_by_their_names(tmp_path: Path, arrays: Any, sizes: tuple[int, ...], labelled: bool) -> None:
    np.savez(tmp_path / "a.npz", **arrays)
    split = (0.9, 0.1, 0.0) if sizes[2] == 0 else (0.8, 0.1, 0.1)
    opened = data.open(tmp_path / "a.npz", options=DataOptions(split=split))
    assert tuple(map(len, (opened.train, opened.valid, opened.test))) == sizes
    assert opened.has_label == labelled


def test_factors_come_along_and_objects_are_not_touched(tmp_path: Path) -> None:
    classes = np.stack([np.zeros(50, int), np.arange(50) % 3, np.arange(50) % 6, *[np.arange(50) % 4] * 3], 1)
    arrays: dict[str, Any] = {"imgs": (rows(50, 8, 8) > 0).astype(np.uint8), "latents_classes": classes}
    np.savez(tmp_path / "shapes.npz", metadata=np.array({"title": "shapes"}, object), **arrays)
    opened = data.open(tmp_path / "shapes.npz")
    assert opened.schema.kind == "image"
    assert set(opened.factors[0]) == {"shape", "scale", "orientation", "x", "y"}
    assert all(
        len(part["scale"]) == len(batches)
        for part, batches in zip(opened.factors, (opened.train, opened.valid, opened.test), strict=True)
    )


def test_a_sparse_matrix_of_scipy_is_read(tmp_path: Path) -> None:
    matrix = sparse.random_array((30, 5), density=0.3, rng=0, format="csr")
    sparse.save_npz(tmp_path / "m.npz", matrix)
    np.testing.assert_array_equal(npz.read(tmp_path / "m.npz").x["train"], matrix.toarray())


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        ({"left": rows(9), "right": rows(9)}, "holds left 9×4, right 9×4, of which several can be the examples"),
        ({"y": np.arange(9)}, "holds y 9, of which none can be the examples"),
        ({"x_train": rows(9), "x_test": rows(3, 5)}, r"x_test has examples of shape \(5,\), x_train of \(4,\)"),
    ],
)
def test_what_does_not_tell_is_refused_with_the_shapes(tmp_path: Path, arrays: Any, said: str) -> None:
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(SfumatoError, match=said) as caught:
        data.open(tmp_path / "a.npz")
    assert "\n" not in str(caught.value)
