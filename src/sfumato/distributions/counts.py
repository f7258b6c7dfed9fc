"""Distributions of counts whose expectation is a share of the example's total (its library size)."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping
from copy import copy

import torch
from torch import Tensor
from torch.nn import functional as F

from sfumato.distributions import noise
from sfumato.distributions.base import Distribution, observed, sum_event
from sfumato.distributions.restricted import Allowed

SHIFT = 4
"""Stirling's series is taken this far above an argument, where three of its terms are exact in single precision."""
LEAST_TOTAL = 1e-8
"""What the logarithm of a total of 0 is taken of; the expectation itself is 0."""
USUAL_TOTAL = 1e4
"""The total that `features` are brought to."""


def log_rising(x: Tensor, a: Tensor) -> Tensor:
    """log Γ(x + a)/Γ(a) − x·log(x + a + 4) + x, for x ≥ 0 and a > 0.

    What is left out is nearly all of it where x is large, and cancels where two of these are subtracted, so that the
    difference is exact to single precision however large x and a are. The gamma functions themselves would be so
    large that nothing is left of their difference.

    >>> x, a = torch.tensor([3.0]), torch.tensor([2.5])
    >>> (log_rising(x, a) + x * torch.log(x + a + 4) - x).item(), (2.5 * 3.5 * 4.5)  # Γ(5.5)/Γ(2.5)
    (3.673..., 39.375)
    """
    shifted = a + SHIFT
    near = torch.log((1 + x / a) * (1 + x / (a + 1))) + torch.log((1 + x / (a + 2)) * (1 + x / (a + 3)))
    return (shifted - 0.5) * torch.log1p(x / shifted) + _series(x + shifted) - _series(shifted) - near


def _series(a: Tensor) -> Tensor:
    """Stirling's series without its first terms: log Γ(a) − (a − ½)·log a + a − ½·log 2π."""
    inverse = 1 / a
    square = inverse * inverse
    return inverse * (1 / 12 - square * (1 / 360 - square * (1 / 1260 - square / 1680)))


