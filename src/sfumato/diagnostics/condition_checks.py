"""A check of conditional models: codes that contain the condition, so that changing it changes nothing."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from sfumato.batch import Batch
from sfumato.diagnostics.case import SURE, Case
from sfumato.diagnostics.finding import Finding, Passed
from sfumato.diagnostics.sample_checks import tree_score
from sfumato.formatting import percent

MIN_CHANGE_KEPT = 0.5
"""A change counts as visible if decoded examples show at least this share of what real examples show."""


def latents_carry_condition(case: Case) -> Finding | Passed | None:
    """A probe predicts a condition from codes, and decoding them under another value does not show that value.

    The probe and the classifier are trees, fitted to one half of the examples: to codes, and to the examples. Both are
    scored above guessing on the other half; the classifier also on the other half encoded under their own conditions
    and decoded under conditions that were permuted among them.
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
        seen, noise = tree_score(category, x, train.given, real, test.given, place, seed)
        if seen <= SURE * noise:  # Not even real examples show it.
            continue
        probed, error = tree_score(category, codes, train.given, own, test.given, place, seed)
        targets = _exchanged(test.given, place, seed)
        decoded = case.vectors.of(_decoded(case, test, targets))
        kept = tree_score(category, x, train.given, decoded, targets, place, seed)[0] / seen
        shown[name] = kept
        if kept >= MIN_CHANGE_KEPT or probed <= SURE * error:
            changed.append(f"{name} {percent(max(kept, 0.0))}")
            continue
        carried.append(
            f"{name} (predicted from codes {_above(probed, error, category)}; {percent(max(kept, 0.0))} visible)"
        )
        numbers |= {name: kept, f"{name}_probe": probed, f"{name}_probe_error": error}
    if not carried:
        words = f"examples can be decoded under other conditions ({', '.join(changed)})"
        return Passed(words, shown) if changed else None
    return Finding(
        "latents_carry_condition",
        "minor",
        f"Latents carry the condition: decoded under another value, examples do not change to it, because their codes "
        f"contain the old one: {', '.join(carried)}. Sampling under conditions is not affected.",
        numbers,
        number=min((name for name in shown if name in numbers), key=shown.__getitem__),
        cure=case.first(*case.less_condition_in_code),
    )


def _above(probed: float, error: float, category: bool) -> str:
    """The score above guessing, with its error."""
    if category:
        return f"{percent(probed)} ± {percent(error)} above guessing"
    return f"with a correlation of {probed:.2f} ± {error:.2f}"


def _codes(case: Case, batch: Batch) -> np.ndarray:
    """Latent means, (N, L)."""
    return replace(case.subject, batch=batch).means()


def _exchanged(given: Tensor, place: int, seed: int) -> Tensor:
    """Conditions (N, G) with one of them permuted among the examples."""
    order = torch.randperm(len(given), generator=torch.Generator().manual_seed(seed)).to(given.device)
    exchanged = given.clone()
    exchanged[:, place] = given[order, place]
    return exchanged


def _decoded(case: Case, batch: Batch, targets: Tensor) -> Tensor:
    """The examples encoded under their own conditions and decoded under others."""
    paired = Batch(batch.x, torch.cat([batch.given, targets], 1) if batch.given is not None else targets, batch.mask)
    count = targets.shape[1]

    def decode(part: Batch) -> Tensor:
        assert part.given is not None, "set above"
        own, other = part.given[:, :count], part.given[:, count:]
        return case.subject.model.reconstruct(replace(part, given=own), given=other)

    return replace(case.subject, batch=paired).chunked(decode)
