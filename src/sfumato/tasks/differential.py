"""Differences of counts between two groups of examples, with what is not known of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from sfumato.batch import Batch
from sfumato.distributions import noise
from sfumato.distributions.counts import Counts
from sfumato.errors import SfumatoError
from sfumato.models.protocols import Encodes
from sfumato.tasks.shrinkage import Shrunken, shrunken

CORRECTION_ROUNDS, CODE_STEPS = 4, 4
"""Rounds in which the spread of corrections is estimated, and Newton steps of corrections in each."""
SPREAD_START, LEAST_SPREAD = 0.5, 0.05
LARGEST_STEP = 1.0
LEAST_ERROR = 1e-3
NEAREST_SHARE = 0.05
"""log₂ fold changes that are this close to the usual one are taken as usual."""

Decoded = Callable[[Batch, bool, Tensor | None], Counts]
"""Examples, whether codes are drawn, and conditions that replace theirs to the decoder's distribution of counts."""


class Corrections(NamedTuple):
    """What group means are multiplied by, as logarithms.

    Attributes:
        mean: of each entry, (D,).
        deviation: (D,).
    """

    mean: Tensor
    deviation: Tensor


@dataclass(frozen=True)
class Differences:
    """Log fold changes of D entries between two groups, in draws of what is not known.

    Attributes:
        draws: log₂ of the ratio of the mean shares of both groups, (S, D).
        shares: mean share of each entry in the first and in the second group, (2, D).
        spread: standard deviation of the corrections.
    """

    draws: Tensor
    shares: Tensor
    spread: float

    def shrunken(self) -> Shrunken:
        """Posteriors of the log fold changes under a prior learned from all of them, which knows how many are 0."""
        return shrunken(self.draws.mean(0), self.draws.std(0).clamp_min(LEAST_ERROR), NEAREST_SHARE)


def decoder_of(model: Encodes) -> Decoded:
    """How a model decodes examples.

    Raises:
        SfumatoError: from the result, where the likelihood is none of counts.
    """

    def decoded(batch: Batch, draw: bool, given: Tensor | None) -> Counts:
        q = model.encode(batch)
        p = model.decode(q.sample() if draw else q.mode(), batch.given if given is None else given)
        if not isinstance(p, Counts):
            raise SfumatoError("differential expression is for counts; fit with a likelihood such as negative_binomial")
        return p

    return decoded


def differences(
    decoded: Decoded, groups: Sequence[Sequence[Batch]], given: Sequence[Tensor | None], draws: int
) -> Differences:
    """Draws of the log fold change of each entry between two groups.

        lfc_d = log₂ Σ_i w_i π_id e^{t_d} (first group) − the same of the second

    π is what the decoder says of a drawn code of an example; w are Bayesian bootstrap weights of the examples of a
    group (Rubin 1981), which stand for other examples that might have been measured. t_d corrects what the decoder says
    of the whole group by what was counted there: x_id ~ f(· ; l_i π_id e^{t_d}) with t_d ~ N(0, τ²), by Laplace's
    approximation; τ is estimated from all entries of both groups. Where a group is large, e^t brings the mean to that
    of the counts whatever the decoder says; where it is small, the decoder is trusted as far as τ allows.

    Args:
        decoded: how examples are decoded.
        groups: the examples of the first and of the second group, in batches.
        given: S conditions, (1, G) each, under which examples of both groups are decoded in a draw, NaN for those that
            stay as they are; None leaves all as they are.
        draws: S.
    """
    found, spread = corrections(decoded, groups)
    sides = [_mean_shares(decoded, group, given, draws) for group in groups]
    logs = []
    for side, correction in zip(sides, found, strict=True):
        drawn = correction.mean + correction.deviation * noise.normal(side)
        logs.append(side.clamp_min(1e-30).log() + drawn)
    corrected = torch.stack([log.exp().mean(0) for log in logs])
    return Differences((logs[0] - logs[1]) / math.log(2), corrected, spread)


def corrections(decoded: Decoded, groups: Sequence[Sequence[Batch]]) -> tuple[list[Corrections], float]:
    """t of each group, and τ: by EM on the approximate posteriors of t."""
    spread = SPREAD_START
    found: list[Corrections] = []
    for _ in range(CORRECTION_ROUNDS):
        starts: list[Tensor | None] = [each.mean for each in found] if found else [None] * len(groups)
        found = [_correction(decoded, group, spread, start) for group, start in zip(groups, starts, strict=True)]
        second = torch.cat([each.mean**2 + each.deviation**2 for each in found])
        spread = max(float(second.mean().sqrt()), LEAST_SPREAD)
    return found, spread


