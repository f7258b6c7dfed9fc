"""The estimator: scikit-learn's own checks, and raw things in, raw things out."""

from __future__ import annotations

import math
import pickle

import narwhals as nw
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import torch
from sklearn.base import clone
from sklearn.metrics import accuracy_score
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

import sfumato
import sfumato.training
from sfumato import models
from sfumato.config import settings
from sfumato.errors import SfumatoError
from sfumato.estimator import Autoencoder

QUICK = {"latent_dim": 2, "width": 16, "depth": 1, "steps": 15, "device": "cpu"}


@parametrize_with_checks([Autoencoder(**QUICK)])
def test_scikit_learn_check(estimator, check):
    check(estimator)


@pytest.fixture(scope="module")
def rows():
    generator = np.random.default_rng(0)
    z = generator.normal(size=(160, 1))
    return np.concatenate([z, 2 * z + 3, generator.normal(size=(160, 1))], 1)


@pytest.fixture(scope="module")
def auto(rows):
    return Autoencoder(**QUICK | {"steps": 60}).fit(rows)


def conditional(**options):
    generator = np.random.default_rng(1)
    y = np.repeat(["left", "right"], 150)
    x = generator.normal(size=(300, 2)) * 0.3 + np.where(y == "left", -3.0, 3.0)[:, None]
    return Autoencoder(model="cvae", **{**QUICK, "steps": 400, "lr": 0.01, **options}).fit(x, y), x, y


def test_every_option_of_every_model_is_a_parameter():
    names = set(Autoencoder().get_params())
    assert names == {"model", *settings(), "random_state", "verbose"}
    for name in models.names():
        assert {option.name for option in models.options(name)} <= names
    assert not names & set(dir(Autoencoder)), "an option would hide a method"


def test_a_misspelt_parameter_is_answered():
    with pytest.raises(SfumatoError, match="did you mean latent_dim"):
        Autoencoder(latentdim=3)


def test_an_option_of_another_model_is_refused_by_fit(rows):
    with pytest.raises(SfumatoError, match=r"beta is an option of .*beta_vae.*, not of vae"):
        Autoencoder(beta=2.0).fit(rows)


def test_same_seed_same_weights_and_another_seed_others(rows):
    first, again = (Autoencoder(**QUICK, seed=3).fit(rows).transform(rows) for _ in range(2))
    other = Autoencoder(**QUICK, seed=4).fit(rows).transform(rows)
    assert np.array_equal(first, again)
    assert not np.allclose(first, other)


def test_the_users_generators_are_left_as_they_are(rows, auto):
    before = torch.get_rng_state()
    Autoencoder(**QUICK).fit(rows).sample(3)
    auto.score_samples(rows[:5])
    assert torch.equal(before, torch.get_rng_state())


def test_a_result_does_not_depend_on_its_batch(rows, auto, monkeypatch):
    whole, codes = auto.score_samples(rows), auto.transform(rows)
    monkeypatch.setattr("sfumato.estimator.inference.NUMBERS_AT_A_TIME", 256 * 16 * 7)
    assert np.allclose(auto.score_samples(rows), whole, rtol=0, atol=1e-9)
    assert np.allclose(auto.transform(rows), codes, rtol=0, atol=1e-9)
    assert np.allclose(auto.score_samples(rows[[40]]), whole[40], rtol=0, atol=1e-9)


def test_log_densities_are_in_the_units_of_x_and_scores_in_none(rows):
    auto = Autoencoder(**QUICK).fit(rows)
    stretched = Autoencoder(**QUICK).fit(rows * 1000.0)
    gap = auto.log_density(rows) - stretched.log_density(rows * 1000.0)
    assert np.allclose(gap, 3 * math.log(1000.0), atol=1e-3)
    assert np.allclose(auto.score_samples(rows), stretched.score_samples(rows * 1000.0), atol=1e-3)
    shift = auto.score_samples(rows) - auto.log_density(rows)
    assert np.allclose(shift, np.log(rows.std(0)).sum() + 1.5 * math.log(2 * math.pi * math.e), atol=0.3)


