"""Probabilities of classes that can be taken as they stand."""

from __future__ import annotations

import math

import torch
from scipy.optimize import minimize_scalar
from torch import Tensor

LOG_TEMPERATURE_SPREAD = 1.0
"""Standard deviation of log T before any label is seen."""
MOST_LOG_TEMPERATURE = 4.0
"""Largest |log T|."""


def fitted_temperature(logits: Tensor, label: Tensor) -> float:
    """The T under which softmax(logits/T) is calibrated on held-out examples.

        T = argmin Σ_n −log softmax(logits_n / T)[y_n] + (log T)² / 2

    Temperature scaling of Guo, Pleiss, Sun and Weinberger 2017, On calibration of modern neural networks, with a normal
    prior on log T, so that a few labels do not move it far.

    Args:
        logits: of examples that the classifier has not learned from, (N, K).
        label: the class of each, (N,).

    >>> logits = torch.tensor([[4.0, 0.0]] * 30 + [[0.0, 4.0]] * 10)
    >>> 2 < fitted_temperature(logits, torch.zeros(40, dtype=torch.long)) < 4
    True
    >>> fitted_temperature(logits[:0], torch.zeros(0, dtype=torch.long))
    1.0
    """
    if not len(logits):
        return 1.0
    wide = logits.detach().double().cpu()
    own = label.cpu()[:, None]

    def cost(log_t: float) -> float:
        surprise = -torch.log_softmax(wide / math.exp(log_t), 1).gather(1, own).sum()
        return float(surprise) + 0.5 * (log_t / LOG_TEMPERATURE_SPREAD) ** 2

    return math.exp(minimize_scalar(cost, bounds=(-MOST_LOG_TEMPERATURE, MOST_LOG_TEMPERATURE), method="bounded").x)
