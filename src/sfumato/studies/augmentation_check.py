"""What augmentation brings for a classifier, by cross-validation, beside what a person would otherwise do."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from sklearn.metrics import average_precision_score, balanced_accuracy_score, f1_score, recall_score
from sklearn.model_selection import StratifiedKFold

from sfumato.data.core.labels import Examples
from sfumato.data.registry import kind_of
from sfumato.errors import SfumatoError
from sfumato.estimator import Autoencoder, fit
from sfumato.estimator.evaluation_data import named_set
from sfumato.evaluation.metrics.classifiers import inputs
from sfumato.evaluation.metrics.columns import schema_columns
from sfumato.isolation import isolated
from sfumato.studies.rebalancing import Rows, rebalanced, scores
from sfumato.tasks.balancing import rows_to_add

FOLDS = 5
NOTHING, AUGMENTED = "nothing", "augmentation"
MEASURES = ("balanced accuracy", "average precision", "F1", "recall")
"""Balanced accuracy is of all classes, the others of the rarest."""
DIFFERENT_ERRORS = 2.0
"""Standard errors from which on a difference counts."""


@dataclass(frozen=True)
class AugmentationCheck:
    """Cross-validated measures of a classifier that is trained on a data set in several ways.

    Attributes:
        rarest: the rarest class, which F1, recall and average precision are of.
        rows: how many real examples it has.
        values: way of training → measure → its values on the folds, (folds,).
        tested: share of the rows of a fold among those that it learns from, for the standard errors.
    """

    rarest: str
    rows: int
    values: Mapping[str, Mapping[str, np.ndarray]]
    tested: float

    def mean(self, way: str, measure: str) -> float:
        """The mean of a measure over the folds."""
        return float(self.values[way][measure].mean())

    def gain(self, measure: str, over: str = NOTHING) -> tuple[float, float]:
        """How much higher a measure is with augmentation than another way, and the standard error of that.

        The folds share the rows that they learn from, so the error is s·√(1/k + r) with the spread s of the k
        differences and r rows tested for each learned (Nadeau and Bengio 2003).
        """
        differences = self.values[AUGMENTED][measure] - self.values[over][measure]
        spread = differences.std(ddof=1) * np.sqrt(1 / len(differences) + self.tested)
        return float(differences.mean()), float(spread)

    def better(self, measure: str, over: str = NOTHING) -> bool | None:
        """Whether augmentation raises a measure by more than its noise; False if it lowers it so much, else None."""
        gain, error = self.gain(measure, over)
        return gain > 0 if abs(gain) > DIFFERENT_ERRORS * error else None

    @property
    def helps(self) -> bool:
        """Whether balanced accuracy or average precision is higher than with nothing, and neither is lower."""
        judged = [self.better(measure) for measure in MEASURES[:2]]
        return True in judged and False not in judged

    @property
    def best_other(self) -> str:
        """The way of training with the highest balanced accuracy besides augmentation and nothing."""
        others = [way for way in self.values if way not in (NOTHING, AUGMENTED)]
        return max(others, key=lambda way: self.mean(way, MEASURES[0]))

    @property
    def verdict(self) -> str:
        """Whether it helps, in a sentence or two."""
        changes = "; ".join(
            f"{measure} {self.mean(NOTHING, measure):.3f} → {self.mean(AUGMENTED, measure):.3f} "
            f"({gain:+.3f} ± {error:.3f})"
            for measure in MEASURES[:2]
            for gain, error in [self.gain(measure)]
        )
        other = self.best_other
        if not self.helps:
            return f"Augmentation does not help here: {changes}. Train on the rows as they are, or with {other}."
        beside = [self.better(measure, other) for measure in MEASURES[:2]]
        if True in beside and False not in beside:
            return f"Augmentation helps: {changes}. It is better than {other} too."
        if False in beside:
            return f"Augmentation helps: {changes}. But {other} is better here, and costs nothing."
        return f"Augmentation helps: {changes}. But {other} does as well here, and costs nothing."

    def to_dict(self) -> dict[str, Any]:
        """As JSON-ready values: the means, the gains over nothing and their errors, and the verdict."""
        return {
            "rarest": self.rarest,
            "rows": self.rows,
            "helps": self.helps,
            "verdict": self.verdict,
            "means": {way: {name: self.mean(way, name) for name in MEASURES} for way in self.values},
            "gains": {name: dict(zip(("gain", "error"), self.gain(name), strict=True)) for name in MEASURES},
        }


@isolated
def check_augmentation(
    auto: Autoencoder,
    source: Any,
    target: str,
    *,
    balance: bool | int = True,
    rows: int | None = None,
    folds: int = FOLDS,
    seed: int = 0,
    log: Callable[[str], None] | None = None,
    **options: Any,
) -> AugmentationCheck:
    """Measure by stratified cross-validation what augmentation brings for a classifier.

    In each fold a model is fitted to the other folds alone, the classifier is trained on them as they are, with
    weights of classes, with the rare rows repeated, with SMOTE (Chawla et al. 2002; SMOTENC where there are categories)
    if imbalanced-learn is installed, and with generated rows, and is tested on the real rows of the fold. It is
    gradient boosting for tables and a support vector machine for arrays and images.

    Args:
        auto: a model fitted to all of the examples, which reads them.
        source: the examples.
        target: the column of the class.
        balance, rows: as `Autoencoder.augment` takes them.
        folds: how many.
        seed: of the folds and the fits.
        log: called with a line for each fold.
        options: those of `sfumato.fit` that the model of each fold is fitted with.

    Raises:
        SfumatoError: if a class has fewer rows than there are folds.
    """
    raw = auto.read(named_set(auto.config_, auto.schema_, source))
    labels = auto.column(raw, target)
    known = np.array([row for row, label in enumerate(labels) if label is not None])
    counts = Counter(labels[row] for row in known)
    classes = sorted(counts, key=str)
    rarest = min(classes, key=lambda label: counts[label])
    if folds < 2 or counts[rarest] < folds:
        raise SfumatoError(
            f"--folds {folds}: {target} {str(rarest)!r} has {counts[rarest]} rows; give 2 folds or more, and at most "
            "as many as the rarest class has rows"
        )
    answers = np.array([classes.index(labels[row]) for row in known])
    values: dict[str, dict[str, list[float]]] = {}
    split = StratifiedKFold(folds, shuffle=True, random_state=seed % 2**32).split(known, answers)
    for number, (train, test) in enumerate(split, 1):
        real, tested = (Labelled(auto.schema_.take(raw, known[part].tolist()), answers[part]) for part in (train, test))
        how: dict[str, Any] = {"rarest": classes.index(rarest), "balance": balance, "rows": rows, "seed": seed}
        ways = compare_ways(real, tested, target, classes, **how, **options)
        for way, measures in ways.items():
            for measure, value in measures.items():
                values.setdefault(way, {}).setdefault(measure, []).append(value)
        if log is not None:
            log(f"Check: {number} of {folds} folds done")
    # SMOTE needs two rows of a class, which not every fold may have.
    whole = {way: measures for way, measures in values.items() if all(len(each) == folds for each in measures.values())}
    arrays = {way: {name: np.array(each) for name, each in measures.items()} for way, measures in whole.items()}
    return AugmentationCheck(str(rarest), counts[rarest], arrays, 1 / (folds - 1))


class Labelled(NamedTuple):
    """Raw examples and the numbers of their classes, (N,)."""

    examples: Any
    answers: np.ndarray


def compare_ways(
    real: Labelled,
    tested: Labelled,
    target: str,
    classes: Sequence[Any],
    *,
    rarest: int | None = None,
    balance: bool | int = True,
    rows: int | None = None,
    seed: int = 0,
    **options: Any,
) -> dict[str, dict[str, float]]:
    """Way to train a classifier on real examples → measure → its value on others.

    Args:
        real: what the generator and the classifier learn from.
        tested: other real examples.
        target: the column of the class.
        classes: the values of that column, in the order of their numbers.
        rarest: number of the class that three of the measures are of; that of the fewest rows in `real` if None.
        balance, rows: as `Autoencoder.augment` takes them.
        seed: of the fit and the draws.
        options: those of `sfumato.fit`.
    """
    counts = np.bincount(real.answers, minlength=len(classes))
    wanted = rows_to_add(dict(enumerate(counts.tolist())), balance, rows)
    drawn = np.repeat(list(wanted), list(wanted.values()))
    generator = fit(real.examples, seed=seed, **options)
    samples = generator.sample(len(drawn), {target: [classes[number] for number in drawn]}, seed=seed)
    sets, categories = _vectors(generator, target, real.examples, tested.examples, samples)
    ways = {
        NOTHING: Rows(sets[0], real.answers),
        **rebalanced(sets[0], real.answers, categories, seed),
        AUGMENTED: Rows(np.concatenate([sets[0], sets[2]]), np.concatenate([real.answers, drawn])),
    }
    if rarest is None:
        rarest = int(min(np.unique(real.answers), key=lambda number: counts[number]))
    return {
        way: _measures(
            tested.answers,
            scores(learned, sets[1], len(classes), categories, trees=categories is not None, seed=seed),
            rarest,
        )
        for way, learned in ways.items()
    }


def _vectors(generator: Autoencoder, target: str, *sets: Any) -> tuple[tuple[np.ndarray, ...], np.ndarray | None]:
    """Sets of examples as rows of numbers, and which columns are codes; None for all but tables.

    The first is what the classifier learns from: categories that it does not have are missing in all.
    """
    schema = generator.schema_
    if kind_of(schema).named_columns:
        table = inputs([column for column in schema_columns(schema, sets) if column.name != target], [0])
        return table.sets, table.categories
    arrays = [np.asarray(part.x if isinstance(part, Examples) else part, float) for part in sets]
    return tuple(np.nan_to_num(part.reshape(len(part), -1)) for part in arrays), None


def _measures(answers: np.ndarray, scores: np.ndarray, rarest: int) -> dict[str, float]:
    """The measures of `MEASURES` for scores (N, classes)."""
    predicted = scores.argmax(1)
    is_rarest, predicted_rarest = answers == rarest, predicted == rarest
    values = (
        balanced_accuracy_score(answers, predicted),
        average_precision_score(is_rarest, scores[:, rarest]),
        f1_score(is_rarest, predicted_rarest, zero_division=0),
        recall_score(is_rarest, predicted_rarest, zero_division=0),
    )
    return dict(zip(MEASURES, map(float, values), strict=True))
