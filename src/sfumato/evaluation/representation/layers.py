"""Layers of latents, one above the other: what each carries."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from sfumato.batch import Batch
from sfumato.evaluation.measure import Measure, mean_and_error
from sfumato.evaluation.settings import EvaluationSettings
from sfumato.evaluation.subject import Subject, array
from sfumato.models.protocols import Encodes, Layered
from sfumato.networks.hierarchical.hierarchy import HierarchicalPosterior, draw

ACTIVE = 0.01
"""Nats of mean rate above which a unit is active."""


def measures(subject: Subject, how: EvaluationSettings) -> list[Measure]:
    """The rate of each layer and its active units; none where there are no layers.

        rate_l = E_q KL(q(z_l | z_>l, x, c) ‖ p(z_l | z_>l, c))        z_1 next to x, z_L at the top

    with the layers above drawn from q. A unit is active if its mean rate exceeds 0.01 nats (Sønderby et al. 2016,
    Ladder variational autoencoders, section 3).
    """
    if not isinstance(subject.model, Layered):
        return []
    by_layer = rates(subject)
    if not by_layer:
        return []
    each = np.stack([layer.sum(1) for layer in by_layer], 1)
    active = [int((layer.mean(0) > ACTIVE).sum()) for layer in by_layer]
    names = [f"layer {place}" for place in range(1, len(by_layer) + 1)]
    return [
        Measure(
            "rate by layer",
            **mean_and_error(each.sum(1)),
            unit="nats per example",
            meaning="Information about an example in each layer of codes; layer 1 is next to the data.",
            family="representation",
            parts=dict(zip(names, each.mean(0).tolist(), strict=True)),
        ),
        Measure(
            "layers in use",
            sum(count > 0 for count in active),
            f"of {len(by_layer)}",
            "Layers with an active unit, one whose rate is above 0.01 nats; the parts count those of each layer.",
            "representation",
            better="higher",
            parts=dict(zip(names, map(float, active), strict=True)),
        ),
    ]


def rates(subject: Subject) -> list[np.ndarray]:
    """The rate of each unit of each layer, (N, L_l), from the layer next to the data up."""
    sizes: list[int] = []

    def unit_rates(batch: Batch) -> Tensor:
        assert isinstance(subject.model, Encodes)
        q = subject.model.encode(batch)
        if not isinstance(q, HierarchicalPosterior):
            return torch.empty(len(batch), 0)
        down = q.walk(draw)
        pairs = zip(down.posteriors, down.priors, strict=True)
        divergences = [q.kl(p).flatten(1) for q, p in pairs][::-1]
        sizes[:] = [part.shape[1] for part in divergences]
        return torch.cat(divergences, 1)

    both = array(subject.chunked(unit_rates))
    return np.split(both, np.cumsum(sizes)[:-1], 1) if sizes else []
