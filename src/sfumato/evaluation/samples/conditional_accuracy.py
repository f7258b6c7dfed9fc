"""Is what was asked for what came: conditions told from samples by a judge that learned them on real examples."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sfumato.data.registry import kind_of
from sfumato.evaluation.measure import Measure
from sfumato.evaluation.metrics.classifiers import explained, inputs, told
from sfumato.evaluation.metrics.columns import Aligned
from sfumato.evaluation.metrics.jackknife import jackknife
from sfumato.evaluation.samples.features import Features
from sfumato.evaluation.samples.sample_sets import MADE, TEST, TRAIN, Drawn

MAX_JUDGE_EXAMPLES = 2000
"""Examples, other than rows of a table, that a judge learns from."""


def measures(drawn: Drawn, found: Features | None) -> list[Measure]:
    """One measure for each condition, in the order the model has them; none without conditions.

    The judge is a support vector machine on features (of rows of a table, boosted trees on the columns that are no
    conditions), trained on real training examples. It answers for samples, drawn under conditions as they came in the
    training part, and, for the reference, for real test examples.
    """
    spec = drawn.subject.schema.spec
    if drawn.how.quick or drawn.size < 4:
        return []
    conditions = [drawn.condition(place) for place in range(len(spec.given))]
    return [one for column in conditions for one in _told(drawn, found, column)]


def _told(drawn: Drawn, found: Features | None, column: Aligned) -> list[Measure]:
    known = [~np.isnan(values) for values in column.values]
    answers = [values[seen] for values, seen in zip(column.values, known, strict=True)]
    if min(len(set(answers[side])) for side in (TRAIN, TEST)) < 2 or not len(answers[MADE]):
        return []
    if kind_of(drawn.subject.schema).named_columns:
        table = inputs([drawn.columns[place] for place in drawn.judged], [TRAIN])
        sets, categories = table.sets, table.categories
    elif found is not None:
        sets, categories = tuple(found.sets), None
    else:
        return []
    rows = [x[seen] for x, seen in zip(sets, known, strict=True)]
    said = _judged(rows, answers[TRAIN], len(column.levels), categories, drawn.how.seed)
    asked = answers[1:]
    if column.levels:
        return [classes(column, asked, said, drawn.how.seed)]
    return [number(column.name, asked, said, drawn.how.seed)]


def _judged(
    rows: Sequence[np.ndarray], answers: np.ndarray, classes: int, categories: np.ndarray | None, seed: int
) -> list[np.ndarray]:
    """What the judge says of test examples and of samples."""
    both = np.concatenate(rows[1:])
    if classes and categories is None:
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler
        from sklearn.svm import SVC

        judge = make_pipeline(StandardScaler(), SVC(C=10.0))
        said = judge.fit(rows[0][:MAX_JUDGE_EXAMPLES], answers[:MAX_JUDGE_EXAMPLES]).predict(both)
    else:
        said = told(rows[0], answers, both, classes, categories=categories, seed=seed)
        said = said.argmax(1) if classes else said
    return [said[: len(rows[1])], said[len(rows[1]) :]]


def classes(column: Aligned, answers: Sequence[np.ndarray], said: Sequence[np.ndarray], seed: int = 0) -> Measure:
    """How often the judge says what was asked for, the mean over classes; of samples, beside test examples.

    Args:
        column: the condition, for its name and levels.
        answers: (test, made): the classes that are so, and those asked for.
        said: (test, made): what the judge says.
        seed: of the error.
    """

    def shares(side: int, kept: np.ndarray | slice = slice(None)) -> dict[str, float]:
        asked, right = answers[side][kept], said[side][kept] == answers[side][kept]
        each = {column.levels[int(one)]: float(right[asked == one].mean()) for one in np.unique(asked)}
        return dict(sorted(each.items()))

    parts = shares(1)
    return Measure(
        f"conditional accuracy: {column.name}",
        float(np.mean(list(parts.values()))),
        "",
        f"Share of samples that a judge, trained on real examples, takes for the {column.name} that was asked for; "
        "the reference is how often it is right about real test examples.",
        "samples",
        error=jackknife(lambda kept: [np.mean(list(shares(1, kept).values()))], (len(answers[1]),), seed)[0],
        reference=float(np.mean(list(shares(0).values()))),
        reference_is="real data",
        better="higher",
        parts=parts,
    )


def number(name: str, answers: Sequence[np.ndarray], said: Sequence[np.ndarray], seed: int = 0) -> Measure:
    """R² of what the judge says against what was asked for, see `classes`."""
    return Measure(
        f"conditional accuracy: {name}",
        explained(answers[1], said[1]),
        "R²",
        f"How well a judge, trained on real examples, can tell from a sample the {name} that was asked for; "
        "the reference is how well it does on real test examples.",
        "samples",
        error=jackknife(lambda kept: [explained(answers[1][kept], said[1][kept])], (len(answers[1]),), seed)[0],
        reference=explained(answers[0], said[0]),
        reference_is="real data",
        better="higher",
    )
