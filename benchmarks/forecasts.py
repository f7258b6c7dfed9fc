"""Forecasts of a TD-VAE by default, beside the true law or the best reference that needs no training worth the name.

    python benchmarks/forecasts.py ar2 italy hours                # default length, seed 1
    python benchmarks/forecasts.py ar2 --steps 1500 --warmup 300 --prediction 0 --sigma 0.1   # the paper's loss

`ar2`: 1,200 sequences of x_t = 1.5 x_{t−1} − .8 x_{t−2} + ε, ε ~ N(0, 1), 24 steps; its law is known, given the last
two values. `italy`: the 1,029 days of ItalyPowerDemand_TEST.ts. The second half of each held-out sequence is forecast
from the first, 99 futures each, in jumps of one step. CRPS and energy score in deviations of a channel; coverage of the
middle 50% and 90% of the futures. Against: CRPS of the law (ar2), of a ridge regression on the first half, or of the
last season, whichever is least.

`hours`: one series of 2,000 hours with a day, a week, a trend and AR(1) noise, 2% of them missing, which is cut into
windows; its law is known, given the noise of the last hour. 24 hours after each of the last days are forecast, 99
futures. Beside the law: exponential smoothing with a trend and a season of 24 in state space form (statsmodels, fitted
on the training split, then run on to each day), the hours of the day before with their errors, the ridge regression.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

import sfumato
import sources
from machine import describe
from sfumato.evaluation.forecasts import measures
from sfumato.evaluation.forecasts.baselines import Reference
from sfumato.evaluation.settings import EvaluationSettings
from sfumato.evaluation.subject import Subject

FIRST, SECOND = 1.5, -0.8
STEPS = 24


def swings(count: int, seed: int) -> np.ndarray:
    """Sequences (count, STEPS) of the process in its steady state."""
    random = np.random.default_rng(seed)
    x = np.zeros((count, STEPS + 60))
    for t in range(2, x.shape[1]):
        x[:, t] = FIRST * x[:, t - 1] + SECOND * x[:, t - 2] + random.normal(size=count)
    return x[:, -STEPS:]


def law(x: np.ndarray, scale: float) -> Reference:
    """The true forecasts of the second halves of standardised sequences (N, T, 1); `scale` is that of the channel."""
    cut = (x.shape[1] + 1) // 2
    before, last = x[:, cut - 2], x[:, cut - 1]
    means, weights = [], [0.0, 1.0]
    for _ in range(x.shape[1] - cut):
        before, last = last, FIRST * last + SECOND * before
        means.append(last)
        weights.append(FIRST * weights[-1] + SECOND * weights[-2])
    deviations = np.sqrt(np.cumsum(np.square(weights[1:-1]))) / scale
    return Reference("the law", np.stack(means, 1), deviations[:, None])


HOURS, DECAY, NOISE = 2000, 0.7, 6.0


class Hourly(NamedTuple):
    """A series whose law is known: `expected` plus noise e_t = DECAY · e_{t−1} + NOISE · ε."""

    table: pa.Table
    expected: np.ndarray
    noise: np.ndarray


def hourly(seed: int) -> Hourly:
    """Two harmonics of the day, a week, a trend and noise; 2% of the hours are missing."""
    random, t = np.random.default_rng(seed), np.arange(HOURS)
    noise = np.zeros(HOURS)
    for at in range(1, HOURS):
        noise[at] = DECAY * noise[at - 1] + NOISE * random.normal()
    day, week = 2 * np.pi * t / 24, 2 * np.pi * t / 168
    expected = 300 + 0.02 * t + 40 * np.sin(day - 1) + 15 * np.sin(2 * day) + 20 * np.cos(week)
    values = np.where(random.uniform(size=HOURS) < 0.02, np.nan, expected + noise)
    times = np.datetime64("2026-01-01T00:00:00") + t.astype("timedelta64[h]").astype("timedelta64[s]")
    return Hourly(pa.table({"time": times, "load": pa.array(values, from_pandas=True)}), expected, noise)


def hourly_references(series: Hourly, ends: np.ndarray, steps: int, train: int) -> dict[str, float]:
    """CRPS of forecasts of the steps after each of `ends`, in the units of the series.

    Args:
        ends: places of the first steps that are forecast.
        steps: how many.
        train: how many steps are those of the training split.
    """
    values = series.table["load"].to_numpy()
    ahead = ends[:, None] + np.arange(steps)
    came = values[ahead]
    passed = DECAY ** np.arange(1, steps + 1)
    sigma = NOISE * np.sqrt((1 - passed**2) / (1 - DECAY**2))
    before = values[:train]
    errors = before[24:] - before[:-24]
    yesterday = np.where(np.isnan(values[ahead - 24]), values[ahead - 48], values[ahead - 24])
    means = {
        "the law": (series.expected[ahead] + passed * series.noise[ends - 1, None], sigma),
        "the day before": (yesterday, np.full(steps, np.nanstd(errors))),
        "ETS": smoothing(values, ends, steps, train),
    }
    scores = {name: Reference(name, mean[..., None], sd[..., None]) for name, (mean, sd) in means.items()}
    return {name: float(np.nanmean(each.crps(came[..., None]))) for name, each in scores.items()}


def smoothing(values: np.ndarray, ends: np.ndarray, steps: int, train: int) -> tuple[np.ndarray, np.ndarray]:
    """Means (N, steps) and deviations of exponential smoothing with a trend and a season of 24."""
    try:
        from statsmodels.tsa.statespace.exponential_smoothing import ExponentialSmoothing
    except ImportError:
        raise SystemExit("hours is compared with ETS; install it with: pip install statsmodels") from None

    how = {"trend": True, "seasonal": 24, "initialization_method": "heuristic"}
    filled = values.copy()
    for at in np.flatnonzero(np.isnan(filled)):  # The heuristic start takes no gaps.
        filled[at] = filled[at - 24] if at >= 24 else np.nanmean(values[:24])
    fitted = ExponentialSmoothing(filled[:train], **how).fit(disp=False)
    forecasts = [fitted.apply(filled[:end]).get_forecast(steps) for end in ends]
    deviations = np.sqrt(np.stack([each.var_pred_mean for each in forecasts]).mean(0))
    return np.stack([each.predicted_mean for each in forecasts]), deviations


def hours_line(seed: int, options: dict[str, Any]) -> str:
    """Fit one long series and judge, once a day in the test split; to a row of the table."""
    begun, series = time.process_time(), hourly(seed)
    auto = sfumato.fit(series.table, model="td_vae", seed=seed, **options)
    seconds, windows = time.process_time() - begun, auto.schema_.windows
    subject = Subject.of(auto.model_, auto.schema_, auto.data_, seed)
    found = measures.futures(subject, EvaluationSettings(seed=seed))
    scale, ends = float(auto.schema_.scale[0]), subject.batch.time[:, windows.context].numpy().astype(int)
    scores = measures.crps(found.draws, found.came) * scale
    daily = slice(0, None, 24)
    others = hourly_references(series, ends[daily], windows.horizon, int(ends[0]) - round(0.1 * HOURS))
    others |= {each.name: float(np.nanmean(each.crps(found.came)[daily])) * scale for each in found.references}
    crps = float(np.nanmean(scores[daily]))
    inside = [float(np.nanmean(measures.covered(found.draws, found.came, share))) for share in (0.5, 0.9)]
    told = ", ".join(f"{name} {value:.2f}" for name, value in sorted(others.items(), key=lambda item: item[1]))
    energy = float(measures.energy_score(found.paths, found.came).mean()) * scale
    return (
        f"| hours | {seed} | {auto.history_.lines[-1]['step']:,} | {crps:.2f} | {told} "
        f"| {crps / others['the law'] - 1:+.1%} | {energy:.1f} | {inside[0]:.0%} | {inside[1]:.0%} | {seconds:.0f} |"
    )


def line(name: str, seed: int, data: Path | None, options: dict[str, Any]) -> str:
    """Fit and judge; to a row of the table."""
    begun = time.process_time()
    source: Any = swings(1200, seed)
    if name == "italy":
        source = str(sources.folder(data) / "ItalyPowerDemand_TEST.ts")
    how = {"sequences": True} if name == "ar2" else {}
    auto = sfumato.fit(source, model="td_vae", seed=seed, **how, **options)
    seconds = time.process_time() - begun
    subject = Subject.of(auto.model_, auto.schema_, auto.data_, seed)
    found = measures.futures(subject, EvaluationSettings(seed=seed))
    against = list(found.references)
    if name == "ar2":
        against.append(law(subject.batch.x.numpy().astype(float), float(source.std())))
    best = min(against, key=lambda reference: float(reference.crps(found.came).mean()))
    crps = float(measures.crps(found.draws, found.came).mean())
    other = float(best.crps(found.came).mean())
    energy = float(measures.energy_score(found.paths, found.came).mean())
    inside = [float(np.nanmean(measures.covered(found.draws, found.came, share))) for share in (0.5, 0.9)]
    return (
        f"| {name} | {seed} | {auto.history_.lines[-1]['step']:,} | {crps:.3f} | {other:.3f} ({best.name}) "
        f"| {crps / other - 1:+.1%} | {energy:.2f} | {inside[0]:.0%} | {inside[1]:.0%} | {seconds:.0f} |"
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sets", nargs="*", default=["ar2", "italy", "hours"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[1])
    parser.add_argument("--steps", type=int, help="of the training; the default's if left out")
    parser.add_argument("--data", type=Path)
    for name in ("prediction", "sigma", "warmup", "pairs"):
        kind = float if name in ("prediction", "sigma") else int
        parser.add_argument(f"--{name}", type=kind, help="of the model; the default's if left out")
    given = parser.parse_args()
    print(describe())
    print("| set | seed | steps | CRPS | best reference | | energy score | 50% hold | 90% hold | CPU s |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    names = ("steps", "prediction", "sigma", "warmup", "pairs")
    options = {name: getattr(given, name) for name in names if getattr(given, name) is not None}
    for name in given.sets:
        for seed in given.seeds:
            told = hours_line(seed, options) if name == "hours" else line(name, seed, given.data, options)
            print(told, flush=True)


if __name__ == "__main__":
    main()
