"""All probability on one value."""

from __future__ import annotations

import torch
from torch import Tensor

from sfumato.distributions.base import Distribution


class Point(Distribution):
    """The distribution that is sure of `value`, whose entries are whole numbers.

    log p(x) = 0 where x is `value`, −∞ elsewhere

    Args:
        value: shape (B, *event).

    >>> Point(torch.tensor([[3, 1]])).log_prob(torch.tensor([[3, 2]]))
    tensor([-inf])
    """

    def __init__(self, value: Tensor) -> None:
        self.value = value

    def log_prob(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        same = x == self.value if mask is None else (x == self.value) | ~mask
        return torch.zeros(len(x), device=x.device).masked_fill(~same.flatten(1).all(1), -torch.inf)

    def sample(self) -> Tensor:
        return self.value

    def mode(self) -> Tensor:
        return self.value
