"""Bounds on log p(x), and what they are made of."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TypedDict

import numpy as np
from torch import Tensor

from sfumato import likelihoods
from sfumato.batch import Batch
from sfumato.distributions import Normal, StandardNormal
from sfumato.evaluation.likelihood import annealed
from sfumato.evaluation.likelihood.importance import Weights, cost, weigh
from sfumato.evaluation.measure import Measure, mean_and_error
from sfumato.evaluation.metrics.counts import independent
from sfumato.evaluation.settings import EvaluationSettings
from sfumato.evaluation.subject import Subject, array, missing_again, most_of, rows, some
from sfumato.models.latent import LatentModel
from sfumato.models.protocols import Autoencoding, Codebooks
from sfumato.objectives import rate
from sfumato.spec import DataSpec

BOUND_DRAWS = 8
NATS_UNIT = "nats per example"
ANNEALED = 100
"""Examples that annealing is asked for: it costs a hundred times what importance sampling does."""

MAX_BY_SAMPLER = 500
"""Examples whose bound is also taken by a sampler, at most: a flow's density takes many passes."""


class Units(TypedDict):
    """The fields of a `Measure` that say what it is in other units, or of independent columns."""

    reference: float | None
    reference_is: str


def measures(subject: Subject, how: EvaluationSettings) -> list[Measure]:
    """Distortion, rate and −ELBO; the importance-weighted NLL; bits per dimension where they are exact; annealing.

        distortion = −E_q(z|x) log p(x|z)     rate = E_q(z|x) log q(z|x)/p(z)     −ELBO = distortion + rate
        NLL = −log 1/k Σ_i p(x, z_i)/q(z_i|x)                                      (Burda et al. 2016, eq. 8)

    Standard errors are over examples; each has draws of its own, so they hold the noise of the draws too. Where codes
    are discrete nothing is drawn and all is exact: the −ELBO is a description length. All are in the units of the
    model; −ELBO and NLL have beside them what they are in the units of the data, which `score_samples` keeps to.
    """
    discrete = isinstance(subject.model, Codebooks)
    draws = BOUND_DRAWS if how.quick else how.k or cost(subject.model, subject.batch).affordable(len(subject))
    weights = _settled(weigh(subject.model, subject.batch, draws, seed=how.seed), subject)
    volume = _volume(subject)
    results = _parts(weights, subject, discrete, volume)
    if not how.quick and not discrete:
        results += _likelihood(weights, subject, volume)
    if counts_levels(subject.schema.spec):
        results.append(_bits(weights, subject, drawn=not how.quick and not discrete))
    if subject.with_sampler is not None:
        results.append(_by_sampler(subject, subject.with_sampler, how))
    if how.annealing and not how.quick and annealed.applies(subject):
        results += _check(weights, subject, how)
    return results


def counts_levels(spec: DataSpec) -> bool:
    """Whether the likelihood of a picture is a probability of its levels, so that it can be told in bits of a file."""
    likelihood = likelihoods.named(spec.likelihood)
    return spec.is_image and not likelihood.density and likelihood.levels in (0, spec.fields[0].size)


def _settled(weights: Weights, subject: Subject) -> Weights:
    """The weights, with the rate in closed form, if it has one, where the draws bring its mean below 0."""
    model = subject.model
    own = isinstance(model, LatentModel) and type(model).log_weight_parts is LatentModel.log_weight_parts
    if weights.rate.mean() >= 0 or not own:
        return weights
    closed = subject.chunked(lambda batch: _closed(subject, batch))
    return replace(weights, rate=array(closed.double())) if len(closed) == len(subject) else weights


def _closed(subject: Subject, batch: Batch) -> Tensor:
    """KL(q(z|x, c) ‖ p(z|c)) of each example, (B,); (0,) where it has no closed form."""
    q, prior = subject.model.encode(batch), subject.latent_space.prior(len(batch), batch.given)
    if isinstance(q, Normal) and isinstance(prior, Normal | StandardNormal):
        return rate(q, prior, q.mode()).sum(1).clamp(min=0)
    return batch.x.new_zeros(0)


def _volume(subject: Subject) -> float:
    """Mean over examples of Σ log scale: nats that a bound is higher by in the units of the data."""
    volumes = subject.chunked(lambda batch: subject.schema.log_jacobian(missing_again(batch)).double().cpu())
    return float(volumes.mean())


def _beside(subject: Subject, value: float, volume: float) -> Units:
    """What a bound is in the units of the data, of text per character; of counts, if columns are independent."""
    if likelihoods.named(subject.schema.spec.likelihood).counts and len(subject.data.train):
        train = subject.data.train.take(some(len(subject.data.train), most_of(subject.schema.spec), subject.seed))
        nats = -float(independent(train, subject.batch.to("cpu")).mean())
        return Units(reference=nats, reference_is="independent negative binomials, given the total")
    characters = subject.schema.characters(subject.batch.x)
    if characters is not None:
        return Units(reference=value / float(characters.mean()), reference_is="nats per character")
    if volume == 0:
        return Units(reference=None, reference_is="")
    return Units(reference=value + volume, reference_is="in the units of your data")


