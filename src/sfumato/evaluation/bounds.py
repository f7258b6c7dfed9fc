"""Bounds on log p(x), and what they are made of."""

from __future__ import annotations

import math

import numpy as np

from sfumato.evaluation import annealed
from sfumato.evaluation.how import How
from sfumato.evaluation.importance import Weights, cost, weigh
from sfumato.evaluation.measure import Measure, mean_and_error
from sfumato.evaluation.subject import Subject, rows, some
from sfumato.models._protocols import Codebooks
from sfumato.spec import DataSpec

DRAWS = 8
NATS = "nats per example"
ANNEALED = 100
"""Examples that annealing is asked for: it costs a hundred times what importance sampling does."""


def measures(subject: Subject, how: How) -> list[Measure]:
    """Distortion, rate and −ELBO; the importance-weighted NLL; bits per dimension where they are exact; annealing.

        distortion = −E_q(z|x) log p(x|z)     rate = E_q(z|x) log q(z|x)/p(z)     −ELBO = distortion + rate
        NLL = −log 1/k Σ_i p(x, z_i)/q(z_i|x)                                      (Burda et al. 2016, eq. 8)

    Standard errors are over examples; each has draws of its own, so they hold the noise of the draws too. Where codes
    are discrete nothing is drawn and all is exact: the −ELBO is a description length.
    """
    discrete = isinstance(subject.model, Codebooks)
    draws = DRAWS if how.quick else how.k or cost(subject.model, subject.batch).affordable(len(subject))
    weights = weigh(subject.model, subject.batch, draws, seed=how.seed)
    found = _parts(weights, subject, discrete)
    if not how.quick and not discrete:
        found += _likelihood(weights, subject)
    if counts_levels(subject.schema.spec):
        found.append(_bits(weights, subject, drawn=not how.quick and not discrete))
    if how.annealing and not how.quick and annealed.applies(subject):
        found += _check(weights, subject, how)
    return found


def counts_levels(spec: DataSpec) -> bool:
    """Whether the likelihood of a picture is a probability of its levels, so that it can be told in bits of a file."""
    exact = spec.likelihood in ("categorical", "logistic_mixture")
    return spec.is_picture and (exact or (spec.likelihood == "bernoulli" and spec.fields[0].size == 2))


def _parts(weights: Weights, subject: Subject, discrete: bool) -> list[Measure]:
    spec = subject.schema.spec
    counted = counts_levels(spec) or all(field.kind == "category" for field in spec.fields)
    kind = "" if counted else " Numbers have densities, so it may be below zero, and it depends on units."
    lost, costs = "What is lost: how surprising an example is, given its code; lower is closer.", ""
    costs = "What the code costs: how much it says about an example."
    both = f"Their sum: examples of the {subject.part} are at most this surprising, on average; lower is better."
    if discrete:
        costs = "What the code costs: its length under the learned prior of codes, exactly."
        both = "Their sum: the length of a description of an example, its code and then the rest, exactly."
    return [
        Measure("distortion", **mean_and_error(weights.distortion), unit=NATS, meaning=lost + kind, better="lower"),
        Measure("rate", **mean_and_error(weights.rate), unit=NATS, meaning=costs),
        Measure("−ELBO", **mean_and_error(weights.negative_elbo), unit=NATS, meaning=both, better="lower"),
    ]


def _likelihood(weights: Weights, subject: Subject) -> list[Measure]:
    k = weights.draws
    effective = weights.effective
    return [
        Measure(
            "NLL",
            **mean_and_error(-weights.evidence),
            unit=f"{NATS}, k = {k}",
            meaning=f"How surprising examples of the {subject.part} are, by {k} weighted draws of the code: a closer "
            "bound than the −ELBO, and never too low on average.",
            better="lower",
        ),
        Measure(
            "effective draws",
            float(np.median(effective)),
            f"of {k}",
            "Of how many equally weighted draws the NLL of a usual example is made; near 1, it is still too high.",
            better="higher",
            parts={"lowest tenth": float(np.quantile(effective, 0.1)), "lowest": float(effective.min())},
        ),
    ]


def _bits(weights: Weights, subject: Subject, drawn: bool) -> Measure:
    """From the −ELBO, as is usual; from the NLL among the parts."""
    nats = subject.schema.spec.entries * math.log(2)
    parts = {"by the NLL": float(-weights.evidence.mean()) / nats} if drawn else {}
    return Measure(
        "bits per dimension",
        **mean_and_error(weights.negative_elbo / nats),
        unit="bits",
        meaning="The −ELBO for each value of a picture: its cost if compressed.",
        better="lower",
        parts=parts,
    )


def _check(weights: Weights, subject: Subject, how: How) -> list[Measure]:
    """Annealing on some of the examples, beside importance sampling on the same ones."""
    index = some(len(subject), ANNEALED, how.seed).numpy()
    found = -annealed.log_evidence(subject.latent_space, rows(subject.batch, index), how.annealing)
    gap = -weights.evidence[index] - found
    return [
        Measure(
            "NLL by annealing",
            **mean_and_error(found),
            unit=f"{NATS}, {how.annealing} steps",
            meaning=f"The NLL of {len(index)} examples by annealing from the prior, which does without the encoder.",
            reference=float(-weights.evidence[index].mean()),
            reference_is="by weighted draws",
            better="lower",
        ),
        Measure(
            "gap of the NLL",
            **mean_and_error(gap),
            unit="nats",
            meaning="How much lower annealing finds it: clearly above 0, the NLL is too high by at least so much.",
        ),
    ]
