"""Whether probabilities of classes can be taken as they stand."""

from __future__ import annotations

import numpy as np

CONFIDENCE_BINS = 15
CHANCES = 200


def calibration_error(probability: np.ndarray, label: np.ndarray, bins: int = CONFIDENCE_BINS) -> float:
    """Expected calibration error: how far confidence is from accuracy, over bins of confidence of equal width.

        ECE = Σ_b |B_b|/N · |mean confidence of B_b − accuracy in B_b|

    Guo, Pleiss, Sun and Weinberger 2017, On calibration of modern neural networks.

    Args:
        probability: of each class, (N, K).
        label: the right class of each example, (N,).
        bins: number of bins of the largest probability.

    >>> calibration_error(np.array([[0.75, 0.25]] * 4), np.array([0, 0, 0, 1]))
    0.0
    >>> calibration_error(np.array([[1.0, 0.0]] * 4), np.array([0, 0, 0, 1]))
    0.25
    """
    return _error(probability.max(1), probability.argmax(1) == label, bins)


def chance_error(probability: np.ndarray, seed: int, bins: int = CONFIDENCE_BINS) -> float:
    """The mean calibration error of these probabilities if labels were drawn from them: above 0, the more the fewer."""
    random = np.random.default_rng(seed)
    confidence = probability.max(1)
    right = random.random((CHANCES, len(confidence))) < confidence
    return float(np.mean([_error(confidence, row, bins) for row in right]))


def _error(confidence: np.ndarray, right: np.ndarray, bins: int) -> float:
    place = np.minimum((confidence * bins).astype(int), bins - 1)
    gaps = np.bincount(place, weights=confidence - right, minlength=bins)
    return float(np.abs(gaps).sum() / len(confidence))
