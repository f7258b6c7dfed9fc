"""Mixed records: parts that are independent of each other given the code, and their experts on the code."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from sfumato.distributions import noise
from sfumato.distributions.base import Distribution, Posterior, each
from sfumato.distributions.codes.mixture import OwnMixture
from sfumato.distributions.normal import Normal
from sfumato.distributions.restricted import Allowed


@dataclass(frozen=True)
class PartDistribution:
    """The distribution of one part of a record.

    Attributes:
        distribution: p(x_m | z) over (B, *shape).
        shape: of the part.
        as_mean: whether its draws are its mean: of images, whose pixels are independent given z, so that a draw adds
            noise to each and nothing else.
    """

    distribution: Distribution
    shape: tuple[int, ...]
    as_mean: bool = False

    @property
    def entries(self) -> int:
        """Number of values of the part."""
        return math.prod(self.shape)

    def drawn(self) -> Tensor:
        """A draw, flat: (B, entries)."""
        return (self.distribution.mode() if self.as_mean else self.distribution.sample()).flatten(1)


class RecordDistribution(Distribution):
    """p(x) = Π_m p_m(x_m) over the flat entries of M parts, one after another, (B, Σ_m D_m).

    >>> from sfumato.distributions import Normal
    >>> one = PartDistribution(Normal(torch.zeros(3, 1, 2), torch.zeros(())), (1, 2))
    >>> both = RecordDistribution([one, PartDistribution(Normal(torch.ones(3, 1), torch.zeros(())), (1,))])
    >>> both.mode()[0], both.log_probs(torch.zeros(3, 3)).shape
    (tensor([0., 0., 1.]), torch.Size([3, 2]))
    """

    def __init__(self, parts: Sequence[PartDistribution]) -> None:
        self.parts = tuple(parts)
        self._sizes = [part.entries for part in parts]

    def log_probs(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """log p_m(x_m) of each part in nats, (B, M); 0 of a part of which nothing is observed."""
        pieces = zip(self.parts, self._cut(x), self._masks(mask), strict=True)
        return torch.stack([part.distribution.log_prob(own, known) for part, own, known in pieces], 1)

    def log_prob(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        return self.log_probs(x, mask).sum(1)

    def sample(self) -> Tensor:
        return torch.cat([part.drawn() for part in self.parts], 1)

    def mode(self) -> Tensor:
        return torch.cat([part.distribution.mode().flatten(1) for part in self.parts], 1)

    def independent(self) -> RecordDistribution:
        return RecordDistribution(
            [PartDistribution(part.distribution.independent(), part.shape, part.as_mean) for part in self.parts]
        )

    def complete(self, x: Tensor, mask: Tensor, allowed: Mapping[int, Allowed] | None = None) -> tuple[Tensor, Tensor]:
        drawn, log_weights, _ = self.complete_parts(x, mask, allowed)
        return drawn, log_weights.sum(1)

    def complete_parts(
        self, x: Tensor, mask: Tensor, allowed: Mapping[int, Allowed] | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """`complete`, with the weight of each part.

        Returns:
            (x, log w, partly): x with the draws in it, (B, D); the log of the weight of each part, (B, M); and of which
            parts something is known but not all, or what is not must lie in a set, (B, M).
        """
        drawn, log_weights, partly, start = [], [], [], 0
        for part, own, known in zip(self.parts, self._cut(x), self._cut(mask), strict=True):
            end = start + part.entries
            sets = {place - start: values for place, values in (allowed or {}).items() if start <= place < end}
            start, flat = end, known.flatten(1)
            if known.all():
                values, weight = own, part.distribution.log_prob(own)
            elif part.as_mean and not sets:
                mean = part.distribution.mode()
                values, weight = torch.where(known, own.to(mean), mean), part.distribution.log_prob(own, known)
            else:
                values, weight = part.distribution.complete(own, known, sets)
            drawn.append(values.flatten(1))
            log_weights.append(weight)
            partly.append(~flat.all(1) & (flat.any(1) | bool(sets)))
        return torch.cat(drawn, 1), torch.stack(log_weights, 1), torch.stack(partly, 1)

    def restricted(self, place: int, allowed: Allowed) -> tuple[Tensor, Tensor]:
        for part in self.parts:
            if place < part.entries:
                return part.distribution.restricted(place, allowed)
            place -= part.entries
        raise IndexError("no part has this entry")

    def features(self) -> Tensor:
        return torch.cat([part.distribution.features() for part in self.parts], 1)

    def _cut(self, values: Tensor) -> list[Tensor]:
        """Flat entries as those of each part, in its shape."""
        pieces = values.split(self._sizes, 1)
        return [piece.reshape(-1, *part.shape) for piece, part in zip(pieces, self.parts, strict=True)]

    def _masks(self, mask: Tensor | None) -> list[Tensor] | list[None]:
        return [None] * len(self.parts) if mask is None else self._cut(mask)


@dataclass(frozen=True)
class Experts:
    """M normal distributions of a code, of which each example has some.

    Attributes:
        means: (B, M, L).
        log_scales: (B, M, L).
        present: which of them an example has, (B, M).
    """

    means: Tensor
    log_scales: Tensor
    present: Tensor

    def among(self, chosen: Tensor) -> Experts:
        """Those of `chosen`, (B, M), alone."""
        return Experts(self.means, self.log_scales, self.present & chosen)

    def product(self) -> Normal:
        """N(0, 1) times those that are there, normalised (Wu and Goodman 2018); N(0, 1) where none is.

        σ⁻² = 1 + Σ_m σ_m⁻²        μ = σ² Σ_m μ_m σ_m⁻²

        >>> one = Experts(torch.full((1, 2, 1), 3.0), torch.zeros(1, 2, 1), torch.tensor([[True, False]]))
        >>> one.product().mean.item(), round(one.product().scale.item() ** 2, 4)
        (1.5, 0.5)
        """
        precisions = torch.exp(-2 * self.log_scales).where(self.present[..., None], 0.0)
        precision = 1 + precisions.sum(1)
        return Normal((precisions * self.means).sum(1) / precision, -0.5 * precision.log())

    def mixture(self) -> ExpertMixture:
        """(1/M) Σ_m of N(0, 1) times one expert, of those that are there (Shi et al. 2019); N(0, 1) where none is."""
        precisions = 1 + torch.exp(-2 * self.log_scales)
        means = self.means * (precisions - 1) / precisions
        none = ~self.present.any(1, keepdim=True)
        own = self.present.clone()
        own[:, :1] |= none
        alone = none[..., None]
        logits = torch.zeros_like(own, dtype=means.dtype).masked_fill(~own, -torch.inf)
        return ExpertMixture(logits, means.masked_fill(alone, 0.0), (-0.5 * precisions.log()).masked_fill(alone, 0.0))


class ExpertMixture(OwnMixture, Posterior):
    """The mixture of some experts; a draw takes one number of noise more than a code has, which chooses the expert."""

    def mode(self) -> Tensor:
        """The mean, Σ_m π_m μ_m: the one code that stands for an example."""
        return (torch.softmax(self.logits, 1)[..., None] * self.means).sum(1)

    def draw(self, noise: Tensor) -> Tensor:
        """Of standard normal noise (B, L + 1): the first number chooses the expert, the others are its draw."""
        ends = torch.softmax(self.logits, 1).cumsum(1)
        share = torch.special.ndtr(noise[:, :1]).to(ends) * ends[:, -1:]
        chosen = torch.searchsorted(ends, share, right=True).clamp_max(ends.shape[1] - 1)[:, 0]
        rows = torch.arange(len(chosen), device=chosen.device)
        return self.means[rows, chosen] + torch.exp(self.log_scales[rows, chosen]) * noise[:, 1:]

    def log_prob_along(self, draw: Tensor) -> Tensor:
        still = ExpertMixture(self.logits, self.means.detach(), self.log_scales.detach())
        return still.log_prob(draw)

    def repeat(self, times: int) -> ExpertMixture:
        return ExpertMixture(*(each(part, times) for part in (self.logits, self.means, self.log_scales)))


def random_subset(present: Tensor, like: Tensor, *, size: int | None = None) -> Tensor:
    """One of the subsets of what is there, all but the empty one equally likely, (B, M) booleans.

    Args:
        present: what is there, (B, M).
        like: a tensor of the device and the type of noise.
        size: 1 for subsets of one alone; None for all.

    >>> random_subset(torch.tensor([[False, True, False], [False, False, False]]), torch.zeros(2)).tolist()
    [[False, True, False], [False, False, False]]
    """
    rank = present.long().cumsum(1) - 1
    count = present.sum(1, keepdim=True)
    share = noise.uniform(like, len(present), 1)
    if size == 1:
        return present & (rank == (share * count).long())
    number = (share * (2.0**count - 1)).long() + 1
    return present & (((number >> rank.clamp_min(0)) & 1) == 1)
