"""Learners that judge rows: scikit-learn's boosted trees at fixed settings, on numbers and categories as they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from sfumato.evaluation.columns import Aligned

KNOWN = 250
"""Categories of a column that trees can tell apart; the rarer ones are unknown to them."""
ITERATIONS = 100
FOLDS = 5


@dataclass(frozen=True)
class Inputs:
    """Rows for trees: one (N, D) array for each table, and which columns are codes of categories."""

    sets: tuple[np.ndarray, ...]
    categories: np.ndarray


def inputs(table: Sequence[Aligned], known: Sequence[int]) -> Inputs:
    """Columns as rows for trees; categories that none of the tables `known` has are missing to them."""
    sets: list[list[np.ndarray]] = [[] for _ in table[0].values]
    for column in table:
        for side, values in enumerate(_coded(column, known) if column.levels else column.values):
            sets[side].append(values)
    return Inputs(tuple(np.stack(parts, 1) for parts in sets), np.array([bool(column.levels) for column in table]))


def _coded(column: Aligned, known: Sequence[int]) -> list[np.ndarray]:
    """Categories as codes in the order of their names."""
    seen = np.concatenate([column.values[side] for side in known])
    counts = np.bincount(seen[~np.isnan(seen)].astype(int), minlength=len(column.levels))
    kept = [level for level in np.argsort(-counts, kind="stable")[:KNOWN] if counts[level]]
    code = np.full(len(column.levels) + 1, np.nan)
    for place, level in enumerate(sorted(kept, key=lambda level: column.levels[level])):
        code[level] = place
    return [code[np.where(np.isnan(values), len(column.levels), values).astype(int)] for values in column.values]


def told(
    rows: np.ndarray,
    answers: np.ndarray,
    asked: np.ndarray,
    classes: int,
    *,
    categories: np.ndarray | None = None,
    iterations: int = ITERATIONS,
    seed: int = 0,
) -> np.ndarray:
    """What boosted trees say of the rows `asked` after learning the others: (N, classes), or numbers (N,).

    Args:
        rows: to learn from, (M, D), NaN where missing.
        answers: (M,): classes 0 … classes − 1, or numbers.
        asked: rows to answer for, (N, D).
        classes: how many; 0 for numbers. A class never seen has probability 0.
        categories: which columns are codes.
        iterations: trees, of each class.
        seed: of the learner.
    """
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    how: dict[str, Any] = {
        "categorical_features": categories,
        "random_state": seed,
        "max_iter": max(10, min(iterations, 2 * iterations // max(classes, 1))),
        "min_samples_leaf": max(1, min(20, len(rows) // 20)),
    }
    if not classes:
        return np.asarray(HistGradientBoostingRegressor(**how).fit(rows, answers).predict(asked))
    found = np.zeros((len(asked), classes))
    seen = np.unique(answers).astype(int)
    if len(seen) == 1:
        found[:, seen] = 1.0
        return found
    found[:, seen] = HistGradientBoostingClassifier(**how).fit(rows, answers).predict_proba(asked)
    return found


def auc(answers: np.ndarray, said: np.ndarray) -> float:
    """Area under the ROC curve of class probabilities (N, K); for more than two classes the mean of one against rest.

    NaN if the answers are all of one class.

    >>> auc(np.array([0, 1]), np.array([[0.9, 0.1], [0.2, 0.8]]))
    1.0
    """
    seen = np.unique(answers).astype(int)
    if len(seen) < 2:
        return float("nan")
    which = seen[-1:] if said.shape[1] == 2 else seen
    return float(np.mean([ranked(said[answers == one, one], said[answers != one, one]) for one in which]))


def ranked(high: np.ndarray, low: np.ndarray) -> float:
    """How often a number of `high` is above one of `low`, ties for half: the area under the ROC curve.

    >>> ranked(np.array([1.0, 2.0]), np.array([1.0, 0.0]))
    0.875
    """
    order = np.sort(low)
    below = np.searchsorted(order, high, side="left") + np.searchsorted(order, high, side="right")
    return float(below.mean() / (2 * len(low)))


def explained(answers: np.ndarray, said: np.ndarray) -> float:
    """R² = 1 − Σ (answer − said)² / Σ (answer − mean)².

    >>> explained(np.array([0.0, 2.0]), np.array([1.0, 1.0]))
    0.0
    """
    spread = ((answers - answers.mean()) ** 2).sum()
    return float(1 - ((answers - said) ** 2).sum() / spread) if spread else float("nan")


def told_apart(
    a: np.ndarray, b: np.ndarray, *, categories: np.ndarray | None = None, seed: int = 0
) -> tuple[float, float]:
    """Area under the ROC curve of trees that tell rows of `a` from rows of `b`, in 5 folds; with its standard error.

    Classifier two-sample test (Lopez-Paz and Oquab 2017): 0.5 if the two are alike, 1 if they can be told apart for
    sure. As many rows of each are used. Of each fold the area is taken, and the value is their mean. Folds share the
    rows they learn from, so that their spread s tells too little: the error is s·√(1/5 + 1/4), with the share of rows
    asked to rows learnt (Nadeau and Bengio 2003, Inference for the generalization error).
    """
    from sklearn.model_selection import StratifiedKFold

    random = np.random.default_rng(seed)
    size = min(len(a), len(b))
    rows = np.concatenate([random.permutation(x)[:size] for x in (a, b)])
    answers = np.repeat([0, 1], size)
    cuts = StratifiedKFold(min(FOLDS, size), shuffle=True, random_state=seed)
    scores = []
    for learnt, asked in cuts.split(rows, answers):
        said = told(
            rows[learnt], answers[learnt], rows[asked], 2, categories=categories, iterations=ITERATIONS // 2, seed=seed
        )
        scores.append(auc(answers[asked], said))
    folds = len(scores)
    return float(np.mean(scores)), float(np.std(scores, ddof=1) * np.sqrt(1 / folds + 1 / (folds - 1)))
