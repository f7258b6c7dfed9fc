"""The imputer: scikit-learn's own checks, and what it fills, keeps and hands on."""

from __future__ import annotations

import pickle

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import parametrize_with_checks

from sfumato import Imputer

pytestmark = pytest.mark.usefixtures("short_partial_fit")


def quick() -> Imputer:
    return Imputer(steps=2, particles=4, options={"latent_dim": 2, "width": 8, "depth": 1, "device": "cpu"})


@parametrize_with_checks([quick()])
def test_scikit_learn_check(estimator, check):
    check(estimator)


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    random = np.random.default_rng(0)
    day = pd.Timestamp("2024-01-01") + pd.to_timedelta(random.integers(0, 300, 100), "D")
    return pd.DataFrame({"kind": random.choice(["a", "b", "c"], 100), "size": random.normal(5, 1, 100), "day": day})


@pytest.fixture(scope="module")
def with_blanks(frame) -> pd.DataFrame:
    blanks = frame.copy()
    blanks.loc[::4, "size"] = np.nan
    blanks.loc[1::5, "kind"] = None
    return blanks


@pytest.fixture(scope="module")
def imputer(with_blanks) -> Imputer:
    return quick().fit(with_blanks)


def test_frames_are_filled(imputer, frame, with_blanks):
    filled = imputer.transform(with_blanks)
    assert filled.index.equals(frame.index)
    assert not filled.isna().any().any()
    known = with_blanks.notna().to_numpy()
    assert (filled.to_numpy()[known] == frame.to_numpy()[known]).all()
    draws = imputer.sample(with_blanks, 2)
    assert [len(draw) for draw in draws] == [100, 100]
    assert not draws[0]["size"].equals(draws[1]["size"])
    low, high = imputer.predict_interval(with_blanks)
    missing = ~known[:, 1]
    assert (low["size"] < high["size"]).equals(pd.Series(missing))
    assert (low["kind"] == high["kind"]).all()


def test_new_rows_have_other_blanks_and_values(imputer, frame):
    new = pd.DataFrame({**frame.head(2), "kind": ["never seen", None], "day": [None, frame["day"][0]]})
    rows = imputer.transform(new)
    assert rows["kind"][0] == "never seen"
    assert rows["kind"][1] in {"a", "b", "c"}
    assert rows["day"].notna().all()


def test_it_is_cloned_and_pickled(imputer, with_blanks):
    assert clone(imputer).get_params() == imputer.get_params()
    again = pickle.loads(pickle.dumps(imputer))
    assert again.transform(with_blanks).equals(imputer.transform(with_blanks))


def test_it_is_a_step_before_a_classifier_and_its_output_is_chosen():
    random = np.random.default_rng(0)
    y = random.integers(0, 2, 60)
    X = random.normal(size=(60, 3)) + 4 * y[:, None]
    X[random.random(X.shape) < 0.2] = np.nan
    pipeline = make_pipeline(quick(), LogisticRegression())
    assert pipeline.fit(X, y).score(X, y) > 0.8
    filled = quick().set_output(transform="pandas").fit_transform(X)
    assert isinstance(filled, pd.DataFrame)
    assert (filled.to_numpy()[~np.isnan(X)] == X[~np.isnan(X)]).all()
