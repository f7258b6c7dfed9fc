"""Sicknesses between the parts of the data: learned by heart, or tested on something else."""

from __future__ import annotations

import math

import numpy as np
import torch
from scipy.stats import mannwhitneyu
from sklearn.ensemble import ExtraTreesClassifier
from torch import Tensor

from sfumato.diagnostics.case import SURE, Case
from sfumato.diagnostics.finding import Finding, Well
from sfumato.formatting import figure, percent

HALFWAY = 0.75
"""Between telling two things apart by chance (0.5) and always (1)."""
NEARLY = 0.9
"""As good as always: a training example is known for one."""
SPLIT_TREES = 100
MAX_FREQUENT_CATEGORIES = 20
"""A column of at most so many categories hardly has one of a single example."""
MAX_COMPARED_ROWS = 1 << 16


def memorising(case: Case) -> Finding | Well | None:
    """The bound alone tells training examples from held-out ones, in three of four pairs.

    The share of pairs, one of each, in which the training example has the better bound (Mann and Whitney 1947): one
    half if the model has learned nothing by heart.
    """
    if case.subject.part == "training part":
        return None
    train, test = case.bound_parts(case.trained_on).sum(1), case.parts.sum(1)
    share, error = _apart(test, train)
    gap = float(test.mean() - train.mean())
    if share < HALFWAY or share - SURE * error < 0.5:
        words = f"nothing was learned by heart (told apart in {percent(share)} of pairs)"
        return Well(words, {"pairs": share, "error": error})
    return Finding(
        "memorising",
        "serious" if share > NEARLY else "minor",
        f"Memorising: training examples score {figure(gap)} nats better than held-out ones, and the score alone tells "
        f"one from the other in {percent(share)} of pairs (chance: 50%).",
        {"pairs": share, "error": error, "gap": gap},
        number="pairs",
        better="lower",
        cure=case.first(
            {"split": (0.8, 0.1, 0.1)} if not len(case.subject.data.valid) else {},
            case.smaller,
        ),
    )


def shifted_parts(case: Case) -> Finding | Well | None:
    """Held-out examples are of another distribution than training ones: trees tell them apart in three of four pairs.

    Trees are grown on half of each, and asked of the other half. A category that no other training example has is
    missing to them, as are those of held-out examples that no training example has: a name, which each example has for
    itself, tells nothing of how they are distributed.
    """
    if case.subject.part == "training part" or len(case.held_out) < 20:
        return None
    test = case.vectors.of(case.held_out.x, case.held_out.mask)
    train = case.vectors.of(case.trained_on.x, _seen_elsewhere(case))
    train = train[np.random.default_rng(case.subject.seed).permutation(len(train))[: 4 * len(test)]]
    x = np.concatenate([train[::2], test[::2]])
    y = np.repeat([0, 1], [len(train[::2]), len(test[::2])])
    trees = ExtraTreesClassifier(
        SPLIT_TREES if not case.quick else SPLIT_TREES // 4, class_weight="balanced", random_state=0
    )
    trees.fit(x, y)
    share, error = _apart(*(trees.predict_proba(one[1::2])[:, 1] for one in (test, train)))
    if share < HALFWAY or share - SURE * error < 0.5:
        return Well(f"the {case.subject.part} is like the training part", {"pairs": share, "error": error})
    return Finding(
        "shifted_parts",
        "serious",
        f"The {case.subject.part} is not like the training part: trees that saw half of each tell the rest apart in "
        f"{percent(share)} of pairs (chance: 50%). Its scores are of other data than were learned; no option cures "
        "that. Mix the rows, or keep in mind what is tested.",
        {"pairs": share, "error": error},
    )


def _seen_elsewhere(case: Case) -> Tensor | None:
    """The mask of the training examples without the categories that are those of one example of the training part."""
    data, batch = case.subject.data.train, case.trained_on
    many = [
        place
        for place, field in enumerate(case.spec.columns)
        if field.kind == "category" and field.size > MAX_FREQUENT_CATEGORIES
    ]
    if not many:
        return batch.mask
    counts = [torch.zeros(case.spec.columns[place].size, dtype=torch.long) for place in many]
    for rows in torch.arange(len(data)).split(MAX_COMPARED_ROWS):
        some = data.take(rows)
        for count, place in zip(counts, many, strict=True):
            known = slice(None) if some.mask is None else some.mask[:, place]
            count += torch.bincount(some.x[known, place].cpu().long(), minlength=len(count))
    mask = torch.ones_like(batch.x, dtype=torch.bool) if batch.mask is None else batch.mask.clone()
    for count, place in zip(counts, many, strict=True):
        mask[:, place] &= (count.to(mask.device) > 1)[batch.x[:, place].long()]
    return mask


def _apart(one: np.ndarray, two: np.ndarray) -> tuple[float, float]:
    """The share of pairs in which `one` is the larger, and its standard error if both were alike."""
    n, m = len(one), len(two)
    share = float(mannwhitneyu(one, two).statistic / (n * m))
    return share, math.sqrt((n + m + 1) / (12 * n * m))
