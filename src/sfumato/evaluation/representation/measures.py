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
        "Latents whose mean differs between examples (variance above 0.01); the others carry next to nothing.",
        "representation",
        parts={f"z{index}": float(value) for index, value in enumerate(spread, 1)},
    )
    found = [active, *_rates(subject), *_aggregate(_fewer(subject, QUICKLY if how.quick else PAIRED))]
    return found if how.quick else [*found, *_probes(subject, how)]


def _fewer(subject: Subject, most: int) -> Subject:
    if len(subject) <= most:
        return subject
    at = some(len(subject), most, subject.seed).numpy()
    labels = None if subject.labels is None else subject.labels[at]
    return replace(subject, batch=rows(subject.batch, at), labels=labels, index=subject.index[at])


def _rates(subject: Subject) -> list[Measure]:
    """How the rate is shared out; nothing where it is not known of each latent."""

    def one(batch: Batch) -> Tensor:
        q = subject.latent_space.encode(batch)
        return rate(q, subject.latent_space.prior(len(batch), batch.given), q.sample())

    each = array(subject.chunked(one)).mean(0, dtype=np.float64)
    if len(each) != subject.means().shape[1] or each.sum() < NO_RATE:
        return []
    share = each[each > 0] / each[each > 0].sum()
    return [
        Measure(
            "latents that share the rate",
            float(np.exp(-(share * np.log(share)).sum())),
            f"of {len(each)} latents",
            "As many latents, all paying the same, would pay as evenly; beside it the rate of each in nats.",
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
    found = []
    if q is not None and len(z) > 1:
        found = _information(q, z, _joined(subject, prior) or prior(subject.batch))
    if len(z) > 3:
        gap = aggregate_mmd(z, drawn, again)
        found.append(
            Measure(
                "MMD² of codes and prior",
                gap.value,
                "",
                "How far the codes of all examples together are from draws of the prior, which new samples start from.",
                "representation",
                error=gap.error,
                reference=gap.same,
                reference_is="draws of the prior against more of them, the largest of five",
                better="lower",
            )
        )
    return found


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
        above = "how codes stand out from those of others. What conditions say counts in it, but not in the rate."
    else:
        log_prior = prior.log_prob(z).double()
        paid = mean_and_error(array(rate(q, prior, z)).sum(1))
        most = min(most, paid, key=lambda one: one["value"])
        ceiling = min(math.log(n), paid["value"])
        above = "the smaller of the rate, in closed form if it has one, and how codes stand out from those of others."
    # What is estimated is never below 0, nor above log N and the rate, whatever chance makes of the draws.
    least["value"] = max(min(least["value"], ceiling), 0.0)
    most["value"] = max(most["value"], least["value"])
    apart = mean_and_error(array(pairs.all - log_prior))
    apart["value"] = max(apart["value"], 0.0)
    return [
        Measure(
            "mutual information",
            unit=unit,
            meaning="What the code says of which example it is, at least; N examples can show no more than log N.",
            family="representation",
            reference=math.log(n),
            reference_is=f"log {n}",
            **least,
        ),
        Measure(
            "mutual information at most",
            unit=unit,
            meaning=f"The same from above: {above}",
            family="representation",
            **most,
        ),
        Measure(
            "divergence of codes from prior",
            unit=unit,
            meaning="KL(q(z) ‖ p(z)) of the codes of all examples together: the part of the rate that says nothing of "
            "the example.",
            family="representation",
            better="lower",
            **apart,
        ),
    ]


def _probes(subject: Subject, how: EvaluationSettings) -> list[Measure]:
    """Labels, conditions and factors told from the codes by linear models."""
    codes, found = subject.means(), []
    schema, given = subject.schema, subject.batch.given
    if subject.labels is not None and LABEL not in schema.given_names:
        names = dict(enumerate(schema.label_names))
        found.append((LABEL, tell_category(codes, subject.labels, how.seed), names, True))
    for place, (name, one) in enumerate(zip(schema.given_names, schema.spec.given, strict=True)):
        values = array(given[:, place]).astype(np.float64) if given is not None else np.empty(0)
        if one.kind == "category":
            classes = np.where(np.isnan(values), -1, values).astype(np.int64)
            found.append((name, tell_category(codes, classes, how.seed), {}, False))
        else:
            found.append((name, tell_number(codes, values, how.seed), {}, False))
    factors, at = known(factors_of(subject, how))
    for factor in factors:
        if factor.numbers is None:
            found.append((factor.name, tell_category(codes[at], factor.classes, how.seed), {}, True))
        else:
            found.append((factor.name, tell_number(codes[at], factor.numbers, how.seed), {}, True))
    return [_told(name, probe, names, wanted) for name, probe, names, wanted in found if probe is not None]


def _told(name: str, probe: Probe, names: dict[int, str], wanted: bool) -> Measure:
    """A probe as a measure; what the model was given, the code need not say again."""
    kind = "share told rightly" if probe.parts else "R²"
    what = f"How well a linear model tells {name} from the code of an example it has not seen: {kind}."
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
