"""Completion by the estimator: what stays, what is filled, what is refused, and what a run keeps."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch

from sfumato import Autoencoder, load
from sfumato.errors import SfumatoError

QUICK = {"latent_dim": 2, "width": 16, "depth": 1, "steps": 5, "device": "cpu"}
pytestmark = pytest.mark.usefixtures("short_partial_fit")


def table(rows: int = 120) -> pd.DataFrame:
    random = np.random.default_rng(0)
    kind = random.choice(["a", "b", "c"], rows)
    day = pd.Timestamp("2024-01-01") + pd.to_timedelta(random.integers(0, 300, rows), "D")
    size = random.normal(5, 1, rows).round(2)
    return pd.DataFrame(
        {"kind": kind, "rank": (kind == "c") * 1 + 3, "size": size, "day": day, "count": size.astype(int)}
    )


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    path = tmp_path_factory.mktemp("runs") / "table"
    auto = Autoencoder("vae", **QUICK).fit(table())
    auto.save(path)
    return auto, path


def test_known_cells_stay_and_blanks_are_filled(run):
    auto, path = run
    frame = table().head(8).set_index(pd.Index(range(100, 108)))
    blanks = frame.copy()
    blanks.loc[100, ["kind", "day"]] = None
    blanks["size"] = blanks["size"].mask(np.arange(8) % 2 == 0)
    completion = auto.complete(blanks, n=3, seed=0, return_effective=True)
    rows, effective = completion
    assert rows.index.tolist() == np.repeat(frame.index, 3).tolist()
    assert not rows.isna().any().any()
    assert (rows.dtypes == frame.dtypes).all()
    repeated = blanks.loc[rows.index]
    known = repeated.notna().to_numpy()
    assert (rows.to_numpy()[known] == repeated.to_numpy()[known]).all()
    assert np.isnan(effective).tolist() == [False, True] * 4
    assert (effective[::2] >= 1).all()
    assert rows.loc[100, "size"].nunique() > 1
    # The partial encoder is kept in the run, which draws the same without the data.
    assert (path / "partial_encoder" / "sizes.json").exists()
    again = load(path, device="cpu")
    assert again.complete(blanks, n=3, seed=0).equals(rows)
    assert len(auto.complete(blanks, best=True, seed=0)) == 8


def test_what_is_fixed_holds(run):
    auto, _ = run
    rows = auto.complete(n=40, fix={"kind": "a,c", "size": "5..", "day": ("2024-02-01", "2024-03-01")}, seed=0)
    assert set(rows["kind"]) == {"a", "c"}
    assert rows["size"].min() >= 5
    assert rows["day"].between("2024-02-01", "2024-03-01").all()
    wishes = pd.DataFrame({"kind": ["b", None]})
    assert auto.complete(wishes, fix={"kind": ["c"], "count": 6}, seed=0)[["kind", "count"]].to_numpy().tolist() == [
        ["b", 6],
        ["c", 6],
    ]
    for fix, message in (
        ({"kinds": "a"}, "not a column; did you mean kind"),
        ({"kind": "q"}, "no category 'q'"),
        ({"size": "9..7"}, "exchange them"),
        ({"size": "900..950"}, "out of the range"),
        ({"size": [1, 2, 3]}, "give one, or a range"),
    ):
        with pytest.raises(SfumatoError, match=message):
            auto.complete(fix=fix)
    with pytest.raises(SfumatoError, match="no column is one of this model"):
        auto.complete(pd.DataFrame({"other": [1]}))
    with pytest.raises(SfumatoError, match="n is 0"):
        auto.complete(wishes, n=0)


def test_columns_that_follow_stay_together(run):
    auto, _ = run
    assert [one.column.name for one in auto.schema_.dependences] == ["rank"]
    ranks = pd.DataFrame({"rank": [4, 3, None], "kind": [None, None, "c"]})
    rows = auto.complete(ranks, n=10, seed=0)
    assert set(rows["kind"][:10]) == {"c"}
    assert set(rows["kind"][10:20]) <= {"a", "b"}
    assert set(rows["rank"][20:]) == {4}
    assert set(auto.complete(n=10, fix={"rank": "4.."}, seed=0)["kind"]) == {"c"}


def test_arrays_and_images():
    X = np.random.default_rng(0).normal(size=(80, 6))
    auto = Autoencoder("vae", **QUICK).fit(X)
    series = X[:3].copy()
    series[:, 4:] = np.nan
    filled = auto.complete(series, seed=0)
    assert (filled[:, :4] == X[:3, :4]).all()
    assert np.isfinite(filled).all()
    assert (auto.complete(X[:3], blank=[False] * 5 + [True], seed=0)[:, :5] == X[:3, :5]).all()
    low, high = auto.completion_interval(series, 0.8, seed=0)
    assert (low[:, 4:] < high[:, 4:]).all()
    images = np.random.default_rng(0).integers(0, 256, (60, 8, 8), np.uint8)
    auto = Autoencoder("vae", **QUICK).fit(images)
    right = np.arange(8) >= 4
    drawn = auto.complete(images[:2], n=2, blank=np.broadcast_to(right, (8, 8)), seed=0)
    assert drawn.shape == (4, 8, 8)
    assert drawn.dtype == np.uint8
    assert (drawn[..., :4] == images[[0, 0, 1, 1]][..., :4]).all()
    assert (drawn[..., 4:] != images[[0, 0, 1, 1]][..., 4:]).any()
    with pytest.raises(SfumatoError, match="blank has shape"):
        auto.complete(images[:2], blank=np.ones((3, 3)))


def test_missing_pixels_are_blank_wherever_they_come_from(tmp_path):
    images = np.random.default_rng(0).random((60, 8, 8), np.float32)
    auto = Autoencoder("cvae", given=["label"], **QUICK).fit(images, np.arange(60) % 2)
    some = images[:2].copy()
    some[:, :, 4:] = np.nan
    np.save(tmp_path / "some.npy", some)
    drawn = auto.complete(some, seed=0)
    assert (drawn[..., :4] == images[:2, :, :4]).all()
    assert np.isfinite(drawn).all()
    for source in (str(tmp_path / "some.npy"), torch.from_numpy(some)):
        np.testing.assert_array_equal(auto.complete(source, seed=0), drawn)
    labelled = auto.complete((some, np.array([0, 1])), blank=np.arange(8) == 0, seed=0)
    assert (labelled[..., 1:4] == images[:2, :, 1:4]).all()
    assert (labelled[..., 0] != images[:2, :, 0]).any()
    some[0, 0, 0] = np.inf
    with pytest.raises(SfumatoError, match="image 1 holds inf"):
        auto.complete(some)


def test_conditions_and_classes_that_are_blank():
    frame = table()
    for model, given in (("cvae", ["kind"]), ("m2", ["kind"])):
        auto = Autoencoder(model, given=given, dependences=False, **QUICK).fit(frame)
        some = frame.head(3).copy()
        some.loc[0, "kind"] = None
        some.loc[1, "size"] = np.nan
        rows = auto.complete(some, seed=0)
        assert not rows.isna().any().any()
        assert rows["kind"][1:].tolist() == some["kind"][1:].tolist()


def test_models_without_a_density_say_so():
    X = np.random.default_rng(0).normal(size=(60, 3))
    auto = Autoencoder("vae_gan", **QUICK).fit(X)
    with pytest.raises(SfumatoError, match="a vae_gan has no density of examples"):
        auto.complete(X)


def test_a_cell_can_be_wished_to_be_missing_and_tells_of_the_others():
    random = np.random.default_rng(0)
    kind = random.choice(["a", "b"], 400)
    pay = random.normal(size=400).round(2)
    gone = (kind == "a") & (random.random(400) < 0.6)
    frame = pd.DataFrame({"kind": kind, "pay": np.where(gone, np.nan, pay), "bonus": np.where(gone, np.nan, 2 * pay)})
    frame["whole"] = random.integers(0, 9, 400)
    auto = Autoencoder(**QUICK | {"steps": 120, "lr": 0.02}).fit(frame)
    absent = auto.complete(n=50, fix={"pay": "missing"}, seed=0)
    assert absent[["pay", "bonus"]].isna().all(axis=None)
    assert (absent["kind"] == "a").mean() > 0.75
    # 0.5 · 0.4 of all rows are of kind a with a pay, 0.5 are of kind b: 0.29 of those with a pay are of kind a.
    assert 0.15 < (auto.complete(n=200, fix={"pay": "..9"}, seed=0)["kind"] == "a").mean() < 0.45
    rows = pd.DataFrame({"kind": ["b", None], "pay": [0.5, None], "bonus": [1.0, None]})
    both = auto.complete(rows, fix={"pay": "missing"}, seed=0)
    assert both["pay"].isna().tolist() == [False, True], "known cells stay as they are"
    assert not auto.complete(rows, seed=0).isna().any(axis=None)
    with pytest.raises(SfumatoError, match=r"so was bonus, which row 1 has"):
        auto.complete(pd.DataFrame({"bonus": [1.0]}), fix={"pay": "missing"})
    with pytest.raises(SfumatoError, match=r"fix whole=missing: the model does not know"):
        auto.complete(fix={"whole": "missing"})
