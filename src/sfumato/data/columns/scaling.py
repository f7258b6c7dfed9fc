"""Numbers as (number − mean) / scale, kept where a network can take them, and what those cost that lie farther out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from scipy.special import ndtri

from sfumato.data.columns.reference import NORMAL_REFERENCE
from sfumato.spec import Field

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


@dataclass(frozen=True)
class Standardisation:
    """Numbers as (number − mean) / scale.

    Attributes:
        mean: of the training numbers.
        scale: their standard deviation; 1 where they do not vary.
    """

    style: ClassVar[str] = "real"
    mean: float
    scale: float

    @classmethod
    def learn(cls, numbers: np.ndarray) -> Standardisation:
        """Mean and standard deviation, worked out on numbers divided by the largest so that none overflows."""
        largest = float(np.abs(numbers.astype(np.float64)).max(initial=0.0)) or 1.0
        small = numbers.astype(np.float64) / largest
        deviation = float(small.std()) * largest
        return cls(float(small.mean()) * largest, deviation if deviation > 0 else 1.0)

    @property
    def spec(self) -> Field:
        """The kind of entry."""
        return Field("real")

    def encode(self, numbers: np.ndarray) -> np.ndarray:
        """float32 entries."""
        return standardised(numbers, self.mean, self.scale)

    def decode(self, entries: np.ndarray) -> np.ndarray:
        """Numbers as float64."""
        return np.asarray(entries, np.float64) * self.scale + self.mean

    def out_of_range_penalty(self, numbers: np.ndarray, seen: int) -> np.ndarray:
        """0, but for numbers so far out that their entries end before them; see `far_cost`."""
        return far_cost(numbers, self.mean, self.scale)

    def between(self, low: float | None, high: float | None) -> tuple[np.ndarray, np.ndarray]:
        """The entries between which numbers from `low` to `high` lie, each of shape (); None for no end."""
        least, most = (-np.inf if low is None else low), (np.inf if high is None else high)
        return (np.array(least) - self.mean) / self.scale, (np.array(most) - self.mean) / self.scale

    def volumes(self) -> np.ndarray:
        """log scale."""
        return np.array([np.log(self.scale)])

    def references(self) -> np.ndarray:
        """log reference density of a standardised number."""
        return np.array([NORMAL_REFERENCE])

    def quantiles(self, levels: np.ndarray) -> np.ndarray:
        """Entries of the numbers that have these shares below them, were they normal."""
        return np.asarray(ndtri(levels))

    def described(self) -> str:
        """In words."""
        return "real number"

    def to_dict(self) -> dict[str, Any]:
        """As JSON-ready values."""
        return {"style": self.style, "mean": self.mean, "scale": self.scale}
