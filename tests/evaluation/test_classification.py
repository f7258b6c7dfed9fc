"""Measures of predicted classes: those of the estimator's own predictions, on the rows that have a label."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import log_loss

import sfumato
from sfumato import Autoencoder
from sfumato.evaluation.metrics.calibration import calibration_error, chance_error


@pytest.mark.parametrize("model", ["m2", "m1_m2"])
def test_they_are_those_of_the_predictions(model):
    random = np.random.default_rng(0)
    y = random.integers(0, 2, 300)
    X = random.normal(size=(300, 2)) + 2 * y[:, None]
    partly = np.where(random.random(300) < 0.3, y, np.nan)
    auto = Autoencoder(model, steps=30, width=8, depth=1, seed=0).fit(X, partly)
    found = {one.name: one for one in auto.evaluate((X, partly), families=("classification",))}
    known = ~np.isnan(partly)
    probability = auto.predict_proba(X[known])
    right = probability.argmax(1) == partly[known]
    assert found["accuracy"].value == pytest.approx(right.mean(), abs=1e-6)
    assert found["log loss"].value == pytest.approx(log_loss(partly[known], probability), rel=1e-3)
    assert found["calibration error"].value == pytest.approx(calibration_error(probability, partly[known]), abs=0.02)


def test_a_run_keeps_the_temperature_of_its_predictions(tmp_path):
    random = np.random.default_rng(0)
    y = random.integers(0, 2, 300)
    X = random.normal(size=(300, 2)) + y[:, None]
    how = {"steps": 30, "width": 8, "depth": 1, "seed": 0, "given": ["label"]}
    auto = sfumato.fit((X, y), model="m2", run=tmp_path / "run", **how)
    assert float(auto.model_.class_prior.temperature) != 1
    again = sfumato.load(tmp_path / "run")
    np.testing.assert_array_equal(again.predict_proba(X), auto.predict_proba(X))


def test_calibrated_probabilities_have_the_error_of_chance():
    random = np.random.default_rng(0)
    probability = random.dirichlet(np.ones(3), 5000)
    label = np.array([random.choice(3, p=row) for row in probability])
    assert calibration_error(probability, label) == pytest.approx(chance_error(probability, 0), abs=0.01)
    sharper = probability**3 / (probability**3).sum(1, keepdims=True)
    assert calibration_error(sharper, label) > 5 * chance_error(sharper, 0)
