"""Diagonal normal distributions: of latents, and of real-valued data."""

from __future__ import annotations

import math
from functools import cached_property

import torch
from torch import Tensor
from torch.nn import functional as F

from sfumato.distributions import noise
from sfumato.distributions.base import Latent, Posterior, each, observed, sum_event
from sfumato.distributions.restricted import Allowed, restricted_normal

HALF_LOG_2PI = 0.5 * math.log(2 * math.pi)


class Normal(Posterior):
    """N(mean, scale²) with independent entries.

    log p(x) = −Σ_d [ ½((x_d − μ_d)/σ_d)² + log σ_d + ½ log 2π ]

    Args:
        mean: shape (B, *event).
        log_scale: log σ, broadcastable to `mean`.

    >>> normal = Normal(torch.zeros(1, 2), torch.zeros(()))
    >>> round(normal.log_prob(torch.zeros(1, 2)).item(), 4)
    -1.8379
    """

    def __init__(self, mean: Tensor, log_scale: Tensor) -> None:
        self.mean = mean
        self.log_scale = log_scale

    @cached_property
    def scale(self) -> Tensor:
        """σ."""
        return torch.exp(self.log_scale)

    def log_density(self, x: Tensor) -> Tensor:
        """log p(x_d) for each entry, shape of x."""
        standard = (x - self.mean) * torch.exp(-self.log_scale)
        return -0.5 * standard.square() - self.log_scale - HALF_LOG_2PI

    def log_prob(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        if mask is not None:
            return sum_event(self.log_density(observed(x, mask)), mask)
        # One function for gap and square, and what does not depend on x added up apart: large images are gone over
        # half as often, and on the way back a third.
        squares = F.mse_loss(*self._alike(x), reduction="none")
        if self.log_scale.numel() == 1:
            log_scale = self.log_scale.reshape(())
            entries = squares[0].numel()
            return -0.5 * torch.exp(-2 * log_scale) * sum_event(squares) - entries * (log_scale + HALF_LOG_2PI)
        constant = self.log_scale + HALF_LOG_2PI
        if constant.dim() == self.mean.dim():
            total = sum_event(constant.expand_as(self.mean))
        else:
            total = constant.expand(self.mean.shape[1:]).sum()
        return -0.5 * sum_event(squares * torch.exp(-2 * self.log_scale)) - total

    def _alike(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """μ and x in one type and shape."""
        x = x.to(self.mean.dtype)
        return (self.mean, x) if x.shape == self.mean.shape else torch.broadcast_tensors(self.mean, x)

    def sample(self, temperature: float = 1.0) -> Tensor:
        """μ + σ·ε with ε ~ N(0, 1), differentiable in μ and σ."""
        return self.draw(noise.tempered(temperature, self.mean))

    def draw(self, noise: Tensor) -> Tensor:
        """μ + σ·noise."""
        return self.mean + self.scale * noise

    def draw_and_log_prob(self, noise: Tensor) -> tuple[Tensor, Tensor]:
        # (z − μ)/σ is the noise itself.
        return self.draw(noise), sum_event(-0.5 * noise.square() - (self.log_scale + HALF_LOG_2PI))

    def log_prob_along(self, draw: Tensor) -> Tensor:
        return Normal(self.mean.detach(), self.log_scale.detach()).log_prob(draw)

    def restricted(self, place: int, allowed: Allowed) -> tuple[Tensor, Tensor]:
        scale = self.scale.expand_as(self.mean)[:, place]
        return restricted_normal(self.mean[:, place], scale, *(end.to(self.mean) for end in allowed))

    def mode(self) -> Tensor:
        return self.mean

    def repeat(self, times: int) -> Normal:
        """Each example `times` times in a row, shape (B·times, *event)."""
        return Normal(each(self.mean, times), each(self.log_scale.expand_as(self.mean), times))

    def kl(self, other: Normal | StandardNormal) -> Tensor:
        """KL(self ‖ other) for each dimension, shape (B, *event).

        KL = log σ_p − log σ_q + (σ_q² + (μ_q − μ_p)²) / 2σ_p² − ½

        >>> Normal(torch.ones(1, 1), torch.zeros(1, 1)).kl(StandardNormal(1, 1))
        tensor([[0.5000]])
        """
        if isinstance(other, StandardNormal):
            return 0.5 * (self.mean.square() + self.scale.square() - 1) - self.log_scale
        log_ratio = self.log_scale - other.log_scale
        shift = (self.mean - other.mean) * torch.exp(-other.log_scale)
        return 0.5 * (torch.exp(2 * log_ratio) + shift.square() - 1) - log_ratio


class StandardNormal(Latent):
    """N(0, 1) over (n, dim): the standard prior; a class of its own because its KL is cheaper.

    Args:
        n: number of examples B.
        dim: number of dimensions.
        like: a tensor whose device and dtype samples take (default: float32 on the CPU).
    """

    def __init__(self, n: int, dim: int, like: Tensor | None = None) -> None:
        self.n = n
        self.dim = dim
        self._like = torch.empty(0) if like is None else like

    def log_prob(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        return sum_event(-0.5 * observed(x, mask).square() - HALF_LOG_2PI, mask)

    def sample(self, temperature: float = 1.0) -> Tensor:
        return noise.tempered(temperature, self._like, self.n, self.dim)

    def mode(self) -> Tensor:
        return self._like.new_zeros(self.n, self.dim)

    def repeat(self, times: int) -> StandardNormal:
        """Each example `times` times in a row."""
        return StandardNormal(self.n * times, self.dim, self._like)
