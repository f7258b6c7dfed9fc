"""What differential privacy costs on adult, and what attacks find: a table on the standard output.

python benchmarks/privacy.py --data DIR --seeds 1
python benchmarks/privacy.py --data DIR --only 3 --options steps=300 batch_size=1024
python benchmarks/privacy.py --data DIR --only 3 --seeds 0 --quick --options likelihood=autoregressive steps=1

Rows: ε = 1, 3 and 10 with the default settings, *same net* with the settings of ε = 3 and neither noise nor cutting,
*none* as sfumato trains without ε, and *begun* what the counts of ε = 3 alone teach (one step on real rows).

Columns: ε as accounted for at δ, noise multiplier, then shape, trend, AUC of trees trained on samples, C2ST score,
copies and the membership attack by samples as benchmarks/generation.py has them; the membership attack of who has the
model, by its bound on log p(x) of 5,000 training and 5,000 held-out rows; and the largest difference of missing rates
of a column and of two together. Under ε noise does not follow from the seed, so that another run gives slightly other
numbers. With --quick two measures alone, of 6,000 samples: C2ST by two folds of 60 boosted trees, and the AUC of 60
that predict income on held-out rows.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import roc_auc_score

import sfumato
from generation import MEASURES, missing_off, option, scores, split
from machine import describe

ATTACKED = 5000
"""Rows of either side in the attack by score."""
QUICK_SAMPLES = 6000
CASES: dict[str, dict[str, Any]] = {
    "1": {"epsilon": 1.0},
    "3": {"epsilon": 3.0},
    "10": {"epsilon": 10.0},
    "same net": {},
    "none": {},
    "begun": {"epsilon": 3.0, "steps": 1},
}


def fitted(case: str, train: pd.DataFrame, seed: int, options: dict[str, Any]) -> sfumato.Autoencoder:
    """The model of one row of the table."""
    if case == "same net":
        from sfumato.estimator.private import LARGEST_SIZES
        from sfumato.training import Settings, resolve

        plan = resolve(Settings(epsilon=3.0), len(train), (1,))
        same = {name: getattr(plan, name) for name in ("steps", "batch_size", "lr", "weight_decay", "ema")}
        options = {"likelihood": "cells", "sampler": "prior", "patience": 0, **LARGEST_SIZES, **same, **options}
    return sfumato.fit(train, seed=seed, **CASES[case], **options)


def attacked_by_score(auto: sfumato.Autoencoder, train: pd.DataFrame, held_out: pd.DataFrame, seed: int) -> float:
    """How well the bound on log p(x) tells training rows from others, as an area under the ROC curve."""
    parts = [rows.sample(ATTACKED, random_state=seed, ignore_index=True) for rows in (train, held_out[train.columns])]
    values = [auto.score_samples(rows) for rows in parts]
    return float(roc_auc_score(np.repeat([1, 0], ATTACKED), np.concatenate(values)))


def quick_scores(train: pd.DataFrame, held_out: pd.DataFrame, drawn: pd.DataFrame) -> tuple[float, float]:
    """C2ST score and AUC by boosted trees on codes of categories."""
    names = [name for name in train if not pd.api.types.is_numeric_dtype(train[name])]
    known = {name: sorted(train[name].dropna().unique()) for name in names}

    def codes(rows: pd.DataFrame) -> pd.DataFrame:
        columns = {name: pd.Categorical(rows[name], known[name]).codes for name in names}
        return rows[list(train)].assign(**columns).astype(float)

    real, made = codes(held_out), codes(drawn)
    both = np.concatenate([real[: len(made)], made])
    is_made = np.repeat([0, 1], len(made))
    order = np.random.default_rng(0).permutation(len(both))
    halves = np.array_split(order, 2)
    told = np.zeros(len(both))
    for own, other in (halves, halves[::-1]):
        trees = HistGradientBoostingClassifier(max_iter=60).fit(both[other], is_made[other])
        told[own] = trees.predict_proba(both[own])[:, 1]
    c2st = 1 - (2 * max(roc_auc_score(is_made, told), 0.5) - 1)
    target, others = "income", [name for name in train if name != "income"]
    trees = HistGradientBoostingClassifier(max_iter=60).fit(made[others], made[target])
    return c2st, float(roc_auc_score(real[target], trees.predict_proba(real[others])[:, 1]))


def quick_line(case: str, seed: int, data: Path, options: dict[str, Any]) -> str:
    """The row of --quick."""
    train, held_out = split("adult", data, None)
    auto = fitted(case, train, seed, options)
    values = quick_scores(train, held_out, auto.sample(QUICK_SAMPLES, seed=seed))
    return f"| {case} | {seed} | {' | '.join(f'{value:.3f}' for value in values)} |"


def line(case: str, seed: int, data: Path, samples: int, options: dict[str, Any]) -> str:
    """Fit, sample and measure: one row of the table."""
    train, held_out = split("adult", data, None)
    begun = time.perf_counter()
    auto = fitted(case, train, seed, options)
    seconds = time.perf_counter() - begun
    drawn = auto.sample(samples, seed=seed)
    values = " | ".join(f"{value:.3f}" for value in scores("adult", train, held_out, drawn, seed).values())
    single, both = missing_off(train, drawn)
    ledger = auto.privacy_
    account = (
        "– | –" if ledger is None else f"{ledger.epsilon:.2f} at {ledger.delta:.1e} | {ledger.noise_multiplier:.2f}"
    )
    attack = attacked_by_score(auto, train, held_out, seed)
    return f"| {case} | {seed} | {account} | {values} | {attack:.3f} | {single:.3f}, {both:.3f} | {seconds:.0f} |"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--only", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--seeds", nargs="+", type=int, default=[1])
    parser.add_argument("--samples", type=int, default=10_000, help="rows that are drawn and measured")
    parser.add_argument("--quick", action="store_true", help="two measures that take seconds")
    parser.add_argument("--options", nargs="*", type=option, default=[], help="of the fit, such as steps=300")
    args = parser.parse_args()
    print(describe())
    if args.quick:
        print("| ε | seed | C2ST | AUC |\n|---|---|---|---|")
        for case in args.only:
            for seed in args.seeds:
                print(quick_line(case, seed, args.data, dict(args.options)), flush=True)
        return
    print(f"| ε | seed | ε spent | noise | {' | '.join(MEASURES)} | attack by score | missing off | s to fit |")
    print("|" + "---|" * (len(MEASURES) + 7))
    for case in args.only:
        for seed in args.seeds:
            print(line(case, seed, args.data, args.samples, dict(args.options)), flush=True)


if __name__ == "__main__":
    main()
