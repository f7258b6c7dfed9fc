"""Completion: draws of what is missing of an example, given what is known of it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from operator import itemgetter

import torch
from torch import Tensor

from sfumato.batch import Batch
from sfumato.distributions import Allowed, Latent, RecordDistribution, noise
from sfumato.distributions.base import each
from sfumato.evaluation.subject import rows
from sfumato.models.protocols import Classifies, EncodesParts, LatentSpace

LOW_EFFECTIVE = 10.0
"""Effective draws below which an example gets more."""
MORE = 8
"""How many times as many."""
PRIOR_SHARE = 0.1
"""Share of the proposals of codes that come from the prior, so that weights are bounded."""


@dataclass(frozen=True)
class Particles:
    """Weighted draws of the missing part of B examples, k of each.

    Attributes:
        x: examples with what is missing drawn, (B, k, *shape).
        log_weights: log w of each, up to a constant for each example, (B, k).
        given: their conditions, (B, k, G), or None.

    >>> drawn = Particles(torch.tensor([[[0.0], [1.0]]]), torch.tensor([[0.0, -torch.inf]]))
    >>> drawn.effective().tolist(), drawn.resampled(3).flatten().tolist()
    ([1.0], [0, 0, 0])
    """

    x: Tensor
    log_weights: Tensor
    given: Tensor | None = None

    def __len__(self) -> int:
        return len(self.x)

    @property
    def weights(self) -> Tensor:
        """w / Σ w, (B, k)."""
        return torch.softmax(self.log_weights.double(), 1)

    def effective(self) -> Tensor:
        """Effective draws of each example, (Σ w)² / Σ w², from 1 to k, (B,) (Kong 1992)."""
        return 1 / self.weights.square().sum(1)

    def log_evidence(self) -> Tensor:
        """log (1/k) Σ w, an estimate of log p(x_known | c) that is below it in the mean, (B,)."""
        return torch.logsumexp(self.log_weights, 1) - math.log(self.log_weights.shape[1])

    def resampled(self, n: int) -> Tensor:
        """Which of the k draws n samples are, each in proportion to its weight, (B, n); by systematic resampling.

        As n points at even distances with one random start are looked up among the summed weights, draws of equal
        weights are taken about equally often. The order of the n is random.
        """
        ends = self.weights.cumsum(1)
        start = noise.uniform(ends, len(self), 1)
        points = (torch.arange(n, device=ends.device) + start) / n * ends[:, -1:]
        index = torch.searchsorted(ends, points, right=True).clamp_max(ends.shape[1] - 1)
        return index.gather(1, noise.uniform(ends, len(self), n).argsort(1))

    def quantile(self, level: float) -> Tensor:
        """The least value of each entry with at least this share of the weight up to it, (B, *shape).

        >>> drawn = Particles(torch.tensor([[[3.0], [1.0], [2.0]]]), torch.zeros(1, 3))
        >>> drawn.quantile(0.5)
        tensor([[2.]])
        """
        flat = self.x.flatten(2)
        order = flat.argsort(1)
        below = self.weights.unsqueeze(2).expand_as(flat).gather(1, order).cumsum(1)
        place = (below < level * (1 - 1e-9)).sum(1, keepdim=True).clamp_max(flat.shape[1] - 1)
        return flat.gather(1, order.gather(1, place))[:, 0].view(len(flat), *self.x.shape[2:])

    def at(self, index: Tensor) -> tuple[Tensor, Tensor | None]:
        """The draws (B, n) of each example, and their conditions."""
        rows = torch.arange(len(self), device=self.x.device)[:, None]
        return self.x[rows, index], None if self.given is None else self.given[rows, index]


@dataclass(frozen=True)
class Completer:
    """Draws from p(x_missing | x_known, c) of a fitted model.

        z ~ r(z) = (1 − ε) q(z | x_known, c) + ε p(z | c)        x_missing ~ p(x_missing | z, c, …)
        w = p(x_known | z, c) p(z | c) / r(z)

    q is a partial encoder. Weighted by w, the draws are those of the model's own conditional, exactly as k → ∞
    (self-normalised importance sampling; resampled, Rubin 1988), however good q is; a good q needs few. Entries that
    must lie in a set A have p(x_d ∈ A | z, c) for their factor of w and are drawn from p(x_d | x_d ∈ A, z, c). Where
    entries depend on each other given z, see `Distribution.complete`.

    A model of records is trained to decode all parts from q of any of them, and its prior has room between the codes
    that it has learned, where parts do not go together. There z ~ q, ε = 0, and w has a factor p(x_m,known | z) only
    for a part of which some is known and some is not.

    Attributes:
        model: the first stage.
        encoder: encoder(x, given, mask) → q, such as `sfumato.latents.PartialEncoder`, or the model's own.
        allowed: place of an entry → the values it may take where it is not known.
    """

    model: LatentSpace
    encoder: Callable[[Tensor, Tensor | None, Tensor | None], Latent]
    allowed: Mapping[int, Allowed] | None = None

    def propose(self, batch: Batch, k: int) -> Particles:
        """k weighted draws for each example.

        Args:
            batch: the examples; `mask` is True where they are known.
            k: how many.
        """
        n = len(batch)
        mask = torch.ones_like(batch.x, dtype=torch.bool) if batch.mask is None else batch.mask
        given = None if batch.given is None else each(batch.given, k)
        if isinstance(self.model, Classifies) and given is not None:
            given = self.model.drawn(given)
        x, known = each(batch.x, k), each(mask, k)
        if given is None or not isinstance(self.model, Classifies):
            q: Latent = self.encoder(batch.x, batch.given, mask).repeat(k)
        else:
            q = self.encoder(x, given, known)
        prior = self.model.prior(n * k, given)
        z, own = q.sample(), prior.sample()
        from_prior = noise.uniform(z, len(z), 1) < (0.0 if isinstance(self.model, EncodesParts) else PRIOR_SHARE)
        z = torch.where(from_prior, own.to(z), z)
        log_prior = prior.log_prob(z)
        log_r = torch.logaddexp(q.log_prob(z) + math.log1p(-PRIOR_SHARE), log_prior + math.log(PRIOR_SHARE))
        sets = {place: ends.of_rows(lambda end: each(end, k)) for place, ends in (self.allowed or {}).items()}
        p = self.model.decode(z, given)
        if isinstance(p, RecordDistribution) and isinstance(self.model, EncodesParts):
            drawn, by_part, partly = p.complete_parts(x, known, sets)
            log_w = by_part.where(partly, 0.0).sum(1)
            return Particles(drawn.view(n, k, *drawn.shape[1:]), log_w.view(n, k))
        drawn, log_p = p.complete(x, known, sets)
        shaped = None if given is None else given.view(n, k, -1)
        return Particles(drawn.view(n, k, *drawn.shape[1:]), (log_p + log_prior - log_r).view(n, k), shaped)

    def enough(self, batch: Batch, k: int, *, more: bool = True) -> tuple[Particles, Tensor]:
        """k weighted draws of each example; with `more` of equal weights, from `MORE` times as many, where few count.

        Returns:
            The draws, and how many are effective, (B,).
        """
        particles = self.propose(batch, k)
        effective = particles.effective()
        few = torch.nonzero(effective < LOW_EFFECTIVE)[:, 0]
        for index in few.split(max(len(batch) // MORE, 1)) if more and len(few) else ():
            others = replace(self, allowed=_of_rows(self.allowed, index)).propose(rows(batch, index), MORE * k)
            x, given = others.at(others.resampled(k))
            particles.x[index], particles.log_weights[index] = x, 0.0
            if given is not None and particles.given is not None:
                particles.given[index] = given
            effective[index] = others.effective()
        return particles, effective

    def drawn_from(self, particles: Particles, batch: Batch, n: int, *, mcmc: int = 0) -> tuple[Tensor, Tensor | None]:
        """n draws of each example, resampled from weighted ones.

        Args:
            particles: of these examples.
            batch: the examples.
            n: draws of each.
            mcmc: steps of independence Metropolis (Tierney 1994) that each draw goes on for, with fresh proposals: the
                draws of an example become different ones, and p(x_missing | x_known, c) is left as it is.

        Returns:
            Examples (B, n, *shape), and their conditions (B, n, G) or None.
        """
        index = particles.resampled(n)
        x, given = particles.at(index)
        log_weights = particles.log_weights.gather(1, index)
        for _ in range(mcmc):
            others = self.propose(batch, n)
            accepted = torch.log(noise.uniform(log_weights)) < others.log_weights - log_weights
            log_weights = torch.where(accepted, others.log_weights, log_weights)
            x = torch.where(accepted.view(*accepted.shape, *[1] * (x.dim() - 2)), others.x, x)
            if given is not None and others.given is not None:
                given = torch.where(accepted[..., None], others.given, given)
        return x, given


def _of_rows(allowed: Mapping[int, Allowed] | None, index: Tensor) -> dict[int, Allowed]:
    """The sets of some of the examples."""
    return {place: ends.of_rows(itemgetter(index)) for place, ends in (allowed or {}).items()}
