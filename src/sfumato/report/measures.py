"""The final measures of a run, each with a line on what it means."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch

from sfumato.data.dataset import Dataset
from sfumato.estimator import Autoencoder
from sfumato.report import codebooks
from sfumato.report.shown import ENTRIES, Shown, array, still

DRAWS = 8
EXACT = ("bernoulli", "categorical", "logistic_mixture")
"""Likelihoods of pictures that are probabilities of levels, so that bits per dimension are of the data themselves."""
ACTIVE = 0.01


@dataclass(frozen=True)
class Measure:
    """One number of a run.

    Attributes:
        name: what it is called.
        value: the number, NaN if it could not be computed.
        unit: "nats per example", "bits per dimension", "of 16 latents".
        meaning: one sentence for a person.
    """

    name: str
    value: float
    unit: str
    meaning: str


def measures(auto: Autoencoder, data: Dataset, *, seed: int = 0) -> list[Measure]:
    """Rate, distortion, −ELBO, bits per dimension where they are exact, and active units, on the test part.

        distortion = −E_q(z|x) log p(x|z)     rate = E_q(z|x) log q(z|x)/p(z)     −ELBO = distortion + rate

    estimated from up to 8 draws of z for each of at most 5000 examples. A unit is active if the variance over
    examples of its posterior mean exceeds 0.01 (Burda, Grosse and Salakhutdinov 2016, importance weighted autoencoders,
    section 5.2). Where conditions move the prior, what counts is the distance of that mean from the prior's, in the
    prior's deviations: what the condition says already is not the work of the code.

    >>> auto = Autoencoder(latent_dim=2, steps=20).fit(np.random.default_rng(0).normal(size=(100, 3)))
    >>> [measure.name for measure in measures(auto, auto.data_)]
    ['distortion', 'rate', '−ELBO', 'active units']
    """
    spec = auto.schema_.spec
    with still(auto.model_, seed):
        shown = Shown.of(auto.model_, auto.schema_, data, seed)
        draws = min(max(ENTRIES // (2 * spec.entries * len(shown)), 1), DRAWS)
        parts = shown.chunked(lambda batch: torch.stack(shown.model.log_weight_parts(batch, draws), 1))
        distortion, rate = (-float(value) for value in array(parts).mean((0, 2), dtype=np.float64))
        spread = None if shown.space is None else shown.shifts().var(0)
        used = codebooks.used(shown)
    bound = distortion + rate
    counted = spec.likelihood in EXACT or all(field.kind == "category" for field in spec.fields)
    kind = "" if counted else " Numbers have densities, so it may be below zero, and it depends on units."
    found = [
        Measure(
            "distortion",
            distortion,
            "nats per example",
            "What is lost: how surprising an example is, given its code; lower is closer." + kind,
        ),
        Measure("rate", rate, "nats per example", "What the code costs: how much it says about an example."),
        Measure(
            "−ELBO",
            bound,
            "nats per example",
            f"Their sum: examples of the {shown.part} are at most this surprising, on average; lower is better.",
        ),
    ]
    if spec.is_picture and spec.likelihood in EXACT:
        bits = bound / (spec.entries * math.log(2))
        found.append(
            Measure("bits per dimension", bits, "bits", "The same for each value of a picture: its cost if compressed.")
        )
    if spread is not None:
        active = int((spread > ACTIVE).sum())
        found.append(
            Measure(
                "active units",
                active,
                f"of {len(spread)} latents",
                "Latents whose mean differs between examples (variance above 0.01); the others carry next to nothing.",
            )
        )
    for book in used:
        found += [
            Measure(
                f"codes in use{book.name}",
                book.used,
                f"of {book.size} entries",
                f"Entries of the codebook that at least one example of the {shown.part} takes.",
            ),
            Measure(
                f"perplexity{book.name}",
                book.perplexity,
                "entries",
                "As many entries, all equally frequent, would be as varied as these codes are.",
            ),
        ]
    return found
