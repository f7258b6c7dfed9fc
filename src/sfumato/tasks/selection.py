"""Which latents and columns matter to a target: what a classifier of codes loses when one is shuffled."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import NamedTuple, TypeVar

import numpy as np
from sklearn.model_selection import KFold, StratifiedKFold

from sfumato.evaluation.metrics.classifiers import predict

FOLDS, TREES = 5, 50
SURE_ERRORS, LEAST = 2.0, 0.05
"""Standard errors above 0, and share of the largest importance, from which on something is selected."""


_Name = TypeVar("_Name", bound=Hashable)


class Importance(NamedTuple):
    """How much a target depends on something.

    Attributes:
        value: nats by which the target is predicted worse, per example, when it is shuffled.
        error: its standard error over examples.
    """

    value: float
    error: float


def importances(
    codes: np.ndarray, shuffled: Mapping[_Name, np.ndarray], answers: np.ndarray, classes: int, seed: int = 0
) -> tuple[dict[_Name, Importance], float]:
    """Permutation importance on examples that the classifier has not seen (Breiman 2001, Random forests).

    Boosted trees predict the target from codes in five folds. The importance is the mean of −log p(y | z′) + log p(y |
    z), z′ the codes with one thing shuffled; for numbers log p is that of a normal with the error of the fold.

    Args:
        codes: (N, L).
        shuffled: name → codes with that shuffled between examples, (N, L), or several draws of them, (R, N, L).
        answers: the target, (N,): classes 0, 1, …, or numbers.
        classes: how many; 0 for numbers.
        seed: of the folds and the trees.

    Returns:
        The importance of each name, and the loss with all in place, in nats per example.
    """
    folds = (StratifiedKFold if classes else KFold)(FOLDS, shuffle=True, random_state=seed % 2**32)
    sets = {name: values if values.ndim == 3 else values[None] for name, values in shuffled.items()}
    base = np.zeros(len(answers))
    losses = {name: np.zeros(len(answers)) for name in sets}
    for learn, test in folds.split(codes, answers if classes else None):
        targets = np.concatenate([codes[test], *(draw[test] for draws in sets.values() for draw in draws)])
        predictions = predict(codes[learn], answers[learn], targets, classes, iterations=TREES, seed=seed)
        predictions = predictions.reshape(-1, len(test), *predictions.shape[1:])
        loss = _losses(predictions, answers[test], classes)
        base[test], place = loss[0], 1
        for name, draws in sets.items():
            losses[name][test] = loss[place : place + len(draws)].mean(0) - loss[0]
            place += len(draws)
    count = len(answers)
    results = {
        name: Importance(float(each.mean()), float(each.std(ddof=1) / count**0.5)) for name, each in losses.items()
    }
    return results, float(base.mean())


def _losses(predictions: np.ndarray, answers: np.ndarray, classes: int) -> np.ndarray:
    """−log p of the answers by predictions (S, N, K) or (S, N), those of the first set without anything shuffled."""
    if classes:
        chosen = predictions[:, np.arange(len(answers)), answers.astype(int)]
        return -np.log(np.clip(chosen, 1e-4, None))
    squares = (predictions - answers) ** 2
    variance = max(float(squares[0].mean()), 1e-12)
    return np.asarray(0.5 * (squares / variance + np.log(2 * np.pi * variance)))


def selected(results: Mapping[str, Importance], count: int | None = None) -> list[str]:
    """What matters, the most important first: the first `count`, or all that are clearly above 0.

    >>> selected({"a": Importance(0.5, 0.01), "b": Importance(0.001, 0.01), "c": Importance(0.9, 0.1)})
    ['c', 'a']
    """
    order = sorted(results, key=lambda name: -results[name].value)
    if count is not None:
        return order[:count]
    least = LEAST * max((each.value for each in results.values()), default=0.0)
    return [name for name in order if results[name].value > max(SURE_ERRORS * results[name].error, least)]


def stability(sets: Sequence[Sequence[str]], names: Sequence[str]) -> float:
    """How alike selections are, 1 if they are the same and 0 as by chance.

        Φ = 1 − mean_f [M/(M − 1) · p_f (1 − p_f)] / [k/d · (1 − k/d)]

    with p_f how often column f of d is selected in M sets, whose mean size is k. Nogueira, Sechidis and Brown 2018, On
    the stability of feature selection algorithms; it is Kuncheva's index where all sets have one size. 1 where nothing,
    or everything, is always selected.

    >>> round(stability([["a", "b"], ["a", "b"], ["a", "c"]], ["a", "b", "c", "d"]), 3)
    0.333
    """
    chosen = np.array([[name in each for name in names] for each in sets], float)
    share = chosen.mean(0)
    expected = share.mean() * (1 - share.mean())
    if expected == 0:
        return 1.0
    spread = len(sets) / (len(sets) - 1) * share * (1 - share)
    return float(1 - spread.mean() / expected)
