"""Tables and vectors: columns, pairs of columns, and what a learner makes of samples."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from sfumato.errors import SfumatoError, did_you_mean
from sfumato.evaluation.measure import Measure
from sfumato.evaluation.metrics.classifiers import Apart, auc, explained, inputs, told, told_apart
from sfumato.evaluation.metrics.columns import Aligned, ColumnPair, trends
from sfumato.evaluation.metrics.jackknife import jackknife
from sfumato.evaluation.samples.sample_sets import MADE, TEST, TRAIN, Drawn

MAX_COLUMNS = 60
"""Columns whose shapes and pairs are looked at; of more, so many are chosen at random."""
MAX_TARGET_CLASSES = 20
"""A column of more categories is no target unless it is asked for."""


def measures(drawn: Drawn) -> list[Measure]:
    """Column shapes and pair trends; unless quick, train on samples and test on real, and the two-sample test."""
    if not drawn.columns:
        if drawn.how.target is not None:
            raise SfumatoError(f"target {drawn.how.target!r}: these data have no columns; leave it out")
        return []
    found = [*_shapes(drawn), *_trends(drawn)]
    if drawn.how.quick or drawn.size < 4:
        return found
    return [*found, *_learned(drawn), *_told_apart(drawn)]


def _chosen(drawn: Drawn, places: Sequence[int]) -> list[Aligned]:
    random = np.random.default_rng(drawn.how.seed)
    kept = sorted(random.permutation(places)[:MAX_COLUMNS]) if len(places) > MAX_COLUMNS else places
    return [drawn.columns[place] for place in kept]


def _shapes(drawn: Drawn) -> list[Measure]:
    table = _chosen(drawn, drawn.judged)
    if not table:
        return []

    def scores(made: int) -> list[float]:
        return [1 - column.pair(TEST, made).distance for column in table]

    parts = dict(zip([column.name for column in table], scores(MADE), strict=True))
    few = "" if len(table) == len(drawn.judged) else f" ({MAX_COLUMNS} of {len(drawn.judged)} columns)"
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

    def scores(pairs: Sequence[ColumnPair]) -> dict[str, float]:
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
    drawn: Drawn, table: Sequence[Aligned], statistic: Callable[[Sequence[ColumnPair]], Sequence[Any]]
) -> float | None:
    def one(real: np.ndarray, made: np.ndarray) -> Sequence[Any]:
        return statistic(
            [
                ColumnPair(column.name, column.values[TEST][real], column.values[MADE][made], column.levels)
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
            f"{kind} of {column.name}, {why}",
            f"How well {column.name} of real rows is told by trees that learned from samples alone; "
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

    def __init__(self, drawn: Drawn, place: int) -> None:
        others = [column for other, column in enumerate(drawn.columns) if other != place]
        self.seed = drawn.how.seed
        self.column = drawn.columns[place]
        held = inputs(others, [TEST])
        self.categories = held.categories
        known = [~np.isnan(values) for values in self.column.values]
        self.rows = [x[seen] for x, seen in zip(held.sets, known, strict=True)]
        self.answers = [y[seen] for y, seen in zip(self.column.values, known, strict=True)]
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
    """The column that a learner is asked for, and why; None where no column will do.

    The one asked for; else the label, a condition that is a category, the last category column, the last column.

    Raises:
        SfumatoError: if the one asked for is no column, or does not vary.
    """
    names = [column.name for column in drawn.columns]
    fit = [place for place, column in enumerate(drawn.columns) if _varies(column)]
    if (asked := drawn.how.target) is not None:
        if asked not in names:
            raise SfumatoError(f"target {asked!r}: not a column that is modelled; {did_you_mean(asked, names)}")
        if names.index(asked) not in fit:
            raise SfumatoError(f"target {asked!r}: all rows have the same value; choose another column")
        return names.index(asked), "as asked"
    fit = [place for place in fit if len(drawn.columns[place].levels) <= MAX_TARGET_CLASSES]
    if len(names) < 2 or not fit:
        return None
    label = drawn.subject.data.options.label
    if label in names and names.index(label) in fit:
        return names.index(label), "the label"
    categories = [place for place in fit if drawn.columns[place].levels]
    given = [place for place in categories if names[place] in drawn.subject.schema.given_names]
    if given:
        return given[0], "a condition"
    return (categories[-1], "the last category column") if categories else (fit[-1], "the last column")


def _varies(column: Aligned) -> bool:
    return all(len(np.unique(values[~np.isnan(values)])) > 1 for values in column.values[:2])


def _told_apart(drawn: Drawn) -> list[Measure]:
    rows = inputs(drawn.columns, [TRAIN, TEST, MADE])
    train, test, made = rows.sets
    return two_sample(test, made, train, "rows", categories=rows.categories, seed=drawn.how.seed)


def two_sample(
    test: np.ndarray,
    made: np.ndarray,
    train: np.ndarray,
    what: str,
    *,
    categories: np.ndarray | None = None,
    seed: int = 0,
) -> list[Measure]:
    """The classifier two-sample test of samples against real examples, beside that of real ones against real ones.

    Trees are asked of held-out examples and of samples. They learn from other held-out examples and from training
    examples, so that there are as many to learn from whatever the size of the test part. For the reference some of the
    training examples are in the place of the samples, and trees learn from as many as for the samples.
    """
    samples = samples_apart(test, made, train, categories=categories, seed=seed)
    real = real_apart(test, train, samples.rows, categories=categories, seed=seed)
    low, high = (float(np.clip(samples.value + side * 1.96 * samples.error, 0, 1)) for side in (-1, 1))
    score, known = (1 - (2 * max(one.value, 0.5) - 1) for one in (samples, real))
    return [
        Measure(
            "classifier two-sample test",
            samples.value,
            "AUC",
            f"How well trees that learned from {samples.rows:,} samples and as many real {what} tell others apart: 0.5 "
            f"if they cannot, 1 if they are never wrong. 95% interval {low:.3f} to {high:.3f}; the more to learn from, "
            "the higher, so that only values of as many are compared.",
            "samples",
            error=samples.error,
            reference=real.value,
            reference_is="real data",
            better="lower",
        ),
        Measure(
            "two-sample score",
            score,
            "",
            "1 − (2·max(AUC, ½) − 1) of the classifier two-sample test, as benchmarks of synthetic data publish it: "
            "1 if samples cannot be told from real ones, 0 if they always can.",
            "samples",
            error=2 * samples.error,
            reference=known,
            reference_is="real data",
            better="higher",
        ),
    ]


def samples_apart(
    test: np.ndarray, made: np.ndarray, train: np.ndarray, *, categories: np.ndarray | None = None, seed: int = 0
) -> Apart:
    """How well trees tell samples from held-out examples; they learn from as many as `real_apart` has to learn from."""
    rows = int(0.8 * _in_place_of_samples(test, train))
    return told_apart(test, made, more=train, rows=rows, categories=categories, seed=seed)


def real_apart(
    test: np.ndarray, train: np.ndarray, rows: int, *, categories: np.ndarray | None = None, seed: int = 0
) -> Apart:
    """How well trees tell training examples from held-out ones, having learned from `rows` of each."""
    place = _in_place_of_samples(test, train)
    return told_apart(test, train[:place], more=train[place:], rows=rows, categories=categories, seed=seed)


def _in_place_of_samples(test: np.ndarray, train: np.ndarray) -> int:
    """How many training examples stand for samples, so that of them and of all others ⅘ are as many."""
    return min(int((len(train) + 0.8 * len(test)) / 1.8), len(train))
