"""The doctor on ten healthy tables and on ten made sick in dependence; and how often intervals of the C2ST hold.

python benchmarks/doctor_tables.py healthy sick --data DIR      (both, or names of runs)
python benchmarks/doctor_tables.py c2st                         (coverage of the intervals, 40 draws each)
"""

from __future__ import annotations

import argparse
import copy
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

import sfumato
from dependence import dates
from machine import describe
from sfumato.evaluation.metrics.classifiers import two_sample_auc

LOST = ("dependence_lost", "rare_class_lost")
FILES = {"adult": "adult_train.csv", "alarm": "alarm.csv.gz", "asia": "asia.csv.gz"}


@dataclass(frozen=True)
class Case:
    """A run, and what the doctor may say first.

    Attributes:
        table: name of a file, or of one of `MADE`.
        right: findings that are right, any of them first.
        options: of the fit.
        shuffle: whether the columns of the samples are shuffled, each by itself.
    """

    name: str
    table: str
    right: tuple[str, ...]
    options: dict[str, Any] = field(default_factory=dict)
    shuffle: bool = False


def pairs(count: int, random: np.random.Generator) -> pd.DataFrame:
    """Four pairs of numbers with a correlation of .98."""
    base = random.normal(size=(count, 4))
    noise = 0.2 * random.normal(size=(count, 4))
    return pd.DataFrame(
        {f"{side}{at}": base[:, at] + (noise[:, at] if side == "b" else 0) for at in range(4) for side in "ab"}
    )


def independent(count: int, random: np.random.Generator) -> pd.DataFrame:
    """Columns that go with nothing: there is no dependence to lose."""
    return pd.DataFrame(
        {
            "a": random.lognormal(size=count),
            "b": random.integers(0, 9, count),
            "c": random.choice([*"xyz"], count),
            "d": random.standard_t(3, count),
        }
    )


def rare(count: int, random: np.random.Generator) -> pd.DataFrame:
    """A class of one in a hundred that lies apart from all others."""
    kind = random.random(count) < 0.01
    x = random.normal(size=(count, 3)) + np.outer(kind, [3, -3, 2])
    x[:, 2] += 0.7 * x[:, 0]
    return pd.DataFrame({"a": x[:, 0], "b": x[:, 1], "c": x[:, 2], "kind": np.where(kind, "rare", "usual")})


MADE: dict[str, Callable[[int, np.random.Generator], pd.DataFrame]] = {
    "pairs": pairs,
    "scales": lambda count, random: dates(random, count),
    "independent": independent,
    "rare": rare,
}
WELL = ("healthy",)
HEALTHY = (
    *(Case(name, name, WELL) for name in ("pairs", "scales", "independent", "rare")),
    *(Case(name, name, WELL) for name in ("penguins", "magic", "adult", "shoppers", "flchain", "asia")),
)
SICK = (
    *(Case(f"{name}, samples shuffled", name, LOST, shuffle=True) for name in ("magic", "adult", "penguins", "asia")),
    Case(
        "pairs, beta 20",
        "pairs",
        ("posterior_collapse", *LOST),
        {"model": "beta_vae", "beta": 20.0, "free_rate": 0.0},  # With the default half nat free it is healthy.
    ),
    Case(
        "pairs, one latent, cells",
        "pairs",
        ("over_regularised", "posterior_collapse", *LOST),  # Its code carries 0 nats.
        {"latent_dim": 1, "likelihood": "cells"},
    ),
    Case("pairs, cells", "pairs", ("posterior_collapse", *LOST), {"likelihood": "cells"}),
    Case("magic, 60 steps", "magic", ("too_short", *LOST), {"steps": 60}),
    Case(
        "scales, condition left out",
        "scales",
        ("conditions_ignored", *LOST),
        {"model": "cvae", "given": ["celsius"], "condition_dropout": 0.999},
    ),
    Case("rare, samples without it", "rare", ("rare_class_lost",), shuffle=False),
)


def table(name: str, data: Path, rows: int) -> pd.DataFrame:
    """A table of so many rows, of a file chosen at random."""
    if name in MADE:
        return MADE[name](rows, np.random.default_rng(0))
    found = pd.read_csv(data / FILES.get(name, f"{name}.csv"))
    return found.sample(min(len(found), rows), random_state=0).reset_index(drop=True)