def test_a_missing_entry_adds_nothing_to_the_score():
    generator = np.random.default_rng(0)
    x = generator.normal(size=(200, 2))
    x[::5, 1] = np.nan
    auto = Autoencoder(**QUICK).fit(x)
    one, both = auto.score_samples(np.array([[0.5, np.nan]])), auto.score_samples(np.array([[0.5, 0.5]]))
    assert np.isfinite(one).all()
    assert abs(one[0] - both[0]) > 0.3, "the density of one column, not of two"


def test_rows_unlike_any_in_training_score_lowest_and_all_others_as_before():
    generator = np.random.default_rng(0)
    frame = pd.DataFrame({"a": generator.normal(size=300), "b": generator.integers(0, 90, 300), "c": ["x", "y"] * 150})
    auto = Autoencoder(**QUICK).fit(frame)
    known = auto.data_.train.take(slice(0, 50))
    usual = auto.schema_.decode(known.x)
    odd = pd.concat([usual.iloc[:3]] * 3, ignore_index=True)
    odd.loc[:2, "a"] += 50.0
    odd.loc[3:5, "b"] -= 5000
    odd.loc[6:, "c"] = "never seen"
    scores, usual_scores = auto.score_samples(odd), auto.score_samples(usual)
    assert np.isfinite(scores).all()
    assert scores[:6].max() < usual_scores.min()
    assert (scores[6:] < usual_scores[:3] - 1).all()
    assert not auto.schema_.out_of_range_penalty(auto.schema_.read(usual)).any()


def test_the_bound_rises_with_the_number_of_draws(rows, auto):
    elbo = auto.score_samples(rows, samples=1).mean()
    assert auto.score_samples(rows, samples=64).mean() >= elbo - 0.05
    assert auto.score(rows) == pytest.approx(auto.score_samples(rows).mean())


def test_reconstruct_is_decode_of_encode(rows, auto):
    assert np.allclose(auto.reconstruct(rows), auto.inverse_transform(auto.transform(rows)))


def test_sampling_is_a_function_of_its_seed(auto):
    assert np.array_equal(auto.sample(50, seed=5), auto.sample(50, seed=5))
    assert not np.array_equal(auto.sample(50, seed=5), auto.sample(50, seed=6))


def test_lower_temperature_draws_closer_together(auto):
    spread = [auto.sample(400, temperature=t, noise=False, seed=0).std(0).sum() for t in (0.0, 0.5, 1.0)]
    assert spread[0] == pytest.approx(0.0, abs=1e-5)
    assert spread[0] < spread[1] < spread[2]


def test_conditional_samples_follow_their_condition():
    auto, x, _ = conditional()
    assert auto.schema_.given_names == ("label",)
    left, right = auto.sample(200, {"label": "left"}, seed=0), auto.sample(200, {"label": "right"}, seed=0)
    assert left.mean() < -2 < 2 < right.mean()
    mixed = auto.sample(4, {"label": ["left", "right", "left", "right"]}, temperature=0, noise=False, seed=0)
    assert (mixed[::2] < 0).all()
    assert (mixed[1::2] > 0).all()
    assert auto.transform(x).shape == (300, 2)
    assert auto.encode(x[:5], {"label": "left"}).shape == (5, 2)
    moved = auto.decode(np.zeros((1, 2)), {"label": "right"}) - auto.decode(np.zeros((1, 2)), {"label": "left"})
    assert (moved > 2).all()


def test_mistakes_with_conditions_are_one_line(rows, auto):
    with pytest.raises(SfumatoError, match="cvae needs conditions"):
        Autoencoder(model="cvae", **QUICK).fit(rows)
    with pytest.raises(SfumatoError, match="vae takes no conditions; use model cvae"):
        Autoencoder(given=["label"], **QUICK).fit(rows, np.arange(160) % 2)
    with pytest.raises(SfumatoError, match="without conditions"):
        auto.sample(3, {"species": "Adelie"}, seed=0)
    with pytest.raises(SfumatoError, match="give at least 1"):
        auto.sample(0, seed=0)
    with pytest.raises(SfumatoError, match="temperature is -1"):
        auto.sample(2, temperature=-1, seed=0)


def test_fit_names_the_row_and_column_of_an_infinite_number(rows):
    spoilt = rows.copy()
    spoilt[3, 1] = np.inf
    with pytest.raises(SfumatoError, match="row 4, column 1 is infinite"):
        sfumato.fit(spoilt, **QUICK)


