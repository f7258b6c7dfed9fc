"""What the codes say of the examples, and how well they match the prior."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import cast

import numpy as np
import torch
from torch import Tensor

from sfumato.batch import Batch
from sfumato.data.core.labels import LABEL
from sfumato.distributions import Latent, Normal
from sfumato.evaluation.disentanglement.factors import known
from sfumato.evaluation.disentanglement.measures import factors_of
from sfumato.evaluation.measure import Measure, mean_and_error
from sfumato.evaluation.representation.information import aggregate_mmd, densities
from sfumato.evaluation.representation.probes import Probe, tell_category, tell_number
from sfumato.evaluation.settings import EvaluationSettings
from sfumato.evaluation.subject import Subject, array, rows, some
from sfumato.objectives import rate

ACTIVE = 0.01
NO_RATE = 0.01
"""Nats below which there is no rate to share."""
PAIRED, QUICKLY = 10_000, 2000
"""Examples whose posteriors are compared in all pairs, at most; and when it is to take seconds."""


def measures(subject: Subject, how: EvaluationSettings) -> list[Measure]:
    """Active units, rate by latent, mutual information, the aggregate posterior, linear probes.

    None where codes are discrete. A unit is active if the variance over examples of its posterior mean exceeds 0.01
    (Burda, Grosse and Salakhutdinov 2016, importance weighted autoencoders, section 5.2). Where conditions move the
    prior, what counts is the distance of that mean from the prior's, in the prior's deviations: what the condition says
    already is not the work of the code.
    """
    if subject.space is None:
        return []
    spread = subject.shifts().var(0)
    active = Measure(
        "active units",
        int((spread > ACTIVE).sum()),
        f"of {len(spread)} latents",
        "Latents whose mean varies between examples (variance above 0.01); the others carry almost no information.",
        "representation",
        parts={f"z{index}": float(value) for index, value in enumerate(spread, 1)},
    )
    results = [active, *_rates(subject), *_aggregate(_fewer(subject, QUICKLY if how.quick else PAIRED))]
    return results if how.quick else [*results, *_probes(subject, how)]


def _fewer(subject: Subject, most: int) -> Subject:
    if len(subject) <= most:
        return subject
    at = some(len(subject), most, subject.seed).numpy()
    labels = None if subject.labels is None else subject.labels[at]
    return replace(subject, batch=rows(subject.batch, at), labels=labels, index=subject.index[at])


def _rates(subject: Subject) -> list[Measure]:
    """How the rate is shared out; nothing where it is not known of each latent."""

    def latent_rates(batch: Batch) -> Tensor:
        q = subject.latent_space.encode(batch)
        return rate(q, subject.latent_space.prior(len(batch), batch.given), q.sample())

    each = array(subject.chunked(latent_rates)).mean(0, dtype=np.float64)
    if len(each) != subject.means().shape[1] or each.sum() < NO_RATE:
        return []
    share = each[each > 0] / each[each > 0].sum()
    return [
        Measure(
            "latents that share the rate",
            float(np.exp(-(share * np.log(share)).sum())),
            f"of {len(each)} latents",
            "Effective number of latents: so many equal rates would have the same entropy. The parts are the rates in "
            "nats.",
            "representation",
            parts={f"z{index}": float(value) for index, value in enumerate(each, 1)},
        )
    ]


def _aggregate(subject: Subject) -> list[Measure]:
    """Mutual information of example and code, and the codes of all examples together against the prior.

    Information and divergence need the density of a code under the posteriors of all examples, so a posterior that is
    a `Normal`; the discrepancy needs draws alone.
    """
    space = subject.latent_space

    def posterior(batch: Batch) -> Latent:
        return space.encode(batch)

    def prior(batch: Batch) -> Latent:
        return space.prior(len(batch), batch.given)

    q = _joined(subject, posterior)
    z = subject.chunked(lambda batch: posterior(batch).sample()) if q is None else q.sample()
    drawn, again = (subject.chunked(lambda batch: prior(batch).sample()) for _ in range(2))
    results = []
    if q is not None and len(z) > 1:
        results = _information(q, z, _joined(subject, prior) or prior(subject.batch))
    if len(z) > 3:
        gap = aggregate_mmd(z, drawn, again)
        results.append(
            Measure(
                "MMD² of codes and prior",
                gap.value,
                "",
                "Discrepancy between the aggregate posterior and the prior, from which new samples are drawn.",
                "representation",
                error=gap.error,
                reference=gap.same,
                reference_is="two sets of draws of the prior, the largest of five",
                better="lower",
            )
        )
    return results


def _joined(subject: Subject, of: Callable[[Batch], Latent]) -> Normal | None:
    """The distributions of all examples as one; None if they are no normals."""
    if not isinstance(of(rows(subject.batch, slice(0, 1))), Normal):
        return None

    def moments(batch: Batch) -> Tensor:
        normal = cast(Normal, of(batch))
        return torch.stack([normal.mean, normal.log_scale.expand_as(normal.mean)], 1)

    return Normal(*subject.chunked(moments).unbind(1))


def _information(q: Normal, z: Tensor, prior: Latent) -> list[Measure]:
    pairs = densities(q, z)
    n, unit = len(z), "nats"
    least, most = mean_and_error(pairs.at_least), mean_and_error(pairs.at_most)
    if isinstance(prior, Normal):
        # The prior moves with the conditions: all codes together are held against all priors together.
        log_prior = densities(prior, z).all
        ceiling = math.log(n)
        above = "a contrastive estimate. Information in the conditions counts here, but not in the rate."
    else:
        log_prior = prior.log_prob(z).double()
        paid = mean_and_error(array(rate(q, prior, z)).sum(1))
        most = min(most, paid, key=lambda estimate: estimate["value"])
        ceiling = min(math.log(n), paid["value"])
        above = "the smaller of the rate, in closed form if it has one, and a contrastive estimate."
    # What is estimated is never below 0, nor above log N and the rate, whatever chance makes of the draws.
    least["value"] = max(min(least["value"], ceiling), 0.0)
    most["value"] = max(most["value"], least["value"])
    apart = mean_and_error(array(pairs.all - log_prior))
    apart["value"] = max(apart["value"], 0.0)
    return [
        Measure(
            "mutual information",
            unit=unit,
            meaning="Lower bound on the information in the code about which example it is; at most log N for N "
            "examples.",
            family="representation",
            reference=math.log(n),
            reference_is=f"log {n}",
            **least,
        ),
        Measure(
            "mutual information, upper bound",
            unit=unit,
            meaning=f"Upper bound on the same: {above}",
            family="representation",
            **most,
        ),
        Measure(
            "divergence of codes from prior",
            unit=unit,
            meaning="KL(q(z) ‖ p(z)) of the aggregate posterior: the part of the rate that carries no information "
            "about the example.",
            family="representation",
            better="lower",
            **apart,
        ),
    ]


def _probes(subject: Subject, how: EvaluationSettings) -> list[Measure]:
    """Labels, conditions and factors told from the codes by linear models."""
    codes, probes = subject.means(), []
    schema, given = subject.schema, subject.batch.given
    if subject.labels is not None and LABEL not in schema.given_names:
        names = dict(enumerate(schema.label_names))
        probes.append((LABEL, tell_category(codes, subject.labels, how.seed), names, True))
    for place, (name, field) in enumerate(zip(schema.given_names, schema.spec.given, strict=True)):
        values = array(given[:, place]).astype(np.float64) if given is not None else np.empty(0)
        if field.kind == "category":
            classes = np.where(np.isnan(values), -1, values).astype(np.int64)
            probes.append((name, tell_category(codes, classes, how.seed), {}, False))
        else:
            probes.append((name, tell_number(codes, values, how.seed), {}, False))
    factors, at = known(factors_of(subject, how))
    for factor in factors:
        if factor.numbers is None:
            probes.append((factor.name, tell_category(codes[at], factor.classes, how.seed), {}, True))
        else:
            probes.append((factor.name, tell_number(codes[at], factor.numbers, how.seed), {}, True))
    return [_told(name, probe, names, wanted) for name, probe, names, wanted in probes if probe is not None]


def _told(name: str, probe: Probe, names: dict[int, str], wanted: bool) -> Measure:
    """A probe as a measure; what the model was given, the code need not say again."""
    kind = "accuracy" if probe.parts else "R²"
    what = f"How well a linear model predicts {name} from the code of a held-out example: {kind}."
    return Measure(
        f"linear probe: {name}",
        probe.score,
        "",
        what if wanted else what + " The decoder is given it anyway: near chance, the code holds the rest.",
        "representation",
        error=probe.error,
        reference=probe.chance,
        reference_is="always the most frequent" if probe.parts else "always the mean",
        better="higher" if wanted else None,
        parts={names[value]: score for value, score in probe.parts.items() if value in names},
    )
