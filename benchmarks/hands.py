"""Digits shown under another label by `transfer`: does the digit appear, and do slant and ink of the hand stay?"""

from __future__ import annotations

import numpy as np
from sklearn.svm import SVC

import sfumato
from moving import HELD_OUT, eight_by_eight, flat
from registry import Measure, Setting, system


def slants(images: np.ndarray) -> np.ndarray:
    """How far strokes lean: the covariance of column and row over the variance of the row, weighted by ink, (N,)."""
    ink = images.astype(float) + 1e-9
    total = ink.sum((1, 2))
    row, column = (np.arange(side, dtype=float) for side in images.shape[1:])
    down = row - (ink.sum(2) @ row / total)[:, None]
    along = column - (ink.sum(1) @ column / total)[:, None]
    return np.einsum("nij,ni,nj->n", ink, down, along) / np.einsum("nij,ni->n", ink, down**2)


def within(values: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """Values less the mean of their class: a 1 has less ink than an 8, whoever wrote it."""
    return values - np.array([values[classes == label].mean() for label in range(10)])[classes]


def correlation(before: np.ndarray, after: np.ndarray) -> float:
    return float(np.corrcoef(before, after)[0, 1])


@system(
    "transfer",
    Measure("the changed digit is recognised", low=0.97),
    Measure("correlation of slants before and after", low=0.8),
    Measure("correlation of ink before and after", low=0.8),
    Measure("the same of reconstructions: slants"),
    Measure("the same of reconstructions: ink"),
)
def transfer(setting: Setting) -> dict[str, float]:
    """600 of scikit-learn's digits that no model has seen, each as one of nine others; `cvae`, 2,500 steps.

    The judge is a support vector machine that learned from the real digits of the training. Slants and ink are told
    within classes.
    """
    images, labels = eight_by_eight()
    judge = SVC(C=10).fit(flat(images[HELD_OUT:]), labels[HELD_OUT:])
    train = images[HELD_OUT:], labels[HELD_OUT:]
    auto = sfumato.fit(train, model="cvae", steps=2500, seed=setting.seed, device=setting.device)
    x, y = images[:HELD_OUT], labels[:HELD_OUT]
    to = (y + 1 + np.random.default_rng(setting.seed).integers(0, 9, HELD_OUT)) % 10
    changed, again = np.asarray(auto.transfer((x, y), {"label": to.tolist()})), np.asarray(auto.reconstruct((x, y)))
    told = [float((judge.predict(flat(changed)) == to).mean())]
    for made, classes in ((changed, to), (again, y)):
        for of in (slants, lambda images: images.sum((1, 2), dtype=float)):
            told.append(correlation(within(of(x), y), within(of(made), classes)))
    return transfer.named(told)
