"""Scores of disentanglement that are read off a table of how much each latent says of each factor."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.multiclass import OneVsRestClassifier
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier

from sfumato.evaluation.disentanglement.factors import Factor

CELLS = 20
"""Cells of equal width that a latent is cut into; as many as a factor has values if those are more."""
DCI_TREES = 20
LEAF = 100
"""A leaf of a tree holds at least one in so many of the examples it learns from."""


class Shared(NamedTuple):
    """What latents say of factors.

    Attributes:
        information: I(z_l; v_f) in nats, (L, F).
        entropy: H(v_f) in nats, (F,).
    """

    information: np.ndarray
    entropy: np.ndarray


def shared(codes: np.ndarray, factors: Sequence[Factor]) -> Shared:
    """Mutual information of each latent with each factor, by counting.

    A latent is cut into cells of equal width, 20 as in Locatello et al. 2019, or as many as the factor has values if
    those are more: 20 cells cannot tell 40 values apart, whatever the code.
    """
    low = codes.min(0)
    width = np.where(codes.max(0) > low, codes.max(0) - low, 1.0)
    information = np.empty((codes.shape[1], len(factors)))
    entropy = np.empty(len(factors))
    for place, factor in enumerate(factors):
        entropy[place] = _entropy(np.bincount(factor.classes))
        count = max(CELLS, factor.count)
        cells = np.minimum((count * (codes - low) / width).astype(np.int64), count - 1)
        for latent in range(codes.shape[1]):
            joint = np.bincount(cells[:, latent] * factor.count + factor.classes, minlength=count * factor.count)
            table = joint.reshape(count, factor.count)
            information[latent, place] = _entropy(table.sum(1)) + entropy[place] - _entropy(joint)
    return Shared(np.maximum(information, 0.0), entropy)


def gaps(informations: Shared) -> np.ndarray:
    """Each factor's mutual information gap, (F,); their mean is the MIG of Chen et al. 2018 (eq. 6).

        gap_f = [I(z_(1); v_f) − I(z_(2); v_f)] / H(v_f)

    between the latent that says most of the factor and the next.

    >>> gaps(Shared(np.array([[1.0, 0.0], [0.2, 0.5]]), np.array([1.0, 1.0])))
    array([0.8, 0.5])
    """
    return np.asarray(_two_best(informations.information / informations.entropy))


def modularity(informations: Shared) -> np.ndarray:
    """Each latent's modularity, (L,): 1 if it says something of one factor alone. Ridgeway and Mozer 2018.

        1 − Σ_{f ≠ f*} I(z_l; v_f)² / [I(z_l; v_f*)² (F − 1)]          with f* the factor it says most of

    >>> modularity(Shared(np.array([[1.0, 0.0], [0.5, 0.5]]), np.ones(2)))
    array([1., 0.])
    """
    squares = informations.information**2
    best = squares.max(1)
    rest = squares.sum(1) - best
    return np.asarray(1 - rest / np.maximum(best * (squares.shape[1] - 1), 1e-300))


class DCI(NamedTuple):
    """Eastwood and Williams 2018.

    Attributes:
        disentanglement: of each latent, (L,), and its weight: whether it is important for one factor alone.
        weight: the share of all importance that each latent has, (L,).
        completeness: of each factor, (F,): whether one latent alone is important for it.
        informativeness: of each factor, (F,): how well it is told from all latents, 0 by chance, 1 without error.
        importance: (L, F), columns sum to 1.
    """

    disentanglement: np.ndarray
    weight: np.ndarray
    completeness: np.ndarray
    informativeness: np.ndarray
    importance: np.ndarray


def dci(codes: np.ndarray, factors: Sequence[Factor], *, latents: int | None = None, seed: int = 0) -> DCI:
    """Disentanglement, completeness and informativeness, from random forests that tell each factor from the code.

        disentanglement_l = 1 − H_F(R_l· / Σ_f R_lf)          completeness_f = 1 − H_L(R_·f / Σ_l R_lf)

    R_lf is the importance of latent l for factor f: how much its splits lower the error, averaged over 20 trees that
    may split on any latent. H_F is the entropy to the base of the number of factors, H_L to that of all latents. Two
    thirds of the examples are learned from; informativeness is R² on the rest for numbers, for categories the share of
    the majority guess's errors that are mended. A factor of which the code tells nothing has a completeness of 0.

    Args:
        latents: how many the model has; `codes` may leave out those that do not move.
    """
    order = np.random.default_rng(seed).permutation(len(codes))
    learn, test = np.split(order, [2 * len(order) // 3])
    importance = np.zeros((codes.shape[1], len(factors)))
    informativeness = np.zeros(len(factors))
    forest = {"n_estimators": DCI_TREES, "min_samples_leaf": max(len(learn) // LEAF, 1), "random_state": seed % 2**32}
    for place, factor in enumerate(factors):
        if factor.numbers is None:
            judge = RandomForestClassifier(max_features=None, **forest).fit(codes[learn], factor.classes[learn])
            guess = np.bincount(factor.classes[learn]).argmax()
            chance = float((factor.classes[test] == guess).mean())
            right = float(judge.score(codes[test], factor.classes[test]))
            score = (right - chance) / max(1 - chance, 1e-12)
        else:
            judge = RandomForestRegressor(max_features=None, **forest).fit(codes[learn], factor.numbers[learn])
            score = float(judge.score(codes[test], factor.numbers[test]))
        importance[:, place] = judge.feature_importances_
        informativeness[place] = max(score, 0.0)
    total = importance.sum(1)
    weight = total / max(total.sum(), 1e-300)
    complete = np.where(informativeness > 0, _peaked(importance.T, latents or codes.shape[1]), 0.0)
    return DCI(_peaked(importance, len(factors)), weight, complete, informativeness, importance)


def sap(codes: np.ndarray, factors: Sequence[Factor], *, seed: int = 0) -> np.ndarray:
    """Separated attribute predictability of each factor, (F,). Kumar, Sattigeri and Balakrishnan 2018.

    The gap between the two latents that tell it best, each by itself: by R² of a line for numbers; for categories by
    thresholds, in balanced accuracy on the half of the examples not learned from, 0 by chance.
    """
    order = np.random.default_rng(seed).permutation(len(codes))
    learn, test = np.split(order, [len(order) // 2])
    scores = np.zeros((codes.shape[1], len(factors)))
    for place, factor in enumerate(factors):
        for latent in range(codes.shape[1]):
            if factor.numbers is not None:
                scores[latent, place] = _correlation(codes[:, latent], factor.numbers) ** 2
                continue
            column, classes = codes[:, latent : latent + 1], factor.classes
            tree = DecisionTreeClassifier(max_leaf_nodes=2 * factor.count, class_weight="balanced", random_state=0)
            predicted = tree.fit(column[learn], classes[learn]).predict(column[test])
            right = [float((predicted[classes[test] == value] == value).mean()) for value in np.unique(classes[test])]
            scores[latent, place] = max((float(np.mean(right)) - 1 / factor.count) / (1 - 1 / factor.count), 0.0)
    return np.asarray(_two_best(scores))


def explicitness(codes: np.ndarray, factors: Sequence[Factor], *, seed: int = 0) -> np.ndarray:
    """Each factor's explicitness, (F,): how well logistic regression tells each of its values from the others.

    The mean area under the ROC curve over values, on the half of the examples not learned from; ½ by chance. Values
    with fewer than 4 examples are left out, and a factor without two others is NaN. A value in the middle of an ordered
    factor is on no side of any plane, so that even a perfect code stays below 1 there. Ridgeway and Mozer 2018.
    """
    order = np.random.default_rng(seed).permutation(len(codes))
    scaled = StandardScaler().fit_transform(codes)
    areas_by_factor = []
    for factor in factors:
        common = np.bincount(factor.classes)[factor.classes[order]] >= 4
        ordered = order[common][np.argsort(factor.classes[order[common]], kind="stable")]
        learn, test = ordered[::2], ordered[1::2]
        if len(np.unique(factor.classes[ordered])) < 2:
            areas_by_factor.append(float("nan"))
            continue
        judge = OneVsRestClassifier(LogisticRegression(max_iter=1000)).fit(scaled[learn], factor.classes[learn])
        decisions = judge.decision_function(scaled[test]).reshape(len(test), -1)
        values = judge.classes_ if len(judge.classes_) > 2 else judge.classes_[1:]
        areas = [roc_auc_score(factor.classes[test] == value, decisions[:, at]) for at, value in enumerate(values)]
        areas_by_factor.append(float(np.mean(areas)))
    return np.array(areas_by_factor)


def irs(codes: np.ndarray, factors: Sequence[Factor]) -> tuple[np.ndarray, np.ndarray]:
    """Each latent's interventional robustness, (L,), and its weight. Suter et al. 2019.

        1 − min_f E_v[ sup |z_l − E(z_l | v_f = v)| ] / sup |z_l − E z_l|

    How little a latent moves once its own factor is held, whatever the others do; sup is the 99th percentile, weights
    are the denominators. The mean over values gives each value the same weight; those with fewer than 4 examples are
    left out, as a single one is always where its mean is.
    """
    reach = np.quantile(np.abs(codes - codes.mean(0)), 0.99, axis=0)
    moved = np.tile(reach[:, None], len(factors))
    for place, factor in enumerate(factors):
        order = np.argsort(factor.classes, kind="stable")
        parts = [part for part in np.split(codes[order], np.cumsum(np.bincount(factor.classes))[:-1]) if len(part) >= 4]
        if parts:
            moved[:, place] = np.mean([np.quantile(np.abs(part - part.mean(0)), 0.99, axis=0) for part in parts], 0)
    robust = 1 - moved.min(1) / np.maximum(reach, 1e-12)
    return np.maximum(robust, 0.0), reach


def _entropy(counts: np.ndarray) -> float:
    share = counts[counts > 0] / counts.sum()
    return float(-(share * np.log(share)).sum())


def _two_best(scores: np.ndarray) -> np.ndarray:
    """The largest entry of each column less the next; with one row, the entry."""
    ordered = np.sort(np.vstack([scores, np.zeros_like(scores[:1])]), axis=0)
    return np.asarray(ordered[-1] - ordered[-2])


def _peaked(importance: np.ndarray, base: int) -> np.ndarray:
    """1 − entropy of each row's shares: 1 if one entry has all, 0 if `base` entries share alike or there is nothing."""
    total = importance.sum(1, keepdims=True)
    share = importance / np.maximum(total, 1e-300)
    logs = np.log(np.where(share > 0, share, 1.0))
    peaked = 1 + (share * logs).sum(1) / np.log(max(base, 2))
    return np.asarray(np.where(total[:, 0] > 0, peaked, 0.0))


def _correlation(a: np.ndarray, b: np.ndarray) -> float:
    spread = a.std() * b.std()
    return float(((a - a.mean()) * (b - b.mean())).mean() / spread) if spread > 0 else 0.0
