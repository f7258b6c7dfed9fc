"""Numbers as (number − mean) / scale, kept where a network can take them, and what those cost that lie farther out."""

from __future__ import annotations

import numpy as np

FAR = 1e6
"""Scales from the mean at which entries end. No network is of use beyond, and squares of larger ones overflow."""


def standardised(x: np.ndarray, mean: np.ndarray | float, scale: np.ndarray | float) -> np.ndarray:
    """(x − mean) / scale as float32, brought inside ±`FAR`; NaN stays NaN.

    >>> standardised(np.array([3.0, 1e300, np.nan]), 1.0, 2.0).tolist()
    [1.0, 1000000.0, nan]
    """
    with np.errstate(over="ignore"):
        return np.clip((x - mean) / scale, -FAR, FAR).astype(np.float32)


def far_cost(x: np.ndarray, mean: np.ndarray | float, scale: np.ndarray | float) -> np.ndarray:
    """Penalty in nats of numbers beyond `FAR`, added to that of one at `FAR`; 0 for all others and NaN; float64, as x.

    A normal density costs t²/2 nats t scales out. Beyond it goes on with the same slope but as a logarithm,
    FAR² log(t / FAR), so that what lies farther out always costs more and no number that can be stored overflows.

    >>> [f"{cost:.3g}" for cost in far_cost(np.array([0.0, 9e5, 1e9, -1e300]), 0.0, 1.0)]
    ['0', '0', '6.91e+12', '6.77e+14']
    """
    # Halved, because the distance between two numbers that can be stored may not be.
    distance = np.abs(np.asarray(x, np.float64) / 2 - np.asarray(mean) / 2)
    with np.errstate(divide="ignore"):
        beyond = np.log(distance) + np.log(2.0) - np.log(scale) - np.log(FAR)
    return np.where(beyond > 0, FAR**2 * beyond, 0.0)


def line_cost(distance: np.ndarray, scale: np.ndarray | float) -> np.ndarray:
    """Nats of an exponential tail, t = distance / scale; beyond `FAR` scales it goes on as FAR (1 + log(t / FAR)).

    >>> [f"{cost:.3g}" for cost in line_cost(np.array([0.0, 6.0, 1e300]), 2.0)]
    ['0', '3', '6.77e+08']
    """
    with np.errstate(over="ignore", divide="ignore"):
        cost = distance / scale
        beyond = np.log(distance) - np.log(scale) - np.log(FAR)
    return np.where(beyond > 0, FAR * (1 + beyond), cost)
