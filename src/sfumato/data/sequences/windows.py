"""One long series as many windows: how long they are, where they begin, and back to the steps of the series."""

from __future__ import annotations

import numpy as np

MOST_WINDOWS = 10_000
"""Windows of a series; of a longer one they begin some steps apart."""
LONGEST_SEASON, SHORTEST_WINDOW = 512, 8
NO_SEASON = 64
"""Steps of a window where the series has no season."""
LEAST_CORRELATION = 0.3
"""Autocorrelation at the season that makes it one."""


def season_length(values: np.ndarray) -> int | None:
    """The season of a series (T, D): the highest peak of its autocorrelation, summed over channels.

    The linear trend is taken out first. Of peaks within 10% of the highest the first is taken, so that it is the season
    and not twice the season.

    Returns:
        Steps; None where no peak reaches 0.3.

    >>> season_length(np.sin(2 * np.pi * np.arange(500) / 25)[:, None])
    25
    """
    return _peak(autocorrelation(values), 3)


def longer_season(values: np.ndarray, season: int) -> int | None:
    """A season of a series (T, D) that is a multiple of a shorter one, found in what is left without that.

    >>> t = np.arange(2000)
    >>> longer_season((3 * np.sin(2 * np.pi * t / 24) + np.cos(2 * np.pi * t / 168))[:, None], 24)
    168
    """
    multiple = _peak(autocorrelation(values - _profile(values, season))[::season], 2)
    return None if multiple is None else multiple * season


def autocorrelation(values: np.ndarray) -> np.ndarray:
    """Of a series (T, D) without its linear trend, summed over channels, at the lags 0, 1, …; a third of T at most."""
    steps = len(values)
    filled = np.nan_to_num(values - np.nanmean(values, 0))
    line = np.arange(steps) - (steps - 1) / 2
    filled = filled - np.outer(line, line @ filled / max(line @ line, 1))
    filled = filled / np.where(filled.std(0) > 0, filled.std(0), 1.0)
    spectrum = np.fft.rfft(filled, 2 * steps, axis=0)
    most = min(LONGEST_SEASON, steps // 3)
    together = np.fft.irfft(np.abs(spectrum) ** 2, axis=0).sum(1)[: most + 2] / (steps - np.arange(most + 2))
    return np.asarray(together / max(together[0], 1e-12))


def _peak(correlation: np.ndarray, least: int) -> int | None:
    """The first of the peaks, from lag `least` on, that are within 10% of the highest; None if that is below 0.3."""
    inner = correlation[1:-1]
    peaks = 1 + np.flatnonzero((inner > correlation[:-2]) & (inner >= correlation[2:]))
    peaks = peaks[peaks >= least]
    if not len(peaks) or correlation[peaks].max() < LEAST_CORRELATION:
        return None
    return int(peaks[correlation[peaks] > 0.9 * correlation[peaks].max()][0])


def _profile(values: np.ndarray, season: int) -> np.ndarray:
    """The mean of each step of the season, (T, D)."""
    phase = np.arange(len(values)) % season
    known = ~np.isnan(values)
    sums = np.zeros((season, values.shape[1]))
    counts = np.zeros((season, values.shape[1]))
    np.add.at(sums, phase, np.where(known, values, 0.0))
    np.add.at(counts, phase, known)
    return (sums / np.maximum(counts, 1))[phase]


def window_length(values: np.ndarray) -> int:
    """Steps of the windows of a series (T, D): its season, or 64 without one; 8 to 512, and a fourth of it at most."""
    wanted = season_length(values) or NO_SEASON
    return max(min(max(wanted, SHORTEST_WINDOW), LONGEST_SEASON, len(values) // 4), 2)


def window_starts(steps: int, length: int) -> np.ndarray:
    """Where windows begin, (N,): at every step, or so far apart that they are about 10,000; the last ends the series.

    >>> window_starts(5, 3)
    array([0, 1, 2])
    """
    last = steps - length
    stride = last // MOST_WINDOWS + 1
    return np.unique(np.append(np.arange(0, last + 1, stride), last))


def cut_windows(values: np.ndarray, length: int, starts: np.ndarray) -> np.ndarray:
    """Windows of a series (T, D) as rows of numbers, (N, length · D), step by step."""
    return np.asarray(values[starts[:, None] + np.arange(length)].reshape(len(starts), -1))


def scores_by_step(scores: np.ndarray, starts: np.ndarray, length: int, steps: int) -> np.ndarray:
    """The mean score of the windows that cover each step, (steps,).

    >>> scores_by_step(np.array([1.0, 3.0]), np.array([0, 1]), 2, 3)
    array([1., 2., 3.])
    """
    change, count = np.zeros(steps + 1), np.zeros(steps + 1)
    for sums, values in ((change, scores), (count, np.ones_like(scores))):
        np.add.at(sums, starts, values)
        np.subtract.at(sums, starts + length, values)
    return np.asarray(np.cumsum(change)[:-1] / np.maximum(np.cumsum(count)[:-1], 1))


def apart_from_each_other(order: np.ndarray, starts: np.ndarray, length: int, most: int) -> list[int]:
    """The first of some windows, in an order, that do not overlap each other.

    >>> apart_from_each_other(np.array([1, 0, 3]), np.array([0, 1, 2, 9]), 2, most=2)
    [1, 3]
    """
    chosen: list[int] = []
    for place in order.tolist():
        if all(abs(starts[place] - starts[other]) >= length for other in chosen):
            chosen.append(place)
            if len(chosen) == most:
                break
    return chosen