class _Slopes(NamedTuple):
    """Sums over examples of what log f says of t, (D,) each.

    Attributes:
        first: the derivatives.
        second: minus the second derivatives.
        squares: the squares of the derivatives.
    """

    first: Tensor
    second: Tensor
    squares: Tensor


def _correction(decoded: Decoded, group: Sequence[Batch], spread: float, start: Tensor | None) -> Corrections:
    """The mode of t by Newton steps, and its deviation.

    The deviation allows for counts that vary more than the likelihood has it (White 1982): with I = −Σ ∂²log f/∂t² and
    J = Σ (∂ log f/∂t)², it is √(max(I, J) + τ⁻²)/(I + τ⁻²).
    """
    t, deviation = start, torch.zeros(())
    for _ in range(CODE_STEPS):
        parts = [_slopes(decoded(batch, False, None), batch, t) for batch in group]
        first, second, squares = (torch.stack(each).sum(0) for each in zip(*parts, strict=True))
        t = torch.zeros_like(first) if t is None else t
        information = second.clamp_min(0) + spread**-2
        deviation = (torch.maximum(second, squares) + spread**-2).sqrt() / information
        t = t + ((first - t / spread**2) / information).clamp(-LARGEST_STEP, LARGEST_STEP)
    assert t is not None, "steps were taken"
    return Corrections(t, deviation)


def _slopes(p: Counts, batch: Batch, t: Tensor | None) -> _Slopes:
    x = batch.x.to(p.log_share)
    log_mean = x.sum(1, keepdim=True).clamp_min(1e-8).log() + p.log_share
    with torch.inference_mode(False), torch.enable_grad():
        moved = (log_mean if t is None else log_mean + t).clone().requires_grad_()
        (first,) = torch.autograd.grad(p.log_mass(x.clone(), moved).sum(), moved, create_graph=True)
        (second,) = torch.autograd.grad(first.sum(), moved)
    seen = torch.ones_like(x) if batch.mask is None else batch.mask.to(x)
    first = first.detach() * seen
    return _Slopes(first.sum(0), -(second * seen).sum(0), (first**2).sum(0))


def _mean_shares(decoded: Decoded, group: Sequence[Batch], given: Sequence[Tensor | None], draws: int) -> Tensor:
    """Σ_i w_i π_i in each draw of codes and weights, (S, D)."""
    parts, weights = [], []
    for batch in group:
        for draw in range(draws):
            p = decoded(batch, True, _conditions(batch, given[draw]))
            w = -torch.log1p(-noise.uniform(p.log_share.new_empty(len(batch))))
            parts.append(w @ p.log_share.exp())
            weights.append(w.sum())
    shares = torch.stack(parts).unflatten(0, (len(group), draws)).sum(0)
    return shares / torch.stack(weights).unflatten(0, (len(group), draws)).sum(0)[:, None]


def _conditions(batch: Batch, given: Tensor | None) -> Tensor | None:
    """Conditions of a draw; those that are NaN there stay as they are in the batch."""
    if given is None or batch.given is None:
        return None
    return torch.where(given.isnan(), batch.given, given.to(batch.given))


def called(probability: Tensor, rate: float) -> tuple[Tensor, Tensor]:
    """The entries that are called different, and the expected share of false ones down to each.

    The most probable ones are called as long as the mean of 1 − p among them stays within `rate`.

    Args:
        probability: that each entry is different, (D,).
        rate: share of false ones among those called that is accepted in expectation.

    Returns:
        Booleans (D,), and the expected share (D,).

    >>> called(torch.tensor([0.2, 0.99, 0.97]), 0.05)
    (tensor([False,  True,  True]), tensor([0.2800, 0.0100, 0.0200]))
    """
    order = probability.argsort(descending=True, stable=True)
    running = (1 - probability[order]).cumsum(0) / torch.arange(1, len(order) + 1, device=order.device)
    expected = torch.empty_like(running)
    expected[order] = running
    return expected <= rate, expected
