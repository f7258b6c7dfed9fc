"""Bounds on log p(x), and what they are made of."""

from __future__ import annotations

import math

import numpy as np
import torch

from sfumato.evaluation.how import How
from sfumato.evaluation.measure import Measure
from sfumato.evaluation.subject import ENTRIES, Subject, array

DRAWS = 8
EXACT = ("bernoulli", "categorical", "logistic_mixture")
"""Likelihoods of pictures that are probabilities of levels, so that bits per dimension are of the data themselves."""


def measures(subject: Subject, how: How) -> list[Measure]:
    """Distortion, rate and −ELBO; bits per dimension where they are exact.

        distortion = −E_q(z|x) log p(x|z)     rate = E_q(z|x) log q(z|x)/p(z)     −ELBO = distortion + rate

    estimated from up to 8 draws of z for each example; the standard error is over examples.
    """
    spec = subject.schema.spec
    draws = min(max(ENTRIES // (2 * spec.entries * len(subject)), 1), DRAWS)
    parts = array(subject.chunked(lambda batch: torch.stack(subject.model.log_weight_parts(batch, draws), 1)))
    each = -parts.mean(2, dtype=np.float64)
    (distortion, rate), bound = each.mean(0), each.sum(1).mean()
    errors = each.std(0, ddof=1) / math.sqrt(len(each)) if len(each) > 1 else (None, None)
    error = each.sum(1).std(ddof=1) / math.sqrt(len(each)) if len(each) > 1 else None
    counted = spec.likelihood in EXACT or all(field.kind == "category" for field in spec.fields)
    kind = "" if counted else " Numbers have densities, so it may be below zero, and it depends on units."
    unit = "nats per example"
    found = [
        Measure(
            "distortion",
            float(distortion),
            unit,
            "What is lost: how surprising an example is, given its code; lower is closer." + kind,
            error=_float(errors[0]),
            better="lower",
        ),
        Measure(
            "rate",
            float(rate),
            unit,
            "What the code costs: how much it says about an example.",
            error=_float(errors[1]),
        ),
        Measure(
            "−ELBO",
            float(bound),
            unit,
            f"Their sum: examples of the {subject.part} are at most this surprising, on average; lower is better.",
            error=_float(error),
            better="lower",
        ),
    ]
    if spec.is_picture and spec.likelihood in EXACT:
        nats = spec.entries * math.log(2)
        found.append(
            Measure(
                "bits per dimension",
                float(bound) / nats,
                "bits",
                "The same for each value of a picture: its cost if compressed.",
                error=None if error is None else float(error) / nats,
                better="lower",
            )
        )
    return found


def _float(value: float | None) -> float | None:
    return None if value is None else float(value)
