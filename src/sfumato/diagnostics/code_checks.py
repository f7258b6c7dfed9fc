"""Sicknesses of the code: nobody reads it, it says too little, or it lies where the prior does not."""

from __future__ import annotations

import math
from typing import Any

from sfumato.diagnostics.case import Case
from sfumato.diagnostics.finding import Finding, Well
from sfumato.evaluation.metrics.set_distances import neighbourhoods
from sfumato.evaluation.subject import array
from sfumato.formatting import count, figure, percent
from sfumato.likelihoods import named


def posterior_collapse(case: Case) -> Finding | Well | None:
    """No latent is active, or the code says less than log 2 nats and is not read, though the data hang together.

    A latent is active if the variance of its mean exceeds 0.01 (Burda et al. 2016). log 2 nats tell one half of the
    data from the other. Latents to spare are no sickness: a VAE that has use for 19 of 50 leaves 31 alone. Where
    shuffling the entries among the examples changes nothing, there is nothing to encode, and an empty code is right.
    """
    if case.active is None:
        return None
    latents, hangs = case.model.code_size, case.structure
    if case.active and (case.rate >= math.log(2) or case.read):
        return Well(
            f"{case.active} of {count(latents, 'latent')} in use, {figure(case.rate)} nats", {"rate": case.rate}
        )
    if not hangs.directions:
        beyond = " beyond what is given" if case.spec.given else ""
        words = f"the code is empty, and may be: values do not hang together{beyond}"
        return Well(words, {"rate": case.rate})
    if case.active:
        used = f"the decoder cannot tell one code from another, and the code says but {figure(case.rate)} nats"
    else:
        used = f"none of the {count(latents, 'latent')} is in use, and the code says {figure(case.rate)} nats"
    return Finding(
        "posterior_collapse",
        "serious",
        f"Posterior collapse: {used} of an example. Reconstructions are all alike, though the data hang together in "
        f"{count(hangs.directions, 'direction')} beyond chance.",
        {"active": case.active, "latents": latents, "rate": case.rate, "directions": hangs.directions},
        number="rate",
        cure=louder(case),
    )


def decoder_ignores_code(case: Case) -> Finding | Well | None:
    """Shown the codes of ten examples, the decoder's likelihood does not tell which one is the example's own.

    Told from guessing by three standard errors.
    """
    picked, error = case.line_up
    if case.read:
        words = f"the decoder picks the right of ten codes {percent(picked)} of the time"
        return Well(words, {"picked": picked, "error": error})
    if not case.structure.directions:
        return None
    return Finding(
        "decoder_ignores_code",
        "serious",
        f"The decoder ignores the code: shown the codes of ten examples, it holds the right one for the likeliest "
        f"{percent(picked)} of the time, and guessing gives {percent(case.guess)}. The code costs {figure(case.rate)} "
        "nats for nothing.",
        {"picked": picked, "error": error, "guessing": case.guess, "rate": case.rate},
        number="picked",
        cure=_heard(case),
    )


def over_regularised(case: Case) -> Finding | Well | None:
    """Reconstructions tell less than half of what hangs together in the data.

    What they tell is the share of the variance that their errors leave; what there is, the share that the leading
    directions of the data hold beyond chance, for as many directions as there are latents.
    """
    # A decoder that reads its own symbols, or columns, leaves to them what they say of each other.
    if case.spec.is_symbols or named(case.spec.likelihood).joint:
        return None
    told = case.told_by_reconstructions
    there = case.structure.beyond_chance(case.model.code_size)
    if not there:
        return None
    if told >= there / 2:
        return Well(f"reconstructions tell {percent(told)} of the variance", {"told": told})
    return Finding(
        "over_regularised",
        "serious",
        f"Over-regularised: reconstructions tell {percent(told)} of the variance of the data, where straight lines "
        f"through them hold {percent(there)} beyond chance. The code costs {figure(case.rate)} nats, and more would "
        "pay.",
        {"told": told, "there": there, "rate": case.rate},
        number="told",
        cure=louder(case),
    )


