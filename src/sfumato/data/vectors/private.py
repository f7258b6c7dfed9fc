"""Rows that a vector schema is learned from in a private training, drawn from noisy counts of single columns."""

from __future__ import annotations

import numpy as np

from sfumato.data.core.labels import is_numeric
from sfumato.data.core.options import DataOptions
from sfumato.data.core.private.columns import CountedColumn, PrivateColumns, ranges
from sfumato.data.core.private.marginals import apportioned
from sfumato.privacy_budget import Budget, ColumnCharge

LABELS_COLUMN = "labels"


def private_arrays(
    x: np.ndarray, labels: np.ndarray | None, options: DataOptions
) -> tuple[np.ndarray, np.ndarray | None, ColumnCharge]:
    """As many rows, each column drawn by itself from noisy counts, labels likewise, and what these cost.

    A column of floats has a missing value at least, so that one in the data is never unforeseen.

    Args:
        x: the training rows, (N, D), NaN where missing.
        labels: one for each, or None.
        options: with the budget, and the ranges that the user gave, by the number of the column.

    Raises:
        SfumatoError: if a range cannot be found.
    """
    assert options.epsilon is not None, "only a private training learns with noise"
    given = ranges(options, [str(place) for place in range(x.shape[1])])
    whole = x.dtype.kind in "biu"
    counted = [CountedColumn(str(place), True, whole, given.get(str(place))) for place in range(x.shape[1])]
    if labels is not None:
        numeric = is_numeric(labels)
        counted.append(CountedColumn(LABELS_COLUMN, numeric, not numeric))
    private = PrivateColumns(counted, len(x), Budget.of(options.epsilon, options.delta, len(x)))
    random = np.random.default_rng(0)
    drawn = np.stack([_column(private, counted[place], x[:, place], random) for place in range(x.shape[1])], 1)
    drawn_labels = None
    if labels is not None:
        drawn_labels = (
            random.permutation(private.numbers(counted[-1], labels.astype(float)))
            if counted[-1].is_number
            else _drawn_labels(private, labels, random)
        )
    uncovered = ("the number and the type of columns", "the number of training rows")
    return drawn, drawn_labels, private.charge(uncovered)


def _column(
    private: PrivateColumns, column: CountedColumn, values: np.ndarray, random: np.random.Generator
) -> np.ndarray:
    drawn = random.permutation(private.numbers(column, values.astype(np.float64)))
    if not column.whole:
        drawn[0] = np.nan
        return drawn.astype(values.dtype)
    usual = np.nanmedian(drawn) if not np.isnan(drawn).all() else 0.0
    return np.nan_to_num(drawn, nan=float(np.floor(usual))).astype(values.dtype)


def _drawn_labels(private: PrivateColumns, labels: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Labels that many rows have, by how many; all of them where none has enough."""
    known, inverse = np.unique(labels, return_inverse=True)
    kept, noisy = private.counts.frequent(inverse)
    if not len(kept):
        return labels[:0]
    return random.permutation(np.repeat(known[kept], apportioned(noisy, len(labels))))
