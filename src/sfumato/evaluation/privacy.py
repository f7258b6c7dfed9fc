"""Whether samples, or the model itself, give away who was in the training part."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from sfumato.batch import Batch
from sfumato.evaluation.drawn import Drawn
from sfumato.evaluation.features import Features, without_holes
from sfumato.evaluation.jackknife import GROUPS, jackknife
from sfumato.evaluation.judges import ranked
from sfumato.evaluation.likeness import closest
from sfumato.evaluation.measure import Measure
from sfumato.evaluation.subject import CHUNK, ENTRIES, array, rows
from sfumato.objectives import importance_bound

DRAWS = 4
"""Draws of z for the bound that the attack goes by."""


def measures(drawn: Drawn, found: Features | None) -> list[Measure]:
    """Closest records, copies, and two membership attacks; none where nothing was held out or quick is asked for."""
    if drawn.how.quick or not drawn.held_out or drawn.size < 4:
        return []
    near = [] if found is None or not drawn.columns else by_distance(without_holes(drawn, found), drawn.how.seed)
    return [*near, by_score(drawn)]


def by_distance(found: Features, seed: int) -> list[Measure]:
    """What Euclidean distances between features of samples, training rows and test rows say."""
    size = min(len(found.train), len(found.test))
    members, strangers = found.train[:size], found.test[:size]
    made_near, test_near = closest(found.made, found.train), closest(found.test, found.train)
    middle = np.median if np.median(test_near) > 0 else np.mean
    measured = [_closer(found.made, members, strangers, seed)]
    if middle(test_near) > 0:
        measured.append(
            Measure(
                "distance to the closest record",
                float(middle(made_near) / middle(test_near)),
                "× that of test rows",
                "How far samples are from the closest training row, beside how far new real rows are; "
                "well below 1, they stand suspiciously close to somebody's record.",
                "samples",
                error=jackknife(
                    lambda a, b: [middle(made_near[a]) / middle(test_near[b]) if middle(test_near[b]) else np.nan],
                    (len(made_near), len(test_near)),
                    seed,
                )[0],
                reference=1.0,
                reference_is="test rows",
            )
        )
    copies = made_near == 0
    measured.append(
        Measure(
            "copies of training rows",
            float(copies.mean()),
            "",
            "Share of samples equal to a training row in every column; where rows repeat, some test rows are too.",
            "samples",
            error=jackknife(lambda kept: [copies[kept].mean()], (len(copies),), seed)[0],
            reference=float((test_near == 0).mean()),
            reference_is="test rows",
            better="lower",
        )
    )
    guess = -closest(found.train, found.made), -closest(found.test, found.made)
    measured.append(
        attack(
            "membership attack by samples",
            "How well a stranger who has the samples tells training rows from others, by how close a sample is",
            *guess,
            seed=seed,
        )
    )
    return measured


def _closer(made: np.ndarray, members: np.ndarray, strangers: np.ndarray, seed: int) -> Measure:
    """The share of samples closer to training rows than to as many test rows; Platzer and Reutterer 2021, 3.2."""
    random = np.random.default_rng(seed)
    cut = np.array_split(random.permutation(len(members)), min(GROUPS, len(members)))
    near, far = (np.stack([closest(made, real[part]) for part in cut], 1) for real in (members, strangers))

    def share(kept: np.ndarray, ours: np.ndarray, theirs: np.ndarray) -> list[float]:
        one, two = near[np.ix_(kept, ours)].min(1), far[np.ix_(kept, theirs)].min(1)
        return [float(((one < two) + (one == two) / 2).mean())]

    every = np.arange(len(cut))
    return Measure(
        "closer to training rows",
        share(np.arange(len(made)), every, every)[0],
        "",
        "Share of samples whose closest real row is a training row, and not one of as many rows kept out of training; "
        "well above a half, the model repeats what it was shown.",
        "samples",
        error=jackknife(share, (len(made), len(cut), len(cut)), seed)[0],
        reference=0.5,
        reference_is="nothing memorised",
        better="lower",
    )


def by_score(drawn: Drawn) -> Measure:
    """A stranger who has the model: training examples score higher where it has memorised (Yeom et al. 2018)."""
    members, strangers = _scores(drawn, drawn.train), _scores(drawn, drawn.test)
    return attack(
        "membership attack by score",
        "How well a stranger who has the model tells training examples from others, by their bound on log p(x)",
        members,
        strangers,
        seed=drawn.how.seed,
    )


def attack(name: str, meaning: str, members: np.ndarray, strangers: np.ndarray, *, seed: int = 0) -> Measure:
    """How well a number tells members from strangers, as an area under the ROC curve.

    >>> attack("a", "b", np.array([2.0, 3.0]), np.array([0.0, 1.0])).value
    1.0
    """
    return Measure(
        name,
        ranked(members, strangers),
        "AUC",
        f"{meaning}; 0.5 is guessing.",
        "samples",
        error=jackknife(lambda a, b: [ranked(members[a], strangers[b])], (len(members), len(strangers)), seed)[0],
        reference=0.5,
        reference_is="guessing",
        better="lower",
    )


def _scores(drawn: Drawn, batch: Batch) -> np.ndarray:
    model, entries = drawn.subject.model, drawn.subject.schema.spec.entries
    draws = min(max(ENTRIES // (2 * entries * len(batch)), 1), DRAWS)

    def bound(part: Batch) -> Tensor:
        return importance_bound(model.log_weight(part, draws))

    parts = [bound(rows(batch, slice(at, at + CHUNK))) for at in range(0, len(batch), CHUNK)]
    return array(torch.cat(parts)).astype(float)
