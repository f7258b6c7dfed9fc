"""m2 as a scikit-learn classifier, and what scikit-learn's users type."""

from __future__ import annotations

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from sklearn.base import clone, is_classifier
from sklearn.ensemble import VotingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

import sfumato
from sfumato import Autoencoder
from sfumato.errors import SfumatoError
from sfumato.estimator.targets import classified

TINY = {"steps": 3, "width": 8, "depth": 1, "latent_dim": 1, "device": "cpu"}
RANDOM = np.random.default_rng(2)
Y = np.repeat([3, 7], 60)
X = RANDOM.normal(size=(120, 2)) + 4 * (Y == 7)[:, None]


def m2(**options) -> Autoencoder:
    return Autoencoder("m2", **{**TINY, "width": 16, "steps": 80, "lr": 0.02, **options})


@parametrize_with_checks([Autoencoder("m2", **TINY)])
def test_scikit_learn_check(estimator, check):
    check(estimator)


def test_only_a_model_that_tells_classes_is_a_classifier():
    assert is_classifier(Autoencoder("m2"))
    assert hasattr(Autoencoder("m2"), "predict_proba")
    for model in ("vae", "cvae"):
        assert not is_classifier(Autoencoder(model))
        assert not hasattr(Autoencoder(model), "predict")


def test_folds_are_stratified_and_scored_by_accuracy():
    assert cross_val_score(make_pipeline(StandardScaler(), m2()), X, Y, cv=2).min() > 0.9
    search = GridSearchCV(m2(), {"alpha": [0.1]}, cv=2).fit(X, Y)
    assert search.best_score_ > 0.9
    votes = VotingClassifier([("m2", m2()), ("line", LogisticRegression())], voting="soft").fit(X, Y)
    assert (votes.predict(X) == Y).mean() > 0.9


@pytest.mark.parametrize("frame", [pd.DataFrame, pl.DataFrame, pa.table])
def test_a_frame_and_labels_beside_it(frame):
    named = frame({"a": X[:, 0], "b": X[:, 1]})
    auto = m2().fit(named, np.where(Y == 3, "left", "right"))
    assert auto.classes_.tolist() == ["left", "right"]
    assert auto.n_features_in_ == 2
    assert auto.score(named, np.where(Y == 3, "left", "right")) > 0.9
    assert auto.score(named) == pytest.approx(auto.score_samples(named).mean()), "without labels"
    with pytest.raises(SfumatoError, match="a column 'label', and y is given too"):
        m2().fit(frame({"a": X[:, 0], "label": X[:, 1]}), Y)


@pytest.mark.parametrize(
    "partly",
    [
        np.where(np.arange(120) % 3, -1, Y == 7),
        [None if row % 3 else int(label == 7) for row, label in enumerate(Y)],
        pd.Series((Y == 7).astype(int), dtype="Int64").mask(np.arange(120) % 3 > 0),
        np.where(np.arange(120) % 3, np.nan, Y == 7),
    ],
    ids=["-1", "None", "NA", "NaN"],
)
def test_labels_for_some_rows_alone(partly):
    auto = m2().fit(X, partly)
    assert auto.classes_.tolist() == [0, 1]
    assert ((auto.predict(X) == 1) == (Y == 7)).mean() > 0.9
    frame = pd.DataFrame(X, columns=["a", "b"])
    told = m2(steps=5).fit(frame, partly)
    assert told.classes_.tolist() == [0, 1]
    assert set(told.sample(30, seed=0)["label"]) <= {0, 1}


def test_classes_keep_their_type_where_some_rows_have_none():
    assert m2(steps=2).fit(X, [None if row % 3 else bool(label == 7) for row, label in enumerate(Y)]).predict(
        X
    ).dtype == np.dtype(bool)
    assert m2(steps=2).fit(X, np.where(np.arange(120) % 3, -1, Y == 7)).predict(X).dtype.kind == "i"


@pytest.mark.parametrize("labels", [[-1, 1, 1], [-1, 0, 0], [-2, -1, 0], [-1.0, 0.0, 1.0], ["-1", "0", "1"]])
def test_minus_one_is_a_class_where_others_are_not_counted_from_0(labels):
    y = np.array(labels)
    assert classified(y).values.tolist() == labels


def test_what_no_classifier_can_use_is_said():
    for y, said in (
        (np.full(120, np.nan), "no row has a label"),
        (RANDOM.normal(size=120), "Unknown label type"),
        (Y[:50], "inconsistent numbers of samples"),
        (None, "requires y"),
    ):
        with pytest.raises(ValueError, match=said):
            m2().fit(X, y)


def test_random_state_is_the_seed():
    def codes(**options):
        return Autoencoder(**{**TINY, **options}).fit(X).transform(X)

    np.testing.assert_array_equal(codes(random_state=5), codes(seed=5))
    one, other = (codes(random_state=np.random.RandomState(1)) for _ in range(2))
    np.testing.assert_array_equal(one, other)
    assert not np.array_equal(codes(random_state=5), codes())
    assert clone(Autoencoder(random_state=5)).random_state == 5
    np.testing.assert_array_equal(sfumato.fit(X, random_state=5, **TINY).transform(X), codes(seed=5))
    for call in (lambda **told: codes(**told), lambda **told: sfumato.fit(X, **told, **TINY)):
        with pytest.raises(SfumatoError, match="random_state and seed"):
            call(random_state=5, seed=5)
    with pytest.raises(SfumatoError, match="seed is 'five'"):
        codes(random_state="five")


def test_verbose_shows_the_training(capsys):
    Autoencoder(**TINY).fit(X)
    assert capsys.readouterr().err == ""
    Autoencoder(**TINY, verbose=1).fit(X)
    assert "step 3/3" in capsys.readouterr().err
    sfumato.fit(X, verbose=True, **TINY)
    assert "step 3/3" in capsys.readouterr().err


def test_draws_are_new_each_time_unless_a_seed_is_given():
    auto = Autoencoder(**TINY, likelihood="gaussian").fit(X)
    for call in (auto.sample, lambda seed=None: auto.encode(X, noise=True, seed=seed)):
        assert not np.array_equal(call(), call())
        assert np.array_equal(call(seed=3), call(seed=3))
    np.testing.assert_array_equal(
        auto.sample(4, seed=np.random.default_rng(0)), auto.sample(4, seed=np.random.default_rng(0))
    )
    np.testing.assert_array_equal(auto.score_samples(X), auto.score_samples(X))
    with pytest.raises(SfumatoError, match="seed is -1"):
        auto.sample(2, seed=-1)