def _parts(weights: Weights, subject: Subject, discrete: bool, volume: float) -> list[Measure]:
    spec = subject.schema.spec
    counted = counts_levels(spec) or all(field.kind == "category" for field in spec.fields)
    kind = " Numbers have densities, so it may be negative and depends on units: here those of the model, where "
    kind = "" if counted else kind + "numbers are standardised or binned, and pixels are in [0, 1]."
    lost, costs = "Reconstruction error: the negative log-likelihood of an example given its code.", ""
    costs = "The cost of the code: the information it carries about an example."
    if weights.rate.mean() < 0:
        costs += f" This is a mean over {weights.draws} draws, which is negative by chance; the true rate is not."
    both = f"Distortion + rate: an upper bound on the negative log-likelihood of the {subject.part}."
    if discrete:
        costs = "The cost of the code: its exact length under the learned prior of codes."
        both = "Distortion + rate: the exact length of a description of an example by its code and the rest."
    total = mean_and_error(weights.negative_elbo)
    return [
        Measure(
            "distortion", **mean_and_error(weights.distortion), unit=NATS_UNIT, meaning=lost + kind, better="lower"
        ),
        Measure("rate", **mean_and_error(weights.rate), unit=NATS_UNIT, meaning=costs),
        Measure(
            "−ELBO", **total, **_beside(subject, total["value"], volume), unit=NATS_UNIT, meaning=both, better="lower"
        ),
    ]


def _likelihood(weights: Weights, subject: Subject, volume: float) -> list[Measure]:
    k = weights.draws
    effective = weights.effective
    evidence = mean_and_error(-weights.evidence)
    return [
        Measure(
            "NLL",
            **evidence,
            **_beside(subject, evidence["value"], volume),
            unit=f"{NATS_UNIT}, k = {k}",
            meaning=f"Negative log-likelihood of the {subject.part} by {k} importance-weighted draws of the code: an "
            "upper bound that is tighter than the −ELBO.",
            better="lower",
        ),
        Measure(
            "effective draws",
            float(np.median(effective)),
            f"of {k}",
            "Effective sample size of the NLL of a median example; near 1, the NLL is still too high.",
            better="higher",
            parts={"lowest tenth": float(np.quantile(effective, 0.1)), "lowest": float(effective.min())},
        ),
    ]


def _by_sampler(subject: Subject, with_sampler: Autoencoding, how: EvaluationSettings) -> Measure:
    """The −ELBO of some of the examples where codes are drawn by a sampler, beside that of the prior on the same."""
    batch = rows(subject.batch, some(len(subject), MAX_BY_SAMPLER, how.seed).numpy())
    by_sampler, by_prior = (weigh(model, batch, 1, seed=how.seed) for model in (with_sampler, subject.model))
    return Measure(
        f"−ELBO by {how.sampler}",
        **mean_and_error(by_sampler.negative_elbo),
        unit=NATS_UNIT,
        meaning=f"The −ELBO of {len(batch)} examples with log p(z) of the density that codes are drawn from by "
        f"{how.sampler}, in the place of the model's own prior; one draw of each code.",
        reference=float(by_prior.negative_elbo.mean()),
        reference_is="by the model's own prior",
        better="lower",
    )


def _bits(weights: Weights, subject: Subject, drawn: bool) -> Measure:
    """From the −ELBO, as is usual; from the NLL among the parts."""
    nats = subject.schema.spec.entries * math.log(2)
    parts = {"from the NLL": float(-weights.evidence.mean()) / nats} if drawn else {}
    return Measure(
        "bits per dimension",
        **mean_and_error(weights.negative_elbo / nats),
        unit="bits",
        meaning="The −ELBO per value of an image: its cost under lossless compression.",
        better="lower",
        parts=parts,
    )


def _check(weights: Weights, subject: Subject, how: EvaluationSettings) -> list[Measure]:
    """Annealing on some of the examples, beside importance sampling on the same ones."""
    index = some(len(subject), ANNEALED, how.seed).numpy()
    nll = -annealed.log_evidence(subject.latent_space, rows(subject.batch, index), how.annealing)
    gap = -weights.evidence[index] - nll
    return [
        Measure(
            "NLL by annealing",
            **mean_and_error(nll),
            unit=f"{NATS_UNIT}, {how.annealing} steps",
            meaning=f"The NLL of {len(index)} examples by annealing from the prior, which does not use the encoder.",
            reference=float(-weights.evidence[index].mean()),
            reference_is="by importance sampling",
            better="lower",
        ),
        Measure(
            "gap of the NLL",
            **mean_and_error(gap),
            unit="nats",
            meaning="How much lower the NLL by annealing is; clearly above 0, the NLL is too high by at least that.",
        ),
    ]