def under_regularised(case: Case) -> Finding | Well | None:
    """Less than half of what draws of the prior lie near to has a code of an example near.

    Near is the distance of a draw to its fifth neighbour among other draws; as many draws of the prior come near to
    nearly all of it. Samples are made from the places between.
    """
    if case.subject.space is None or not case.active:
        return None
    space, pool = case.subject.space, case.pool
    codes = array(space.encode(pool).sample())
    first, second = (array(space.prior(len(pool), pool.given).sample()) for _ in range(2))
    near, others = (float(neighbourhoods(first, one, error=False)[0][3]) for one in (codes, second))
    if near >= others / 2:
        return Well(f"codes lie where the prior draws ({percent(near)})", {"near": near})
    made, again = case.met["samples"].coverage, case.met["reconstructions"].coverage
    return Finding(
        "under_regularised",
        "serious",
        f"Under-regularised: the codes do not lie where the prior draws. {percent(near)} of its draws have one near, "
        f"and of draws like it {percent(others)} would. New samples come from places no example taught: they cover "
        f"{percent(made)} of the data, reconstructions {percent(again)}.",
        {"near": near, "of_prior": others, "rate": case.rate, "samples": made, "reconstructions": again},
        number="near",
        cure=_quieter(case),
    )


def louder(case: Case) -> dict[str, Any]:
    """What lets the code say more."""
    told = case.options
    capacity, weight, free = case.setting("capacity"), case.setting("rate_weight", 1.0), case.setting("free_bits", 0.0)
    adversarial = bool(case.remedy(equilibrium=True))
    return case.first(
        case.remedy(capacity=4 * capacity) if capacity else {},
        {"likelihood": "gaussian"} if named(case.spec.likelihood).unit_scale else {},
        case.remedy(rate_weight=1.0) if weight > 1 else {},
        case.remedy(free_bits=4 * free or 0.25, warmup=warming(case)),
        case.remedy(free_bits=4 * free or 0.25),
        case.remedy(released_scaling="released"),
        case.remedy(forgiven_rate=0.9) if case.setting("forgiven_rate", 0.0) < 0.9 else {},
        case.remedy(total_correlation_weight=case.setting("total_correlation_weight", 0.0) / 4),
        case.remedy(warmup=warming(case), cycles=4),
        {"latent_dim": 2 * case.model.code_size} if case.active == case.model.code_size else {},
        {"split": (0.9, 0.0, 0.1)} if adversarial and len(case.subject.data.valid) else {},
        {"lr": told["lr"] / 4} if told["lr"] else {},
    )


def _heard(case: Case) -> dict[str, Any]:
    """What makes the decoder need the code: symbols that it cannot read for itself, or a code that is free at first."""
    return case.first(
        {"word_dropout": 0.3} if case.spec.is_symbols and not case.options.get("word_dropout") else {},
        case.remedy(warmup=warming(case), cycles=4),
        case.remedy(warmup=warming(case)),
        {"lr": case.options["lr"] / 4} if case.options["lr"] else {},
    )


def warming(case: Case) -> int:
    """Steps of warm-up that are a third of the training, so that the code is of use before it costs."""
    last = max((int(line["step"]) for line in case.lines), default=0)
    return max(case.setting("warmup") or 0, last // 3)


def _quieter(case: Case) -> dict[str, Any]:
    discrepancy = case.setting("discrepancy_weight")
    return case.first(
        case.remedy(rate_weight=1.0) if case.setting("rate_weight", 1.0) < 1 else {},
        case.remedy(discrepancy_weight=10 * discrepancy) if discrepancy else {},
        case.remedy(forgiven_rate=0.0) if case.setting("forgiven_rate") else {},
        case.remedy(free_bits=0.0),
        case.remedy(mixture_prior="mixture"),
        case.remedy(learned_prior="learned"),
        case.remedy(released_scaling="elbo"),
    )
