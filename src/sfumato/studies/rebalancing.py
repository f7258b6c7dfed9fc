"""Ways to train a classifier on few rows of a class without generating any, and the classifiers."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from sklearn.utils.class_weight import compute_sample_weight

from sfumato.evaluation.metrics.classifiers import tree_threads

SMOTE_NEIGHBOURS = 5
"""Of SMOTE, as its paper has it."""


class Rows(NamedTuple):
    """Rows that a classifier is trained on.

    Attributes:
        x: (N, D), NaN where missing.
        y: classes 0, 1, …, (N,).
        weights: of the rows, (N,); None where all weigh the same.
    """

    x: np.ndarray
    y: np.ndarray
    weights: np.ndarray | None = None


def rebalanced(x: np.ndarray, y: np.ndarray, categories: np.ndarray | None, seed: int) -> dict[str, Rows]:
    """Rows weighted by class, rare rows repeated, and SMOTE where imbalanced-learn is installed.

    Args:
        x: (N, D), NaN where missing.
        y: classes 0, 1, …, (N,).
        categories: which columns are codes of categories, (D,); None if none is.
        seed: of the draws.

    >>> rebalanced(np.array([[0.0], [1.0], [2.0]]), np.array([0, 0, 1]), None, 0)["class weights"].weights
    array([0.75, 0.75, 1.5 ])
    """
    counts, weights = np.bincount(y), compute_sample_weight("balanced", y)
    random = np.random.default_rng(seed)
    repeated = [random.choice(np.flatnonzero(y == label), counts.max() - counts[label]) for label in np.unique(y)]
    index = np.concatenate([np.arange(len(y)), *repeated])
    ways = {"class weights": Rows(x, y, weights), "oversampling": Rows(x[index], y[index])}
    if (more := _smote(x, y, categories, seed)) is not None:
        ways["SMOTE"] = more
    return ways


def _smote(x: np.ndarray, y: np.ndarray, categories: np.ndarray | None, seed: int) -> Rows | None:
    """SMOTE, its variant for categories where there are any; None if it is not installed or a class has one row."""
    try:
        from imblearn.over_sampling import SMOTE, SMOTEN, SMOTENC
    except ImportError:
        return None
    counts = np.bincount(y)
    how: dict[str, Any] = {
        "random_state": seed % 2**32,
        "k_neighbors": min(SMOTE_NEIGHBOURS, int(counts[counts > 0].min()) - 1),
    }
    if how["k_neighbors"] < 1:
        return None
    coded = np.zeros(x.shape[1], bool) if categories is None else categories
    # It takes no missing cells: a number is the median of its column then, a missing category one of its own.
    filled = np.where(np.isnan(x), np.where(coded, -1.0, _medians(x)), x)
    scale = np.where(coded | (filled.std(0) == 0), 1.0, filled.std(0))
    if coded.all():
        method = SMOTEN(**how)
    else:
        method = SMOTENC(np.flatnonzero(coded).tolist(), **how) if coded.any() else SMOTE(**how)
    drawn, classes = method.fit_resample(filled / scale, y)
    interpolated = drawn[len(x) :] * scale
    interpolated[:, coded] = np.where(interpolated[:, coded] < 0, np.nan, interpolated[:, coded].round())
    return Rows(np.concatenate([x, interpolated]), np.concatenate([y, classes[len(y) :]]))


def _medians(x: np.ndarray) -> np.ndarray:
    known = ~np.isnan(x).all(0)
    medians = np.zeros(x.shape[1])
    medians[known] = np.nanmedian(x[:, known], axis=0)
    return medians


def scores(
    rows: Rows, tested: np.ndarray, classes: int, categories: np.ndarray | None, *, trees: bool, seed: int
) -> np.ndarray:
    """How much a classifier takes each row for one of each class, (N, classes); the highest is what it predicts.

    Args:
        rows: to learn from.
        tested: rows to predict for, (N, D).
        classes: how many there are; one that it never saw is never predicted.
        categories: which columns are codes, for trees.
        trees: gradient boosting with 100 trees, which gives probabilities; otherwise a support vector machine with
            C = 10 on standardised values, which gives distances.
        seed: of the trees.
    """
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import SVC

    seen = np.unique(rows.y)
    if trees:
        forest = HistGradientBoostingClassifier(
            categorical_features=categories,
            random_state=seed % 2**32,
            early_stopping=False,
            min_samples_leaf=max(1, min(20, len(rows.x) // 20)),
        )
        with tree_threads(rows.x):
            values = forest.fit(rows.x, rows.y, rows.weights).predict_proba(tested)
    else:
        scaler = StandardScaler().fit(rows.x)
        machine = SVC(C=10.0).fit(scaler.transform(rows.x), rows.y, rows.weights)
        values = machine.decision_function(scaler.transform(tested))
        values = np.stack([-values, values], 1) if values.ndim == 1 else values
    every = np.full((len(tested), classes), -np.inf)
    every[:, seen] = values
    return every
