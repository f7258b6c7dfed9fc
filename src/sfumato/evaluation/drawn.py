"""Real examples and as many samples, side by side: what all measures of samples are made from."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch

from sfumato.batch import Batch
from sfumato.evaluation.columns import Aligned, schema_columns
from sfumato.evaluation.how import How
from sfumato.evaluation.subject import ENTRIES, MOST, Subject, array, missing_again

FEW = 1000
"""Samples of a quick evaluation, at most."""
TRAIN, TEST, MADE = 0, 1, 2
"""Places of the three sets, wherever there is one thing of each."""


@dataclass
class Drawn:
    """Three sets of examples in the units of the spec.

    A model fills in every value. Where rows of the training part have missing values, the samples are given the same
    holes, so that no measure takes the holes for a difference.

    Attributes:
        train: rows of the training part, as many as samples, in random order.
        test: the examples judged by.
        made: samples, under conditions as they came in the training part.
        held_out: whether `test` was kept from training. Where nothing was, the two are halves of the training part.
    """

    subject: Subject
    how: How
    train: Batch
    test: Batch
    made: Batch
    held_out: bool

    @classmethod
    def of(cls, subject: Subject, how: How) -> Drawn:
        """As many samples as training rows, at most `how.samples`, else 5000 (quick: 1000)."""
        whole = subject.data.train
        device = subject.batch.x.device
        order = torch.randperm(len(whole), generator=torch.Generator().manual_seed(how.seed))
        held_out = bool(len(subject.data.test) or len(subject.data.valid))
        test = subject.batch
        if not held_out and len(whole) > 1:
            order, rest = order[: len(whole) // 2], order[len(whole) // 2 :]
            test = whole.take(rest[:MOST].sort().values).to(device)
        most = min(MOST, max(ENTRIES // subject.schema.spec.entries, 100))
        count = min(len(order), how.samples or (min(most, FEW) if how.quick else most))
        train = whole.take(order[:count]).to(device)
        given = subject.conditions(count)
        made = Batch(subject.draw(given, count, noise=True), given, train.mask)
        return cls(subject, how, train, test, made, held_out)

    @property
    def sets(self) -> tuple[Batch, Batch, Batch]:
        """`train`, `test` and `made`."""
        return self.train, self.test, self.made

    @cached_property
    def columns(self) -> list[Aligned]:
        """Columns of rows, of (train, test, made); with them a label that is a condition, where x has no names."""
        schema = self.subject.schema
        if schema.kind not in ("table", "vector"):
            return []
        found = schema_columns(schema, [self.subject.raw(one) for one in self.sets])
        if schema.kind == "vector":
            found += [self.condition(place) for place in range(len(schema.given_names))]
        return found

    @property
    def judged(self) -> list[int]:
        """Which of `columns` the model makes: those that are no condition."""
        names = self.subject.schema.given_names
        return [place for place, column in enumerate(self.columns) if column.name not in names]

    @cached_property
    def flat(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Examples as rows of numbers, 0 where missing, flags beside them where values may be missing."""
        flagged = any(batch.mask is not None for batch in self.sets)
        return _flat(self.train, flagged), _flat(self.test, flagged), _flat(self.made, flagged)

    @property
    def size(self) -> int:
        """The largest number of rows that `train`, `test` and `made` all have."""
        return min(map(len, self.sets))

    def condition(self, place: int) -> Aligned:
        """One condition as it stands beside each of the three sets."""
        schema = self.subject.schema
        name = schema.given_names[place]
        if schema.kind == "table":
            return next(column for column in self.columns if column.name == name)
        levels = schema.label_names if schema.spec.given[place].kind == "category" else ()
        values = [array(batch.given[:, place]).astype(float) for batch in self.sets if batch.given is not None]
        return Aligned(name, tuple(values), tuple(levels))


def _flat(batch: Batch, flagged: bool) -> np.ndarray:
    x = array(missing_again(batch).flatten(1)).astype(float)
    seen = ~np.isnan(x)
    filled = np.where(seen, x, 0.0)
    return np.concatenate([filled, ~seen], 1) if flagged else filled