class Counts(Distribution):
    """D counts of an example, independent given its code and its total l.

        p(x | z, l) = Π_d f(x_d; μ_d),  μ = l·π,  π = softmax(ρ)

    `log_prob` takes l from x: its sum, or where entries are missing the sum of the others over their share of π. So it
    is the probability of the counts of an example of this size, and nothing is said of how large examples are. `sample`
    and `mode` do not know x: a draw has a total as examples of the training split have, the mode the median of these,
    unless `with_total_of` gave one.

    Args:
        log_share: log π, shape (B, D).
        totals: called without arguments, draws a total for each example, (B,).
        usual: the median total, a scalar.
    """

    def __init__(self, log_share: Tensor, totals: Callable[[], Tensor], usual: Tensor) -> None:
        self.log_share, self._totals, self._usual = log_share, totals, usual
        self._total: Tensor | None = None

    @abstractmethod
    def log_mass(self, x: Tensor, log_mean: Tensor) -> Tensor:
        """log f(x; μ) of each entry, (B, D)."""

    @abstractmethod
    def drawn(self, mean: Tensor) -> Tensor:
        """Draws of f(·; μ), (B, D)."""

    def mean(self, mean: Tensor) -> Tensor:
        """The expectation of f(·; μ): μ itself unless overridden."""
        return mean

    def log_prob(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        x = observed(x, mask).to(self.log_share.dtype)
        total = self._total_of(x, mask).nan_to_num(0.0)
        return sum_event(self.log_mass(x, total.clamp_min(LEAST_TOTAL).log()[:, None] + self.log_share), mask)

    def with_total_of(self, x: Tensor, mask: Tensor | None = None) -> Counts:
        sized = copy(self)
        sized._total = self._total_of(observed(x, mask).to(self.log_share.dtype), mask)
        return sized

    def sample(self) -> Tensor:
        total = self._totals()
        if self._total is not None:
            total = torch.where(self._total.isnan(), total, self._total)
        return self.drawn(total[:, None] * self.log_share.exp())

    def mode(self) -> Tensor:
        total = self._usual if self._total is None else torch.where(self._total.isnan(), self._usual, self._total)
        return self.mean(total.reshape(-1, 1) * self.log_share.exp())

    def complete(self, x: Tensor, mask: Tensor, allowed: Mapping[int, Allowed] | None = None) -> tuple[Tensor, Tensor]:
        sized = self.with_total_of(x, mask)
        return super(Counts, sized).complete(x, mask, allowed)

    def features(self) -> Tensor:
        """log(1 + 10⁴·π): what an example would hold if it had a total of 10,000, on the scale of logarithms."""
        return torch.log1p(self.mean(USUAL_TOTAL * self.log_share.exp()))

    def _total_of(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """l, (B,); NaN where nothing is observed."""
        if mask is None:
            return x.sum(1)
        seen = self.log_share.exp().masked_fill(~mask, 0).sum(1)
        return torch.where(mask.any(1), x.sum(1) / seen.clamp_min(torch.finfo(seen.dtype).tiny), torch.nan)


class Poisson(Counts):
    """log f(x; μ) = x·log μ − μ − log x!"""

    def log_mass(self, x: Tensor, log_mean: Tensor) -> Tensor:
        return x * (log_mean - torch.log(x + 1 + SHIFT)) + x - log_rising(x, torch.ones_like(x)) - log_mean.exp()

    def drawn(self, mean: Tensor) -> Tensor:
        return noise.poisson(mean)


class NegativeBinomial(Counts):
    """A Poisson distribution whose rate is gamma distributed: variance μ + μ²/θ, and Poisson as θ → ∞.

        log f(x; μ) = log Γ(x + θ)/(Γ(θ) x!) + θ·log θ/(θ + μ) + x·log μ/(θ + μ)

    Args:
        log_share, totals, usual: as `Counts` takes them.
        log_dispersion: log θ, broadcastable to (B, D); the larger, the closer to Poisson.
    """

    def __init__(self, log_share: Tensor, totals: Callable[[], Tensor], usual: Tensor, log_dispersion: Tensor) -> None:
        super().__init__(log_share, totals, usual)
        self.log_dispersion = log_dispersion

    def log_mass(self, x: Tensor, log_mean: Tensor) -> Tensor:
        size = self.log_dispersion.exp()
        # log (x + θ + 4)/(x + 5), which is what `log_rising` leaves out, once of θ and once of 1.
        ratio = torch.log1p((size - 1) / (x + 1 + SHIFT))
        share = F.softplus(self.log_dispersion - log_mean)
        rising = log_rising(x, size) - log_rising(x, torch.ones_like(x))
        return x * (ratio - share) + rising - size * F.softplus(log_mean - self.log_dispersion)

    def drawn(self, mean: Tensor) -> Tensor:
        size = self.log_dispersion.exp().expand_as(mean)
        return noise.poisson(noise.gamma(size) / size * mean)


class ZeroInflated(Counts):
    """Counts that are 0 more often than their distribution says: f(x) = ω·[x = 0] + (1 − ω)·g(x).

    Args:
        base: g, with its total.
        gate: logits of ω, (B, D).
    """

    def __init__(self, base: Counts, gate: Tensor) -> None:
        super().__init__(base.log_share, base._totals, base._usual)
        self.base, self.gate = base, gate

    def log_mass(self, x: Tensor, log_mean: Tensor) -> Tensor:
        there = self.base.log_mass(x, log_mean) + F.logsigmoid(-self.gate)
        return torch.where(x == 0, torch.logaddexp(F.logsigmoid(self.gate), there), there)

    def drawn(self, mean: Tensor) -> Tensor:
        return self.base.drawn(mean) * (noise.uniform(mean) >= torch.sigmoid(self.gate))

    def mean(self, mean: Tensor) -> Tensor:
        return torch.sigmoid(-self.gate) * self.base.mean(mean)
