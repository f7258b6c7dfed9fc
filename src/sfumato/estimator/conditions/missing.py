"""Values for the conditions that an example was generated without."""

from __future__ import annotations

from collections.abc import Collection

import torch
from torch import Tensor

from sfumato.batch import Batch, flagged_mask
from sfumato.data.core.conditions.matching import matching
from sfumato.data.core.schema import Schema
from sfumato.distributions import noise
from sfumato.estimator import inference
from sfumato.models.base import Model
from sfumato.models.protocols import Bounds
from sfumato.objectives import importance_bound
from sfumato.randomness.generators import current

CANDIDATES = 32
"""Rows of conditions that are weighed against each other, for each example."""
WEIGHT_DRAWS = 4
"""Draws of z for each weight."""


def filled(
    model: Model,
    schema: Schema,
    x: Tensor,
    conditions: Tensor | None,
    named: Collection[str],
    *,
    likeliest: bool = False,
    seed: int = 0,
) -> Tensor | None:
    """Conditions with those that were not named, and so left out, drawn from p(c | x): rows hold a value for each.

    p(c | x) ∝ p(c) p(x | c): for each example `CANDIDATES` rows of conditions are drawn from training rows that go with
    the ones it has, and one is kept in proportion to the model's bound on p(x | c) (sampling importance resampling,
    Rubin 1988).

    Args:
        model: which generated the examples.
        schema: of the data; where its examples do not show their conditions, nothing is filled in.
        x: (n, *shape), as the model generates them, on its device.
        conditions: (n, G), on the CPU; NaN where left out.
        named: names of conditions that stay as they are.
        likeliest: keep the candidate of the highest bound.
        seed: of the candidates; the choice among them is drawn by the generators of the call.
    """
    rows = schema.given_rows
    if not schema.shows_conditions or conditions is None or rows is None or not len(rows):
        return conditions
    unnamed = torch.tensor([name not in named for name in schema.given_names])
    left_out = conditions.isnan() & unnamed
    if not left_out.any():
        return conditions
    ordered = [field.kind != "category" for field in schema.spec.given]
    wanted = conditions.repeat_interleave(CANDIDATES, 0)
    drawn = rows[matching(rows, wanted, ordered, seed)]
    candidates = drawn.where(left_out.repeat_interleave(CANDIDATES, 0), wanted).view(len(x), CANDIDATES, -1)
    weights = _bounds(model, schema, x, candidates)
    if likeliest:
        chosen = weights.argmax(1)
    else:
        chosen = torch.multinomial(torch.softmax(weights, 1), 1, generator=current(weights.device)).squeeze(1)
    return candidates[torch.arange(len(x)), chosen]


def _bounds(model: Model, schema: Schema, x: Tensor, candidates: Tensor) -> Tensor:
    """A bound on log p(x | c) of each example under each of its candidates, (n, K) on the CPU; 0 without one."""
    if not isinstance(model, Bounds):
        return torch.zeros(candidates.shape[:2])
    drawn = noise.normal(x, WEIGHT_DRAWS, model.noise_size)
    few = max(inference.at_a_time(schema.spec, WEIGHT_DRAWS) // CANDIDATES, 1)
    bounds = []
    for some, given in zip(x.split(few), candidates.split(few), strict=True):
        rows = some.repeat_interleave(CANDIDATES, 0)
        batch = Batch(rows, given.flatten(0, 1).to(x), flagged_mask(rows, schema.spec))
        bounds.append(importance_bound(model.log_weight(batch, WEIGHT_DRAWS, drawn)).view(-1, CANDIDATES).cpu())
    return torch.cat(bounds)
