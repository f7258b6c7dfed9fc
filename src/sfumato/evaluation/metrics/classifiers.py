"""Boosted trees of scikit-learn with fixed settings, on numbers and categories."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from threadpoolctl import threadpool_limits

from sfumato.evaluation.metrics.columns import Aligned

MAX_TREE_CATEGORIES = 250
"""Largest number of categories of a column; rarer ones count as missing."""
ITERATIONS = 100
FOLDS = 5
VALUES_FOR_ONE_THREAD = 1_000_000
"""Values to learn from up to which trees grow on one thread."""


@dataclass(frozen=True)
class Inputs:
    """Rows for trees: one (N, D) array for each table, and which columns are codes of categories."""

    sets: tuple[np.ndarray, ...]
    categories: np.ndarray


def tree_threads(rows: np.ndarray) -> AbstractContextManager[Any]:
    """Within this block trees that learn from these rows grow on one thread, if the rows are few.

    Threads of OpenMP wait for each other after every split. Beside a busy process two of them took 17 times as long as
    one for 300 rows of 8 numbers, and 4 times as long for 20,000 of 15, and without one they save little there.
    """
    return threadpool_limits(1, user_api="openmp") if rows.size <= VALUES_FOR_ONE_THREAD else nullcontext()


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
    kept = [level for level in np.argsort(-counts, kind="stable")[:MAX_TREE_CATEGORIES] if counts[level]]
    code = np.full(len(column.levels) + 1, np.nan)
    for place, level in enumerate(sorted(kept, key=lambda level: column.levels[level])):
        code[level] = place
    return [code[np.where(np.isnan(values), len(column.levels), values).astype(int)] for values in column.values]


def predict(
    rows: np.ndarray,
    answers: np.ndarray,
    targets: np.ndarray,
    classes: int,
    *,
    categories: np.ndarray | None = None,
    iterations: int = ITERATIONS,
    seed: int = 0,
) -> np.ndarray:
    """Predictions of boosted trees for the rows `targets`: probabilities (N, classes), or numbers (N,).

    Args:
        rows: to learn from, (M, D), NaN where missing.
        answers: (M,): classes 0 … classes − 1, or numbers.
        targets: rows to predict for, (N, D).
        classes: how many; 0 for numbers. A class never seen has probability 0.
        categories: which columns are codes.
        iterations: trees, of each class.
        seed: of the learner.
    """
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    how: dict[str, Any] = {
        "categorical_features": categories,
        "random_state": seed % 2**32,  # what scikit-learn takes
        "max_iter": max(10, min(iterations, 2 * iterations // max(classes, 1))),
        "min_samples_leaf": max(1, min(20, len(rows) // 20)),
    }
    if not classes:
        with tree_threads(rows):
            return np.asarray(HistGradientBoostingRegressor(**how).fit(rows, answers).predict(targets))
    probabilities = np.zeros((len(targets), classes))
    seen = np.unique(answers).astype(int)
    if len(seen) == 1:
        probabilities[:, seen] = 1.0
        return probabilities
    with tree_threads(rows):
        probabilities[:, seen] = HistGradientBoostingClassifier(**how).fit(rows, answers).predict_proba(targets)
    return probabilities


def auc(answers: np.ndarray, scores: np.ndarray) -> float:
    """Area under the ROC curve of class probabilities (N, K); for more than two classes the mean of one against rest.

    NaN if the answers are all of one class.

    >>> auc(np.array([0, 1]), np.array([[0.9, 0.1], [0.2, 0.8]]))
    1.0
    """
    seen = np.unique(answers).astype(int)
    if len(seen) < 2:
        return float("nan")
    which = seen[-1:] if scores.shape[1] == 2 else seen
    return float(np.mean([ranked(scores[answers == label, label], scores[answers != label, label]) for label in which]))


def ranked(high: np.ndarray, low: np.ndarray) -> float:
    """How often a number of `high` is above one of `low`, ties for half: the area under the ROC curve.

    >>> ranked(np.array([1.0, 2.0]), np.array([1.0, 0.0]))
    0.875
    """
    return float(_below(high, low).mean())


def _below(values: np.ndarray, others: np.ndarray) -> np.ndarray:
    """The share of `others` below each value, ties for half."""
    order = np.sort(others)
    below = np.searchsorted(order, values, side="left") + np.searchsorted(order, values, side="right")
    return np.asarray(below / (2 * len(others)))


def explained(answers: np.ndarray, predictions: np.ndarray) -> float:
    """R² = 1 − Σ (answer − prediction)² / Σ (answer − mean)².

    >>> explained(np.array([0.0, 2.0]), np.array([1.0, 1.0]))
    0.0
    """
    spread = ((answers - answers.mean()) ** 2).sum()
    return float(1 - ((answers - predictions) ** 2).sum() / spread) if spread else float("nan")


class TwoSampleAUC(NamedTuple):
    """How well trees distinguish two sets of rows.

    Attributes:
        value: area under the ROC curve, the mean of the folds.
        error: its standard error.
        rows: rows of each set that the trees of a fold learned from.
        by_column: what the area loses when a column is permuted among the rows asked, (D,); None if it was not asked.
    """

    value: float
    error: float
    rows: int
    by_column: np.ndarray | None = None


def two_sample_auc(
    a: np.ndarray,
    b: np.ndarray,
    *,
    more: np.ndarray | None = None,
    rows: int | None = None,
    categories: np.ndarray | None = None,
    seed: int = 0,
    by_column: bool = False,
) -> TwoSampleAUC:
    """Area under the ROC curve of trees that distinguish rows of `a` from rows of `b`, in 5 folds.

    Classifier two-sample test (Lopez-Paz and Oquab 2017): 0.5 if the two have one distribution, 1 if they are
    always distinguished. The trees of a fold are trained on the rows of all other folds and tested on its own. More
    training rows give higher values, so that values hold for one number of `rows`; `more` rows like `a`, which are used
    for training only, make that number independent of the size of `a`.

    The standard error is the larger of two: what comes of the rows asked, by the placements of their answers (DeLong et
    al. 1988), and of the folds' spread s, s·√(1/5 + r) with the share r of rows asked to rows learned (Nadeau and
    Bengio 2003, Inference for the generalization error), as folds share the rows they learn from. How often intervals
    of ±1.96 errors hold is measured by `benchmarks/doctor_tables.py c2st`.

    Args:
        a, b: the two sets, (N, D) and (M, D).
        more: rows to learn from as of `a`, (L, D).
        rows: to learn from of each set, at most.
        categories: which columns are codes.
        seed: of the folds.
        by_column: measure also which columns the trees go by (permutation importance, Breiman 2001).
    """
    random = np.random.default_rng(seed)
    shuffling = np.random.default_rng(seed)
    folds = min(FOLDS, len(a), len(b))
    of_a, of_b = (random.permutation(len(x)) % folds for x in (a, b))
    more = a[:0] if more is None else more
    learned = min(
        *(int((of_a != fold).sum()) + len(more) for fold in range(folds)),
        *(int((of_b != fold).sum()) for fold in range(folds)),
        rows or len(a) + len(b) + len(more),
    )
    placed = np.empty(len(a)), np.empty(len(b))
    scores, losses = [], []
    for fold in range(folds):
        own = np.concatenate([random.permutation(a[of_a != fold]), random.permutation(more)])[:learned]
        other = random.permutation(b[of_b != fold])[:learned]
        tested = np.concatenate([a[of_a == fold], b[of_b == fold]])
        answers, size = np.repeat([0, 1], learned), len(tested)
        targets = np.concatenate([tested, *_permuted(tested, shuffling)]) if by_column else tested
        fold_scores = predict(
            np.concatenate([own, other]),
            answers,
            targets,
            2,
            categories=categories,
            iterations=ITERATIONS // 2,
            seed=seed,
        )[:, 1]
        of_real = int((of_a == fold).sum())
        low, high = fold_scores[:of_real], fold_scores[of_real:size]
        placed[0][of_a == fold], placed[1][of_b == fold] = 1 - _below(low, high), _below(high, low)
        scores.append(ranked(high, low))
        permuted = fold_scores[size:].reshape(-1, size)
        losses.append([scores[-1] - ranked(row[of_real:], row[:of_real]) for row in permuted])
    by_rows = sum(float(placements.var(ddof=1)) / len(placements) for placements in placed)
    by_folds = float(np.var(scores, ddof=1)) * (1 / folds + len(a) / folds / learned)
    error = float(np.sqrt(max(by_rows, by_folds)))
    return TwoSampleAUC(float(np.mean(scores)), error, learned, np.mean(losses, 0) if by_column else None)


def _permuted(rows: np.ndarray, random: np.random.Generator) -> Iterator[np.ndarray]:
    """The rows with one column after the other permuted."""
    for column in range(rows.shape[1]):
        changed = rows.copy()
        changed[:, column] = random.permutation(rows[:, column])
        yield changed
