"""Sicknesses of discrete codes: entries that nobody takes, and a prior that has learned nothing of them."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from sfumato.diagnostics.case import SURE, Case
from sfumato.diagnostics.finding import Finding, Well
from sfumato.evaluation.codebooks.usage import used
from sfumato.formatting import figure
from sfumato.models.protocols import Codebooks


def dead_codes(case: Case) -> Finding | Well | None:
    """Of a codebook less than half of the entries are taken that even use would take.

    M codes that take each of K entries alike leave about K·e^(−M/K) of them out.
    """
    books = used(replace(case.subject, batch=case.trained_on))
    if not books:
        return None
    worst = min(books, key=lambda book: book.used / book.size)
    drawn = int(worst.counts.sum())
    even = worst.size * (1 - math.exp(-drawn / worst.size))
    if worst.used >= even / 2:
        return Well(f"{worst.used} of {worst.size} codes in use", {"share": worst.used / worst.size})
    fit = 2 ** math.ceil(math.log2(max(2 * worst.perplexity, 4)))
    return Finding(
        "dead_codes",
        "minor",
        f"Dead codes{worst.name}: {drawn:,} codes of training examples take {worst.used} of {worst.size} entries, as "
        f"varied as {figure(worst.perplexity)} in even use; even use would take {even:.0f}.",
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


def code_prior_lost(case: Case) -> Finding | Well | None:
    """The prior of codes gives them as much as a uniform one would, to a hundredth: Σ log K nats for each example."""
    if not isinstance(case.model, Codebooks):
        return None
    uniform = float(np.log(case.model.code_sizes).sum())
    rates = case.parts[:, 1]
    error = float(rates.std() / math.sqrt(len(rates)))
    if rates.mean() < uniform - max(SURE * error, 0.01 * uniform):
        words = f"the prior of codes has learned them ({figure(case.rate)} of {figure(uniform)} nats)"
        return Well(words, {"rate": case.rate, "error": error})
    told = case.options
    return Finding(
        "code_prior_lost",
        "serious",
        f"The prior of codes has learned nothing: it gives them {figure(case.rate)} nats per example, and a uniform "
        f"one {figure(uniform)}. Samples are put together at random.",
        {"rate": case.rate, "error": error, "uniform": uniform},
        number="rate",
        better="lower",
        cure=case.first(
            {"epochs": 3 * told["epochs"]} if told.get("epochs") else {},
            {"steps": max(3 * told["steps"], 1000)} if told.get("steps") else {},
        ),
    )
