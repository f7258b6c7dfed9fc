"""Codes of examples as data: a fresh draw from q(z | x, c) each time an example comes up."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Self

import torch
from torch import Tensor

from sfumato.batch import Batch
from sfumato.data.core.batching.batches import Batches, Pass, shuffled
from sfumato.distributions import Latent, Normal, StandardNormal
from sfumato.models.base import Model
from sfumato.models.protocols import Classifies, LatentSpace, require
from sfumato.networks.gaussian import full
from sfumato.randomness.generators import current, seeded

MAX_CODES = 50_000
"""Examples whose codes are kept, at most."""
POOLED_DRAWS = 8
"""Draws kept of each example where q is no normal, one of which is taken at random each time."""
ENCODED_AT_A_TIME = 256
MIN_CODE_RATE = 0.01
"""Nats that a latent carries at least to be more than the prior."""
ATOM_SHARE = 0.01
"""Share of draws of a latent that are exactly 0, from which on it has an atom there."""


class Codes(Batches):
    """The codes of N examples, each the distribution q(z | x, c), in the coordinates of `relative`.

    Args:
        centres: means of normal codes, (N, 1, L), or K draws of codes of another distribution, (N, K, L).
        scale: deviations of normal codes, (N, L); None for draws.
        given: conditions, (N, G), or None.
        rates: nats that each latent carries in the mean, (L,), where q and the prior are normal; None otherwise.

    >>> codes = Codes(torch.zeros(4, 1, 2), torch.ones(4, 2))
    >>> [batch.x.shape for batch in codes.epoch(3)]
    [torch.Size([3, 2]), torch.Size([1, 2])]
    """

    labels = None

    def __init__(
        self,
        centres: Tensor,
        scale: Tensor | None = None,
        given: Tensor | None = None,
        rates: Tensor | None = None,
    ) -> None:
        self._centres = centres
        self._scale = scale
        self._given = given
        self._rates = rates

    @classmethod
    def of(cls, model: Model, examples: Batches, *, seed: int = 0, largest: int = MAX_CODES) -> Self:
        """The codes of examples, of `largest` chosen at random where there are more.

        Raises:
            SfumatoError: if the codes are no points of a continuous space.
        """
        space, device = require(model, LatentSpace, "fit a sampler to its codes"), next(model.parameters()).device
        index = torch.arange(len(examples))
        if len(index) > largest:
            index = torch.randperm(len(index), generator=torch.Generator().manual_seed(seed))[:largest].sort().values
        pieces = []
        with seeded(device, seed, model), torch.no_grad():
            for rows in index.split(ENCODED_AT_A_TIME):
                batch = examples.take(rows).to(device)
                batch = model.labelled(batch) if isinstance(model, Classifies) else batch
                pieces.append((*_posterior(space, batch), batch.given))
        centres, scales, rates, given = zip(*pieces, strict=True)
        carried = _joined(rates)
        mean_rates = None if carried is None else carried.mean(0)
        return cls(full(torch.cat(centres)).cpu(), _joined(scales), _joined(given), mean_rates)

    def __len__(self) -> int:
        return len(self._centres)

    @property
    def code_size(self) -> int:
        """Numbers of a code L."""
        return self._centres.shape[2]

    @property
    def given(self) -> Tensor | None:
        return self._given

    @property
    def has_atoms(self) -> bool:
        """Whether a latent is exactly 0 in many draws, so that codes have no density."""
        return bool(((self._centres[:, 0] == 0).double().mean(0) > ATOM_SHARE).any()) and self._scale is None

    def to(self, device: torch.device | str) -> Codes:
        parts = (self._centres, self._scale, self._given, self._rates)
        return Codes(*(None if part is None else part.to(device) for part in parts))  # type: ignore[arg-type]

    def active(self) -> Tensor:
        """Indices of the latents that carry something; all where that is not known."""
        if self._rates is None:
            return torch.arange(self.code_size)
        return torch.nonzero(self._rates > MIN_CODE_RATE)[:, 0]

    def only(self, latents: Tensor) -> Codes:
        """The codes of some latents alone."""
        scale = None if self._scale is None else self._scale[:, latents]
        return Codes(self._centres[:, :, latents], scale, self._given)

    def take(self, index: Tensor | slice) -> Batch:
        """The means, or the first draws kept."""
        return Batch(self._centres[index, 0], None if self._given is None else self._given[index])

    def draw(self, seed: int) -> Batch:
        """One draw for each example, in their order."""
        with seeded(self._centres.device, seed):
            return next(self.epoch(len(self)))

    def one_pass(self, wanted: Pass) -> Iterator[Batch]:
        total, size, device = len(self), wanted.size, self._centres.device
        order = torch.arange(total) if wanted.seed is None else shuffled(total, wanted.seed)
        for start in range(wanted.skip * size, total, size):
            joint = min(size, total - start)
            if wanted.drop_last and joint < size:
                return
            mine = wanted.own_rows(joint)
            index = order[start : start + joint][mine].to(device)
            yield Batch(self._drawn(index, joint, mine), None if self._given is None else self._given[index])

    def _drawn(self, index: Tensor, joint: int, mine: slice) -> Tensor:
        """A draw for each example of `index`, from noise of the whole joint batch, so that all processes agree."""
        device, kept = self._centres.device, self._centres.shape[1]
        if self._scale is None:
            which = torch.randint(kept, (joint,), device=device, generator=current(device))[mine]
            return self._centres[index, which]
        noise = torch.randn(joint, self.code_size, device=device, generator=current(device))[mine]
        return self._centres[index, 0] + self._scale[index] * noise


def _joined(parts: Sequence[Tensor | None]) -> Tensor | None:
    present = [part for part in parts if part is not None]
    return full(torch.cat(present)).cpu() if present else None


def _posterior(model: LatentSpace, batch: Batch) -> tuple[Tensor, Tensor | None, Tensor | None]:
    """Centres and deviations of q(z | x, c) and the rate of each latent, as `Codes` has them but for each example."""
    q, prior = model.encode(batch), model.prior(len(batch), batch.given)
    if isinstance(q, Normal):
        scale = q.scale.expand_as(q.mean)
        rates = q.kl(prior) if isinstance(prior, Normal | StandardNormal) else None
        return relative(prior, q.mean)[:, None], scale / prior.scale if isinstance(prior, Normal) else scale, rates
    return torch.stack([relative(prior, q.sample()) for _ in range(POOLED_DRAWS)], 1), None, None


def relative(prior: Latent, z: Tensor) -> Tensor:
    """(z − μ)/σ where the prior is a normal N(μ, σ²); z itself where it is another, (n, L).

    In these coordinates a prior that is learned from conditions is the standard normal under all of them.
    """
    return (z - prior.mean) / prior.scale if isinstance(prior, Normal) else z


def absolute(prior: Latent, codes: Tensor) -> Tensor:
    """Back from `relative`: μ + σ·code, (n, L)."""
    return prior.mean + prior.scale * codes if isinstance(prior, Normal) else codes