def look(case: Case, data: Path, rows: int, steps: int | None, seed: int) -> str:
    """Fit, diagnose; to a row of the table."""
    begun = time.process_time()
    auto = sfumato.fit(table(case.table, data, rows), seed=seed, **({"steps": steps} | case.options))
    fitted = time.process_time()
    if case.shuffle or case.right == ("rare_class_lost",):
        auto = _spoilt(auto, case.shuffle)
    quick = [one.name for one in auto.diagnose(quick=True, seed=seed)]
    looked = time.process_time()
    found = auto.diagnose(seed=seed)
    first = found[0]
    verdict = "right" if first.name in case.right and quick[0] in case.right else "WRONG"
    seconds = f"{fitted - begun:.0f}, {looked - fitted:.1f}, {time.process_time() - looked:.1f}"
    names = ", ".join(one.name for one in found)
    also = "" if [one.name for one in found] == quick else f"; quick: {', '.join(quick)}"
    print(f"{case.name}: {first.words}\n   {first.cure}", flush=True)
    return f"| {case.name} | {' or '.join(case.right)} | {names}{also} | {verdict} | {seconds} |"


def _spoilt(auto: sfumato.Autoencoder, shuffle: bool) -> sfumato.Autoencoder:
    """The same run, the columns of whose samples are shuffled; or none of whose samples is of the rare class."""
    other, draw = copy.copy(auto), auto.model_.sample
    other.model_ = copy.deepcopy(auto.model_)

    def sample(n: int, given: Any = None, **how: Any) -> torch.Tensor:
        x = draw(n, given, **how)
        if shuffle:
            return torch.stack([column[torch.randperm(n)] for column in x.T], 1)
        place = [column.name for column in auto.schema_.columns].index("kind")
        usual = x[:, place].mode().values
        return torch.cat([x[:, :place], usual.expand(n, 1), x[:, place + 1 :]], 1)

    other.model_.sample = sample
    return other


def coverage(draws: int = 40) -> None:
    """How often ±1.96 errors of the AUC hold its mean over all draws."""

    def rows(count: int, lost: float, random: np.random.Generator) -> np.ndarray:
        x = random.normal(size=(count, 5)) @ (np.eye(5) + 0.5 * np.tri(5, k=-1)).T
        apart = np.flatnonzero(random.random(count) < lost)
        for column in x.T:
            column[apart] = column[random.permutation(apart)]
        return x

    for test, train, lost in ((60, 600, 0.4), (60, 600, 0.0), (300, 1500, 0.4), (1000, 1000, 0.4)):
        found = []
        for seed in range(draws):
            random = np.random.default_rng(seed)
            parts = rows(test, 0, random), rows(train, lost, random), rows(train, 0, random)
            found.append(two_sample_auc(*parts[:2], more=parts[2], rows=800, seed=seed))
        values, errors = np.array([one[:2] for one in found]).T
        held = (np.abs(values - values.mean()) < 1.96 * errors).mean()
        print(f"{test} held-out rows, {lost:.0%} shuffled: AUC {values.mean():.3f}, held {held:.0%}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", default=["healthy", "sick"], help="healthy, sick, c2st, or names of runs")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--rows", type=int, default=1500)
    parser.add_argument("--steps", type=int, default=None, help="of all fits that do not say; the default of fit")
    parser.add_argument("--seed", type=int, default=0)
    told = parser.parse_args()
    print(describe(), f"seed {told.seed}, {told.rows} rows, {told.steps or 'default'} steps", sep="\n", flush=True)
    if told.names == ["c2st"]:
        coverage()
        return
    wanted = [case for case in HEALTHY if {"healthy", case.name} & {*told.names}]
    wanted += [case for case in SICK if {"sick", case.name} & {*told.names}]
    print("| run | expected | found | | seconds: fit, quick look, whole look |\n|---|---|---|---|---|", flush=True)
    for case in wanted:
        print(look(case, told.data, told.rows, told.steps, told.seed), flush=True)


if __name__ == "__main__":
    main()
