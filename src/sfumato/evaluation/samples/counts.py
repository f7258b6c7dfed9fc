"""Counts: whether columns of samples have the means, variances and zeros of real ones, and the totals too."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
from scipy import stats

from sfumato import likelihoods
from sfumato.evaluation.measure import Measure
from sfumato.evaluation.metrics.jackknife import jackknife
from sfumato.evaluation.samples.sample_sets import Drawn
from sfumato.evaluation.subject import array, missing_again

LEAST_MEAN = 0.05
"""Columns with a smaller mean are left out: their variance in a few hundred examples is chance."""
HALF_A_COUNT = 0.5
"""Added to sums before logarithms are taken."""

Statistic = Callable[[np.ndarray], np.ndarray]
Gap = Callable[[np.ndarray, np.ndarray], float]


def measures(drawn: Drawn) -> list[Measure]:
    """For likelihoods of counts; the real examples of the reference are training ones.

    log means, log variances: median over columns of |log s_d(samples) − log s_d(test)|
    zeros: mean over columns of |share of zeros in samples − in the test split|
    totals: sup |F_samples − F_test| of the totals of examples (Kolmogorov–Smirnov)
    """
    if not likelihoods.named(drawn.subject.schema.spec.likelihood).counts:
        return []
    train, test, samples = (np.nan_to_num(array(missing_again(batch).float()).astype(float)) for batch in drawn.sets)
    chosen = np.concatenate([train, test]).mean(0) >= LEAST_MEAN
    results = []
    if chosen.any():
        kept, few = tuple(x[:, chosen] for x in (train, test, samples)), f"{chosen.sum():,} columns"
        for name, what, statistic in (("log means", "mean", _log_mean), ("log variances", "variance", _log_variance)):
            meaning = (
                f"How far the {what} of a typical column of samples is from that of held-out examples, as |log ratio|; "
                f"the median of the {few} whose mean is {LEAST_MEAN:g} or more."
            )
            results.append(_measure(f"{name} of columns", "nats", meaning, partial(_median_gap, statistic), kept))
    zeros = (
        f"Mean over columns of how far the share of zeros in samples ({(samples == 0).mean():.1%} in all) is from that "
        f"in held-out examples ({(test == 0).mean():.1%})."
    )
    totals = (
        "Largest gap between the distributions of the totals of samples and of held-out examples (KS); 0 means equal."
    )
    sets = (train, test, samples)
    return [
        *results,
        _measure("zeros of columns", "", zeros, _zero_gap, sets),
        _measure("totals", "", totals, _total_gap, sets),
    ]


def _measure(name: str, unit: str, meaning: str, gap: Gap, sets: Sequence[np.ndarray]) -> Measure:
    train, test, samples = sets
    sizes = [len(test), len(samples)]
    error = jackknife(lambda real, drawn: [gap(test[real], samples[drawn])], sizes)[0]
    return Measure(
        name,
        gap(test, samples),
        unit,
        meaning,
        "samples",
        error=error,
        reference=gap(test, train),
        reference_is="real data",
        better="lower",
    )


def _log_mean(x: np.ndarray) -> np.ndarray:
    return np.asarray(np.log((x.sum(0) + HALF_A_COUNT) / len(x)))


def _log_variance(x: np.ndarray) -> np.ndarray:
    return np.asarray(np.log(x.var(0) + HALF_A_COUNT / len(x)))


def _median_gap(statistic: Statistic, real: np.ndarray, other: np.ndarray) -> float:
    return float(np.median(np.abs(statistic(other) - statistic(real))))


def _zero_gap(real: np.ndarray, other: np.ndarray) -> float:
    return float(np.abs((other == 0).mean(0) - (real == 0).mean(0)).mean())


def _total_gap(real: np.ndarray, other: np.ndarray) -> float:
    return float(stats.ks_2samp(real.sum(1), other.sum(1)).statistic)
