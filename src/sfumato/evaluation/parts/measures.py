"""Distortion and rate of each part of a record, and each part given all others."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from sfumato.batch import Batch
from sfumato.distributions import RecordDistribution
from sfumato.distributions.base import each
from sfumato.evaluation.measure import Measure
from sfumato.evaluation.metrics.parts import all_but
from sfumato.evaluation.settings import EvaluationSettings
from sfumato.evaluation.subject import Subject, array
from sfumato.models.protocols import EncodesParts
from sfumato.objectives import rate

DRAWS_OF_PART, QUICK_DRAWS_OF_PART = 64, 16
"""Codes drawn for each example to average a probability over."""


def measures(subject: Subject, how: EvaluationSettings) -> list[Measure]:
    """Of mixed records, where the model encodes what is known of them; nothing of anything else."""
    spec, model = subject.schema.spec, subject.model
    if not spec.is_record or not isinstance(model, EncodesParts):
        return []
    k = QUICK_DRAWS_OF_PART if how.quick else DRAWS_OF_PART
    names = [part.name for part in spec.parts]
    own = _Parts(subject, model)
    distortion = own.measured(lambda batch: -own.of_known(batch, batch.mask, 1))
    from_others = own.measured(lambda batch: own.from_others(batch, k))
    by_prior = own.measured(lambda batch: -own.of_known(batch, torch.zeros_like(batch.x, dtype=torch.bool), k))
    rates = own.measured(own.rates)
    return [
        Measure(
            "distortion of parts",
            float(distortion.sum()),
            "nats per example",
            "−log p of each part given the code of the whole record, and their sum: what is lost of it.",
            "parts",
            better="lower",
            parts=dict(zip(names, distortion.tolist(), strict=True)),
        ),
        Measure(
            "rate of parts",
            float(rates.max()),
            "nats per example",
            "How much the code of each part by itself says, KL(q(z|x_m) ‖ p(z)); the largest of them.",
            "parts",
            parts=dict(zip(names, rates.tolist(), strict=True)),
        ),
        Measure(
            "parts from the others",
            float(from_others.sum()),
            "nats per example",
            f"−log p of each part given all others, from {k} draws of their code, and the sum.",
            "parts",
            reference=float(by_prior.sum()),
            reference_is="from the prior",
            better="lower",
            parts=dict(zip(names, from_others.tolist(), strict=True)),
        ),
    ]


class _Parts:
    """A model of records with its examples, looked at part by part."""

    def __init__(self, subject: Subject, model: EncodesParts) -> None:
        self.subject, self.model, self.places = subject, model, subject.schema.spec.places

    def measured(self, of: Callable[[Batch], Tensor]) -> np.ndarray:
        """The mean of what `of` says of each part, (M,), over the examples that have it; 0 where none has."""
        values = array(self.subject.chunked(of, DRAWS_OF_PART)).astype(float)
        mask = self.subject.batch.mask
        if mask is None:
            return np.asarray(values.mean(0))
        there = np.stack([array(mask[:, place].any(1)) for place in self.places], 1)
        return np.asarray((values * there).sum(0) / np.maximum(there.sum(0), 1))

    def of_known(self, batch: Batch, known: Tensor | None, k: int) -> Tensor:
        """log (1/k) Σ p(x_m | z_i) of each part, z_i ~ q(z | known), (B, M)."""
        x = batch.x if known is None else batch.x.masked_fill(~known, 0.0)
        z = self.model.encode_known(x, None, known).repeat(k).sample()
        p = self.model.decode(z)
        assert isinstance(p, RecordDistribution), "records are decoded part by part"
        mask = None if batch.mask is None else each(batch.mask, k)
        log_probs = p.log_probs(each(batch.x, k), mask).view(len(batch), k, -1)
        return torch.logsumexp(log_probs, 1) - math.log(k)

    def from_others(self, batch: Batch, k: int) -> Tensor:
        """−log p of each part given all others, (B, M)."""
        columns = []
        for number, place in enumerate(self.places):
            columns.append(-self.of_known(batch, all_but(batch.x, batch.mask, place), k)[:, number])
        return torch.stack(columns, 1)

    def rates(self, batch: Batch) -> Tensor:
        """KL(q(z | x_m) ‖ p(z)) of each part, (B, M)."""
        columns = []
        for place in self.places:
            known = torch.zeros_like(batch.x, dtype=torch.bool)
            known[:, place] = True if batch.mask is None else batch.mask[:, place]
            q = self.model.encode_known(batch.x.masked_fill(~known, 0.0), None, known)
            columns.append(rate(q, self.model.prior(len(batch)), q.sample()).sum(1))  # type: ignore[arg-type]
        return torch.stack(columns, 1)
