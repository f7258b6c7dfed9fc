"""A sickness of conditional models: codes that say the condition again, so that changing it changes nothing."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from sfumato.batch import Batch
from sfumato.diagnostics.case import SURE, Case
from sfumato.diagnostics.finding import Finding, Well
from sfumato.diagnostics.sample_checks import told_by_trees
from sfumato.formatting import percent

MIN_CHANGE_KEPT = 0.5
"""A change of which less than this part comes through, of what real examples show, has not come through."""


def latents_carry_condition(case: Case) -> Finding | Well | None:
    """A probe tells a condition from codes, and decoding them under another value does not show that value.

    The probe and the judge are trees, grown on one half of the examples: on codes, and on the examples themselves. Both
    are told by how much better than guessing they are on the other half, the judge also by what it says of the other
    half encoded under their own conditions and decoded under one that was exchanged among them.
    """
    spec, names = case.spec.given, case.subject.schema.given_names
    if not spec or case.subject.space is None:
        return None
    train, test = case.halves
    if test.given is None:
        return None
    codes, own = _codes(case, train), _codes(case, test)
    x, real = case.vectors.of(train.x, train.mask), case.vectors.of(test.x, test.mask)
    changed: list[str] = []
    carried: list[str] = []
    numbers: dict[str, float] = {}
    shown: dict[str, float] = {}
    for place, (field, name) in enumerate(zip(spec, names, strict=True)):
        category, seed = field.kind == "category", case.subject.seed
        seen, noise = told_by_trees(category, x, train.given, real, test.given, place, seed)
        if seen <= SURE * noise:  # not even real examples show it
            continue
        probed, error = told_by_trees(category, codes, train.given, own, test.given, place, seed)
        asked = _exchanged(test.given, place, seed)
        made = case.vectors.of(_decoded(case, test, asked))
        kept = told_by_trees(category, x, train.given, made, asked, place, seed)[0] / seen
        shown[name] = kept
        if kept >= MIN_CHANGE_KEPT or probed <= SURE * error:
            changed.append(f"{name} {percent(max(kept, 0.0))}")
            continue
        carried.append(f"{name} (told from codes {_above(probed, error, category)}; {percent(max(kept, 0.0))} shown)")
        numbers |= {name: kept, f"{name}_probe": probed, f"{name}_probe_error": error}
    if not carried:
        words = f"examples can be shown under other conditions ({', '.join(changed)})"
        return Well(words, shown) if changed else None
    return Finding(
        "latents_carry_condition",
        "minor",
        f"Latents carry the condition: decoded under another value, examples do not change to it, for their codes say "
        f"the old one: {', '.join(carried)}. What is sampled to order is not concerned.",
        numbers,
        number=min((name for name in shown if name in numbers), key=shown.__getitem__),
        cure=case.first(*case.freed),
    )


def _above(probed: float, error: float, category: bool) -> str:
    """How much better than guessing, with its error."""
    if category:
        return f"{percent(probed)} ± {percent(error)} above guessing"
    return f"with a correlation of {probed:.2f} ± {error:.2f}"


def _codes(case: Case, batch: Batch) -> np.ndarray:
    """Latent means, (N, L)."""
    return replace(case.subject, batch=batch).means()


def _exchanged(given: Tensor, place: int, seed: int) -> Tensor:
    """Conditions (N, G) of which one is exchanged among the examples, so that as many have each value as before."""
    order = torch.randperm(len(given), generator=torch.Generator().manual_seed(seed)).to(given.device)
    asked = given.clone()
    asked[:, place] = given[order, place]
    return asked


def _decoded(case: Case, batch: Batch, asked: Tensor) -> Tensor:
    """The examples encoded under their own conditions and decoded under others."""
    paired = Batch(batch.x, torch.cat([batch.given, asked], 1) if batch.given is not None else asked, batch.mask)
    count = asked.shape[1]

    def one(part: Batch) -> Tensor:
        assert part.given is not None, "made above"
        own, other = part.given[:, :count], part.given[:, count:]
        return case.subject.model.reconstruct(replace(part, given=own), given=other)

    return replace(case.subject, batch=paired).chunked(one)
