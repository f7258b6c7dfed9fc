"""Training rows, held-out rows and samples as individual records."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import torch

from sfumato.batch import Batch
from sfumato.evaluation.metrics.columns import Aligned
from sfumato.evaluation.metrics.set_distances import closest
from sfumato.evaluation.samples.features import encoded, features, narrowed
from sfumato.evaluation.samples.sample_sets import SAMPLED, Drawn

MAX_ROW_FEATURES = 1024
"""Where values are missing, distances go by columns of at most so many features, chosen at random."""
RECORDS_AT_A_TIME = 1000
"""Rows that are set against all others at a time."""
NEAR = 3
"""Rows that may be the closest, between which the exact distance decides."""
DONORS = 50
"""Rows that the missing values of a row are taken from, at most."""


@dataclass(frozen=True)
class RecordSet:
    """N rows of D columns.

    Attributes:
        values: the columns as they are, categories as codes, (N, D); NaN where missing.
        features: what distances are of, (N, F); 0 where missing.
        owner: which column each feature is of, (F,); None where no row of any set has missing values.
    """

    values: np.ndarray
    features: np.ndarray
    owner: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, at: slice | np.ndarray) -> Self:
        return replace(self, values=self.values[at], features=self.features[at])

    @property
    def seen(self) -> np.ndarray:
        """Of which features the column is known, (N, F)."""
        return ~np.isnan(self.values[:, self.owner])

    def known(self) -> Self:
        """The rows of which half the columns are known, or as many as of the median row.

        A row of which next to nothing is known is close to everybody.
        """
        count = (~np.isnan(self.values)).sum(1)
        return self[count >= min(self.values.shape[1] / 2, max(np.median(count), 1))]

    def with_holes_of(self, others: RecordSet) -> Self:
        """The same with the missing values of `others`, in their order, from the start again where they are few.

        Rows that have missing values of their own stay as they are.
        """
        if self.owner is None or np.isnan(self.values).any():
            return self
        values = np.where(np.isnan(others.values[np.arange(len(self)) % len(others)]), np.nan, self.values)
        return replace(self, values=values, features=self.features * ~np.isnan(values[:, self.owner]))


@dataclass(frozen=True)
class Records:
    """Three sets of rows, of the columns that the model makes.

    Attributes:
        train, test: as they are, with their missing values.
        samples: samples, with missing values if the model draws which are missing, else with every value filled in.
        conditional: whether samples were drawn under conditions: then the first half of them under those of the first
            training rows, the second half under those of the first test rows, each row's once.
    """

    train: RecordSet
    test: RecordSet
    samples: RecordSet
    conditional: bool = False

    @classmethod
    def of(cls, drawn: Drawn) -> Records | None:
        """The columns of tables and vectors that are no conditions; None where there are none.

        A model conditioned on the conditions of a training row generates something like that row without having
        memorised it. So samples are drawn under those of as many held-out rows too.
        """
        given = None
        if drawn.train.given is not None and drawn.test.given is not None:
            given = torch.cat([drawn.train.given[: drawn.pairs], drawn.test.given[: drawn.pairs]])
        drawn = replace(drawn, samples=Batch(drawn.samples.x)) if given is None else drawn.under(given)
        table = [drawn.columns[place] for place in drawn.judged]
        if not table:
            return None
        whole = not any(np.isnan(values).any() for column in table for values in column.values)
        if whole and drawn.how.extractor is not None:
            features_of_sets = features(drawn)
            assert features_of_sets is not None, "asked for where there is an extractor"
            sets = [np.stack(values, 1) for values in zip(*(column.values for column in table), strict=True)]
            train, test, samples = map(RecordSet, sets, features_of_sets.sets)
            return cls(train, test, samples, given is not None)
        return cls.of_columns(table, conditional=given is not None, seed=drawn.how.seed)

    @classmethod
    def of_columns(cls, table: Sequence[Aligned], *, conditional: bool = False, seed: int = 0) -> Records:
        """From columns of (train, test, samples).

        Args:
            table: the columns.
            asked: see `Records`.
            seed: of the lot that chooses columns.
        """
        sets = [np.stack(values, 1) for values in zip(*(column.values for column in table), strict=True)]
        parts = [encoded([column], flagged=False) for column in table]
        if not any(np.isnan(x).any() for x in sets):
            feature_sets = narrowed([np.concatenate(side, 1) for side in zip(*parts, strict=True)])
            train, test, samples = map(RecordSet, sets, feature_sets)
            return cls(train, test, samples, conditional)
        width = np.array([side[SAMPLED].shape[1] for side in parts])
        order = np.random.default_rng(seed).permutation(len(parts))
        kept = np.sort(order[: max(1, int((np.cumsum(width[order]) <= MAX_ROW_FEATURES).sum()))])
        feature_sets = [np.concatenate(side, 1) for side in zip(*(parts[place] for place in kept), strict=True)]
        owner = np.repeat(kept, width[kept])
        train, test, samples = (RecordSet(x, y, owner) for x, y in zip(sets, feature_sets, strict=True))
        return cls(train, test, samples, conditional)


def nearest(a: RecordSet, b: RecordSet) -> np.ndarray:
    """The distance of each row of a to the closest row of b, shape (N,); infinite where no two have a column in common.

    With missing values two rows are compared by the columns S that both have:

        d² = D/|S| Σ_{c ∈ S} |a_c − b_c|²

    so that it is 0 for a row and what is left of it when some values are gone.
    """
    if a.owner is None or b.owner is None:
        return closest(a.features, b.features)
    candidates = min(NEAR, len(b))
    squares = np.empty(len(a))
    share = _shares(a.owner)
    for at in range(0, len(a), RECORDS_AT_A_TIME):
        part = a[at : at + RECORDS_AT_A_TIME]
        who = np.argpartition(_gaps(part, b), candidates - 1, axis=1)[:, :candidates]
        other = b.features[who], b.seen[who]
        both = part.seen[:, None] & other[1]
        gap, common = (both * (part.features[:, None] - other[0]) ** 2).sum(2), both @ share
        squares[at : at + RECORDS_AT_A_TIME] = np.where(
            common > 0, gap / np.where(common > 0, common, 1.0), np.inf
        ).min(1)
    return np.sqrt(squares * a.values.shape[1])


def _shares(owner: np.ndarray) -> np.ndarray:
    """What share of its column each feature is."""
    return np.asarray(1.0 / np.bincount(owner)[owner])


def _gaps(a: RecordSet, b: RecordSet) -> np.ndarray:
    """Σ |a_c − b_c|²/|S| of all pairs, but for rounding, (N, M)."""
    assert a.owner is not None, "asked for where values are missing"
    here, there = (torch.from_numpy(x.seen.astype(float)) for x in (a, b))
    rows, others = (torch.from_numpy(x.features) for x in (a, b))
    common = (here * torch.from_numpy(_shares(a.owner))) @ there.T
    gap = rows.square() @ there.T + here @ others.square().T - 2 * (rows @ others.T)
    return np.asarray(torch.where(common > 0.5, gap.clamp(min=0) / common, torch.inf).numpy())


def copied(rows: np.ndarray, train: np.ndarray) -> np.ndarray:
    """Which of `rows` (N, D) equal some row of `train` (M, D) in every column that is known of that one.

    >>> copied(np.array([[1.0, 2.0], [1.0, 3.0]]), np.array([[1.0, 2.0], [np.nan, 4.0]]))
    array([ True, False])
    """
    train = train[~np.isnan(train).all(1)]
    matches = np.zeros(len(rows), bool)
    # Columns of many values first: they leave few pairs.
    order = np.argsort([-len(np.unique(column)) for column in train.T], kind="stable")
    for at in range(0, len(rows), RECORDS_AT_A_TIME):
        part = rows[at : at + RECORDS_AT_A_TIME]
        first = train[:, order[0]]
        i, j = np.nonzero((part[:, order[0], None] == first) | np.isnan(first))
        for column in order[1:]:
            other = train[j, column]
            same = (part[i, column] == other) | np.isnan(other)
            i, j = i[same], j[same]
        matches[at + np.unique(i)] = True
    return matches


def filled(rows: RecordSet) -> np.ndarray:
    """The columns (N, D) with what is missing taken from the closest other row that has it; NaN where none has."""
    values = rows.values.copy()
    if rows.owner is None or len(rows) < 2:
        return values
    count = min(DONORS, len(rows) - 1)
    for at in range(0, len(rows), RECORDS_AT_A_TIME):
        gaps = _gaps(rows[at : at + RECORDS_AT_A_TIME], rows)
        gaps[np.arange(len(gaps)), at + np.arange(len(gaps))] = np.inf
        donors = np.argpartition(gaps, count - 1, axis=1)[:, :count]
        donors = np.take_along_axis(donors, np.take_along_axis(gaps, donors, 1).argsort(1), 1)
        for place, column in enumerate(rows.values.T):
            holes = np.flatnonzero(np.isnan(column[at : at + RECORDS_AT_A_TIME]))
            offered = column[donors[holes]]
            first = (~np.isnan(offered)).argmax(1)
            values[at + holes, place] = offered[np.arange(len(holes)), first]
    return values
