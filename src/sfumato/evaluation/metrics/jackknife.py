"""Standard errors of any number that is a function of samples."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

JACKKNIFE_GROUPS = 10
"""Parts that each sample is cut into."""


def jackknife(
    statistic: Callable[..., Sequence[Any] | np.ndarray], sizes: Sequence[int], seed: int = 0
) -> list[float | None]:
    """The standard error of each number that `statistic` gives, by leaving out a tenth of one sample at a time.

        se² = Σ_samples (G − 1)/G Σ_g (θ_(−g) − mean_g θ_(−g))²

    θ_(−g) is the statistic without the rows of group g. Unlike rows drawn again with replacement, no row stands beside
    a copy of itself, on which nearest neighbours would turn. Efron and Tibshirani 1993, chapter 11; for statistics that
    are not smooth, Shao and Wu 1989.

    Args:
        statistic: takes the indices of the rows that are kept, one array for each sample, to one or several numbers.
        sizes: rows of each sample; a sample of fewer than 2 rows is held as it is.
        seed: of the cut into groups.

    Returns:
        One error for each number; None where it could not be computed.

    >>> x = np.random.default_rng(0).normal(size=10_000)
    >>> [round(error, 3) for error in jackknife(lambda kept: [x[kept].mean()], [10_000])]
    [0.009]
    """
    random = np.random.default_rng(seed)
    whole = [np.arange(size) for size in sizes]
    variance: np.ndarray | float = 0.0
    for place, size in enumerate(sizes):
        count = min(JACKKNIFE_GROUPS, size)
        if count < 2:
            continue
        group = random.permutation(size) % count
        left = [
            statistic(*(np.flatnonzero(group != g) if other == place else rows for other, rows in enumerate(whole)))
            for g in range(count)
        ]
        variance = variance + np.var(np.array(left, float), axis=0) * (count - 1)
    errors = np.sqrt(np.atleast_1d(variance))
    return [float(error) if np.isfinite(error) else None for error in errors]
