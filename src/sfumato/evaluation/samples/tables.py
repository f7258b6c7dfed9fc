"""Tables and vectors: columns, pairs of columns, training on samples, and the two-sample test."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from sfumato.errors import SfumatoError, did_you_mean
from sfumato.evaluation.measure import Measure
from sfumato.evaluation.metrics.classifiers import TwoSampleAUC, auc, explained, inputs, predict, two_sample_auc
from sfumato.evaluation.metrics.columns import Aligned, ColumnPair, trends
from sfumato.evaluation.metrics.jackknife import jackknife
from sfumato.evaluation.samples.sample_sets import SAMPLED, TEST, TRAIN, Drawn

MAX_COLUMNS = 60
"""Largest number of columns for shapes and pairs; of more, so many are chosen at random."""
MAX_TARGET_CLASSES = 20
"""A column of more categories is not a target by default."""
MIN_TELLING, MAX_NAMED = 0.005, 3
"""Loss of AUC without a column from which on trees go by it, and how many such columns are named."""


def measures(drawn: Drawn) -> list[Measure]:
    """The two-sample test first, as nothing else sees all that is wrong; column shapes and pair trends; training.

    If quick, shapes and trends alone.
    """
    if not drawn.columns:
        if drawn.how.target is not None:
            raise SfumatoError(f"target {drawn.how.target!r}: these data have no columns; leave it out")
        return []
    results = [*_shapes(drawn), *_trends(drawn)]
    if drawn.how.quick or drawn.size < 4:
        return results
    return [*_two_sample(drawn), *results, *_learned(drawn)]


def _chosen(drawn: Drawn, places: Sequence[int]) -> list[Aligned]:
    random = np.random.default_rng(drawn.how.seed)
    kept = sorted(random.permutation(places)[:MAX_COLUMNS]) if len(places) > MAX_COLUMNS else places
    return [drawn.columns[place] for place in kept]


def _shapes(drawn: Drawn) -> list[Measure]:
    table = _chosen(drawn, drawn.judged)
    if not table:
        return []

    def scores(side: int) -> list[float]:
        return [1 - column.pair(TEST, side).distance for column in table]

    parts = dict(zip([column.name for column in table], scores(SAMPLED), strict=True))
    few = "" if len(table) == len(drawn.judged) else f" ({MAX_COLUMNS} of {len(drawn.judged)} columns)"
    return [
        Measure(
            "column shapes",
            float(np.mean(list(parts.values()))),
            "",
            f"Similarity of each column in samples and real rows, on average{few}; 1 means equal.",
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

    parts = scores([column.pair(TEST, SAMPLED) for column in table])
    known = {name: value for name, value in parts.items() if np.isfinite(value)}
    if not known:
        return []
    real = scores([column.pair(TEST, TRAIN) for column in table])
    return [
        Measure(
            "pair trends",
            float(np.mean(list(known.values()))),
            "",
            "Similarity of the dependence of each pair of columns in samples and real rows, on average; 1 means equal.",
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
    def of_rows(real: np.ndarray, samples: np.ndarray) -> Sequence[Any]:
        return statistic(
            [
                ColumnPair(column.name, column.values[TEST][real], column.values[SAMPLED][samples], column.levels)
                for column in table
            ]
        )

    return jackknife(of_rows, (len(drawn.test), len(drawn.samples)), drawn.how.seed)[0]


def _learned(drawn: Drawn) -> list[Measure]:
    chosen = target(drawn)
    if chosen is None:
        return []
    place, why = chosen
    column = drawn.columns[place]
    fit = Fit(drawn, place)
    value, reference = fit.score(SAMPLED), fit.score(TRAIN)
    kind = "AUC" if column.levels else "R²"
    return [
        Measure(
            "train on samples, test on real",
            value,
            f"{kind} of {column.name}, {why}",
            f"How well trees trained on samples predict {column.name} of real rows; the reference is trained on as "
            "many real rows.",
            "samples",
            error=fit.error(SAMPLED),
            reference=reference,
            reference_is="trained on real data",
            better="higher",
        )
    ]


class Fit:
    """Boosted trees that predict one column from all others, trained on one set and evaluated on the test rows."""

    def __init__(self, drawn: Drawn, place: int) -> None:
        others = [column for other, column in enumerate(drawn.columns) if other != place]
        self.seed = drawn.how.seed
        self.column = drawn.columns[place]
        rows = inputs(others, [TEST])
        self.categories = rows.categories
        known = [~np.isnan(values) for values in self.column.values]
        self.rows = [x[seen] for x, seen in zip(rows.sets, known, strict=True)]
        self.answers = [y[seen] for y, seen in zip(self.column.values, known, strict=True)]
        self._predictions: dict[int, np.ndarray] = {}

    def predictions(self, side: int) -> np.ndarray:
        """Predictions for the test rows after training on one set."""
        if side not in self._predictions:
            self._predictions[side] = predict(
                self.rows[side],
                self.answers[side],
                self.rows[TEST],
                len(self.column.levels),
                categories=self.categories,
                seed=self.seed,
            )
        return self._predictions[side]

    def score(self, side: int, kept: np.ndarray | slice = slice(None)) -> float:
        """The AUC of a category, the R² of a number, over the test rows that are kept."""
        if not len(self.rows[side]):
            return float("nan")
        return (auc if self.column.levels else explained)(self.answers[TEST][kept], self.predictions(side)[kept])

    def error(self, side: int) -> float | None:
        """The standard error that comes of the choice of test rows."""
        return jackknife(lambda kept: [self.score(side, kept)], (len(self.rows[TEST]),), self.seed)[0]


def target(drawn: Drawn) -> tuple[int, str] | None:
    """The column to predict, and why; None if no column is suitable.

    The requested one; else the label, a condition that is a category, the last category column, the last column.

    Raises:
        SfumatoError: if the requested one is not a column, or does not vary.
    """
    names = [column.name for column in drawn.columns]
    fit = [place for place, column in enumerate(drawn.columns) if _varies(column)]
    if (requested := drawn.how.target) is not None:
        if requested not in names:
            raise SfumatoError(f"target {requested!r}: not a modelled column; {did_you_mean(requested, names)}")
        if names.index(requested) not in fit:
            raise SfumatoError(f"target {requested!r}: all rows have the same value; choose another column")
        return names.index(requested), "as requested"
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


def _two_sample(drawn: Drawn) -> list[Measure]:
    rows = inputs(drawn.columns, [TRAIN, TEST, SAMPLED])
    train, test, samples = rows.sets
    names = [column.name for column in drawn.columns]
    columns = names if len(names) <= MAX_COLUMNS else ()
    return two_sample(test, samples, train, "rows", categories=rows.categories, columns=columns, seed=drawn.how.seed)


def two_sample(
    test: np.ndarray,
    sampled: np.ndarray,
    train: np.ndarray,
    what: str,
    *,
    categories: np.ndarray | None = None,
    columns: Sequence[str] = (),
    seed: int = 0,
) -> list[Measure]:
    """The classifier two-sample test of samples against real examples, beside that of real ones against real ones.

    Trees are asked of held-out examples and of samples. They learn from other held-out examples and from training
    examples, so that there are as many to learn from whatever the size of the test split. For the reference some of the
    training examples are in the place of the samples, and trees learn from as many as for the samples.

    With the names of `columns` it says which of them the trees go by.
    """
    samples = samples_apart(test, sampled, train, categories=categories, seed=seed, by_column=bool(columns))
    real = real_apart(test, train, samples.rows, categories=categories, seed=seed)
    low, high = (float(np.clip(samples.value + side * 1.96 * samples.error, 0, 1)) for side in (-1, 1))
    score, known = (1 - (2 * max(result.value, 0.5) - 1) for result in (samples, real))
    parts = {} if samples.by_column is None else dict(zip(columns, samples.by_column.tolist(), strict=True))
    telling = sorted((name for name in parts if parts[name] >= MIN_TELLING), key=lambda name: -parts[name])
    goes_by = f" They go by {', '.join(telling[:MAX_NAMED])}." if telling else ""
    return [
        Measure(
            "two-sample score",
            score,
            "",
            "1 − (2·max(AUC, ½) − 1) of the classifier two-sample test, as benchmarks of synthetic data publish it: "
            "1 if samples are indistinguishable from real ones, 0 if they are always recognised.",
            "samples",
            error=2 * samples.error,
            reference=known,
            reference_is="real data",
            better="higher",
        ),
        Measure(
            "classifier two-sample test",
            samples.value,
            "AUC",
            f"How well trees trained on {samples.rows:,} samples and as many real {what} distinguish others: 0.5 is "
            f"chance, 1 is perfect. 95% interval {low:.3f} to {high:.3f}. More training rows give higher values, so "
            f"compare only values with equal numbers.{goes_by}",
            "samples",
            error=samples.error,
            reference=real.value,
            reference_is="real data",
            better="lower",
            parts=parts,
        ),
    ]


def samples_apart(
    test: np.ndarray,
    samples: np.ndarray,
    train: np.ndarray,
    *,
    categories: np.ndarray | None = None,
    seed: int = 0,
    by_column: bool = False,
) -> TwoSampleAUC:
    """How well trees distinguish samples from held-out examples, trained on as many rows as in `real_apart`."""
    rows = int(0.8 * _in_place_of_samples(test, train))
    return two_sample_auc(test, samples, more=train, rows=rows, categories=categories, seed=seed, by_column=by_column)


def real_apart(
    test: np.ndarray, train: np.ndarray, rows: int, *, categories: np.ndarray | None = None, seed: int = 0
) -> TwoSampleAUC:
    """How well trees distinguish training examples from held-out ones, trained on `rows` of each."""
    place = _in_place_of_samples(test, train)
    return two_sample_auc(test, train[:place], more=train[place:], rows=rows, categories=categories, seed=seed)


def _in_place_of_samples(test: np.ndarray, train: np.ndarray) -> int:
    """How many training examples stand for samples, so that of them and of all others ⅘ are as many."""
    return min(int((len(train) + 0.8 * len(test)) / 1.8), len(train))
