"""Conditional accuracy: conditions predicted from samples by a classifier that is trained on real examples."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sfumato.data.registry import kind_of
from sfumato.evaluation.measure import Measure
from sfumato.evaluation.metrics.classifiers import explained, inputs, predict
from sfumato.evaluation.metrics.columns import Aligned
from sfumato.evaluation.metrics.jackknife import jackknife
from sfumato.evaluation.samples.features import Features
from sfumato.evaluation.samples.sample_sets import SAMPLED, TEST, TRAIN, Drawn

MAX_JUDGE_EXAMPLES = 2000
"""Largest number of training examples of the classifier, except for rows of a table."""


def measures(drawn: Drawn, features: Features | None) -> list[Measure]:
    """One measure for each condition, in the order the model has them; none without conditions.

    The classifier is a support vector machine on features (for rows of a table, boosted trees on the columns that are
    not conditions), trained on real training examples. It predicts for samples, drawn under conditions as in the
    training split, and, for the reference, for real test examples.
    """
    spec = drawn.subject.schema.spec
    if drawn.how.quick or drawn.size < 4:
        return []
    conditions = [drawn.condition(place) for place in range(len(spec.given))]
    return [measure for column in conditions for measure in _condition(drawn, features, column)]


def _condition(drawn: Drawn, features: Features | None, column: Aligned) -> list[Measure]:
    known = [~np.isnan(values) for values in column.values]
    answers = [values[seen] for values, seen in zip(column.values, known, strict=True)]
    if min(len(set(answers[side])) for side in (TRAIN, TEST)) < 2 or not len(answers[SAMPLED]):
        return []
    if kind_of(drawn.subject.schema).named_columns:
        table = inputs([drawn.columns[place] for place in drawn.judged], [TRAIN])
        sets, categories = table.sets, table.categories
    elif features is not None:
        sets, categories = tuple(features.sets), None
    else:
        return []
    rows = [x[seen] for x, seen in zip(sets, known, strict=True)]
    predictions = _predictions(rows, answers[TRAIN], len(column.levels), categories, drawn.how.seed)
    targets = answers[1:]
    if column.levels:
        return [classes(column, targets, predictions, drawn.how.seed)]
    return [number(column.name, targets, predictions, drawn.how.seed)]


def _predictions(
    rows: Sequence[np.ndarray], answers: np.ndarray, classes: int, categories: np.ndarray | None, seed: int
) -> list[np.ndarray]:
    """Predictions for test examples and for samples."""
    both = np.concatenate(rows[1:])
    if classes and categories is None:
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler
        from sklearn.svm import SVC

        classifier = make_pipeline(StandardScaler(), SVC(C=10.0))
        predicted = classifier.fit(rows[0][:MAX_JUDGE_EXAMPLES], answers[:MAX_JUDGE_EXAMPLES]).predict(both)
    else:
        predicted = predict(rows[0], answers, both, classes, categories=categories, seed=seed)
        predicted = predicted.argmax(1) if classes else predicted
    return [predicted[: len(rows[1])], predicted[len(rows[1]) :]]


def classes(
    column: Aligned, answers: Sequence[np.ndarray], predictions: Sequence[np.ndarray], seed: int = 0
) -> Measure:
    """How often the classifier predicts the condition, the mean over classes; for samples and test examples.

    Args:
        column: the condition, for its name and levels.
        answers: (test, samples): the true classes, and those conditioned on.
        predictions: (test, samples): what the classifier predicts.
        seed: of the error.
    """

    def shares(side: int, kept: np.ndarray | slice = slice(None)) -> dict[str, float]:
        targets, right = answers[side][kept], predictions[side][kept] == answers[side][kept]
        each = {column.levels[int(label)]: float(right[targets == label].mean()) for label in np.unique(targets)}
        return dict(sorted(each.items()))

    parts = shares(1)
    return Measure(
        f"conditional accuracy: {column.name}",
        float(np.mean(list(parts.values()))),
        "",
        f"Share of samples that a classifier, trained on real examples, assigns to the {column.name} they were "
        "conditioned on; the reference is its accuracy on real test examples.",
        "samples",
        error=jackknife(lambda kept: [np.mean(list(shares(1, kept).values()))], (len(answers[1]),), seed)[0],
        reference=float(np.mean(list(shares(0).values()))),
        reference_is="real data",
        better="higher",
        parts=parts,
    )


def number(name: str, answers: Sequence[np.ndarray], predictions: Sequence[np.ndarray], seed: int = 0) -> Measure:
    """R² of predictions against the condition, see `classes`."""
    return Measure(
        f"conditional accuracy: {name}",
        explained(answers[1], predictions[1]),
        "R²",
        f"How well a model, trained on real examples, predicts from a sample the {name} it was conditioned on; "
        "the reference is its score on real test examples.",
        "samples",
        error=jackknife(lambda kept: [explained(answers[1][kept], predictions[1][kept])], (len(answers[1]),), seed)[0],
        reference=explained(answers[0], predictions[0]),
        reference_is="real data",
        better="higher",
    )
