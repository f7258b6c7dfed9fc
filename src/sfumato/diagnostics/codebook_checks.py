"""Checks of discrete codes: unused entries, and a prior that has learned nothing."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from sfumato.diagnostics.case import SURE, Case
from sfumato.diagnostics.finding import Finding, Passed
from sfumato.evaluation.codebooks.usage import used
from sfumato.formatting import figure
from sfumato.models.protocols import Codebooks


def dead_codes(case: Case) -> Finding | Passed | None:
    """A codebook has less than half of the entries in use that uniform use would reach.

    M codes drawn uniformly from K entries leave about K·e^(−M/K) of them unused.
    """
    books = used(replace(case.subject, batch=case.trained_on))
    if not books:
        return None
    worst = min(books, key=lambda book: book.used / book.size)
    drawn = int(worst.counts.sum())
    even = worst.size * (1 - math.exp(-drawn / worst.size))
    if worst.used >= even / 2:
        return Passed(f"{worst.used} of {worst.size} codes in use", {"share": worst.used / worst.size})
    fit = 2 ** math.ceil(math.log2(max(2 * worst.perplexity, 4)))
    return Finding(
        "dead_codes",
        "minor",
        f"Dead codes{worst.name}: {drawn:,} codes of training examples use {worst.used} of {worst.size} entries "
        f"(perplexity {figure(worst.perplexity)}); uniform use would reach {even:.0f}.",
        {
            "share": worst.used / worst.size,
            "used": worst.used,
            "size": worst.size,
            "even": even,
            "perplexity": worst.perplexity,
        },
        number="share",
        cure=case.first(case.remedy(codebook_size=fit) if fit < worst.size else {}, case.remedy(finite_scalars="fsq")),
    )


def code_prior_lost(case: Case) -> Finding | Passed | None:
    """The prior of codes is no better than a uniform one, to within 1%: Σ log K nats per example."""
    if not isinstance(case.model, Codebooks):
        return None
    uniform = float(np.log(case.model.code_sizes).sum())
    rates = case.parts[:, 1]
    error = float(rates.std() / math.sqrt(len(rates)))
    if rates.mean() < uniform - max(SURE * error, 0.01 * uniform):
        words = f"the prior of codes is better than uniform ({figure(case.rate)} of {figure(uniform)} nats)"
        return Passed(words, {"rate": case.rate, "error": error})
    options = case.options
    return Finding(
        "code_prior_lost",
        "serious",
        f"The prior of codes has learned nothing: codes cost {figure(case.rate)} nats per example under it, and "
        f"{figure(uniform)} under a uniform prior. Samples combine codes at random.",
        {"rate": case.rate, "error": error, "uniform": uniform},
        number="rate",
        better="lower",
        cure=case.first(
            {"epochs": 3 * options["epochs"]} if options.get("epochs") else {},
            {"steps": max(3 * options["steps"], 1000)} if options.get("steps") else {},
        ),
    )
