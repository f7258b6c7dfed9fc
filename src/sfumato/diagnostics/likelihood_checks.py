"""Sicknesses of the likelihood: a scale that does not fit the data, or values that it cannot mean."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from sfumato.diagnostics.case import Case
from sfumato.diagnostics.finding import Finding, Well
from sfumato.distributions import Bernoulli, Columns, Distribution, Normal, Scaled
from sfumato.evaluation.subject import array
from sfumato.formatting import figure, percent
from sfumato.likelihoods import named
from sfumato.networks.heads.base import LOG_SCALE_FLOOR

FACTOR = 2.0
"""A deviation that is wrong by this costs 0.3 nats for each value (½(r − 1 − log r) at r = ¼)."""


def scale_at_floor(case: Case) -> Finding | Well | None:
    """A learned σ lies where only its bound holds it: its raw value is below the floor, log σ ≤ −6 + log 2."""
    found = _normal(case)
    if found is None or named(case.spec.likelihood).unit_scale:
        return None
    normal, _, _ = found
    lowest = array(normal.log_scale.reshape(-1, *normal.log_scale.shape[-1:]).amax(0))
    low = lowest <= LOG_SCALE_FLOOR + math.log(2)
    if not low.any():
        sigma = float(np.exp(lowest.min()))
        return Well(f"σ is {figure(sigma)} or more", {"at_floor": 0.0, "sigma": sigma})
    kind = "columns" if case.spec.entries == len(lowest) else "channels"
    which = f"{int(low.sum())} of {len(low)} {kind}" if len(low) > 1 else "the data"
    return Finding(
        "scale_at_floor",
        "serious",
        f"σ lies at its floor ({figure(float(np.exp(lowest.min())))} of a standard deviation) for {which}: they are "
        "predicted all but exactly, so they repeat, are rounded, or follow from others. A density of such values grows "
        "without end, and drowns the rest.",
        {"at_floor": int(low.sum()), "of": len(low), "sigma": float(np.exp(lowest.min()))},
        number="at_floor",
        better="lower",
        cure=case.first(case.joint_likelihood),
    )


def scale_mismatched(case: Case) -> Finding | Well | None:
    """σ = 1 is fixed (the squared error), and the residuals deviate by less than half or more than twice of that."""
    found = _normal(case)
    if found is None or not named(case.spec.likelihood).unit_scale:
        return None
    normal, x, mask = found
    squares = (x - normal.mean).square()
    squares = squares[mask] if mask is not None else squares
    sigma = float(squares.double().mean().sqrt())
    saved = 0.5 * (sigma**2 - 1 - 2 * math.log(sigma)) * case.spec.entries
    if 1 / FACTOR <= sigma <= FACTOR:
        return Well(f"σ = 1 fits ({figure(sigma)})", {"saved": saved})
    return Finding(
        "scale_mismatched",
        "serious",
        f"The squared error takes σ to be 1, but what is left after reconstruction deviates by {figure(sigma)}: the "
        f"code is underpaid for what it says, and samples are too noisy. A learned σ is worth {figure(saved)} nats per "
        "example, before anything else changes.",
        {"sigma": sigma, "saved": saved},
        number="saved",
        better="lower",
        cure=case.first({"likelihood": "gaussian"}),
    )


def not_binary(case: Case) -> Finding | Well | None:
    """A Bernoulli likelihood of values that are no draws of 0 and 1: they deviate by less than half of p(1 − p)."""
    p, batch = _decoded(case)
    bernoulli = p.base if isinstance(p, Scaled) else p
    if not isinstance(bernoulli, Bernoulli):
        return None
    chance = torch.sigmoid(bernoulli.logits.double())
    x = batch / p.top if isinstance(p, Scaled) else batch
    claimed, there = (chance * (1 - chance)).mean(), (x.double() - chance).square().mean()
    ratio = float(there / claimed)
    grey = float(((x > 0) & (x < 1)).double().mean())
    if ratio >= 0.5 or grey == 0:
        return Well("values scatter as 0/1 draws do", {"scatter": ratio})
    return Finding(
        "not_binary",
        "minor",
        f"The Bernoulli likelihood is for values of 0 and 1, and {percent(grey)} of these lie between. They scatter "
        f"by {percent(ratio)} of what it says, so scores are no log-likelihoods and samples are speckled.",
        {"scatter": ratio, "between": grey},
        number="scatter",
        cure=case.first({"likelihood": "gaussian", "binarise": "auto"}, {"likelihood": "gaussian"}),
    )


def _decoded(case: Case) -> tuple[Distribution, Tensor]:
    batch = case.held_out
    return case.model.decode(case.model.encode(batch).mode(), batch.given), batch.x


def _normal(case: Case) -> tuple[Normal, Tensor, Tensor | None] | None:
    """The normal part of what the decoder says of held-out examples, with the values and mask it is of."""
    p, x = _decoded(case)
    mask = case.held_out.mask
    if isinstance(p, Scaled) and isinstance(p.base, Normal):
        return p.base, x / p.top, mask
    if isinstance(p, Normal):
        return p, x, mask
    if isinstance(p, Columns) and len(p.layout.real):
        real = p.layout.real
        return p.normal, x[:, real], None if mask is None else mask[:, real]
    return None
