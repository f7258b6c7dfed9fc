"""What every last layer of a decoder is: raw outputs of a network to the distribution of x they mean."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sfumato.distributions import Distribution
from sfumato.spec import DataSpec

LOG_SCALE_FLOOR = -6.0
SCALE_START = -1.0
SCALE_PACE = 5.0
"""A learned scale starts at e⁻¹ and moves five times as fast as a weight. Where it starts at 1, the spread of the data
itself, or lags behind the decoder, all looks like noise and the code is given up before it is of use."""


def bounded_log_scale(raw: Tensor, floor: float = LOG_SCALE_FLOOR) -> Tensor:
    """log σ with a soft floor: floor + softplus(raw − floor). A scale free to reach 0 sends the likelihood to infinity.

    >>> bounded_log_scale(torch.tensor([-100.0, 1.0]))
    tensor([-6.0000,  1.0009])
    """
    return floor + F.softplus(raw - floor)


class LearnedScale(nn.Module):
    """A learned log σ, or σ = 1 fixed; bounded from below."""

    log_scale: Tensor

    def __init__(self, *shape: int, fixed: bool = False) -> None:
        super().__init__()
        self.fixed = fixed
        if fixed:
            self.register_buffer("log_scale", torch.zeros(shape), persistent=False)
        else:
            self.log_scale = nn.Parameter(torch.full(shape, SCALE_START / SCALE_PACE))

    def forward(self) -> Tensor:
        return self.log_scale if self.fixed else bounded_log_scale(SCALE_PACE * self.log_scale)


COLUMNS, LEVELS, IMAGES = "columns", "vectors of levels", "images"
"""What a head can be of."""

Builder = Callable[[DataSpec], "Head"]
BUILDERS: dict[tuple[str, str], Builder] = {}
"""(name of a likelihood, what it is of) → its head."""


def register(likelihood: str, build: Builder, *, on: str) -> None:
    """Make `build` the head of a likelihood.

    Args:
        likelihood: a name declared in `sfumato.likelihoods`.
        build: the spec of the data to the head.
        on: what it is of: `COLUMNS`, `LEVELS` or `IMAGES`.
    """
    BUILDERS[likelihood, on] = build


class Head(nn.Module, ABC):
    """Raw network outputs → p(x | z).

    Attributes:
        raw: shape per example of the raw outputs it takes; (channels, H, W) for images, (n,) otherwise.
    """

    raw: tuple[int, ...]

    @abstractmethod
    def forward(self, raw: Tensor) -> Distribution:
        """The distribution meant by `raw`, shape (B, *self.raw)."""

    def under(self, raw: Tensor, given: Tensor | None) -> Distribution:
        """`forward` under conditions (B, G), of which a head that does not look at them has no use."""
        meant: Distribution = self(raw)
        return meant
