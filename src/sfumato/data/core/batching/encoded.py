"""Examples as tensors."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor


class Encoded(NamedTuple):
    """N raw examples as tensors: x of shape (N, *spec.shape), given (N, G) or None; NaN where missing.

    Sequences may be shorter than `spec.shape` says; uneven ones come with a time for each step, (N, T).
    """

    x: Tensor
    given: Tensor | None = None
    time: Tensor | None = None
