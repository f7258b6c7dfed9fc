"""How unusual a score is among others: nats of surprise, p-values, and the false discovery rate.

Scores are the higher the more anomalous. A reference is the scores of rows that are known, or mostly, to be normal.
"""

from __future__ import annotations

import math

import numpy as np
from scipy.stats import false_discovery_control

TAIL = 0.1
"""Share of the reference beyond which the tail is extrapolated."""
BULK_TAIL = 0.4
"""Share of a contaminated reference whose upper half and quarter say how its tail falls."""
LEAST_SHAPE = 0.25
"""Shape of a generalised Pareto tail that is assumed at least, so that a heavy tail is not taken for anomalies."""


def surprise(scores: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """−log of the share of the reference that scores as high or higher, shape (N,), in nats.

    Up to the reference's highest tenth shares are counted. Beyond, the tail falls exponentially from the 90% quantile
    on, by half up to the 95% quantile, so that what lies beyond all of the reference is ranked too:

        −log P = log 10 + log 2 · (s − q₉₀) / (q₉₅ − q₉₀)

    >>> reference = np.arange(1, 1001) / 1001
    >>> surprise(np.array([0.5, 0.9, 0.95]), -np.log(1 - reference)).round(2)
    array([0.5 , 0.9 , 0.95])
    """
    ordered = np.sort(reference)
    below = np.searchsorted(ordered, scores, "left") + np.searchsorted(ordered, scores, "right")
    counted = np.minimum(-np.log((len(ordered) - below / 2 + 0.5) / (len(ordered) + 1)), -math.log(TAIL))
    start, half = np.quantile(ordered, [1 - TAIL, 1 - TAIL / 2])
    scale = (half - start) / math.log(2) or ordered[-1] - start or float(np.std(ordered)) or 1.0
    return np.where(scores > start, (scores - start) / scale - math.log(TAIL), counted)


def conformal_p_values(scores: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """(1 + #{reference ≥ s}) / (n + 1): split-conformal p-values, shape (N,).

    Where a row and the n reference rows are exchangeable, as a new normal row and normal rows that no model was fitted
    on, P(p ≤ α) ≤ α for every α, whatever the model and the score. Bates et al. 2023, Testing for outliers with
    conformal p-values, who show that the procedure of Benjamini and Hochberg keeps its rate with them. Windows of one
    series that overlap are not exchangeable; of them the p-values are approximate.

    >>> conformal_p_values(np.array([0.0, 2.5, 9.0]), np.array([1.0, 2.0, 3.0]))
    array([1.  , 0.5 , 0.25])
    """
    ordered = np.sort(reference)
    above = len(ordered) - np.searchsorted(ordered, scores, "left")
    return np.asarray((1 + above) / (len(ordered) + 1))


def bulk_p_values(scores: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """p-values against a reference of which a few percent may be anomalies themselves, shape (N,).

    Conformal p-values of such a reference are right but tell nothing: the anomalies in it hide each other. So only its
    quantiles up to 90% are used, which few anomalies hardly move. Beyond the 80% quantile u the tail is generalised
    Pareto,

        P(S > s) = 0.2 · (1 + ξ (s − u) / σ)^(−1/ξ),

    with Pickands' shape ξ = log₂ ((q₉₀ − q₈₀) / (q₈₀ − q₆₀)), at least 0.25, and σ such that q₉₀ has its share. It is
    an extrapolation without a guarantee: what has a heavier tail than that is taken for an anomaly. With 5% planted
    anomalies and a stated false discovery rate of 5%, 4 to 7% of the rows called were normal; but in 20 to 23% of
    samples of normal rows alone at least one was called (25 settings of the tail tried on 8 data sets, 5 draws each).
    Pickands 1975, Statistical inference using extreme order statistics.

    >>> reference = -np.log(1 - (np.arange(1000) + 0.5) / 1000)
    >>> bulk_p_values(np.array([np.log(5), np.log(10)]), reference).round(3)
    array([0.2, 0.1])
    """
    ordered = np.sort(reference)
    low, start, high = np.quantile(ordered, [1 - BULK_TAIL, 1 - BULK_TAIL / 2, 1 - BULK_TAIL / 4])
    counted = conformal_p_values(scores, ordered)
    if high <= start:  # Half of the scores are one and the same.
        return counted
    shape = LEAST_SHAPE if start <= low else max(float(np.log2((high - start) / (start - low))), LEAST_SHAPE)
    scale = shape * (high - start) / (2**shape - 1)
    beyond = BULK_TAIL / 2 * (1 + shape * np.maximum(scores - start, 0.0) / scale) ** (-1 / shape)
    return np.where(scores > start, beyond, np.maximum(counted, BULK_TAIL / 2))


def false_discovery_rates(p_values: np.ndarray) -> np.ndarray:
    """For each row the least rate of false discoveries at which it is one, by Benjamini and Hochberg, shape (N,).

    To call those at most α anomalies keeps the expected share of normal rows among them at most α.

    >>> false_discovery_rates(np.array([0.01, 0.02, 0.9]))
    array([0.03, 0.03, 0.9 ])
    """
    return np.asarray(false_discovery_control(p_values, method="bh"))
