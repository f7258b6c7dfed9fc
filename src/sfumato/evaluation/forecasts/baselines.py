"""What a forecast is held against: the last value, the last season, and a linear regression on the first half."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import norm
from sklearn.linear_model import RidgeCV

from sfumato.data.core.batching.batches import Batches
from sfumato.evaluation.subject import array, some

MAX_BASELINE_SEQUENCES = 5000
"""Training sequences that a reference is fitted on, at most."""
MAX_REGRESSORS = 1000
"""Values of a first half that a regression takes at most; with more, fitting it would take longer than a forecast."""
PENALTIES = np.logspace(-3, 4, 15)
SEASONAL = 0.3
"""The least autocorrelation at which a lag is a season."""


@dataclass(frozen=True)
class Reference:
    """A forecast that takes no training worth the name.

    Attributes:
        name: what it is.
        mean: its forecasts, (N, H, D).
        deviation: of its errors, (H, D), seen on training sequences; 0 for a forecast that claims to be certain.
    """

    name: str
    mean: np.ndarray
    deviation: np.ndarray

    def crps(self, came: np.ndarray) -> np.ndarray:
        """CRPS of N(mean, deviation²), (N, H, D); the absolute error where the deviation is 0.

            σ [ω(2Φ(ω) − 1) + 2φ(ω) − 1/√π],   ω = (x − μ)/σ          (Gneiting and Raftery 2007, eq. 21)

        >>> Reference("none", np.zeros((1, 1, 1)), np.ones((1, 1))).crps(np.zeros((1, 1, 1))).round(4)
        array([[[0.2337]]])
        """
        away = came - self.mean
        certain = self.deviation == 0
        sigma = np.where(certain, 1.0, self.deviation)
        at = away / sigma
        scores = sigma * (at * (2 * norm.cdf(at) - 1) + 2 * norm.pdf(at) - 1 / np.sqrt(np.pi))
        return np.where(certain, np.abs(away), scores)


def references(before: np.ndarray, horizon: int, last: np.ndarray, train: Batches | None) -> list[Reference]:
    """All that apply to these sequences.

    Args:
        before: the first halves of N sequences, (N, T, D), NaN where missing.
        horizon: H, the steps to forecast.
        last: what was last seen of each channel, (N, 1, D).
        train: the training split, whose steps lie at the same times; None for those alone that need no training.
    """
    certain = np.zeros((horizon, before.shape[2]))
    baselines = [Reference("the last observed value", np.repeat(last, horizon, 1), certain)]
    if train is None or len(train) < 20:
        return baselines
    steps = before.shape[1]
    batch = train.take(some(len(train), MAX_BASELINE_SEQUENCES, 0))
    x = batch.x.float() if batch.mask is None else batch.x.float().masked_fill(~batch.mask, np.nan)
    values = array(x)
    past, future = values[:, :steps], values[:, steps : steps + horizon]
    if (season := _season(past, horizon)) is not None:
        baselines.append(_seasonal(season, before, past, future))
    if before[0].size <= MAX_REGRESSORS:
        baselines.append(_regression(before, past, future))
    return baselines


def _season(past: np.ndarray, horizon: int) -> int | None:
    """The lag of the highest peak of the autocorrelation within the first halves, if there is a clear one."""
    filled = np.nan_to_num(past - np.nanmean(past, 1, keepdims=True))
    total = float((filled**2).mean())
    most = past.shape[1] * 2 // 3
    if not total or most < 3:
        return None
    by_lag = [float((filled[:, lag:] * filled[:, :-lag]).mean()) / total for lag in range(1, most + 1)]
    peaks = [
        lag
        for lag in range(2, most)
        if by_lag[lag - 1] > max(by_lag[lag - 2], by_lag[lag]) and by_lag[lag - 1] > SEASONAL
    ]
    return max(peaks, key=lambda lag: by_lag[lag - 1], default=None)


def _seasonal(season: int, before: np.ndarray, past: np.ndarray, future: np.ndarray) -> Reference:
    def again(values: np.ndarray) -> np.ndarray:
        horizon = future.shape[1]
        cycle = values[:, -season:]
        return np.nan_to_num(np.concatenate([cycle] * -(-horizon // season), 1)[:, :horizon])

    deviation = np.sqrt(np.nanmean((future - again(past)) ** 2, 0))
    return Reference(f"the previous season ({season} steps)", again(before), deviation)


def _regression(before: np.ndarray, past: np.ndarray, future: np.ndarray) -> Reference:
    """Ridge regression of each later value on the first half, its penalty and its errors by leaving one out."""

    def flat(values: np.ndarray) -> np.ndarray:
        return np.nan_to_num(values).reshape(len(values), -1)

    targets = future.reshape(len(future), -1)
    mean, deviation = np.empty((len(before), targets.shape[1])), np.empty(targets.shape[1])
    known = np.isfinite(targets)
    whole = bool(known.all())
    for columns in [slice(None)] if whole else [slice(at, at + 1) for at in range(targets.shape[1])]:
        rows = np.flatnonzero(known[:, columns].all(1))
        if len(rows) < 20:
            mean[:, columns], deviation[columns] = 0.0, 1.0
            continue
        model = RidgeCV(PENALTIES, store_cv_results=True).fit(flat(past[rows]), targets[rows, columns])
        errors = model.cv_results_.reshape(len(rows), -1, len(PENALTIES))[:, :, list(PENALTIES).index(model.alpha_)]
        mean[:, columns] = model.predict(flat(before)).reshape(len(before), -1)
        deviation[columns] = np.sqrt(errors.mean(0))
    shape = future.shape[1:]
    return Reference("linear regression on the first half", mean.reshape(-1, *shape), deviation.reshape(shape))
