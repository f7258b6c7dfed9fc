"""Samples that somebody else made, against real examples: all measures of samples that need no model."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Unpack, cast

import numpy as np
import torch

from sfumato import data
from sfumato.batch import Batch
from sfumato.data.core.batches import Resident
from sfumato.data.core.dataset import Dataset
from sfumato.data.core.options import DataOptions
from sfumato.data.tables.schema import TableSchema
from sfumato.errors import SfumatoError
from sfumato.evaluation.measure import Measure
from sfumato.evaluation.samples import measures
from sfumato.evaluation.samples.sample_sets import Drawn
from sfumato.evaluation.settings import EvaluationOptions, EvaluationSettings
from sfumato.evaluation.subject import MAX_QUICK_EXAMPLES, Subject, rows
from sfumato.isolation import isolated

MIN_EXAMPLES = 10
"""Examples of each kind below which nothing can be said."""


@isolated
def evaluate(
    real: Any, made: Any, *, holdout: Any = None, options: DataOptions | None = None, **how: Unpack[EvaluationOptions]
) -> list[Measure]:
    """Whether samples that somebody else made are like real examples: the measures of samples that need no model.

    Precision, recall, density and coverage, Fréchet and kernel distance; of tables column shapes, pair trends, training
    on samples and testing on real rows, and the classifier two-sample test; with `holdout` also what samples give away
    of `real`. The real examples are cut in two halves by chance: one is what samples are set against, the other in
    their place is the reference. At most 5000 of each are looked at.

    >>> random = np.random.default_rng(0)
    >>> found = evaluate(random.normal(size=(200, 2)), random.normal(size=(200, 2)), quick=True)
    >>> [one.name for one in found][:4]
    ['precision', 'recall', 'density', 'coverage']

    Args:
        real: real examples, as `sfumato.fit` takes them; those the samples were made from if `holdout` is given.
        made: the samples, of the same kind: a table with the same columns, an array of the same shape, …
        holdout: real examples that were kept from whoever made the samples. They take the place of the half that
            samples are set against.
        options: how the real examples are read; `label` names the column that `target` is by default.
        how: see `sfumato.evaluation.How`; `samples` at most are looked at. Those on a model do nothing here.

    Raises:
        SfumatoError: if the three do not fit each other, or there are too few examples.
    """
    told = EvaluationSettings(**how)
    drawn = _drawn(real, made, holdout, options or DataOptions(), told)
    return measures.of(drawn)


def _drawn(real: Any, made: Any, holdout: Any, options: DataOptions, how: EvaluationSettings) -> Drawn:
    """The three sets side by side; a table as it is, all else as its schema reads it."""
    share = (0.5, 0.0, 0.5) if holdout is None else (1.0, 0.0, 0.0)
    dataset = data.open(real, options=replace(options, split=share, seed=how.seed % 2**63, streaming="no"))
    most = min(MAX_QUICK_EXAMPLES, how.samples or MAX_QUICK_EXAMPLES)
    random = np.random.default_rng(how.seed)
    if isinstance(dataset.schema, TableSchema):
        return _of_tables(dataset, (real, made, holdout), how, most, random)
    sets = [dataset.train.take(slice(None)), _read(dataset, made)]
    sets.insert(1, dataset.test.take(slice(None)) if holdout is None else _read(dataset, holdout))
    sets = [rows(one, random.permutation(len(one))[:most]) for one in sets]
    _enough(sets, real, made, holdout)
    train, test, found = sets
    return Drawn(_subject(dataset, test, how), how, train, test, found, holdout is not None)


def _of_tables(
    dataset: Dataset, sources: Sequence[Any], how: EvaluationSettings, most: int, random: np.random.Generator
) -> Drawn:
    schema = cast(TableSchema, dataset.schema)
    tables = [schema.select(source) for source in sources if source is not None]
    order = [random.permutation(table.num_rows) for table in tables]
    train, made = order[0], order[1]
    half = len(train) // 2
    chosen = [tables[0].take(train[: most if len(tables) > 2 else min(half, most)])]
    chosen += [tables[2].take(order[2][:most]) if len(tables) > 2 else tables[0].take(train[half:][:most])]
    chosen += [tables[1].take(made[:most])]
    # Measures of tables are of their columns; the batches say how many rows there are.
    train_rows, test, found = (Batch(torch.zeros(table.num_rows, 1)) for table in chosen)
    _enough((train_rows, test, found), *sources)
    subject = _subject(dataset, test, how)
    return Drawn(subject, how, train_rows, test, found, len(tables) > 2, tuple(chosen))


def _read(dataset: Dataset, source: Any) -> Batch:
    encoded = dataset.schema.encode(dataset.schema.read(source))
    return Resident(encoded.x, encoded.given, time=encoded.time).take(slice(None))


def _subject(dataset: Dataset, test: Batch, how: EvaluationSettings) -> Subject:
    """What measures ask of a subject that has no model."""
    nobody = cast(Any, None)
    return Subject(nobody, dataset.schema, dataset, "real examples", test, None, how.seed, np.arange(len(test)))


def _enough(sets: Sequence[Batch], real: Any, made: Any, holdout: Any) -> None:
    halves = real if holdout is None else holdout
    for one, source, what in zip(sets, (real, halves, made), ("real", "real", "made"), strict=True):
        if len(one) < MIN_EXAMPLES:
            where = f"{source}: " if isinstance(source, str | os.PathLike) else ""
            half = " in a half" if what == "real" and holdout is None else ""
            raise SfumatoError(f"{where}{len(one)} {what} examples{half}; give {MIN_EXAMPLES} or more")
