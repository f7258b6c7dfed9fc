"""What a state-space model over time is made of: a running summary of the past, and states of two layers."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from sfumato.distributions import Distribution, Normal
from sfumato.distributions.noise import normal
from sfumato.networks.gaussian import NormalLayer, full
from sfumato.networks.heads.base import SCALE_PACE, SCALE_START, bounded_log_scale


class TwoLayerNormal(Distribution):
    """p(z) = p(u) p(l | u) over z = (u, l): the upper layer is drawn first, and the lower one given it.

    Args:
        upper: p(u) over (B, L).
        lower: u ↦ p(l | u).
    """

    def __init__(self, upper: Normal, lower: Callable[[Tensor], Normal]) -> None:
        self.upper = upper
        self._lower = lower

    def log_prob(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        upper, lower = x.chunk(2, 1)
        return self.upper.log_prob(upper) + self._lower(upper).log_prob(lower)

    def moved(self, by: Tensor) -> TwoLayerNormal:
        """The distribution with means shifted by `by` (B, 2L), for every draw of the upper layer."""
        first, second = by.chunk(2, 1)

        def lower(upper: Tensor) -> Normal:
            p = self._lower(upper)
            return Normal(p.mean + second, p.log_scale)

        return TwoLayerNormal(Normal(self.upper.mean + first, self.upper.log_scale), lower)

    def draw(self, noise: Tensor) -> Tensor:
        """The draw that standard normal `noise` of shape (B, 2L) becomes."""
        return self.draw_and_log_prob(noise)[0]

    def draw_and_log_prob(self, noise: Tensor) -> tuple[Tensor, Tensor]:
        """`draw`, and the log-density of what was drawn, (B,): the lower layer is evaluated once."""
        first, second = noise.chunk(2, 1)
        upper, log_upper = self.upper.draw_and_log_prob(first)
        lower, log_lower = self._lower(upper).draw_and_log_prob(second)
        return torch.cat([upper, lower], 1), log_upper + log_lower

    def sample(self) -> Tensor:
        mean = self.upper.mean
        return self.draw(normal(mean, len(mean), 2 * mean.shape[1]))

    def mode(self) -> Tensor:
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

    def mode(self) -> Tensor:
        return self._apart(self._steps.mode())

    def _apart(self, x: Tensor) -> Tensor:
        return x.view(-1, self._count, *x.shape[1:])


class Timed(Distribution):
    """A state z and when it holds: `state` over (B, Z), and the time as one number more, (B, Z + 1)."""

    def __init__(self, state: Distribution, time: Tensor) -> None:
        self._state, self._time = state, time

    def log_prob(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        return self._state.log_prob(x[:, :-1])

    def sample(self) -> Tensor:
        return torch.cat([self._state.sample(), self._time[:, None]], 1)

    def mode(self) -> Tensor:
        return torch.cat([self._state.mode(), self._time[:, None]], 1)


class Clock(nn.Module):
    """The time t since a sequence began as 1 + 2·`waves` numbers: t/T and sin, cos of 2πkt/T for k = 1 … `waves`.

    With it a network need not count steps to know where in a day, or in a cycle that all sequences share, it is.

    Args:
        length: T, the greatest length of a sequence in units of its times.

    Attributes:
        absolute: whether t is counted from a time that all sequences share, not from where each begins: no.

    Shapes: (…) to (…, `outputs`).

    >>> Clock(8.0, 1)(torch.tensor([1.0])).round(decimals=3)
    tensor([[0.1250, 0.7070, 0.7070]])
    """

    absolute = False

    def __init__(self, length: float, waves: int = 4) -> None:
        super().__init__()
        self.length, self.waves = length, waves
        self.outputs = 1 + 2 * waves

    def forward(self, time: Tensor) -> Tensor:
        part = (time / self.length)[..., None]
        angles = 2 * math.pi * part * torch.arange(1, self.waves + 1, dtype=part.dtype, device=part.device)
        return torch.cat([part, angles.sin(), angles.cos()], -1)


class Seasons(nn.Module):
    """Where in each of some seasons the time t is: sin, cos of 2πkt/s for k = 1 … `waves` of each season s.

    A wave that is one of an earlier season, too, is left out, and so is one of less than two steps.

    Args:
        seasons: their lengths in units of t.

    Attributes:
        absolute: whether t is counted from a time that all sequences share, not from where each begins: yes.

    Shapes: (…) to (…, `outputs`).

    >>> Seasons((4,), 1)(torch.tensor([1.0, 5.0])).round(decimals=3).abs().tolist()
    [[1.0, 0.0], [1.0, 0.0]]
    """

    absolute = True
    periods: Tensor

    def __init__(self, seasons: Sequence[float], waves: int = 4) -> None:
        super().__init__()
        periods = dict.fromkeys(season / wave for season in seasons for wave in range(1, waves + 1))
        kept = [period for period in periods if period >= 2]
        self.register_buffer("periods", torch.tensor(kept), persistent=False)
        self.outputs = 2 * len(kept)

    def forward(self, time: Tensor) -> Tensor:
        # The remainder keeps the phase of late times exact in single precision.
        angles = 2 * math.pi * torch.remainder(time[..., None], self.periods) / self.periods
        return torch.cat([angles.sin(), angles.cos()], -1)


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
    """Any number of tensors (B, …), joined, to a `TwoLayerNormal` distribution over (B, 2L)."""

    def __init__(self, inputs: int, width: int, latent_dim: int) -> None:
        super().__init__()
        self.upper = Gated(inputs, width, latent_dim)
        self.lower = Gated(inputs + latent_dim, width, latent_dim)

    def forward(self, *inputs: Tensor) -> TwoLayerNormal:
        joined = inputs[0] if len(inputs) == 1 else torch.cat(inputs, 1)
        return TwoLayerNormal(self.upper(joined), lambda upper: self.lower(torch.cat([joined, upper], 1)))


class After(nn.Module):
    """A `LayeredNormal` of states, clock features of the later one, and how much time passes between them.

    Args:
        stays: whether means are those of the first state, plus what the network adds: without time, all stays.

    Shapes: states (B, …), the clock (B, …), and last the time that passes (B,) in typical steps; to (B, 2L).
    """

    def __init__(self, inputs: int, width: int, latent_dim: int, *, stays: bool = False) -> None:
        super().__init__()
        self.layers = LayeredNormal(inputs + 2, width, latent_dim)
        self.stays = stays

    def forward(self, *inputs: Tensor) -> TwoLayerNormal:
        *states, passed = inputs
        p = self.layers(*states, torch.stack([passed, passed.log1p()], 1))
        return p.moved(states[0]) if self.stays else p


class Past(nn.Module):
    """The belief state b_t: an LSTM over all that was seen up to t, how long apart it was, and the clock.

    Args:
        features: entries of one step to numbers, `(x, mask) → (B, outputs)`.
        outputs: how many.
        width: of what the LSTM gives.
        clock: features of the time since the sequence began, if any.

    Shapes: x (B, T, D), mask like x or None, time (B, T + 1) of the belief before anything was seen and of each step;
    to (B, T + 1, width + clock.outputs), whose first is that belief.
    """

    def __init__(self, features: nn.Module, outputs: int, width: int, clock: Clock | Seasons | None = None) -> None:
        super().__init__()
        self.features, self.clock = features, clock
        self.start = nn.Parameter(torch.zeros(width))
        self.recurrent = nn.LSTM(outputs + 1 + (clock.outputs if clock else 0), width, batch_first=True)

    def forward(self, x: Tensor, mask: Tensor | None, time: Tensor) -> Tensor:
        passed = time.diff(dim=1)
        steps = self.features(x.flatten(0, 1), None if mask is None else mask.flatten(0, 1))
        clock = self.clock(time) if self.clock else passed.new_zeros(*time.shape, 0)
        entered = torch.cat([steps.view(*x.shape[:2], -1), passed.log1p()[:, :, None], clock[:, 1:]], 2)
        summed = full(self.recurrent(entered)[0])
        summed = torch.cat([self.start.to(summed).expand(len(x), 1, -1), summed], 1)
        return torch.cat([summed, clock.to(summed)], 2)


class StepNormal(nn.Module):
    """p(x_t | z_t) = N(μ, σ²) with one σ for each channel: fixed, or learned and never below `floor`.

    An unbounded σ collapsed onto a few observations, with uninformative states.
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
