"""Linear probes: how much of what is known of the examples a linear model finds in their codes."""

from __future__ import annotations

import math
import warnings
from typing import NamedTuple

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression, RidgeCV
from sklearn.model_selection import KFold, StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

FOLDS = 5
STRENGTHS = (0.1, 1.0, 10.0, 100.0)


class Probe(NamedTuple):
    """How well a linear model does on examples it has not seen.

    Attributes:
        score: share told rightly of categories, R² of numbers.
        error: its standard error over examples; of R² by the delta method, of its two sums together.
        chance: the share of the most frequent category, 0 for numbers.
        parts: the share told rightly of each category, by its number; empty for numbers.
    """

    score: float
    error: float
    chance: float
    parts: dict[int, float]


def tell_category(codes: np.ndarray, classes: np.ndarray, seed: int = 0) -> Probe | None:
    """Logistic regression, cross-validated over five folds.

    Args:
        codes: (N, L).
        classes: (N,) whole numbers; those below 0 are unknown. Categories with fewer than five examples are left out.

    Returns:
        None with fewer than two categories.

    >>> z = np.random.default_rng(0).normal(size=(400, 2))
    >>> tell_category(z, (z[:, 0] > 0).astype(int)).score > 0.95
    True
    """
    known = np.flatnonzero(classes >= 0)
    counts = np.bincount(classes[known])
    known = known[counts[classes[known]] >= FOLDS]
    if len(np.unique(classes[known])) < 2:
        return None
    x, y = codes[known], classes[known]
    right = np.zeros(len(y), bool)
    judge = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        for learn, test in StratifiedKFold(FOLDS, shuffle=True, random_state=seed % 2**32).split(x, y):
            right[test] = judge.fit(x[learn], y[learn]).predict(x[test]) == y[test]
    chance = float(np.bincount(y).max() / len(y))
    error = math.sqrt(right.mean() * (1 - right.mean()) / len(y))
    parts = {int(value): float(right[y == value].mean()) for value in np.unique(y)}
    return Probe(float(right.mean()), error, chance, parts)


def tell_number(codes: np.ndarray, values: np.ndarray, seed: int = 0) -> Probe | None:
    """Ridge regression, cross-validated over five folds; its strength is chosen within each.

    Args:
        codes: (N, L).
        values: (N,), NaN where unknown.

    Returns:
        None with fewer than ten known values, or where they are all the same.
    """
    known = np.flatnonzero(np.isfinite(values))
    if len(known) < 2 * FOLDS or np.ptp(values[known]) == 0:
        return None
    x, y = codes[known], values[known]
    y = (y - y.mean()) / y.std()
    lost = np.zeros(len(y))
    for learn, test in KFold(FOLDS, shuffle=True, random_state=seed % 2**32).split(x):
        judge = make_pipeline(StandardScaler(), RidgeCV(STRENGTHS)).fit(x[learn], y[learn])
        lost[test] = (judge.predict(x[test]) - y[test]) ** 2
    # R² = 1 − Σ lost / Σ y², and what one example moves it by is its part of both.
    moved = lost - lost.mean() * y**2
    return Probe(float(1 - lost.mean()), float(moved.std(ddof=1) / math.sqrt(len(y))), 0.0, {})
