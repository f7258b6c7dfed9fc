"""Adaptive shrinkage: many effects, each known up to an error, by a prior that is learned from all of them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

NULL_PENALTY = 10.0
"""Usual effects that the prior is given beforehand, so that it errs on the side of these."""
EM_ROUNDS, BISECTIONS = 300, 60
SCALES_PER_DOUBLING = 2
SMALLEST_MASS = 1e-300


@dataclass(frozen=True)
class Shrunken:
    """Posteriors of D effects, each a mixture of K normals.

    Attributes:
        weights: (D, K).
        means: (D, K).
        deviations: (D, K), above 0.
    """

    weights: Tensor
    means: Tensor
    deviations: Tensor

    @property
    def mean(self) -> Tensor:
        """(D,)."""
        return (self.weights * self.means).sum(1)

    @property
    def deviation(self) -> Tensor:
        """(D,)."""
        second = (self.weights * (self.means**2 + self.deviations**2)).sum(1)
        return (second - self.mean**2).clamp_min(0).sqrt()

    def below(self, value: Tensor) -> Tensor:
        """P(effect ≤ value), (D,)."""
        return (self.weights * torch.special.ndtr((value[:, None] - self.means) / self.deviations)).sum(1)

    def beyond(self, threshold: float) -> Tensor:
        """P(|effect| > threshold), (D,)."""
        ends = torch.full_like(self.weights[:, 0], threshold)
        return (1 - self.below(ends) + self.below(-ends)).clamp(0, 1)

    def quantile(self, share: float) -> Tensor:
        """The value with P(effect ≤ value) = share, (D,)."""
        reach = (self.means.abs() + 10 * self.deviations).amax(1) + 1e-6
        low, high = -reach, reach
        for _ in range(BISECTIONS):
            middle = (low + high) / 2
            above = self.below(middle) >= share
            low, high = torch.where(above, low, middle), torch.where(above, middle, high)
        return (low + high) / 2


def shrunken(effects: Tensor, errors: Tensor, nearest: float) -> Shrunken:
    """Posteriors of effects β_d of which b_d ~ N(β_d, s_d²) was seen, β_d ~ Σ_k π_k N(c, σ_k²).

    c is the median of b, the usual effect: where shares of a whole are compared, some that rise let all others sink.
    σ goes by √2 from `nearest`, as hardly any effect is exactly another, to twice the largest effect; π is the
    likeliest one, by EM, with 10 usual effects added (Stephens 2017, False discovery rates: a new deal).

    Args:
        effects: b, (D,).
        errors: s, above 0, (D,).
        nearest: how far from the usual effect those are that are called usual.

    >>> posterior = shrunken(torch.tensor([0.1, -0.2, 0.05, 5.0]).double(), torch.full((4,), 0.2).double(), 0.05)
    >>> posterior.mean.round(decimals=1).tolist()
    [0.1, 0.0, 0.1, 5.0]
    """
    centre = effects.median()
    effects = effects - centre
    most = max(2 * float(effects.abs().max()), 2 * nearest)
    steps = math.ceil(SCALES_PER_DOUBLING * math.log2(most / nearest))
    variance = (nearest * 2 ** (torch.arange(steps + 1).to(effects) / SCALES_PER_DOUBLING)) ** 2
    total = variance + errors[:, None] ** 2
    log_density = -0.5 * (effects[:, None] ** 2 / total + total.log())
    penalty = torch.zeros_like(variance)
    penalty[0] = NULL_PENALTY
    log_prior = torch.full_like(variance, -math.log(len(variance)))
    weights = torch.softmax(log_density + log_prior, 1)
    for _ in range(EM_ROUNDS):
        counts = weights.sum(0) + penalty
        log_prior = (counts / counts.sum()).clamp_min(SMALLEST_MASS).log()
        weights = torch.softmax(log_density + log_prior, 1)
    kept = variance / total
    means, deviations = centre + kept * effects[:, None], (kept * errors[:, None] ** 2).sqrt()
    return Shrunken(weights, means, deviations)
