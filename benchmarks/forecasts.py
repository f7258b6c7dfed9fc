"""Forecasts of a TD-VAE by default, beside the true law or the best reference that needs no training worth the name.

    python benchmarks/forecasts.py ar2 italy                      # default length, seed 1
    python benchmarks/forecasts.py ar2 --steps 1500 --warmup 300 --prediction 0 --sigma 0.1   # the paper's loss

`ar2`: 1,200 sequences of x_t = 1.5 x_{t−1} − .8 x_{t−2} + ε, ε ~ N(0, 1), 24 steps; its law is known, given the last
two values. `italy`: the 1,029 days of ItalyPowerDemand_TEST.ts. The second half of each held-out sequence is forecast
from the first, 99 futures each, in jumps of one step. CRPS and energy score in deviations of a channel; coverage of the
middle 50% and 90% of the futures. Against: CRPS of the law (ar2), of a ridge regression on the first half, or of the
last season, whichever is least.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np

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
    energy = float(measures.energy_score(found.draws, found.came).mean())
    inside = [float(np.nanmean(measures.covered(found.draws, found.came, share))) for share in (0.5, 0.9)]
    return (
        f"| {name} | {seed} | {auto.history_.lines[-1]['step']:,} | {crps:.3f} | {other:.3f} ({best.name}) "
        f"| {crps / other - 1:+.1%} | {energy:.2f} | {inside[0]:.0%} | {inside[1]:.0%} | {seconds:.0f} |"
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sets", nargs="*", default=["ar2", "italy"])
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
            print(line(name, seed, given.data, options), flush=True)


if __name__ == "__main__":
    main()
