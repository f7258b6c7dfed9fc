"""What a state-space model over time is made of: a running summary of the past, and states of two layers."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from sfumato.distributions import Distribution, Normal
from sfumato.distributions.noise import normal
from sfumato.networks.gaussian import NormalLayer, full
from sfumato.networks.heads_base import SCALE_PACE, SCALE_START, bounded_log_scale


class Layered(Distribution):
    """p(z) = p(u) p(l | u) over z = (u, l): the upper layer is drawn first, and the lower one given it.

    Arguments:
        upper: p(u) over (B, L).
        lower: u ↦ p(l | u).
    """

    def __init__(self, upper: Normal, lower: Callable[[Tensor], Normal]) -> None:
        self.upper = upper
        self._lower = lower

    def log_prob(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        upper, lower = x.chunk(2, 1)
        return self.upper.log_prob(upper) + self._lower(upper).log_prob(lower)

    def draw(self, noise: Tensor) -> Tensor:
        """The draw that standard normal `noise` of shape (B, 2L) becomes."""
        return self.draw_and_log_prob(noise)[0]

    def draw_and_log_prob(self, noise: Tensor) -> tuple[Tensor, Tensor]:
        """`draw`, and the log-density of what was drawn, (B,): the lower layer is asked once for both."""
        first, second = noise.chunk(2, 1)
        upper, log_upper = self.upper.draw_and_log_prob(first)
        lower, log_lower = self._lower(upper).draw_and_log_prob(second)
        return torch.cat([upper, lower], 1), log_upper + log_lower

    def sample(self) -> Tensor:
        mean = self.upper.mean
        return self.draw(normal(mean, len(mean), 2 * mean.shape[1]))

    def point(self) -> Tensor:
        mean = self.upper.mean
        return self.draw(mean.new_zeros(len(mean), 2 * mean.shape[1]))


class Steps(Distribution):
    """p(x) = Π_t p(x_t) over (B, T, D), from a distribution of the B·T steps one after the other."""

    def __init__(self, steps: Distribution, count: int) -> None:
        self._steps, self._count = steps, count

    def log_prob(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        flat = None if mask is None else mask.flatten(0, 1)
        return self._steps.log_prob(x.flatten(0, 1), flat).view(-1, self._count).sum(1)

    def sample(self) -> Tensor:
        return self._apart(self._steps.sample())

    def point(self) -> Tensor:
        return self._apart(self._steps.point())

    def _apart(self, x: Tensor) -> Tensor:
        return x.view(-1, self._count, *x.shape[1:])


class Gated(nn.Module):
    """tanh(W₁x) ⊙ sigmoid(W₂x), then N(μ, σ²) from one linear layer more."""

    def __init__(self, inputs: int, width: int, latent_dim: int) -> None:
        super().__init__()
        self.linear = nn.Linear(inputs, 2 * width)
        self.normal = NormalLayer(width, latent_dim)

    def forward(self, x: Tensor) -> Normal:
        value, gate = self.linear(x).chunk(2, 1)
        return self.normal(torch.tanh(value) * torch.sigmoid(gate))


class LayeredNormal(nn.Module):
    """Any number of tensors (B, …), joined, to a `Layered` distribution over (B, 2L)."""

    def __init__(self, inputs: int, width: int, latent_dim: int) -> None:
        super().__init__()
        self.upper = Gated(inputs, width, latent_dim)
        self.lower = Gated(inputs + latent_dim, width, latent_dim)

    def forward(self, *given: Tensor) -> Layered:
        joined = given[0] if len(given) == 1 else torch.cat(given, 1)
        return Layered(self.upper(joined), lambda upper: self.lower(torch.cat([joined, upper], 1)))


class After(nn.Module):
    """A `LayeredNormal` that is also given how much time passes: its last argument, shape (B,), in typical steps."""

    def __init__(self, inputs: int, width: int, latent_dim: int) -> None:
        super().__init__()
        self.layers = LayeredNormal(inputs + 2, width, latent_dim)

    def forward(self, *given: Tensor) -> Layered:
        *states, passed = given
        return self.layers(*states, torch.stack([passed, passed.log1p()], 1))


class Past(nn.Module):
    """The belief state b_t: an LSTM over all that was seen up to t, and how long apart it was.

    Arguments:
        features: entries of one step to numbers, `(x, mask) → (B, outputs)`.
        outputs: how many.
        width: of b.

    Shapes: x (B, T, D), mask like x or None, passed (B, T), the time since the step before; to (B, T + 1, width),
    whose first is the belief before anything was seen.
    """

    def __init__(self, features: nn.Module, outputs: int, width: int) -> None:
        super().__init__()
        self.features = features
        self.start = nn.Parameter(torch.zeros(width))
        self.recurrent = nn.LSTM(outputs + 1, width, batch_first=True)

    def forward(self, x: Tensor, mask: Tensor | None, passed: Tensor) -> Tensor:
        steps = self.features(x.flatten(0, 1), None if mask is None else mask.flatten(0, 1))
        entered = torch.cat([steps.view(*x.shape[:2], -1), passed.log1p()[:, :, None]], 2)
        summed = full(self.recurrent(entered)[0])
        return torch.cat([self.start.to(summed).expand(len(x), 1, -1), summed], 1)


class StepNormal(nn.Module):
    """p(x_t | z_t) = N(μ, σ²) with one σ for each channel: fixed, or learned and never below `floor`.

    A σ free to shrink was seen to collapse onto a few observations, while the states said nothing.
    """

    log_scale: Tensor

    def __init__(self, channels: int, sigma: float, floor: float) -> None:
        super().__init__()
        self.fixed, self.floor = sigma > 0, math.log(floor)
        if self.fixed:
            self.register_buffer("log_scale", torch.full((channels,), math.log(sigma)), persistent=False)
        else:
            self.log_scale = nn.Parameter(torch.full((channels,), SCALE_START / SCALE_PACE))

    def forward(self, raw: Tensor) -> Normal:
        scale = self.log_scale if self.fixed else bounded_log_scale(SCALE_PACE * self.log_scale, self.floor)
        return Normal(full(raw), scale)
