"""Checks of the code: the decoder ignores it, it carries too little, or it does not match the prior."""

from __future__ import annotations

import math
from typing import Any

from sfumato.diagnostics.case import Case
from sfumato.diagnostics.finding import Finding, Passed
from sfumato.evaluation.metrics.set_distances import neighbourhoods
from sfumato.evaluation.subject import array
from sfumato.formatting import count, figure, percent
from sfumato.likelihoods import named
from sfumato.models.latent import FREE_RATE


def posterior_collapse(case: Case) -> Finding | Passed | None:
    """No latent is active, or the code carries less than log 2 nats and is ignored, although the data have structure.

    A latent is active if the variance of its mean exceeds 0.01 (Burda et al. 2016). log 2 nats separate
    one half of the data from the other. Unused latents are not a problem: a VAE that needs 19 of 50 leaves 31 unused.
    Where shuffling the entries among the examples changes nothing, there is nothing to encode, and an empty code is
    right.
    """
    if case.active is None:
        return None
    latents, structure = case.model.code_size, case.structure
    if case.active and (case.rate >= math.log(2) or case.decoder_uses_code):
        return Passed(
            f"{case.active} of {count(latents, 'latent')} in use, {figure(case.rate)} nats", {"rate": case.rate}
        )
    if not structure.directions:
        beyond = " beyond the conditions" if case.spec.given else ""
        words = f"the code is empty, as it should be: the data have no structure{beyond}"
        return Passed(words, {"rate": case.rate})
    if case.active:
        used = f"the decoder ignores the code, which carries only {figure(case.rate)} nats per example"
    else:
        unused = f"none of the {count(latents, 'latent')} is in use"
        used = f"{unused}, and the code carries {figure(case.rate)} nats per example"
    return Finding(
        "posterior_collapse",
        "serious",
        f"Posterior collapse: {used}. All reconstructions look alike, although the data have structure in "
        f"{count(structure.directions, 'direction')} beyond chance.",
        {"active": case.active, "latents": latents, "rate": case.rate, "directions": structure.directions},
        number="rate",
        cure=stronger_code(case),
    )


def decoder_ignores_code(case: Case) -> Finding | Passed | None:
    """Among the codes of ten examples, the decoder's likelihood does not recognise the example's own.

    It must beat guessing by three standard errors.
    """
    picked, error = case.lineup
    if case.decoder_uses_code:
        words = f"the decoder recognises the right code among ten {percent(picked)} of the time"
        return Passed(words, {"picked": picked, "error": error})
    if not case.structure.directions:
        return None
    return Finding(
        "decoder_ignores_code",
        "serious",
        f"The decoder ignores the code: among the codes of ten examples, it gives the right one the highest likelihood "
        f"{percent(picked)} of the time, and guessing gives {percent(case.chance)}. The code costs {figure(case.rate)} "
        "nats without any benefit.",
        {"picked": picked, "error": error, "guessing": case.chance, "rate": case.rate},
        number="picked",
        cure=_code_needed(case),
    )


def over_regularised(case: Case) -> Finding | Passed | None:
    """Reconstructions explain less than half of the structure of the data.

    What they explain is the share of the variance that their errors leave. The structure is the share of the variance
    in the leading directions of the data beyond chance, for as many directions as there are latents.
    """
    # An autoregressive decoder models what entries say of each other without the code.
    if case.spec.is_symbols or named(case.spec.likelihood).joint:
        return None
    explained = case.explained_by_reconstructions
    available = case.structure.beyond_chance(case.model.code_size)
    if not available:
        return None
    if explained >= available / 2:
        return Passed(f"reconstructions explain {percent(explained)} of the variance", {"explained": explained})
    return Finding(
        "over_regularised",
        "serious",
        f"Over-regularised: reconstructions explain {percent(explained)} of the variance of the data, although linear "
        f"structure beyond chance accounts for {percent(available)}. The code costs {figure(case.rate)} nats, and a "
        "higher rate would pay off.",
        {"explained": explained, "available": available, "rate": case.rate},
        number="explained",
        cure=stronger_code(case),
    )


