"""How well a representation tells a protected column and a target, and the linear baseline."""

from __future__ import annotations

import warnings
from typing import NamedTuple

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sfumato.evaluation.metrics.classifiers import auc, predict

FOLDS = 5


class Predictability(NamedTuple):
    """How well classifiers tell classes from a representation, as areas under the ROC curve.

    Attributes:
        trees: by gradient boosting.
        linear: by logistic regression.
        error: the standard error of the larger of the two over folds.
    """

    trees: float
    linear: float
    error: float

    @property
    def best(self) -> float:
        """By the better of the two."""
        return max(self.trees, self.linear)


def predictability(features: np.ndarray, classes: np.ndarray, seed: int = 0) -> Predictability:
    """How well classes are told from features, cross-validated in five folds.

    Args:
        features: (N, D).
        classes: 0, 1, …, (N,), each at least five times. Of more than two the area is the mean of one against the rest.
        seed: of the folds and the trees.

    >>> z = np.random.default_rng(0).normal(size=(400, 2))
    >>> predictability(z, (z[:, 0] > 0).astype(int)).best > 0.95
    True
    """
    count = int(classes.max()) + 1
    areas = []
    split = StratifiedKFold(FOLDS, shuffle=True, random_state=seed % 2**32).split(features, classes)
    for learn, test in split:
        trees = predict(features[learn], classes[learn], features[test], count, seed=seed)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            line = make_pipeline(StandardScaler(), LogisticRegression(max_iter=500))
            linear = line.fit(features[learn], classes[learn]).predict_proba(features[test])
        areas.append((auc(classes[test], trees), auc(classes[test], linear)))
    means = np.mean(areas, 0)
    error = float(np.std(np.array(areas)[:, int(means.argmax())], ddof=1) * (1 / FOLDS + 1 / (FOLDS - 1)) ** 0.5)
    return Predictability(float(means[0]), float(means[1]), error)


def without_linear(features: np.ndarray, protected: np.ndarray) -> np.ndarray:
    """Features less what a linear function of the protected classes says of them, (N, D).

        x ↦ x − E[x | group] + E[x]

    No linear classifier tells the groups from what is left: their means are the same. It is the projection of LEACE
    (Belrose et al. 2023) with the identity for a metric, where the group of each row is known.

    >>> without_linear(np.array([[0.0], [2.0], [10.0], [12.0]]), np.array([0, 0, 1, 1])).ravel().tolist()
    [5.0, 7.0, 5.0, 7.0]
    """
    means = np.stack([features[protected == group].mean(0) for group in range(int(protected.max()) + 1)])
    moved: np.ndarray = features - means[protected] + features.mean(0)
    return moved
