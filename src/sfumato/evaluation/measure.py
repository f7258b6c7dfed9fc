"""One number that says how good a model is, with all that a person needs to read it."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, Literal, TypedDict

import numpy as np


@dataclass(frozen=True)
class Measure:
    """One number of a run.

    Attributes:
        name: what it is called; unique in a run, and stable, so that runs can be compared by it.
        value: the number, NaN if it could not be computed.
        unit: "nats per example", "bits", "of 16 latents"; "" for shares and scores from 0 to 1.
        meaning: one sentence for a person.
        family: name of its `Family`.
        error: standard error of the value; None where nothing was drawn.
        reference: what the value would be for something known, such as one half of the real data against the other.
        reference_is: what that something is, "real data", "chance", "N(0, 1)"; empty without a reference.
        better: which way is better; None where neither is.
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
        """As JSON-ready values, without what is not there."""
        return {name: value for name, value in vars(self).items() if value not in (None, "", {})}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Measure:
        """Back from `to_dict`."""
        return cls(**{"unit": "", **values})


def rounded(value: float, error: float | None) -> tuple[str, str] | None:
    """A number and its standard error as a person reads them; None where there is no error to tell.

    The error has two digits, and the number as many places as the error. An error that is 0 but for rounding is none.

    >>> rounded(1077.3, 815.2), rounded(-38.5612, 1.58), rounded(0.73124, 0.0123)
    (('1080', '820'), ('-38.6', '1.6'), ('0.731', '0.012'))
    >>> rounded(1.378, 9.4e-16) is rounded(1.378, None) is None
    True
    """
    if error is None or not math.isfinite(value) or not math.isfinite(error) or error <= 1e-9 * abs(value):
        return None
    places = 1 - math.floor(math.log10(float(f"{error:.1e}")))
    first, second = (f"{round(one, places):.{max(places, 0)}f}" for one in (value, error))
    return first, second


class Average(TypedDict):
    """The fields of a `Measure` that is a mean over examples."""

    value: float
    error: float | None


def mean_and_error(each: np.ndarray) -> Average:
    """The mean of one number an example, (N,), and its standard error s/√N; None for a single example.

    >>> mean_and_error(np.array([1.0, 3.0]))
    {'value': 2.0, 'error': 1.0}
    """
    each = np.asarray(each, np.float64)
    error = float(each.std(ddof=1)) / math.sqrt(len(each)) if len(each) > 1 else None
    return Average(value=float(each.mean()), error=error)