def under_regularised(case: Case) -> Finding | Passed | None:
    """Less than half of the draws of the prior have the code of an example nearby.

    Nearby is within the distance of a draw to its fifth neighbour among other draws; as many draws of the prior would
    cover nearly all of it. Samples are decoded from the gaps between codes.
    """
    if case.subject.space is None or not case.active:
        return None
    space, pool = case.subject.space, case.pool
    codes = array(space.encode(pool).sample())
    first, second = (array(space.prior(len(pool), pool.given).sample()) for _ in range(2))
    near, others = (float(neighbourhoods(first, other, error=False)[0][3]) for other in (codes, second))
    if near >= others / 2:
        return Passed(f"codes cover the prior ({percent(near)})", {"near": near})
    sampled, reconstructed = case.coverage["samples"].coverage, case.coverage["reconstructions"].coverage
    return Finding(
        "under_regularised",
        "serious",
        f"Under-regularised: the codes do not cover the prior. {percent(near)} of its draws have a code nearby, where "
        f"draws of the prior would give {percent(others)}. New samples come from regions without training codes: they "
        f"cover {percent(sampled)} of the data, reconstructions {percent(reconstructed)}.",
        {"near": near, "of_prior": others, "rate": case.rate, "samples": sampled, "reconstructions": reconstructed},
        number="near",
        cure=_weaker_code(case),
    )


def stronger_code(case: Case) -> dict[str, Any]:
    """Options that let the code carry more."""
    options = case.options
    capacity, weight, free = case.setting("capacity"), case.setting("rate_weight", 1.0), case.setting("free_bits", 0.0)
    whole = case.setting("free_rate", 0.0)
    adversarial = bool(case.remedy(equilibrium=True))
    return case.first(
        case.remedy(capacity=4 * capacity) if capacity else {},
        {"likelihood": "gaussian"} if named(case.spec.likelihood).unit_scale else {},
        case.remedy(rate_weight=1.0) if weight > 1 else {},
        case.remedy(free_rate=2 * whole or FREE_RATE) if named(case.spec.likelihood).joint_cells and not free else {},
        case.remedy(free_bits=4 * free or 0.25, warmup=warming(case)),
        case.remedy(free_bits=4 * free or 0.25),
        case.remedy(released_scaling="released"),
        case.remedy(forgiven_rate=0.9) if case.setting("forgiven_rate", 0.0) < 0.9 else {},
        case.remedy(total_correlation_weight=case.setting("total_correlation_weight", 0.0) / 4),
        case.remedy(warmup=warming(case), cycles=4),
        {"latent_dim": 2 * case.model.code_size} if case.active == case.model.code_size else {},
        {"split": (0.9, 0.0, 0.1)} if adversarial and len(case.subject.data.valid) else {},
        {"lr": options["lr"] / 4} if options["lr"] else {},
    )


def _code_needed(case: Case) -> dict[str, Any]:
    """Options that make the decoder need the code: dropped symbols, or a code that is free at first."""
    return case.first(
        {"word_dropout": 0.3} if case.spec.is_symbols and not case.options.get("word_dropout") else {},
        case.remedy(warmup=warming(case), cycles=4),
        case.remedy(warmup=warming(case)),
        {"lr": case.options["lr"] / 4} if case.options["lr"] else {},
    )


def warming(case: Case) -> int:
    """A warm-up of a third of the training, so that the code becomes useful before it costs anything."""
    last = max((int(line["step"]) for line in case.lines), default=0)
    return max(case.setting("warmup") or 0, last // 3)


def _weaker_code(case: Case) -> dict[str, Any]:
    discrepancy = case.setting("discrepancy_weight")
    return case.first(
        case.remedy(rate_weight=1.0) if case.setting("rate_weight", 1.0) < 1 else {},
        case.remedy(discrepancy_weight=10 * discrepancy) if discrepancy else {},
        case.remedy(forgiven_rate=0.0) if case.setting("forgiven_rate") else {},
        case.remedy(free_rate=0.0) if case.setting("free_rate") else {},
        case.remedy(free_bits=0.0),
        case.remedy(mixture_prior="mixture"),
        case.remedy(learned_prior="learned"),
        case.remedy(released_scaling="elbo"),
    )
