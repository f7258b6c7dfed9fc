"""Exponential moving average of the weights."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor


class WeightAverage:
    """θ̄ ← d θ̄ + (1 − d) θ, with d = min(decay, (1 + t) / (10 + t)) so that the start is soon forgotten.

    With a decay of 0 there is no average, and `swapped` changes nothing.
    """

    def __init__(self, parameters: list[Tensor], decay: float) -> None:
        self._parameters = [parameter.data for parameter in parameters]
        self._decay = decay
        self.values = [value.clone() for value in self._parameters] if decay else []

    def update(self, step: int) -> None:
        """After step t = `step` has been applied."""
        if self.values:
            torch._foreach_lerp_(self.values, self._parameters, 1 - min(self._decay, (1 + step) / (10 + step)))

    @contextmanager
    def swapped(self) -> Iterator[None]:
        """Within this block the model holds the averaged weights."""
        if not self.values:
            yield
            return
        own = [value.clone() for value in self._parameters]
        torch._foreach_copy_(self._parameters, self.values)
        try:
            yield
        finally:
            torch._foreach_copy_(self._parameters, own)
