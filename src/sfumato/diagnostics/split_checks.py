"""Checks across the splits of the data: memorised training examples, or a test split that differs."""

from __future__ import annotations

import math

import numpy as np
import torch
from scipy.stats import mannwhitneyu
from sklearn.ensemble import ExtraTreesClassifier
from torch import Tensor

from sfumato.diagnostics.case import SURE, Case
from sfumato.diagnostics.finding import Finding, Passed
from sfumato.formatting import figure, percent

HALFWAY = 0.75
"""Halfway between separating two sets by chance (0.5) and always (1)."""
NEARLY = 0.9
"""Nearly always: training examples are recognised as such."""
SPLIT_TREES = 100
MAX_FREQUENT_CATEGORIES = 20
"""Categories of a column up to which hardly any belongs to a single example."""
MAX_COMPARED_ROWS = 1 << 16


def memorising(case: Case) -> Finding | Passed | None:
    """The bound alone separates training examples from held-out ones, in three of four pairs.

    The share of pairs, one of each, in which the training example has the better bound (Mann and Whitney 1947): one
    half if the model has memorised nothing.
    """
    if case.subject.part == "training split":
        return None
    train, test = case.bound_parts(case.trained_on).sum(1), case.parts.sum(1)
    share, error = _separation(test, train)
    gap = float(test.mean() - train.mean())
    if share < HALFWAY or share - SURE * error < 0.5:
        words = f"nothing was memorised (training and held-out examples separate in {percent(share)} of pairs)"
        return Passed(words, {"pairs": share, "error": error})
    return Finding(
        "memorising",
        "serious" if share > NEARLY else "minor",
        f"Memorising: training examples score {figure(gap)} nats better than held-out ones, and the score alone "
        f"separates the two in {percent(share)} of pairs (chance: 50%).",
        {"pairs": share, "error": error, "gap": gap},
        number="pairs",
        better="lower",
        cure=case.first(
            {"split": (0.8, 0.1, 0.1)} if not len(case.subject.data.valid) else {},
            case.smaller_network,
        ),
    )


def shifted_parts(case: Case) -> Finding | Passed | None:
    """Held-out and training examples differ in distribution: trees separate them in three of four pairs.

    Trees are trained on half of each and evaluated on the other half. A category of a single training example counts as
    missing, as does one of held-out examples that no training example has: an identifier, unique to each example, says
    nothing about the distribution.
    """
    # Windows of a series are split by time: the later ones need not be like the earlier ones.
    if case.subject.part == "training split" or len(case.held_out) < 20 or case.spec.horizon:
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
    share, error = _separation(*(trees.predict_proba(part[1::2])[:, 1] for part in (test, train)))
    if share < HALFWAY or share - SURE * error < 0.5:
        return Passed(f"the {case.subject.part} resembles the training split", {"pairs": share, "error": error})
    return Finding(
        "shifted_parts",
        "serious",
        f"The {case.subject.part} differs from the training split: trees trained on half of each separate the rest in "
        f"{percent(share)} of pairs (chance: 50%). Scores on it describe other data than the model was trained on. No "
        "option fixes that: shuffle the rows, or keep the difference in mind.",
        {"pairs": share, "error": error},
    )


def _seen_elsewhere(case: Case) -> Tensor | None:
    """The mask of the training examples without categories that occur in a single example of the training split."""
    data, batch = case.subject.data.train, case.trained_on
    of_rows = () if case.spec.is_sequence else case.spec.columns
    many = [
        place
        for place, field in enumerate(of_rows)
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


def _separation(first: np.ndarray, second: np.ndarray) -> tuple[float, float]:
    """The share of pairs in which `one` is the larger, and its standard error if both have one distribution."""
    n, m = len(first), len(second)
    share = float(mannwhitneyu(first, second).statistic / (n * m))
    return share, math.sqrt((n + m + 1) / (12 * n * m))
