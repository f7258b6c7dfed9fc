"""Series: the values of each channel, autocorrelation, and the two-sample test."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np

from sfumato.evaluation.measure import Measure
from sfumato.evaluation.metrics.columns import ColumnPair
from sfumato.evaluation.metrics.jackknife import jackknife
from sfumato.evaluation.samples.features import narrowed
from sfumato.evaluation.samples.sample_sets import Drawn
from sfumato.evaluation.samples.tables import two_sample
from sfumato.evaluation.subject import array, missing_again

LAGS = 20
"""Lags of the autocorrelation, at most; never more than half of the steps."""
MAX_TEST_SEQUENCES = 1000
"""Sequences of each kind in the two-sample test, at most."""


def measures(drawn: Drawn) -> list[Measure]:
    """Channel shapes, autocorrelation distance and the discriminative score, of sequences of numbers."""
    spec = drawn.subject.schema.spec
    if not spec.is_sequence or spec.is_symbols or spec.is_waveform:
        return []
    train, test, samples = (array(missing_again(batch)).astype(float) for batch in drawn.sets)
    results = [
        *channel_shapes(test, samples, train, drawn.how.seed),
        *autocorrelations(test, samples, train, drawn.how.seed),
    ]
    if drawn.how.quick or drawn.size < 4:
        return results
    flat = [x[:MAX_TEST_SEQUENCES] for x in narrowed(drawn.flat)]
    return [*two_sample(flat[1], flat[2], flat[0], "sequences", seed=drawn.how.seed), *results]


def channel_shapes(test: np.ndarray, samples: np.ndarray, train: np.ndarray, seed: int = 0) -> list[Measure]:
    """1 − Kolmogorov–Smirnov distance of the values of each channel, all steps together; x is (N, T, D)."""

    def scores(first: np.ndarray, second: np.ndarray) -> list[float]:
        pairs = ((_known(first[..., c]), _known(second[..., c])) for c in range(first.shape[2]))
        return [1 - ColumnPair("", *pair).distance for pair in pairs]

    by_channel = scores(test, samples)
    return [
        Measure(
            "channel shapes",
            float(np.mean(by_channel)),
            "",
            "Similarity of the values of each channel in samples and real sequences, on average; 1 means equal.",
            "samples",
            error=jackknife(lambda a, b: [np.mean(scores(test[a], samples[b]))], (len(test), len(samples)), seed)[0],
            reference=float(np.mean(scores(test, train))),
            reference_is="real data",
            better="higher",
            parts=_channels(by_channel),
        )
    ]


def autocorrelations(test: np.ndarray, samples: np.ndarray, train: np.ndarray, seed: int = 0) -> list[Measure]:
    """The mean over lags and channels of |ρ_real(lag) − ρ_made(lag)|; none of sequences of fewer than four steps.

    Channels that are constant in the real sequences are left out; ρ_made is 0 where one is in the samples alone.
    """
    if test.shape[1] < 4:
        return []

    def gaps(first: np.ndarray, second: np.ndarray) -> np.ndarray:
        real, by_channel = autocorrelation(first), autocorrelation(second)
        by_channel[:, np.isnan(by_channel).all(0)] = 0.0
        away = np.full(first.shape[2], np.nan)
        varying = ~np.isnan(real).all(0)
        away[varying] = np.nanmean(np.abs(real - by_channel)[:, varying], 0)
        return away

    by_channel = gaps(test, samples)
    if np.isnan(by_channel).all():
        return []
    return [
        Measure(
            "autocorrelation distance",
            float(np.nanmean(by_channel)),
            "",
            "Difference between samples and real sequences in the correlation of values some steps apart; 0 means "
            "equal, 1 is the difference between noise and a straight line.",
            "samples",
            error=jackknife(lambda a, b: [np.nanmean(gaps(test[a], samples[b]))], (len(test), len(samples)), seed)[0],
            reference=float(np.nanmean(gaps(test, train))),
            reference_is="real data",
            better="lower",
            parts=_channels(by_channel),
        )
    ]


def autocorrelation(x: np.ndarray) -> np.ndarray:
    """Correlation of each channel with itself at lags 1, 2, …: (N, T, D) to (lags, D); missing pairs are left out.

        ρ(lag) = mean over examples and steps of (x_t − μ)(x_{t+lag} − μ) / σ²

    with μ and σ of all values of the channel; NaN for one that is constant.

    >>> x = np.tile([1.0, -1.0], 10).reshape(1, 20, 1)
    >>> autocorrelation(x)[:2, 0]
    array([-1.,  1.])
    """
    centred = x - np.nanmean(x, (0, 1))
    moves = np.nanmax(x, (0, 1), initial=-np.inf) > np.nanmin(x, (0, 1), initial=np.inf)
    variance = np.where(moves, np.nanmean(centred**2, (0, 1)), np.nan)
    lags = range(1, min(LAGS, x.shape[1] // 2) + 1)
    with np.errstate(invalid="ignore", divide="ignore"), warnings.catch_warnings():
        # A lag at which nothing was seen twice has no correlation, and is left out of the mean.
        warnings.simplefilter("ignore", RuntimeWarning)
        return np.stack([np.nanmean(centred[:, lag:] * centred[:, :-lag], (0, 1)) / variance for lag in lags])


def _channels(values: Sequence[float] | np.ndarray) -> dict[str, float]:
    if len(values) < 2:
        return {}
    return {f"channel {place}": float(value) for place, value in enumerate(values, 1) if np.isfinite(value)}


def _known(values: np.ndarray) -> np.ndarray:
    """The values that are not missing, as a sequence has none where it has ended, flat."""
    return np.asarray(values[~np.isnan(values)])
