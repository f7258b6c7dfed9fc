"""Spike-and-slab distributions of latents: each is exactly 0, or a draw from a normal."""

from __future__ import annotations

import torch
from torch import Tensor

from sfumato.distributions import noise
from sfumato.distributions.base import Latent, Posterior, observed, sum_event, widened
from sfumato.distributions.discrete import invert
from sfumato.distributions.normal import HALF_LOG_2PI, Normal

MIN_GAMMA = 1e-6
"""γ is kept this far from 0 and 1, so that the logarithms of both stay finite."""


class SpikeSlab(Posterior):
    """q(z) = Π_j [ γ_j N(z_j; μ_j, σ_j²) + (1 − γ_j) δ₀(z_j) ].

    Densities are with respect to the mixed measure ν = Lebesgue + δ₀ in each dimension: at z_j = 0 it is the mass
    1 − γ_j of the spike, anywhere else γ_j N(z_j; μ_j, σ_j²). So log-ratios of two of them are what they should be,
    but no density of this kind can be compared with one of a normal.

    Args:
        slab: N(μ, σ²), shape (B, L).
        gamma: γ, shape (B, L); clamped to [1e-6, 1 − 1e-6].

    >>> q = SpikeSlab(Normal(torch.ones(1, 2), torch.zeros(1, 2)), torch.tensor([[0.9, 0.1]]))
    >>> q.mode()
    tensor([[1., 0.]])
    """

    def __init__(self, slab: Normal, gamma: Tensor) -> None:
        self.slab = slab
        self.gamma = gamma.clamp(MIN_GAMMA, 1 - MIN_GAMMA)

    def log_prob(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        x = observed(x, mask)
        in_slab = torch.log(self.gamma) + self.slab.log_density(x)
        return sum_event(torch.where(x == 0, torch.log1p(-self.gamma), in_slab), mask)

    def sample(self, temperature: float = 1.0) -> Tensor:
        """A draw with its exact zeros; differentiable in μ and σ, not in γ: that is what `relaxed` is for."""
        on = noise.uniform(self.gamma) < self.gamma
        return torch.where(on, self.slab.sample(temperature), 0.0)

    def relaxed(self, slope: float) -> Tensor:
        """σ(c(u − 1 + γ))·(μ + σε), u uniform: a draw that is differentiable in γ too; c = `slope`.

        It tends to `sample` as c grows. Tonolini, Jensen and Murray-Smith 2019, section 3.2.
        """
        return torch.sigmoid(slope * (noise.uniform(self.gamma) - 1 + self.gamma)) * self.slab.sample()

    def draw(self, noise: Tensor) -> Tensor:
        """One normal number decides both: with u = Φ(noise), the slab if u < γ, and there ε = Φ⁻¹(u / γ)."""
        u = torch.special.ndtr(noise)
        tiny = torch.finfo(u.dtype).eps
        inner = torch.special.ndtri((u / self.gamma).clamp(tiny, 1 - tiny))
        return torch.where(u < self.gamma, self.slab.draw(inner), 0.0)

    def mode(self) -> Tensor:
        """μ where the slab is the likelier, exactly 0 where the spike is."""
        return torch.where(self.gamma > 0.5, self.slab.mean, 0.0)

    def repeat(self, times: int) -> SpikeSlab:
        return SpikeSlab(self.slab.repeat(times), self.gamma.repeat_interleave(times, 0))

    def kl(self, other: SpikeSlab) -> Tensor:
        """KL(self ‖ other) for each dimension, shape (B, L).

        KL = γ KL(slab ‖ slab′) + γ log(γ/γ′) + (1 − γ) log((1 − γ)/(1 − γ′))
        """
        spike = bernoulli_kl(self.gamma, other.gamma)
        return self.gamma * self.slab.kl(other.slab) + spike

    def kl_to_each(self, others: SpikeSlab) -> Tensor:
        """KL(self ‖ other) summed over dimensions, for each of U others over (U, L); shape (B, U).

        Three matrix products, never a (B, U, L) array.
        """
        gamma, means, log_scale = widened(self.gamma, self.slab.mean, self.slab.log_scale)
        their_gamma, their_means, their_log_scale = widened(others.gamma, others.slab.mean, others.slab.log_scale)
        precision = torch.exp(-2 * their_log_scale)
        weighted = precision * their_means
        off = torch.log1p(-their_gamma)
        on = their_log_scale + 0.5 * weighted * their_means - torch.log(their_gamma)
        mean = gamma * means
        square = gamma * torch.exp(2 * log_scale) + mean * means
        own = gamma * (torch.log(gamma) - log_scale - 0.5) + (1 - gamma) * torch.log1p(-gamma)
        # Mixed precision would round these products: single nats in a divergence.
        with torch.autocast(gamma.device.type, enabled=False):
            crossed = gamma @ (on + off).t() + 0.5 * (square @ precision.t()) - mean @ weighted.t()
        return (own.sum(1, keepdim=True) + crossed - off.sum(1)).to(self.gamma.dtype)


class SpikeSlabMixture(Latent):
    """p(z) = Σ_u π_u p_u(z) with spike-and-slab components, the same for each of n examples.

    The densities of all components are four matrix products, never a (B, U, L) array.

    Args:
        logits: log π up to a constant, shape (U,).
        components: p_u, over (U, L).
        n: number of examples B.
    """

    def __init__(self, logits: Tensor, components: SpikeSlab, n: int) -> None:
        self.logits = logits
        self.components = components
        self.n = n

    def log_prob(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        if mask is not None:
            raise ValueError("a mixture over latents takes no mask")
        slab = self.components.slab
        wide, gamma, mean, log_scale = widened(x, self.components.gamma, slab.mean, slab.log_scale)
        precision = torch.exp(-2 * log_scale)
        weighted = precision * mean
        active = torch.log(gamma) - 0.5 * weighted * mean - log_scale - HALF_LOG_2PI
        zero = (wide == 0).to(wide.dtype)
        # Mixed precision would round these products: single nats in a log-density.
        with torch.autocast(x.device.type, enabled=False):
            log_prob = zero @ torch.log1p(-gamma).t() + (1 - zero) @ active.t() + wide @ weighted.t()
            log_prob = log_prob - 0.5 * (wide.square() @ precision.t())
        return torch.logsumexp(torch.log_softmax(self.logits, 0) + log_prob, 1).to(x.dtype)

    def sample(self, temperature: float = 1.0) -> Tensor:
        drawn = invert(torch.log_softmax(self.logits, 0), noise.uniform(self.logits, self.n))
        slab = self.components.slab
        chosen = Normal(slab.mean[drawn], slab.log_scale[drawn])
        return SpikeSlab(chosen, self.components.gamma[drawn]).sample(temperature)

    def mode(self) -> Tensor:
        return self.components.mode()[self.logits.argmax()].expand(self.n, -1)

    def repeat(self, times: int) -> SpikeSlabMixture:
        return SpikeSlabMixture(self.logits, self.components, self.n * times)


def bernoulli_kl(p: Tensor, q: Tensor) -> Tensor:
    """KL of two coins, p log(p/q) + (1 − p) log((1 − p)/(1 − q)), for 0 < p, q < 1.

    >>> bernoulli_kl(torch.tensor(0.5), torch.tensor(0.5))
    tensor(0.)
    """
    return p * (torch.log(p) - torch.log(q)) + (1 - p) * (torch.log1p(-p) - torch.log1p(-q))
