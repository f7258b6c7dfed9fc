"""The velocity field of a flow over codes: a residual network that sees the time and the conditions."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import silu

from sfumato.networks.features import GivenFeatures

TIME_FREQUENCIES = 4
"""Sines and cosines that a time is turned into, of each."""
BRANCH_SCALE = 0.3
"""What a residual block adds at the start, of what it is given."""


class Velocity(nn.Module):
    """v(x, t, c) = (2t − 1)/(t² + (1 − t)²) · x + r(x, t, c).

    The first term is the exact field of straight paths from N(0, 1) to N(0, 1) (see `gaussian_velocity`), so that the
    network r, whose last layer starts at 0, learns only in what way codes are no standard normal.

    Arguments:
        latent_dim: numbers of a code L.
        width: hidden width.
        depth: residual blocks.
        given: features of the conditions, or None.

    Shapes: x (B, L), t (B,), given (B, G) or None, to (B, L).
    """

    frequencies: Tensor

    def __init__(self, latent_dim: int, width: int, depth: int, given: GivenFeatures | None = None) -> None:
        super().__init__()
        self.given = given
        self.register_buffer("frequencies", math.pi * torch.arange(1, TIME_FREQUENCIES + 1) / 2, persistent=False)
        self.enter = nn.Linear(latent_dim + 2 * TIME_FREQUENCIES + (given.outputs if given else 0), width)
        self.blocks: Sequence[VelocityBlock] = nn.ModuleList(VelocityBlock(width) for _ in range(depth))  # type: ignore[assignment]
        self.leave = nn.Linear(width, latent_dim)
        # As large as these activations ask for: with torch's own weights features are so small that they are as good as
        # linear, and a flow stays the normal that it starts from for thousands of steps.
        for layer in (self.enter, *(one for block in self.blocks for one in (block.first, block.second))):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            nn.init.zeros_(layer.bias)
        for block in self.blocks:
            block.second.weight.data.mul_(BRANCH_SCALE)
        nn.init.zeros_(self.leave.weight)
        nn.init.zeros_(self.leave.bias)

    def forward(self, x: Tensor, t: Tensor, given: Tensor | None = None) -> Tensor:
        angles = t[:, None] * self.frequencies
        parts = [x, angles.sin(), angles.cos()]
        if self.given is not None:
            parts.append(self.given(given, x))
        h = self.enter(torch.cat(parts, 1))
        for block in self.blocks:
            h = block(h)
        residual: Tensor = self.leave(silu(h))
        return gaussian_velocity(x, t) + residual


class VelocityBlock(nn.Module):
    """h + W₂ silu(W₁ silu(h))."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Linear(width, width)
        self.second = nn.Linear(width, width)

    def forward(self, h: Tensor) -> Tensor:
        return h + self.second(silu(self.first(silu(h))))


def gaussian_velocity(x: Tensor, t: Tensor, mean: float | Tensor = 0.0, scale: float | Tensor = 1.0) -> Tensor:
    """E[z − ε | x_t = x] for x_t = (1 − t)ε + tz, ε ~ N(0, 1), z ~ N(mean, scale²): shape of x.

    x_t is N(t·mean, s²) with s² = (1 − t)² + t²·scale², and z − ε has with it the covariance t·scale² − (1 − t):

        v(x, t) = mean + (t·scale² − (1 − t)) / s² · (x − t·mean)

    >>> gaussian_velocity(torch.ones(2, 1), torch.tensor([0.0, 1.0]))
    tensor([[-1.],
            [ 1.]])
    """
    t = t[:, None]
    variance = (1 - t).square() + (t * scale).square()
    covariance = t * scale * scale - (1 - t)
    return mean + covariance / variance * (x - t * mean)
