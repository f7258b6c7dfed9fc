"""How well scores rank outliers in tables: sets of ADBench as frames and as arrays, beside an isolation forest.

python benchmarks/outliers.py reported --data DIR                 (the sets that are reported)
python benchmarks/outliers.py chosen --data DIR                   (those that the score was chosen on)
python benchmarks/outliers.py 6_cardio 38_thyroid --data DIR      (single ones)

DIR/adbench holds NAME.npz with the keys X and y (1: outlier). Trained *normal*: on half of the normal rows, tested on
all others; *mixed*: trained and tested on all rows, without labels. The figure is the area under the ROC curve of minus
the score.
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.ensemble import IsolationForest
from sklearn.metrics import roc_auc_score

import sfumato

SETS = {
    "chosen": (
        "7_Cardiotocography",
        "22_magic.gamma",
        "27_PageBlocks",
        "28_pendigits",
        "33_skin",
        "40_vowels",
        "44_Wilt",
    ),
    "reported": (
        *("19_landsat", "31_satimage-2", "6_cardio", "38_thyroid", "4_breastw", "12_fault", "16_http", "18_Ionosphere"),
        *("29_Pima", "43_WDBC"),
    ),
}
WAYS = ("frame", "cells", "gaussian", "array")
"""A frame by default and with each likelihood, and an array by default."""


def rows(path: Path, most: int) -> tuple[np.ndarray, np.ndarray]:
    """At most so many rows of a set, at random, and which are outliers."""
    with np.load(path, allow_pickle=True) as found:
        x, outlier = found["X"].astype(np.float64), found["y"].astype(bool)
    order = np.random.default_rng(0).permutation(len(x))[:most]
    return x[order], outlier[order]


def parts(outlier: np.ndarray, regime: str) -> tuple[np.ndarray, np.ndarray]:
    """The rows trained on and those tested on."""
    everything = np.arange(len(outlier))
    if regime == "mixed":
        return everything, everything
    normal = np.random.default_rng(1).permutation(np.flatnonzero(~outlier))
    train = normal[: len(normal) // 2]
    return train, np.setdiff1d(everything, train)


def scored(train: np.ndarray, test: np.ndarray, way: str, steps: int | None, seed: int) -> np.ndarray:
    """Scores of the test rows by a model of the training rows."""
    told: dict[str, object] = {"seed": seed} | ({} if steps is None else {"steps": steps})
    if way == "array":
        return sfumato.fit(train, **told).score_samples(test)
    if way != "frame":
        told["likelihood"] = way
    names = [f"c{place}" for place in range(train.shape[1])]
    auto = sfumato.fit(pd.DataFrame(train, columns=names), **told)
    return auto.score_samples(pd.DataFrame(test, columns=names))


def areas(
    x: np.ndarray, outlier: np.ndarray, regime: str, ways: Iterable[str], steps: int | None, seed: int
) -> dict[str, float]:
    """Area under the ROC curve by way of training, and of isolation forests, the mean of three."""
    train, test = parts(outlier, regime)
    found = {way: float(roc_auc_score(outlier[test], -scored(x[train], x[test], way, steps, seed))) for way in ways}
    forests = [IsolationForest(random_state=seed + place).fit(x[train]).score_samples(x[test]) for place in range(3)]
    return found | {"forest": float(np.mean([roc_auc_score(outlier[test], -each) for each in forests]))}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sets", nargs="*", default=["reported"])
    parser.add_argument("--data", type=Path, required=True, help="folder that holds adbench/")
    parser.add_argument("--rows", type=int, default=3000)
    parser.add_argument("--steps", type=int, default=None, help="of the training; the default's if left out")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--ways", default=",".join(WAYS))
    parser.add_argument("--regimes", default="normal,mixed")
    told = parser.parse_args()
    logging.disable(logging.WARNING)
    ways = told.ways.split(",")
    columns = [*ways, "forest"]
    print(f"| set | trained | rows × columns | {' | '.join(columns)} |", flush=True)
    print(f"|{'---|' * (3 + len(columns))}", flush=True)
    every: dict[str, list[dict[str, float]]] = {}
    for name in [each for asked in told.sets for each in SETS.get(asked, (asked,))]:
        x, outlier = rows(told.data / "adbench" / f"{name}.npz", told.rows)
        for regime in told.regimes.split(","):
            found = areas(x, outlier, regime, ways, told.steps, told.seed)
            every.setdefault(regime, []).append(found)
            size = f"{len(parts(outlier, regime)[0]):,} × {x.shape[1]}"
            print(f"| {name} | {regime} | {size} | {_figures(found, columns)} |", flush=True)
    for regime, found_here in every.items():
        mean = {column: float(np.mean([found[column] for found in found_here])) for column in columns}
        print(f"| mean | {regime} | | {_figures(mean, columns)} |", flush=True)


def _figures(found: dict[str, float], columns: list[str]) -> str:
    return " | ".join(f"{found[column]:.3f}" for column in columns)


if __name__ == "__main__":
    main()
