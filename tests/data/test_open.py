from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch

from sfumato import data
from sfumato.data import DataOptions
from sfumato.errors import SfumatoError


@pytest.mark.parametrize("name", data.names())
def test_every_built_in_set_opens(name: str) -> None:
    opened = data.open(name)
    assert opened.name == name
    assert opened.has_label is (name != "diabetes")
    x = opened.train.take(slice(None)).x
    assert x.shape == (len(opened.train), *opened.schema.spec.shape)
    assert opened.schema.spec.examples == len(opened.train)
    for part in (opened.train, opened.valid, opened.test):
        assert (part.labels is None) is (name == "diabetes")
        assert part.labels is None or part.labels.max() < len(opened.schema.label_names)


def test_the_label_of_moons_is_outside_x_unless_it_is_a_condition() -> None:
    plain = data.open("moons")
    assert plain.schema.spec.shape == (2,)
    assert plain.schema.spec.likelihood == "gaussian"
    assert plain.schema.decode(plain.train.take(slice(3)).x).columns.tolist() == ["x1", "x2"]
    conditional = data.open("moons", options=DataOptions(given="label"))
    batch = conditional.train.take(slice(None))
    assert conditional.schema.spec.given[0].size == 2
    assert batch.given is not None
    assert conditional.train.labels is not None
    assert batch.given[:, 0].tolist() == conditional.train.labels.tolist()
    frame = conditional.schema.decode(batch.x, batch.given)
    assert frame.columns.tolist() == ["x1", "x2", "label"]
    for asked in (1, "1"):
        drawn = conditional.schema.conditions({"label": asked}, 2)
        assert drawn is not None
        assert drawn.tolist() == [[1], [1]]


def test_digits_are_images_of_17_levels() -> None:
    assert data.open("digits").schema.spec.shape == (1, 8, 8)
    assert data.open("digits").schema.spec.fields[0].size == 17


def frame(total: int = 60) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "height": rng.normal(170, 10, total),
            "age": rng.integers(18, 90, total),
            "sex": rng.choice(["f", "m"], total),
        }
    )


@pytest.mark.parametrize("kind", ["pandas", "polars", "arrow", "csv", "tsv", "parquet"])
def test_one_table_opens_from_any_of_its_forms(tmp_path: Path, kind: str) -> None:
    made: dict[str, Callable[[], object]] = {
        "pandas": frame,
        "polars": lambda: pl.from_pandas(frame()),
        "arrow": lambda: pl.from_pandas(frame()).to_arrow(),
        "csv": lambda: frame().to_csv(tmp_path / "t.csv", index=False) or tmp_path / "t.csv",
        "tsv": lambda: frame().to_csv(tmp_path / "t.tsv", index=False, sep="\t") or tmp_path / "t.tsv",
        "parquet": lambda: frame().to_parquet(tmp_path / "t.parquet") or tmp_path / "t.parquet",
    }
    opened = data.open(made[kind](), options=DataOptions(label="sex"))
    reference = data.open(frame(), options=DataOptions(label="sex"))
    assert opened.schema.spec == reference.schema.spec
    assert opened.schema.label_names == ("f", "m")
    np.testing.assert_allclose(
        opened.train.take(slice(None)).x, reference.train.take(slice(None)).x, rtol=1e-5, atol=1e-5
    )


def test_a_table_is_stratified_by_its_label_or_its_first_condition_of_words() -> None:
    table = frame(400)
    for options in (DataOptions(label="sex"), DataOptions(given=("age", "sex"))):
        opened = data.open(table, options=options)
        assert opened.schema.label_names == ("f", "m")
        shares = [part.labels.mean() for part in (opened.train, opened.valid, opened.test) if part.labels is not None]
        assert shares == pytest.approx([(table.sex == "m").mean()] * 3, abs=0.03)


def test_the_test_part_of_a_table_teaches_nothing() -> None:
    from sfumato.data.core.split import split

    table = frame(200)
    _, valid, test = split(200, (0.8, 0.1, 0.1))
    changed = table.copy()
    aside = np.concatenate([valid, test])
    changed.loc[aside, "height"] += 1000
    changed.loc[aside, "age"] = 17
    assert data.open(changed).schema.to_dict() == data.open(table).schema.to_dict()


