"""Privacy: whether samples, or the model itself, reveal what was in the training split."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from sfumato.batch import Batch
from sfumato.evaluation.measure import Measure
from sfumato.evaluation.metrics.classifiers import ranked
from sfumato.evaluation.metrics.columns import Aligned
from sfumato.evaluation.metrics.jackknife import JACKKNIFE_GROUPS, jackknife
from sfumato.evaluation.samples.features import Features
from sfumato.evaluation.samples.records import Records, RecordSet, copied, filled, nearest
from sfumato.evaluation.samples.sample_sets import Drawn
from sfumato.evaluation.subject import ENTRIES, array, rows, slices
from sfumato.objectives import importance_bound

ATTACK_DRAWS = 4
"""Draws of z for the bound that the attack uses."""


def measures(drawn: Drawn, features_of_sets: Features | None) -> list[Measure]:
    """Closest records, copies of rows and of values, and membership attacks.

    None where nothing was held out or quick is asked for.
    """
    if drawn.how.quick or not drawn.held_out or drawn.size < 4:
        return []
    records = None if features_of_sets is None or not drawn.columns else Records.of(drawn)
    near = [] if records is None else by_distance(records, drawn.how.seed)
    single = of_single_rows([drawn.columns[place] for place in drawn.judged], drawn.how.seed)
    return [*near, *single, *([by_score(drawn)] if drawn.by_model else [])]


def by_distance(records: Records, seed: int) -> list[Measure]:
    """What distances between samples, training rows and test rows say.

    Each number compares what would be alike had nothing been memorised. Samples without holes stand as far from
    training rows as from as many test rows, if they were drawn under the conditions of both. Where the distance of
    samples to training rows is set beside that of test rows, samples have the conditions and the holes of test rows.
    """
    size = min(len(records.train), len(records.test))
    members, others = records.train[:size], records.test[:size]
    new = records.samples[len(records.samples) // 2 :] if records.conditional else records.samples
    targets = (members, others) if records.conditional else (records.train, records.test)
    guess = [-nearest(rows, records.samples) for rows in targets]
    return [
        *_closer(records.samples, members.known(), others.known(), seed),
        *_far(new.with_holes_of(records.test), records.test, records.train, seed),
        _copies(new, records.test, records.train, seed),
        attack(
            "membership attack by samples",
            "How well an attacker with the samples identifies training rows, by their distance to the nearest sample",
            *guess,
            seed=seed,
        ),
    ]


def _closer(samples: RecordSet, members: RecordSet, others: RecordSet, seed: int) -> list[Measure]:
    """The share of samples closer to training rows than to as many test rows; Platzer and Reutterer 2021, 3.2."""
    size = min(len(members), len(others))
    if not size:
        return []
    random = np.random.default_rng(seed)
    cut = np.array_split(random.permutation(size), min(JACKKNIFE_GROUPS, size))
    near, far = (np.stack([nearest(samples, real[part]) for part in cut], 1) for real in (members, others))

    def share(kept: np.ndarray, ours: np.ndarray, theirs: np.ndarray) -> list[float]:
        own, other = near[np.ix_(kept, ours)].min(1), far[np.ix_(kept, theirs)].min(1)
        return [float(((own < other) + (own == other) / 2).mean())]

    every = np.arange(len(cut))
    return [
        Measure(
            "closer to training rows",
            share(np.arange(len(samples)), every, every)[0],
            "",
            "Share of samples whose closest real row is a training row, and not one of as many held-out rows; well "
            "above a half, the model repeats its training data.",
            "samples",
            error=jackknife(share, (len(samples), len(cut), len(cut)), seed)[0],
            reference=0.5,
            reference_is="nothing memorised",
            better="lower",
        )
    ]


def _far(samples: RecordSet, test: RecordSet, train: RecordSet, seed: int) -> list[Measure]:
    """The distance of samples to the closest training row over that of test rows; none where that is 0."""
    sample_distances, test_distances = (
        near[np.isfinite(near)] for near in (nearest(samples, train), nearest(test, train))
    )
    if not len(sample_distances) or not len(test_distances) or not test_distances.any():
        return []
    middle = np.median if np.mean(test_distances == 0) < 1 / 3 else np.mean

    def ratio(a: np.ndarray, b: np.ndarray) -> list[float]:
        scale = middle(test_distances[b])
        return [float(middle(sample_distances[a]) / scale) if scale else np.nan]

    return [
        Measure(
            "distance to the closest record",
            ratio(np.arange(len(sample_distances)), np.arange(len(test_distances)))[0],
            "× that of test rows",
            "Distance of samples to the closest training row, relative to that of new real rows; well below 1, samples "
            "are suspiciously close to individual records.",
            "samples",
            error=jackknife(ratio, (len(sample_distances), len(test_distances)), seed)[0],
            reference=1.0,
            reference_is="test rows",
        )
    ]


def _copies(samples: RecordSet, test: RecordSet, train: RecordSet, seed: int) -> Measure:
    """The share of samples equal to a training row, decided on the columns themselves."""
    copies = copied(samples.values, train.values)
    reference = test.values if np.isnan(samples.values).any() else filled(test)
    return Measure(
        "copies of training rows",
        float(copies.mean()),
        "",
        "Share of samples equal to a training row in all its known columns; if rows repeat, this holds for some test "
        "rows too.",
        "samples",
        error=jackknife(lambda kept: [copies[kept].mean()], (len(copies),), seed)[0],
        reference=float(copied(reference, train.values).mean()),
        reference_is="test rows",
        better="lower",
    )


def of_single_rows(table: Sequence[Aligned], seed: int = 0) -> list[Measure]:
    """The share of samples that hold a category which one training row has for itself; none where there is none.

    A name or an address points to somebody even where the rest of the row is new. Of rows of the same distribution,
    which the test rows are, some hold one by chance.

    Args:
        table: columns of (train, test, samples).
        seed: of the error.
    """
    flags = [np.zeros(len(values), bool) for values in table[0].values] if table else []
    for column in table:
        if not column.levels:
            continue
        known = column.values[0][~np.isnan(column.values[0])].astype(int)
        single = np.append(np.bincount(known, minlength=len(column.levels)) == 1, False)
        for rows_of, values in zip(flags, column.values, strict=True):
            rows_of |= single[np.where(np.isnan(values), len(column.levels), values).astype(int)]
    if not flags or not flags[0].any():
        return []
    _, test, samples = flags
    return [
        Measure(
            "values of single rows",
            float(samples.mean()),
            "",
            "Share of samples with a category that only one training row has, such as a name or a comment; well above "
            "the share among test rows, samples reveal individual records.",
            "samples",
            error=jackknife(lambda kept: [samples[kept].mean()], (len(samples),), seed)[0],
            reference=float(test.mean()),
            reference_is="test rows",
            better="lower",
        )
    ]


def by_score(drawn: Drawn) -> Measure:
    """A stranger who has the model: training examples score higher where it has memorised (Yeom et al. 2018)."""
    members, others = _scores(drawn, drawn.train), _scores(drawn, drawn.test)
    return attack(
        "membership attack by score",
        "How well an attacker with the model identifies training examples, by their bound on log p(x)",
        members,
        others,
        seed=drawn.how.seed,
    )


def attack(name: str, meaning: str, members: np.ndarray, others: np.ndarray, *, seed: int = 0) -> Measure:
    """How well a number tells members from others, as an area under the ROC curve.

    >>> attack("a", "b", np.array([2.0, 3.0]), np.array([0.0, 1.0])).value
    1.0
    """
    return Measure(
        name,
        ranked(members, others),
        "AUC",
        f"{meaning}; 0.5 is guessing.",
        "samples",
        error=jackknife(lambda a, b: [ranked(members[a], others[b])], (len(members), len(others)), seed)[0],
        reference=0.5,
        reference_is="guessing",
        better="lower",
    )


def _scores(drawn: Drawn, batch: Batch) -> np.ndarray:
    model, entries = drawn.subject.model, drawn.subject.schema.spec.entries
    draws = min(max(ENTRIES // (2 * entries * len(batch)), 1), ATTACK_DRAWS)

    def bound(part: Batch) -> Tensor:
        return importance_bound(model.log_weight(part, draws))

    parts = [bound(rows(batch, part)) for part in slices(len(batch), batch.x[0].numel())]
    return array(torch.cat(parts)).astype(float)
