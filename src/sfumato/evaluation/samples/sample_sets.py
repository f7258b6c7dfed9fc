"""Real examples and as many samples: the input of all measures of samples."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sfumato.batch import Batch
from sfumato.data.registry import kind_of
from sfumato.evaluation.metrics.columns import Aligned, schema_columns
from sfumato.evaluation.settings import EvaluationSettings
from sfumato.evaluation.subject import ENTRIES, MAX_QUICK_EXAMPLES, Subject, array, missing_again, rows
from sfumato.spec import DataSpec

MAX_QUICK_SAMPLES = 1000
"""Largest number of samples in a quick evaluation."""
TRAIN, TEST, SAMPLED = 0, 1, 2
"""Indices of the three sets."""


@dataclass
class Drawn:
    """Three sets of examples in the units of the spec.

    Samples of tables have missing values if the model draws them. Those of a model that generates every value get the
    missing values of the training rows, so that no measure takes missing values for a difference.

    Attributes:
        train: rows of the training split, as many as samples, in random order.
        test: the examples to compare with.
        samples: samples, under conditions as in the training split.
        held_out: whether `test` was kept from training. Where nothing was, `train` and `test` are two halves of what
            there is.
        tables: the three as tables, where they were given as such and no model made the samples.
    """

    subject: Subject
    how: EvaluationSettings
    train: Batch
    test: Batch
    samples: Batch
    held_out: bool
    tables: tuple[Any, ...] | None = None

    @classmethod
    def of(cls, subject: Subject, how: EvaluationSettings) -> Drawn:
        """As many samples as training rows, at most `how.samples`, else 5000 (quick: 1000)."""
        train, test, held_out = _real(subject, how.seed)
        most = min(MAX_QUICK_EXAMPLES, max(ENTRIES // subject.schema.spec.entries, 100))
        count = min(len(train), how.samples or (min(most, MAX_QUICK_SAMPLES) if how.quick else most))
        train = rows(train, slice(count))
        # Of another seed than the samples, whose noise must not go with the conditions.
        given = subject.schema.conditions({}, count, seed=how.seed + 1)
        given = None if given is None else given.to(train.x.device)
        samples = _with_holes(subject.drawn(given, count), train.mask, subject.schema.spec)
        return cls(subject, how, train, test, samples, held_out)

    @property
    def sets(self) -> tuple[Batch, Batch, Batch]:
        """`train`, `test` and `samples`."""
        return self.train, self.test, self.samples

    @cached_property
    def columns(self) -> list[Aligned]:
        """Columns of rows, of (train, test, samples); with them a label that is a condition, where x has no names."""
        schema = self.subject.schema
        if not schema.of_columns:
            return []
        columns = schema_columns(schema, self.tables or [self.subject.raw(batch) for batch in self.sets])
        if not kind_of(schema).named_columns:
            columns += [self.condition(place) for place in range(len(schema.given_names))]
        return columns

    @property
    def by_model(self) -> bool:
        """Whether the subject's model made the samples, so that it can make more."""
        return self.subject.model is not None

    @property
    def judged(self) -> list[int]:
        """Which of `columns` the model makes: those that are no condition."""
        names = self.subject.schema.given_names
        return [place for place, column in enumerate(self.columns) if column.name not in names]

    @cached_property
    def flat(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Examples as rows of numbers, 0 where missing, flags beside them where values may be missing."""
        flagged = any(batch.mask is not None for batch in self.sets)
        return flat(self.train, flagged=flagged), flat(self.test, flagged=flagged), flat(self.samples, flagged=flagged)

    @property
    def size(self) -> int:
        """The largest number of rows that `train`, `test` and `samples` all have."""
        return min(map(len, self.sets))

    @property
    def pairs(self) -> int:
        """The largest number of rows that `train` and `test` both have."""
        return min(len(self.train), len(self.test))

    def under(self, given: Tensor) -> Drawn:
        """The same with other samples, one under each row of the conditions `given`, as the model draws them."""
        return replace(self, samples=self.subject.drawn(given, len(given)))

    def condition(self, place: int) -> Aligned:
        """One condition as it stands beside each of the three sets."""
        schema = self.subject.schema
        name = schema.given_names[place]
        if kind_of(schema).named_columns:
            return next(column for column in self.columns if column.name == name)
        levels = schema.label_names if schema.spec.given[place].kind == "category" else ()
        values = [array(batch.given[:, place]).astype(float) for batch in self.sets if batch.given is not None]
        return Aligned(name, tuple(values), tuple(levels))


def _with_holes(batch: Batch, mask: Tensor | None, spec: DataSpec) -> Batch:
    """Samples with the same missing entries as as many real rows, where the model does not say which are missing."""
    if mask is None or spec.flags or batch.mask is not None:
        return batch
    return replace(batch, mask=mask)


def _real(subject: Subject, seed: int) -> tuple[Batch, Batch, bool]:
    """At most 5000 training examples and as many others, in random order; and whether the others were held out."""
    data, device = subject.data, subject.batch.x.device
    random = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(subject), generator=random).numpy()
    test = rows(subject.batch, order[:MAX_QUICK_EXAMPLES])
    if not len(data.train):
        half = len(test) // 2
        return rows(test, slice(half)), rows(test, slice(half, None)), False
    chosen = torch.randperm(len(data.train), generator=random)
    if len(data.test) or len(data.valid):
        return data.train.take(chosen[:MAX_QUICK_EXAMPLES]).to(device), test, True
    half = min(len(chosen) // 2, MAX_QUICK_EXAMPLES)
    return data.train.take(chosen[:half]).to(device), data.train.take(chosen[half : 2 * half]).to(device), False


def flat(batch: Batch, *, flagged: bool) -> np.ndarray:
    """Entries as rows of numbers, 0 where missing; with flags of what is missing beside them."""
    x = array(missing_again(batch).flatten(1)).astype(float)
    seen = ~np.isnan(x)
    filled = np.where(seen, x, 0.0)
    return np.concatenate([filled, ~seen], 1) if flagged else filled
