"""−ELBO of a VAE on tables under four priors, with and without what keeps the gradient of a sampled KL quiet.

    python benchmarks/priors.py                           # four tables, four priors, five seeds: half an hour
    python benchmarks/priors.py magic --seeds 2           # one table

"before": log q(z|x) is differentiated whole, with the score that is 0 in the mean, and the means of a mixture start as
N(0, 1). "after": what the package does. Told is the mean −ELBO of held-out rows in nats, numbers standardised, over
seeds of split, weights and training, ± its standard error; and after less before, seed by seed.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
import torch

import sfumato
import sources
from machine import describe
from sfumato.distributions import Normal
from sfumato.distributions.base import Posterior
from sfumato.networks import gaussian

TABLES = ("penguins", "flchain", "magic", "shoppers")
LEARNED = ("mixture", "vamp", "flow")
ROWS, DRAWS = 3000, 32
OPTIONS = {"likelihood": "gaussian", "components": 32}


@contextmanager
def unmended() -> Iterator[None]:
    """The gradient and the start that there were before."""
    along, apart = Normal.log_prob_along, gaussian.COMPONENT_SPREAD
    Normal.log_prob_along, gaussian.COMPONENT_SPREAD = Posterior.log_prob_along, 1.0  # type: ignore[method-assign]
    try:
        yield
    finally:
        Normal.log_prob_along, gaussian.COMPONENT_SPREAD = along, apart  # type: ignore[method-assign]


def table(path: Path) -> pd.DataFrame:
    """The table, or 3000 of its rows."""
    frame = pd.read_csv(path)
    return frame if len(frame) <= ROWS else frame.sample(ROWS, random_state=0).reset_index(drop=True)


def cost(frame: pd.DataFrame, prior: str, seed: int, steps: int) -> float:
    """Mean −ELBO of the test split in nats."""
    auto = sfumato.fit(frame, prior=prior, seed=seed, steps=steps, **OPTIONS)
    assert auto.data_ is not None
    batch = auto.data_.test.take(slice(None))
    torch.manual_seed(0)
    with torch.no_grad():
        return -float(auto.model_.log_weight(batch, DRAWS).double().mean())


def told(values: np.ndarray) -> str:
    """Mean ± standard error."""
    return (
        f"{values.mean():.2f} ± {values.std(ddof=1) / len(values) ** 0.5:.2f}"
        if len(values) > 1
        else f"{values[0]:.2f}"
    )


def main() -> None:
    """A line for each table and prior."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tables", nargs="*", default=TABLES, metavar="TABLE", help=", ".join(TABLES))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--data", type=Path)
    chosen = parser.parse_args()
    print(f"{describe()}; {OPTIONS}, {chosen.steps} steps, seeds 0 to {chosen.seeds - 1}\n", flush=True)
    print("| table | prior | before | after | after less before | after less N(0, 1) |\n|---|---|---|---|---|---|")
    for name in chosen.tables:
        frame = table(sources.folder(chosen.data) / f"{name}.csv")
        standard = np.array([cost(frame, "standard", seed, chosen.steps) for seed in range(chosen.seeds)])
        print(f"| {name} | standard | – | {told(standard)} | – | – |", flush=True)
        for prior in LEARNED:
            with unmended():
                before = np.array([cost(frame, prior, seed, chosen.steps) for seed in range(chosen.seeds)])
            after = np.array([cost(frame, prior, seed, chosen.steps) for seed in range(chosen.seeds)])
            gains = f"{told(after - before)} | {told(after - standard)}"
            print(f"| {name} | {prior} | {told(before)} | {told(after)} | {gains} |", flush=True)


if __name__ == "__main__":
    main()
