"""One measure of a model, with everything needed to read it."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, Literal, TypedDict

import numpy as np


@dataclass(frozen=True)
class Measure:
    """One number of a run.

    Attributes:
        name: unique in a run, and stable, so that runs can be compared by it.
        value: the number, NaN if it could not be computed.
        unit: "nats per example", "bits", "of 16 latents"; "" for shares and scores from 0 to 1.
        meaning: one sentence for the user.
        family: name of its `Family`.
        error: standard error of the value; None where nothing was drawn.
        reference: the value in a known case, such as for one half of the real data against the other.
        reference_is: what that case is, "real data", "chance", "N(0, 1)"; empty without a reference.
        better: the better direction; None if neither is.
        parts: the same measure for each latent, column, class, layer or horizon; empty where there are none.
    """

    name: str
    value: float
    unit: str
    meaning: str
    family: str = "bounds"
    error: float | None = None
    reference: float | None = None
    reference_is: str = ""
    better: Literal["lower", "higher"] | None = None
    parts: dict[str, float] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """As JSON-ready values, without empty ones."""
        return {name: value for name, value in vars(self).items() if value not in (None, "", {})}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Measure:
        """Back from `to_dict`."""
        return cls(**{"unit": "", **values})


class MeanAndError(TypedDict):
    """The fields of a `Measure` that is a mean over examples."""

    value: float
    error: float | None


def mean_and_error(each: np.ndarray) -> MeanAndError:
    """The mean of one number an example, (N,), and its standard error s/√N; None for a single example.

    >>> mean_and_error(np.array([1.0, 3.0]))
    {'value': 2.0, 'error': 1.0}
    """
    each = np.asarray(each, np.float64)
    error = float(each.std(ddof=1)) / math.sqrt(len(each)) if len(each) > 1 else None
    return MeanAndError(value=float(each.mean()), error=error)