def test_pipeline_and_grid_search(rows):
    pipe = make_pipeline(StandardScaler(), Autoencoder(**QUICK))
    search = GridSearchCV(pipe, {"autoencoder__width": [4, 8]}, cv=2).fit(rows)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    assert search.best_estimator_.transform(rows).shape == (160, 2)
    assert clone(search.best_estimator_)[-1].get_params()["width"] == search.best_params_["autoencoder__width"]


def test_set_output_names_the_latents(rows):
    named = Autoencoder(**QUICK).set_output(transform="pandas").fit_transform(rows)
    assert isinstance(named, pd.DataFrame)
    assert list(named.columns) == ["autoencoder0", "autoencoder1"]


def test_html_says_what_was_fitted(auto):
    assert "Not fitted yet" in Autoencoder()._repr_html_()
    assert "vae with 2 latents, trained on 128 examples of data in memory" in auto._repr_html_()
    assert "vae with 2 latents" in auto._repr_mimebundle_()["text/html"]


@pytest.fixture(scope="module")
def frame():
    generator = np.random.default_rng(2)
    kind = np.repeat(["ant", "bee"], 80)
    return pd.DataFrame(
        {
            "legs": generator.integers(0, 7, 160),
            "kind": kind,
            "size": np.where(kind == "ant", 1.0, 5.0) + generator.normal(size=160) * 0.1,
        }
    )


@pytest.mark.parametrize("kind", [pd.DataFrame, pl.DataFrame, lambda columns: pa.table(dict(columns))])
def test_a_frame_comes_back_as_the_frame_it_was(frame, kind):
    x = kind({name: frame[name].to_numpy() for name in frame})
    auto = Autoencoder(**QUICK).fit(x)
    for made in (auto.sample(4, seed=0), auto.reconstruct(x), auto.inverse_transform(auto.transform(x))):
        assert type(made) is type(x)
        back, was = (nw.from_native(one, eager_only=True).schema for one in (made, x))
        assert back == was


def test_columns_are_found_by_their_names_before_and_after_loading(frame, tmp_path, caplog):
    fitted = Autoencoder(**QUICK).fit(frame)
    fitted.save(tmp_path / "run")
    shuffled = frame[frame.columns[::-1]]
    wanted, scores = fitted.encode(frame), fitted.score_samples(frame)
    frame.assign(other=1, more="x")[[*frame.columns[::-1], "more", "other"]].to_csv(tmp_path / "more.csv", index=False)
    for auto in (fitted, sfumato.load(tmp_path / "run")):
        for X in (shuffled, shuffled.assign(other=1), tmp_path / "more.csv"):
            np.testing.assert_allclose(auto.encode(X), wanted)
            np.testing.assert_allclose(auto.transform(X), wanted)
            np.testing.assert_allclose(auto.score_samples(X), scores)
            assert list(auto.reconstruct(X).columns) == list(frame.columns)
        assert "column 'other' is not one this model was trained on; it is passed over" in caplog.text
        few = frame.iloc[:, 2:]
        names = ", ".join(map(repr, frame.columns[:2]))
        for method in (auto.encode, auto.transform, auto.score_samples, auto.reconstruct, auto.evaluate):
            with pytest.raises(SfumatoError, match=f"columns {names} are missing"):
                method(few)
    assert list(fitted.feature_names_in_) == list(frame.columns)


def test_dropped_columns_may_be_there_and_nothing_is_said(frame, caplog):
    auto = sfumato.fit(frame, drop=[frame.columns[0]], **QUICK)
    auto.encode(frame)
    assert "passed over" not in caplog.text


def test_columns_can_be_conditions(frame):
    told = {**QUICK, "steps": 200, "lr": 0.01}
    auto = sfumato.fit(frame, model="cvae", given=["kind"], **told)
    ants = auto.sample(100, {"kind": "ant"}, seed=0)
    assert (ants["kind"] == "ant").all()
    assert ants["size"].median() < 2 < auto.sample(100, {"kind": "bee"}, seed=0)["size"].median()
    assert auto.sample(100, seed=0)["kind"].nunique() == 2
    assert set(auto.sample(5, marginal=True, seed=0)["kind"]) <= {"ant", "bee"}
    by_label = sfumato.fit(frame, model="cvae", label="kind", **told)
    assert by_label.schema_.given_names == ("kind",)
    with pytest.raises(SfumatoError, match="name columns with given: legs, kind, size"):
        sfumato.fit(frame, model="cvae", **QUICK)


