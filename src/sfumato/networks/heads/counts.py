"""Heads of counts: shares of an example's total."""

from __future__ import annotations

import math
from functools import partial

import torch
from torch import Tensor, nn

from sfumato.distributions import noise
from sfumato.distributions.counts import Counts, NegativeBinomial, Poisson, ZeroInflated
from sfumato.networks.heads.base import COLUMNS, Head, register
from sfumato.spec import CountStatistics, DataSpec

LOG_DISPERSION_LIMIT = 10.0
DISPERSION_PACE = 5.0
"""log θ moves five times as fast as a weight, as learned scales do, and stays within ±10."""
GATE_START = -3.0
"""Logit of the share of zeros that are none of the counts' own, at the start."""
CONDITION_SPREAD = 0.3
"""How far apart, in standard deviations, numbers may be that count as the same condition when totals are drawn."""


class Totals(nn.Module):
    """Totals of new examples: those of the training split, under conditions those of examples with the same ones.

    Args:
        counts: totals seen in training, and their conditions.
        ordered: which conditions are numbers.
    """

    seen: Tensor
    given: Tensor
    ordered: Tensor
    usual: Tensor

    def __init__(self, counts: CountStatistics, ordered: tuple[bool, ...]) -> None:
        super().__init__()
        seen = torch.tensor(counts.totals)
        rows = [[math.nan if value is None else value for value in row] for row in counts.given]
        self.register_buffer("seen", seen, persistent=False)
        self.register_buffer("given", torch.tensor(rows).reshape(len(seen), -1), persistent=False)
        self.register_buffer("ordered", torch.tensor(ordered, dtype=torch.bool), persistent=False)
        self.register_buffer("usual", seen.median(), persistent=False)

    def draw(self, n: int, given: Tensor | None) -> Tensor:
        """A total for each of n examples under conditions (n, G), (n,)."""
        if given is None or not self.given.shape[1]:
            return self.seen[(noise.uniform(self.seen.new_empty(n)) * len(self.seen)).long()]
        return torch.cat([self._nearest(rows) for rows in given.split(1024)])

    def _nearest(self, given: Tensor) -> Tensor:
        """One of the totals whose conditions agree with the most categories and have the nearest numbers."""
        gap = (given[:, None] - self.given.to(given)).nan_to_num(0.0)
        gap = torch.where(self.ordered, gap.abs(), 1e3 * (gap != 0).to(gap))
        tie = CONDITION_SPREAD * noise.uniform(given.new_empty(len(given), len(self.seen)))
        return self.seen.to(given)[(gap.sum(2) + tie).argmin(1)]


class CountsHead(Head):
    """Vectors of counts: log π_d = ρ_d + log of how frequent entry d is in training, up to what makes Σ π_d = 1.

    Args:
        spec: of the data.
        poisson: no dispersion; the variance is the mean.
        inflated: a gate for zeros of each entry.
    """

    log_frequency: Tensor

    def __init__(self, spec: DataSpec, *, poisson: bool = False, inflated: bool = False) -> None:
        super().__init__()
        self.entries = spec.entries
        counts = spec.counts or CountStatistics((1 / spec.entries,) * spec.entries, (float(spec.entries),))
        self.raw = (2 * spec.entries if inflated else spec.entries,)
        self.register_buffer("log_frequency", torch.tensor(counts.frequencies).log(), persistent=False)
        ordered = tuple(field.kind != "category" for field in spec.given) if counts.given else ()
        self.totals = Totals(counts, ordered)
        self.log_dispersion = None if poisson else nn.Parameter(torch.zeros(spec.entries))

    def forward(self, raw: Tensor) -> Counts:
        return self.under(raw, None)

    def under(self, raw: Tensor, given: Tensor | None) -> Counts:
        rho, gate = raw[:, : self.entries], raw[:, self.entries :]
        log_share = torch.log_softmax(rho + self.log_frequency.to(rho), 1)
        totals = partial(self._drawn, log_share, given)
        usual = self.totals.usual.to(log_share)
        if self.log_dispersion is None:
            return Poisson(log_share, totals, usual)
        limit = LOG_DISPERSION_LIMIT
        counts = NegativeBinomial(
            log_share, totals, usual, limit * torch.tanh(DISPERSION_PACE * self.log_dispersion / limit)
        )
        return ZeroInflated(counts, gate + GATE_START) if gate.shape[1] else counts

    def _drawn(self, log_share: Tensor, given: Tensor | None) -> Tensor:
        return self.totals.draw(len(log_share), given).to(log_share)


register("negative_binomial", CountsHead, on=COLUMNS)
register("zero_inflated_negative_binomial", partial(CountsHead, inflated=True), on=COLUMNS)
register("poisson", partial(CountsHead, poisson=True), on=COLUMNS)
