"""Samples from any source against real examples: all measures of samples that need no model."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Unpack, cast

import numpy as np
import torch

from sfumato import data
from sfumato.batch import Batch
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
"""Least number of examples of each set."""


@isolated
def evaluate(
    real: Any,
    synthetic: Any,
    *,
    holdout: Any = None,
    options: DataOptions | None = None,
    **how: Unpack[EvaluationOptions],
) -> list[Measure]:
    """Evaluate samples from any source against real examples, by all measures of samples that need no model.

    Precision, recall, density and coverage, Fréchet and kernel distance; of tables column shapes, pair trends, training
    on samples and testing on real rows, and the classifier two-sample test; with `holdout` also the measures
    of privacy. The real examples are split in two random halves: samples are compared with one, and the reference is
    the other half compared with it. At most 5000 of each are used.

    >>> random = np.random.default_rng(0)
    >>> measures = evaluate(random.normal(size=(200, 2)), random.normal(size=(200, 2)), quick=True)
    >>> [measure.name for measure in measures][:4]
    ['column shapes', 'pair trends', 'precision', 'recall']

    Args:
        real: real examples, as `sfumato.fit` takes them; those that the samples were generated from if `holdout` is
            given.
        synthetic: the samples, of the same kind: a table with the same columns, an array of the same shape, …
        holdout: real examples that the source of the samples has not seen. Samples are compared with them instead of
            with a half of `real`.
        options: how the real examples are read; `label` names the column that `target` is by default.
        how: see `sfumato.evaluation.EvaluationSettings`; `samples` is the largest number used. Settings of a model have
            no effect.

    Raises:
        SfumatoError: if the three do not match, or there are too few examples.
    """
    settings = EvaluationSettings(**how)
    drawn = _drawn(real, synthetic, holdout, options or DataOptions(), settings)
    return measures.of(drawn)


def _drawn(real: Any, synthetic: Any, holdout: Any, options: DataOptions, how: EvaluationSettings) -> Drawn:
    """The three sets; a table unchanged, all else as its schema reads it."""
    share = (0.5, 0.0, 0.5) if holdout is None else (1.0, 0.0, 0.0)
    dataset = data.open(real, options=replace(options, split=share, seed=how.seed % 2**63, streaming="no"))
    most = min(MAX_QUICK_EXAMPLES, how.samples or MAX_QUICK_EXAMPLES)
    random = np.random.default_rng(how.seed)
    if isinstance(dataset.schema, TableSchema):
        return _of_tables(dataset, (real, synthetic, holdout), how, most, random)
    sets = [dataset.train.take(slice(None)), _read(dataset, synthetic)]
    sets.insert(1, dataset.test.take(slice(None)) if holdout is None else _read(dataset, holdout))
    sets = [rows(batch, random.permutation(len(batch))[:most]) for batch in sets]
    _enough(sets, real, synthetic, holdout)
    train, test, sampled = sets
    return Drawn(_subject(dataset, test, how), how, train, test, sampled, holdout is not None)


def _of_tables(
    dataset: Dataset, sources: Sequence[Any], how: EvaluationSettings, most: int, random: np.random.Generator
) -> Drawn:
    schema = cast(TableSchema, dataset.schema)
    tables = [schema.select(source) for source in sources if source is not None]
    order = [random.permutation(table.num_rows) for table in tables]
    train, sampled_rows = order[0], order[1]
    half = len(train) // 2
    chosen = [tables[0].take(train[: most if len(tables) > 2 else min(half, most)])]
    chosen += [tables[2].take(order[2][:most]) if len(tables) > 2 else tables[0].take(train[half:][:most])]
    chosen += [tables[1].take(sampled_rows[:most])]
    # Measures of tables are of their columns; the batches say how many rows there are.
    train_rows, test, sampled = (Batch(torch.zeros(table.num_rows, 1)) for table in chosen)
    _enough((train_rows, test, sampled), *sources)
    subject = _subject(dataset, test, how)
    return Drawn(subject, how, train_rows, test, sampled, len(tables) > 2, tuple(chosen))


def _read(dataset: Dataset, source: Any) -> Batch:
    return dataset.schema.batches(dataset.schema.read(source)).take(slice(None))


def _subject(dataset: Dataset, test: Batch, how: EvaluationSettings) -> Subject:
    """A subject without a model."""
    nobody = cast(Any, None)
    return Subject(nobody, dataset.schema, dataset, "real examples", test, None, how.seed, np.arange(len(test)))


def _enough(sets: Sequence[Batch], real: Any, synthetic: Any, holdout: Any) -> None:
    halves = real if holdout is None else holdout
    for batch, source, what in zip(sets, (real, halves, synthetic), ("real", "real", "sampled"), strict=True):
        if len(batch) < MIN_EXAMPLES:
            where = f"{source}: " if isinstance(source, str | os.PathLike) else ""
            half = " in a half" if what == "real" and holdout is None else ""
            raise SfumatoError(f"{where}{len(batch)} {what} examples{half}; at least {MIN_EXAMPLES} are needed")