def test_a_built_in_set_conditions_on_its_own_label():
    auto = sfumato.fit("moons", model="cvae", rows=200, **QUICK)
    drawn = auto.sample(6, {"label": [0, 1, 0, 1, 0, 1]}, seed=0)
    assert [str(label) for label in drawn["label"]] == ["0", "1", "0", "1", "0", "1"]


def test_images_come_back_as_they_went_in():
    x = np.random.default_rng(0).integers(0, 255, (60, 6, 5), dtype=np.uint8)
    auto = sfumato.fit(x, **QUICK)
    assert auto.sample(3, seed=0).shape == (3, 6, 5)
    assert auto.reconstruct(x[:4]).dtype == np.uint8
    means = auto.sample(3, seed=0)
    assert np.array_equal(means, auto.sample(3, seed=0, noise=False))
    assert not np.array_equal(means, auto.sample(3, seed=0, noise=True))
    assert auto.score_samples(x[:4], samples=2).shape == (4,)


def test_fit_writes_nothing_unless_asked(rows, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    sfumato.fit(rows, **QUICK).sample(2)
    assert list(tmp_path.iterdir()) == []


def test_saved_and_loaded_gives_the_same_bits(rows, auto, tmp_path):
    run = auto.save(tmp_path / "p")
    loaded = sfumato.load(tmp_path / "p", device="cpu")
    assert run.sealed()
    assert np.array_equal(loaded.transform(rows), auto.transform(rows))
    assert np.array_equal(loaded.sample(20, seed=2), auto.sample(20, seed=2))
    assert np.array_equal(loaded.score_samples(rows), auto.score_samples(rows))
    assert loaded.history_.best == auto.history_.best
    assert loaded.history_.best_step == auto.history_.best_step
    assert loaded.get_params()["width"] == 16
    with pytest.raises(SfumatoError, match="exists already"):
        auto.save(tmp_path / "p")
    auto.save(tmp_path / "p", overwrite=True)
    assert [path.name for path in tmp_path.iterdir()] == ["p"]
    assert pickle.loads(pickle.dumps(loaded)).score(rows) == loaded.score(rows)


def test_a_run_and_a_repeat_from_its_config(rows, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.save("rows.npy", rows)
    auto = sfumato.fit("rows.npy", run=True, **QUICK)
    assert auto.run_.path.as_posix() == "runs/rows-vae"
    assert sfumato.fit("rows.npy", run=True, **QUICK).run_.name == "rows-vae-2"
    again = sfumato.fit(config="runs/rows-vae/config.toml")
    assert np.array_equal(again.transform(rows), auto.transform(rows))
    shorter = sfumato.fit(config="runs/rows-vae/config.toml", steps=2)
    assert shorter.config_.training.steps == 2
    with pytest.raises(SfumatoError, match="exists already"):
        sfumato.fit("rows.npy", run="rows-vae", **QUICK)


def test_a_resumed_run_ends_as_the_unbroken_one(rows, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.save("rows.npy", rows)

    class Stop(sfumato.training.Callback):
        def on_validation(self, model, line):
            return line["step"] >= 10

    told = QUICK | {"steps": 40, "validate_every": 5}
    whole = sfumato.fit("rows.npy", **told)
    stopped = sfumato.fit("rows.npy", run="p", callbacks=[Stop()], **told)
    assert stopped.history_.lines[-1]["step"] < 40
    resumed = sfumato.fit(resume="p")
    assert np.array_equal(resumed.transform(rows), whole.transform(rows))
    assert sfumato.load("p").transform(rows).tolist() == whole.transform(rows).tolist()
    longer = sfumato.fit(resume="p", steps=60)
    assert longer.history_.lines[-1]["step"] == 60


def test_what_cannot_be_resumed_is_said(rows, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.save("rows.npy", rows)
    sfumato.fit("rows.npy", run="p", **QUICK)
    with pytest.raises(SfumatoError, match="width cannot change when a run is resumed"):
        sfumato.fit(resume="p", width=32)
    with pytest.raises(SfumatoError, match="lr cannot change when a run is resumed"):
        sfumato.fit(resume="p", lr=1.0)
    assert sfumato.load("p").config_.training.lr != 1.0
    with pytest.raises(SfumatoError, match="model cannot be combined with resume"):
        sfumato.fit(resume="p", model="vae")
    np.save("rows.npy", rows + 1)
    with pytest.raises(SfumatoError, match="not the data that runs/p was trained on"):
        sfumato.fit(resume="p")
    sfumato.fit(rows, run="q", **QUICK)
    with pytest.raises(SfumatoError, match="data in memory"):
        sfumato.fit(resume="q")
    assert sfumato.fit(rows, resume="q").config_.training.steps == 15


@pytest.mark.parametrize("labels", [np.array([0, 1, 2]), np.array([True, False]), np.array(["b", "a"])])
def test_classes_are_told_as_the_labels_came(labels):
    y = np.resize(labels, 60)
    x = np.random.default_rng(0).normal(size=(60, 2)) + 9 * (y == labels[0])[:, None]
    auto = sfumato.Autoencoder(model="m2", steps=5, given=["label"]).fit(x, y)
    told = auto.predict(x)
    assert told.dtype.kind == labels.dtype.kind
    assert auto.classes_.tolist() == sorted(labels.tolist())
    assert 0 <= accuracy_score(y, told) <= 1


def test_what_has_no_classes_says_so_as_an_attribute_that_is_not_there(auto):
    assert not hasattr(auto, "classes_")
    assert "encode" in dir(auto)


def test_no_source_is_said():
    with pytest.raises(SfumatoError, match="no source"):
        sfumato.fit()
    with pytest.raises(SfumatoError, match="did you mean moons"):
        sfumato.fit("mons")


def test_draws_of_codes_and_reconstructions_follow_their_seed(rows):
    auto = Autoencoder(latent_dim=2, steps=20, likelihood="gaussian").fit(rows)
    for call in (auto.encode, auto.reconstruct):
        assert np.array_equal(call(rows, noise=True, seed=1), call(rows, noise=True, seed=1))
        assert not np.array_equal(call(rows, noise=True, seed=1), call(rows, noise=True, seed=2))
        assert np.array_equal(call(rows, seed=1), call(rows, seed=2))


def test_reconstructions_keep_what_is_not_modelled_and_the_index():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {"id": [f"row-{i}" for i in range(60)], "a": rng.normal(size=60), "one": 1.0},
        index=pd.date_range("2020-01-01", periods=60),
    )
    auto = Autoencoder(steps=3).fit(frame)
    made = auto.reconstruct(frame.iloc[5:9])
    assert made["id"].tolist() == ["row-5", "row-6", "row-7", "row-8"]
    assert made.index.equals(frame.index[5:9])
    assert not made["a"].equals(frame["a"].iloc[5:9])


def test_two_columns_of_one_name_are_told_in_one_line():
    frame = pd.DataFrame(np.zeros((20, 2)), columns=["a", "a"])
    with pytest.raises(SfumatoError, match="column 'a' stands there twice"):
        Autoencoder(steps=2).fit(frame)
    with pytest.raises(SfumatoError, match="column 'a' stands there twice"):
        sfumato.fit(frame, steps=2)


def test_an_array_of_the_columns_of_a_frame_is_read_under_their_names() -> None:
    frame = pd.DataFrame(np.random.default_rng(0).normal(size=(60, 3)), columns=["a", "b", "c"])
    model = Autoencoder(steps=5, latent_dim=2).fit(frame)
    with pytest.warns(UserWarning, match="valid feature names"):
        found = model.transform(frame.to_numpy())
    np.testing.assert_allclose(found, model.transform(frame), rtol=1e-5, atol=1e-6)


def test_images_of_several_sizes_in_a_list_are_refused_in_one_line():
    with pytest.raises(SfumatoError, match=r"^X: its rows are not of one length; give a rectangular array$"):
        sfumato.fit([np.zeros((8, 8), np.uint8), np.zeros((5, 8), np.uint8)], **QUICK)
