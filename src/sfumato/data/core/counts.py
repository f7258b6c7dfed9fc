"""What the training split says of counts, for `DataSpec.counts`."""

from __future__ import annotations

import math

import numpy as np
from scipy import sparse
from torch import Tensor

from sfumato.spec import CountStatistics

TOTALS_KEPT = 2048
"""Totals of training examples that a model keeps, to draw those of new ones from."""
SMOOTHING = 0.5
"""What is added to the count of each entry, so that one never seen in training is not impossible."""


def statistics(x: sparse.csr_array | np.ndarray, given: Tensor | None = None, seed: int = 0) -> CountStatistics:
    """Frequencies of the entries, and the totals of at most `TOTALS_KEPT` examples with their conditions.

    Args:
        x: the training rows, (N, D); NaN where missing.
        given: their conditions, (N, G), or None.
        seed: which examples are kept.

    >>> statistics(np.array([[1.0, 0.0], [3.0, 4.0]])).totals
    (1.0, 7.0)
    """
    x = x if sparse.issparse(x) else np.nan_to_num(x)
    counts = np.asarray(x.sum(0), float).ravel() + SMOOTHING
    totals = np.asarray(x.sum(1), float).ravel()
    rows = np.arange(len(totals))
    if len(rows) > TOTALS_KEPT:
        rows = np.sort(np.random.default_rng(seed).choice(len(rows), TOTALS_KEPT, replace=False))
    conditions: list[tuple[float | None, ...]] = []
    if given is not None:
        kept = given.cpu().numpy()[rows].tolist()
        conditions = [tuple(None if math.isnan(value) else value for value in row) for row in kept]
    return CountStatistics(tuple((counts / counts.sum()).tolist()), tuple(totals[rows].tolist()), tuple(conditions))