@pytest.mark.parametrize("keys", [("x", "y"), ("X", "Y"), ("data", "target"), ("x_train", "y_train")])
def test_an_npz_is_found_by_its_usual_names(tmp_path: Path, keys: tuple[str, str]) -> None:
    path = tmp_path / "set.npz"
    np.savez(path, **{keys[0]: np.random.default_rng(0).random((30, 4)), keys[1]: np.arange(30) % 2})
    opened = data.open(path)
    assert opened.name == "set"
    assert opened.has_label
    assert opened.schema.label_names == ("0", "1")
    assert [len(part) for part in (opened.train, opened.valid, opened.test)] == [24, 3, 3]


def test_a_test_part_that_came_along_stays_the_test_part(tmp_path: Path) -> None:
    path = tmp_path / "set.npz"
    test = np.full((7, 3, 3), 9, np.uint8)
    train = np.random.default_rng(0).integers(10, 255, (50, 3, 3), dtype=np.uint8)
    np.savez(path, x_train=train, y_train=np.arange(50) % 2, x_test=test, y_test=np.ones(7, int))
    opened = data.open(path)
    assert (opened.test.take(slice(None)).x == 9).all()
    assert (opened.train.take(slice(None)).x > 9).all()
    assert [len(part) for part in (opened.train, opened.valid, opened.test)] == [45, 5, 7]
    assert opened.test.labels is not None
    assert opened.test.labels.tolist() == [1] * 7


def test_lists_tensors_and_pairs_are_arrays() -> None:
    rows = np.random.default_rng(0).random((20, 2))
    one = data.open(rows).train.take(slice(None)).x
    assert torch.equal(data.open(rows.tolist()).train.take(slice(None)).x, one)
    assert torch.equal(data.open(torch.from_numpy(rows)).train.take(slice(None)).x, one)
    assert data.open((rows, ["a", "b"] * 10)).schema.label_names == ("a", "b")
    assert data.open((rows.tolist(), pd.Series(["a", "b"] * 10))).schema.label_names == ("a", "b")


def saved(path: Path, array: np.ndarray) -> Path:
    np.save(path, array, allow_pickle=True)
    return path


def zipped(path: Path) -> Path:
    with path.open("wb") as opened:
        np.savez(opened, x=np.zeros((5, 3)))
    return path


def written(path: Path, text: bytes) -> Path:
    path.write_bytes(text)
    return path


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda folder: folder / "no.csv", r"no\.csv: no such file"),
        (lambda folder: folder / "no.npy", r"no\.npy: no such file"),
        (lambda folder: "no/where", r"no/where: no such file"),
        (lambda folder: written(folder / "e.npy", b""), r"e\.npy: the file is empty"),
        (lambda folder: written(folder / "e.npz", b""), r"e\.npz: the file is empty"),
        (lambda folder: written(folder / "e.csv", b""), r"e\.csv: .*empty"),
        (lambda folder: written(folder / "d.npy", b"\x93NUMPY nonsense"), r"d\.npy: damaged"),
        (lambda folder: written(folder / "d.npz", b"PK\x03\x04 nonsense"), r"d\.npz: damaged"),
        (
            lambda folder: written(folder / "t.npy", b"not numpy"),
            r"t\.npy: damaged, not readable as \.npy .* with np\.save$",
        ),
        (
            lambda folder: written(folder / "t.npz", b"not a zip"),
            r"t\.npz: damaged, not readable as \.npz .* np\.savez$",
        ),
        (lambda folder: zipped(folder / "z.npy"), r"z\.npy: damaged, not readable as \.npy"),
        (lambda folder: written(folder / "a.npz", b"\x93NUMPY\x01\0v\0"), r"a\.npz: damaged, not readable as \.npz"),
        (lambda folder: written(folder / "p.npy", pickle.dumps([1, 2])), r"p\.npy: holds Python objects"),
        (lambda folder: written(folder / "x.xlsx", b"PK"), r"x\.xlsx: not a kind of file known"),
        (lambda folder: saved(folder / "o.npy", np.array([{}, {}], object)), r"o\.npy: holds Python objects"),
        (lambda folder: saved(folder / "s.npy", np.array([["a"], ["b"]])), "not of numbers"),
        (lambda folder: saved(folder / "c.npy", np.ones((3, 2), complex)), "not of numbers"),
        (lambda folder: np.zeros(5), r"reshape\(-1, 1\)"),
        (lambda folder: np.zeros((0, 3)), "has no rows"),
        (lambda folder: np.zeros((1, 3)), "one row"),
        (lambda folder: (np.zeros((5, 3)), np.zeros(4)), "5 rows, but y has shape"),
        (lambda folder: ([[1, 2], [3]], None), "not of one length"),
    ],
)
def test_bad_sources_are_named_with_the_cure(tmp_path: Path, make, match: str) -> None:
    with pytest.raises(SfumatoError, match=match) as caught:
        data.open(make(tmp_path))
    assert "\n" not in str(caught.value)


