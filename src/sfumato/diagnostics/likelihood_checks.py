"""Checks of the likelihood: a scale that does not fit the data, or values outside its support."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from sfumato.diagnostics.case import Case
from sfumato.diagnostics.finding import Finding, Passed
from sfumato.distributions import Bernoulli, Columns, Distribution, Normal, Scaled
from sfumato.evaluation.subject import array
from sfumato.formatting import figure, percent
from sfumato.likelihoods import named
from sfumato.networks.heads.base import LOG_SCALE_FLOOR

FACTOR = 2.0
"""A standard deviation that is wrong by this factor costs 0.3 nats per value (½(r − 1 − log r) at r = ¼)."""


def scale_at_floor(case: Case) -> Finding | Passed | None:
    """A learned σ is held only by its lower bound: its raw value is below the floor, log σ ≤ −6 + log 2."""
    decoded = _normal(case)
    if decoded is None or named(case.spec.likelihood).unit_scale:
        return None
    normal, _, _ = decoded
    lowest = array(normal.log_scale.reshape(-1, *normal.log_scale.shape[-1:]).amax(0))
    low = lowest <= LOG_SCALE_FLOOR + math.log(2)
    if not low.any():
        sigma = float(np.exp(lowest.min()))
        return Passed(f"σ is at least {figure(sigma)}", {"at_floor": 0.0, "sigma": sigma})
    kind = "columns" if case.spec.entries == len(lowest) else "channels"
    which = f"{int(low.sum())} of {len(low)} {kind}" if len(low) > 1 else "the data"
    return Finding(
        "scale_at_floor",
        "serious",
        f"σ is at its floor ({figure(float(np.exp(lowest.min())))} of a standard deviation) for {which}: values are "
        "predicted almost exactly, because they repeat, are rounded, or follow from others. The density of such values "
        "grows without bound and dominates the loss.",
        {"at_floor": int(low.sum()), "of": len(low), "sigma": float(np.exp(lowest.min()))},
        number="at_floor",
        better="lower",
        cure=case.first(case.joint_likelihood),
    )


def scale_mismatched(case: Case) -> Finding | Passed | None:
    """σ is fixed at 1 (squared error), and the residuals have a standard deviation below ½ or above 2."""
    decoded = _normal(case)
    if decoded is None or not named(case.spec.likelihood).unit_scale:
        return None
    normal, x, mask = decoded
    squares = (x - normal.mean).square()
    squares = squares[mask] if mask is not None else squares
    sigma = float(squares.double().mean().sqrt())
    saved = 0.5 * (sigma**2 - 1 - 2 * math.log(sigma)) * case.spec.entries
    if 1 / FACTOR <= sigma <= FACTOR:
        return Passed(f"residuals fit σ = 1 ({figure(sigma)})", {"saved": saved})
    weight = "little weight, and samples are too noisy" if sigma < 1 else "much weight, and samples vary too little"
    return Finding(
        "scale_mismatched",
        "serious",
        f"The squared error assumes σ = 1, but the residuals have a standard deviation of {figure(sigma)}: "
        f"reconstruction has too {weight}. A learned σ gains {figure(saved)} nats per example, before anything else "
        "changes.",
        {"sigma": sigma, "saved": saved},
        number="saved",
        better="lower",
        cure=case.first({"likelihood": "gaussian"}),
    )


def not_binary(case: Case) -> Finding | Passed | None:
    """A Bernoulli likelihood of values that are not draws of 0 and 1: their variance is below half of p(1 − p)."""
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
        return Passed("values vary as draws of 0 and 1 do", {"scatter": ratio})
    return Finding(
        "not_binary",
        "minor",
        f"The Bernoulli likelihood is for values of 0 and 1, and {percent(grey)} of the values lie in between. "
        f"Their variance is {percent(ratio)} of what it assumes, so scores are not log-likelihoods and samples are "
        "speckled.",
        {"scatter": ratio, "between": grey},
        number="scatter",
        cure=case.first({"likelihood": "gaussian", "binarise": "auto"}, {"likelihood": "gaussian"}),
    )


def _decoded(case: Case) -> tuple[Distribution, Tensor]:
    batch = case.held_out
    return case.model.decode(case.model.encode(batch).mode(), batch.given), batch.x


def _normal(case: Case) -> tuple[Normal, Tensor, Tensor | None] | None:
    """The normal distribution of the decoder for held-out examples, with the values and mask it covers."""
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
