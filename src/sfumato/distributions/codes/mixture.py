"""Mixtures of diagonal normals over latents: the learned prior, and one of each example."""

from __future__ import annotations

import torch
from torch import Tensor

from sfumato.distributions import noise
from sfumato.distributions.base import Latent, each, widened
from sfumato.distributions.discrete import draw, invert
from sfumato.distributions.normal import HALF_LOG_2PI


class NormalMixture(Latent):
    """p(z) = Σ_k π_k N(z; m_k, s_k²), the same for each of n examples.

    The K densities of a batch are two matrix products, (B, L) × (L, K), never a (B, K, L) array.

    Args:
        logits: log π up to a constant, shape (K,).
        means: m, shape (K, L).
        log_scales: log s, shape (K, L).
        n: number of examples B.
    """

    def __init__(self, logits: Tensor, means: Tensor, log_scales: Tensor, n: int) -> None:
        self.logits = logits
        self.means = means
        self.log_scales = log_scales
        self.n = n

    def log_prob(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        if mask is not None:
            raise ValueError("a mixture over latents takes no mask")
        wide, means, log_scales = widened(x, self.means, self.log_scales)
        precision = torch.exp(-2 * log_scales)
        weighted = precision * means
        constant = (
            torch.log_softmax(self.logits, 0)
            - 0.5 * (weighted * means).sum(1)
            - log_scales.sum(1)
            - means.shape[1] * HALF_LOG_2PI
        )
        # Mixed precision would round these products: single nats in a log-density.
        with torch.autocast(x.device.type, enabled=False):
            components = torch.addmm(constant, wide, weighted.t()) - 0.5 * (wide.square() @ precision.t())
        return torch.logsumexp(components, 1).to(x.dtype)

    def sample(self, temperature: float = 1.0) -> Tensor:
        chosen = invert(torch.log_softmax(self.logits, 0), noise.uniform(self.logits, self.n))
        inside = noise.tempered(temperature, self.means, self.n, self.means.shape[1])
        return self.means[chosen] + torch.exp(self.log_scales[chosen]) * inside

    def mode(self) -> Tensor:
        return self.means[self.logits.argmax()].expand(self.n, -1)

    def repeat(self, times: int) -> NormalMixture:
        return NormalMixture(self.logits, self.means, self.log_scales, self.n * times)


class OwnMixture(Latent):
    """p(z) = Σ_k π_k N(z; m_k, s_k²), another one for each of B examples.

    Args:
        logits: log π up to a constant, shape (B, K).
        means: m, shape (B, K, L).
        log_scales: log s, shape (B, K, L).

    >>> mixture = OwnMixture(torch.zeros(3, 2), torch.zeros(3, 2, 4), torch.zeros(3, 2, 4))
    >>> mixture.sample().shape, mixture.log_prob(torch.zeros(3, 4))
    (torch.Size([3, 4]), tensor([-3.6758, -3.6758, -3.6758]))
    """

    def __init__(self, logits: Tensor, means: Tensor, log_scales: Tensor) -> None:
        self.logits = logits
        self.means = means
        self.log_scales = log_scales

    def log_prob(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        if mask is not None:
            raise ValueError("a mixture over latents takes no mask")
        standard = (x[:, None] - self.means) * torch.exp(-self.log_scales)
        inside = -0.5 * standard.square().sum(2) - self.log_scales.sum(2) - x.shape[1] * HALF_LOG_2PI
        return torch.logsumexp(inside + torch.log_softmax(self.logits, 1), 1)

    def sample(self, temperature: float = 1.0) -> Tensor:
        rows, chosen = torch.arange(len(self.logits), device=self.logits.device), draw(self.logits)
        means = self.means[rows, chosen]
        return means + torch.exp(self.log_scales[rows, chosen]) * noise.tempered(temperature, means)

    def mode(self) -> Tensor:
        """The mean of the component of the largest weight."""
        return self.means[torch.arange(len(self.logits), device=self.logits.device), self.logits.argmax(1)]

    def repeat(self, times: int) -> OwnMixture:
        return OwnMixture(*(each(part, times) for part in (self.logits, self.means, self.log_scales)))
