"""Base."""
from __future__ import annotations
from abc import ABC, abstractmethod
from torch import Tensor, nn
from sfumato.distributions import Distribution

class Head(nn.Module, ABC):
    """Raw network outputs → p(x | z).

    Attributes:
        raw: shape per example of the raw outputs it takes; (channels, H, W) for pictures, (n,) otherwise.
    """

    raw: tuple[int, ...]

    @abstractmethod
    def forward(self, raw: Tensor) -> Distribution:
        """The distribution meant by `raw`, shape (B, *self.raw)."""


