"""How the rule of `AnomalyDetector` was chosen: every detector by itself, and means of their surprise.

    python benchmarks/anomaly_rules.py --data DIR      (the 15 sets that the rule was chosen on)

Trained on *normal* rows, a fifth of them held out as the reference; or *mixed*: each half of all rows is scored by a
model of the other half. Columns are numbers (an array, gaussian), 1,000 steps, at most 10,000 rows.
"""

from __future__ import annotations

import argparse
import logging
from collections import defaultdict
from pathlib import Path

import numpy as np
from sklearn.ensemble import IsolationForest
from sklearn.metrics import roc_auc_score

import sfumato
from anomalies import MOST_ROWS, REGIMES, neighbour_scores
from outliers import parts, rows
from sfumato.tasks import code_distances, neighbour_distances, surprise

CHOSEN = (
    *("10_cover", "12_fault", "16_http", "18_Ionosphere", "19_landsat", "20_letter", "21_Lymphography"),
    *("22_magic.gamma", "24_mnist", "25_musk", "26_optdigits", "27_PageBlocks", "28_pendigits", "29_Pima"),
    "31_satimage-2",
)
RULES = (
    *(("density",), ("reconstruction",), ("code",), ("row 1",), ("row 5",), ("row 20",)),
    *(("density", "row 1"), ("density", "row 20"), ("density", "code", "row 20"), ("density", "code", "row 1")),
    *(("reconstruction", "row 1"), ("reconstruction", "row 1", "row 1"), ("density", "reconstruction", "row 1")),
)

Scores = dict[str, np.ndarray]


def detectors(train: np.ndarray, sets: list[np.ndarray], seed: int) -> list[Scores]:
    """What each detector that is trained on some rows gives to others."""
    auto = sfumato.fit(train, seed=seed, steps=1000, split=(0.9, 0.1, 0.0))
    known, codes = auto.features(train), auto.encode(train)
    scores = []
    for x in sets:
        placed = auto.features(x)
        each = {
            "density": -auto.score_samples(x),
            "reconstruction": -auto.reconstruction_log_prob(x),
            "code": code_distances(auto.encode(x), codes),
        }
        scores.append(each | {f"row {k}": neighbour_distances(placed, known, k) for k in (1, 5, 20)})
    return scores


def areas(path: Path, regime: str, seed: int) -> dict[str, float]:
    """Areas under the ROC curve of all rules and rivals on one set."""
    x, anomaly = rows(path, MOST_ROWS)
    train, test = parts(anomaly, regime)
    noise = np.random.default_rng(2)
    surprises: Scores = {}
    if regime == "normal":
        order = noise.permutation(train)
        count = max(len(order) // 5, 10)
        reference, scores = detectors(x[order[count:]], [x[order[:count]], x[test]], seed)
        surprises = {name: surprise(values, reference[name]) for name, values in scores.items()}
    else:
        half = np.isin(np.arange(len(x)), noise.permutation(len(x))[: len(x) // 2])
        for side in (half, ~half):
            (scores,) = detectors(x[side], [x[~side]], seed)
            for name, values in scores.items():
                surprises.setdefault(name, np.zeros(len(x)))[~side] = surprise(values, values)
    found = {" + ".join(rule): np.mean([surprises[name] for name in rule], axis=0) for rule in RULES}
    found["5th neighbour of all rows"] = neighbour_scores(x[train], x[test], own=regime == "mixed")
    found["isolation forest"] = -IsolationForest(random_state=seed).fit(x[train]).score_samples(x[test])
    return {name: float(roc_auc_score(anomaly[test], values)) for name, values in found.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sets", nargs="*", default=CHOSEN)
    parser.add_argument("--data", type=Path, required=True, help="folder that holds adbench/")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    logging.disable(logging.WARNING)
    every: dict[str, dict[str, list[float]]] = {regime: defaultdict(list) for regime in REGIMES}
    for name in options.sets:
        for regime in REGIMES:
            for rule, area in areas(options.data / "adbench" / f"{name}.npz", regime, options.seed).items():
                every[regime][rule].append(area)
    print(f"| rule | {' | '.join(REGIMES)} |\n|---|---|---|")
    for rule in every[REGIMES[0]]:
        print(f"| {rule} | {' | '.join(f'{np.mean(every[regime][rule]):.3f}' for regime in REGIMES)} |")


if __name__ == "__main__":
    main()