def test_an_npz_without_a_known_name_says_what_it_holds(tmp_path: Path) -> None:
    np.savez(tmp_path / "odd.npz", foo=np.zeros(3), bar=np.zeros(3))
    with pytest.raises(SfumatoError, match=r"holds foo 3, bar 3, of which none can be the examples; call them x"):
        data.open(tmp_path / "odd.npz")


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"likelihood": "gausian"}, "did you mean gaussian"),
        ({"binarise": "x"}, "binarise='x' is not known"),
        ({"split": (0.5, 0.1, 0.1)}, "sum to 1"),
        ({"kinds": {"a": "real"}}, "kind a='real' is not known"),
        ({"size": 0}, "size=0 is too small"),
        ({"given": ("a",), "drop": ("a",)}, "both given and drop"),
    ],
)
def test_options_are_checked_when_they_are_made(options: dict, match: str) -> None:
    with pytest.raises(SfumatoError, match=match):
        DataOptions(**options)


@pytest.mark.parametrize("options", [{"drop": ("a",)}, {"kinds": {"a": "integer"}}, {"label": "a"}, {"rows": 9}])
def test_options_that_arrays_cannot_follow_are_refused(options: dict) -> None:
    with pytest.raises(SfumatoError, match=r"'a': array in memory has no named columns|rows=9 is for the built-in"):
        data.open(np.zeros((9, 2)), options=DataOptions(**options))


def test_a_folder_does_not_hide_a_built_in_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "iris").mkdir()
    monkeypatch.chdir(tmp_path)
    assert data.open("iris").source == "built-in set iris"
    with pytest.raises(SfumatoError, match="holds no images"):
        data.open("./iris")


def test_an_unknown_label_suggests_the_closest_column() -> None:
    with pytest.raises(SfumatoError, match="did you mean sex"):
        data.open(frame(), options=DataOptions(label="sexe"))


def test_mnist_opens_as_images(real_data: Path) -> None:
    opened = data.open(real_data / "mnist.npz", options=DataOptions(likelihood="bernoulli"))
    assert [len(part) for part in (opened.train, opened.valid, opened.test)] == [54_000, 6_000, 10_000]
    assert opened.schema.spec.shape == (1, 28, 28)
    assert next(opened.train.epoch(100, seed=0)).x.mean().item() == pytest.approx(0.13, abs=0.02)


@pytest.mark.parametrize(
    ("source", "options", "line"),
    [
        ("moons", {"label": "nope"}, "the label of moons is called 'label'"),
        ("moons", {"sequences": True}, "sequences is True: that is for arrays"),
        ("moons", {"id": "a"}, "id is a: that is for tables of sequences"),
        ("moons", {"cells": 5}, "cells is 5: that is for tables with the likelihood autoregressive or cells"),
        ("digits", {"longest": 9}, "longest is 9: that is for sequences of symbols"),
        ("iris", {"size": 16}, "size is 16: that is for images"),
        ("ring", {"binarise": "no"}, "binarise is no: that is for images"),
    ],
)
def test_an_option_that_has_nothing_to_act_on_is_refused(source, options, line) -> None:
    with pytest.raises(SfumatoError, match=line):
        data.open(source, options=DataOptions(**options))
