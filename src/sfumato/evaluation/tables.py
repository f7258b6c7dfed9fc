"""Tables and vectors: columns, pairs of columns, and what a learner makes of samples."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from sfumato.evaluation.columns import Aligned, Column, trends
from sfumato.evaluation.drawn import MADE, TEST, TRAIN, Drawn
from sfumato.evaluation.jackknife import jackknife
from sfumato.evaluation.judges import auc, explained, inputs, told, told_apart
from sfumato.evaluation.measure import Measure

MOST = 60
"""Columns whose shapes and pairs are looked at; of more, so many are chosen at random."""
TRIED = 15
"""Columns tried as the target, at most."""
ROWS = 1000
"""Rows that a target is chosen by."""
CLASSES = 20
"""A column of more categories is no target."""
COPY = 0.95
"""A column that can be told so well from the others is all but a copy of one."""


def measures(drawn: Drawn) -> list[Measure]:
    """Column shapes and pair trends; unless quick, train on samples and test on real, and the two-sample test."""
    if not drawn.columns:
        return []
    found = [*_shapes(drawn), *_trends(drawn)]
    if drawn.how.quick or drawn.size < 4:
        return found
    return [*found, *_learned(drawn), *_told_apart(drawn)]


def _chosen(drawn: Drawn, places: Sequence[int]) -> list[Aligned]:
    random = np.random.default_rng(drawn.how.seed)
    kept = sorted(random.permutation(places)[:MOST]) if len(places) > MOST else places
    return [drawn.columns[place] for place in kept]


def _shapes(drawn: Drawn) -> list[Measure]:
    table = _chosen(drawn, drawn.judged)
    if not table:
        return []

    def scores(made: int) -> list[float]:
        return [1 - column.pair(TEST, made).distance for column in table]

    parts = dict(zip([column.name for column in table], scores(MADE), strict=True))
    few = "" if len(table) == len(drawn.judged) else f" ({MOST} of {len(drawn.judged)} columns)"
    return [
        Measure(
            "column shapes",
            float(np.mean(list(parts.values()))),
            "",
            f"How alike each column is by itself in samples and real rows, on average{few}; 1 is the same.",
            "samples",
            error=_error(drawn, table, lambda pairs: [np.mean([1 - pair.distance for pair in pairs])]),
            reference=float(np.mean(scores(TRAIN))),
            reference_is="real data",
            better="higher",
            parts=parts,
        )
    ]


def _trends(drawn: Drawn) -> list[Measure]:
    table = _chosen(drawn, range(len(drawn.columns)))
    given = set(drawn.subject.schema.given_names)

    def scores(pairs: Sequence[Column]) -> dict[str, float]:
        return {" × ".join(two): value for two, value in trends(pairs).items() if not set(two) <= given}

    parts = scores([column.pair(TEST, MADE) for column in table])
    known = {name: value for name, value in parts.items() if np.isfinite(value)}
    if not known:
        return []
    real = scores([column.pair(TEST, TRAIN) for column in table])
    return [
        Measure(
            "pair trends",
            float(np.mean(list(known.values()))),
            "",
            "How alike each pair of columns hangs together in samples and real rows, on average; 1 is the same.",
            "samples",
            error=_error(drawn, table, lambda pairs: [np.nanmean(list(scores(pairs).values()))]),
            reference=float(np.nanmean(list(real.values()))),
            reference_is="real data",
            better="higher",
            parts=known,
        )
    ]


def _error(
    drawn: Drawn, table: Sequence[Aligned], statistic: Callable[[Sequence[Column]], Sequence[Any]]
) -> float | None:
    def one(real: np.ndarray, made: np.ndarray) -> Sequence[Any]:
        return statistic(
            [
                Column(column.name, column.values[TEST][real], column.values[MADE][made], column.levels)
                for column in table
            ]
        )

    return jackknife(one, (len(drawn.test), len(drawn.made)), drawn.how.seed)[0]


def _learned(drawn: Drawn) -> list[Measure]:
    found = target(drawn)
    if found is None:
        return []
    place, why = found
    column = drawn.columns[place]
    fit = Fit(drawn, place)
    value, reference = fit.score(MADE), fit.score(TRAIN)
    kind = "AUC" if column.levels else "R²"
    return [
        Measure(
            "train on samples, test on real",
            value,
            kind,
            f"How well {column.name} ({why}) of real rows is told by trees that learned from samples alone; "
            "the reference learned from as many real rows.",
            "samples",
            error=fit.error(MADE),
            reference=reference,
            reference_is="trained on real data",
            better="higher",
        )
    ]


class Fit:
    """One column told from all others by boosted trees, which learn from one set and answer for the test rows."""

    def __init__(self, drawn: Drawn, place: int, *, rows: int | None = None, iterations: int = 100) -> None:
        others = [column for other, column in enumerate(drawn.columns) if other != place]
        self.seed, self.iterations = drawn.how.seed, iterations
        self.column = drawn.columns[place]
        held = inputs(others, [TEST])
        self.categories = held.categories
        known = [~np.isnan(values) for values in self.column.values]
        self.rows = [x[seen][:rows] for x, seen in zip(held.sets, known, strict=True)]
        self.answers = [y[seen][:rows] for y, seen in zip(self.column.values, known, strict=True)]
        self._said: dict[int, np.ndarray] = {}

    def said(self, side: int) -> np.ndarray:
        """What is answered for the test rows after learning the rows of one set."""
        if side not in self._said:
            self._said[side] = told(
                self.rows[side],
                self.answers[side],
                self.rows[TEST],
                len(self.column.levels),
                categories=self.categories,
                iterations=self.iterations,
                seed=self.seed,
            )
        return self._said[side]

    def score(self, side: int, kept: np.ndarray | slice = slice(None)) -> float:
        """The AUC of a category, the R² of a number, over the test rows that are kept."""
        if not len(self.rows[side]):
            return float("nan")
        return (auc if self.column.levels else explained)(self.answers[TEST][kept], self.said(side)[kept])

    def error(self, side: int) -> float | None:
        """The standard error that comes of the choice of test rows."""
        return jackknife(lambda kept: [self.score(side, kept)], (len(self.rows[TEST]),), self.seed)[0]


def target(drawn: Drawn) -> tuple[int, str] | None:
    """The column that a learner is asked for, and why: the label, a condition, or the most predictable one."""
    names = [column.name for column in drawn.columns]
    fit = [place for place, column in enumerate(drawn.columns) if _varies(column) and len(column.levels) <= CLASSES]
    if len(names) < 2 or not fit:
        return None
    label = drawn.subject.data.options.label
    if label in names and names.index(label) in fit:
        return names.index(label), "the label"
    given = [place for place in fit if names[place] in drawn.subject.schema.given_names]
    if given:
        return min(given, key=lambda place: not drawn.columns[place].levels), "a condition"
    tried = np.random.default_rng(drawn.how.seed).permutation(fit)[:TRIED]
    scores = {int(place): _predictable(drawn, int(place)) for place in tried}
    usable = {place: score for place, score in scores.items() if score < COPY} or scores
    best = max(usable, key=lambda place: usable[place])
    return best, "the column that the others tell most of"


def _varies(column: Aligned) -> bool:
    return all(len(np.unique(values[~np.isnan(values)])) > 1 for values in column.values[:2])


def _predictable(drawn: Drawn, place: int) -> float:
    """From 0 to 1: R² of a number, 2 AUC − 1 of a category."""
    score = Fit(drawn, place, rows=ROWS, iterations=50).score(TRAIN)
    if not np.isfinite(score):
        return -np.inf
    return 2 * score - 1 if drawn.columns[place].levels else score


def _told_apart(drawn: Drawn) -> list[Measure]:
    rows = inputs(drawn.columns, [TRAIN, TEST, MADE])
    train, test, made = rows.sets
    return [two_sample(test, made, train, "rows", categories=rows.categories, seed=drawn.how.seed)]


def two_sample(
    test: np.ndarray,
    made: np.ndarray,
    train: np.ndarray,
    what: str,
    *,
    categories: np.ndarray | None = None,
    seed: int = 0,
) -> Measure:
    """The classifier two-sample test of samples against real examples, beside that of real ones against real ones."""
    value, error = told_apart(test, made, categories=categories, seed=seed)
    return Measure(
        "classifier two-sample test",
        value,
        "AUC",
        f"How well trees tell samples from real {what}: 0.5 if they cannot, 1 if they are never wrong.",
        "samples",
        error=error,
        reference=told_apart(test, train, categories=categories, seed=seed)[0],
        reference_is="real data",
        better="lower",
    )
