"""Anomalies in tables beside nearest neighbours and isolation forests, p-values of normal rows, and planted faults.

    python benchmarks/uses.py anomalies
    python benchmarks/anomalies.py --data DIR --rows 3000              (the 15 sets that the rule was not chosen on)
    python benchmarks/anomalies.py 6_cardio 38_thyroid --data DIR      (single sets)

Each set has a line as soon as it is done, and after it come the means of the sets so far. DIR/adbench holds NAME.npz
with the keys X and y (1: anomaly), as `benchmarks/outliers.py` reads them.
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
from sklearn.neighbors import NearestNeighbors

import sfumato
from outliers import parts, rows
from registry import Measure, Setting, system

MOST_ROWS = 10_000
UNUSED = (
    *("45_wine", "42_WBC", "39_vertebral", "43_WDBC", "4_breastw", "40_vowels", "47_yeast", "6_cardio"),
    *("7_Cardiotocography", "33_skin", "38_thyroid", "44_Wilt", "41_Waveform", "35_SpamBase", "8_celeba"),
)
"""Sets that had no part in the choice of the rule (`anomaly_rules.CHOSEN`), the cheapest first."""
NEIGHBOURS = 5
FDR = 0.05
"""The false discovery rate that is stated."""
PLANTED = 100
"""Rows of penguins in each of which one column is replaced."""
REGIMES = ("normal", "mixed")
RIVALS = ("5th nearest row", "nearest row", "isolation forest")


def neighbour_scores(train: np.ndarray, test: np.ndarray, *, own: bool, k: int = NEIGHBOURS) -> np.ndarray:
    """Distance to the k-th nearest row, by default the fifth as PyOD's KNN has it, numbers standardised."""
    mean, scale = train.mean(0), np.where(train.std(0) > 0, train.std(0), 1.0)
    fitted = NearestNeighbors(n_neighbors=k + own).fit((train - mean) / scale)
    return np.asarray(fitted.kneighbors((test - mean) / scale)[0][:, -1])


def areas(path: Path, regime: str, seed: int, most: int = MOST_ROWS) -> dict[str, float]:
    """Areas under the ROC curve on one set, trained on half of its normal rows, or on all rows without labels."""
    x, anomaly = rows(path, most)
    train, test = parts(anomaly, regime)
    detector = sfumato.AnomalyDetector(contaminated=regime == "mixed", random_state=seed).fit(x[train])
    mixed = regime == "mixed"
    scores = {
        "sfumato": detector.decision_scores_ if mixed else detector.decision_function(x[test]),
        "5th nearest row": neighbour_scores(x[train], x[test], own=mixed),
        "nearest row": neighbour_scores(x[train], x[test], own=mixed, k=1),
        "isolation forest": -IsolationForest(random_state=seed).fit(x[train]).score_samples(x[test]),
    }
    return {name: float(roc_auc_score(anomaly[test], values)) for name, values in scores.items()}


@system(
    "anomalies",
    Measure("30 sets, trained on normal rows: mean area", "84", low=0.84),
    *(Measure(f"30 sets, trained on normal rows: {name}") for name in RIVALS),
    Measure("30 sets, unsupervised: mean area", "77", low=0.77),
    *(Measure(f"30 sets, unsupervised: {name}") for name in RIVALS),
    Measure("false discoveries, stated 5%, 5% planted among normal rows", high=0.06),
    Measure("planted rows found"),
    Measure("planted column named first", low=0.9),
)
def anomalies(setting: Setting) -> dict[str, float]:
    """All sets of `adbench`, at most 10,000 rows of each; faults planted in a table of 6 numbers that go together."""
    logging.disable(logging.WARNING)
    values: list[float] = []
    paths = sorted((setting.data / "adbench").glob("*.npz"))
    for regime in REGIMES:
        found = [areas(path, regime, setting.seed) for path in paths]
        values += [float(np.mean([each[name] for each in found])) for name in ("sfumato", *RIVALS)]
    values += [*false_discoveries(setting.seed), planted_columns(setting.seed)]
    return anomalies.named(values)


def related(total: int, seed: int) -> pd.DataFrame:
    """Rows of 6 numbers that depend on 2 latent ones, bent, and one category."""
    noise = np.random.default_rng(seed)
    z = noise.normal(size=(total, 2))
    mixed = np.tanh(z @ np.random.default_rng(0).normal(size=(2, 6))) + 0.15 * noise.normal(size=(total, 6))
    frame = pd.DataFrame(mixed * [1, 10, 100, 1, 5, 0.1], columns=[f"c{place}" for place in range(6)])
    return frame.assign(kind=np.where(z[:, 0] > 0, "a", "b"))


def with_faults(frame: pd.DataFrame, count: int, seed: int) -> tuple[pd.DataFrame, list[str]]:
    """The first rows with one number each moved out by 3 to 6 deviations of its column, and the names of these."""
    noise = np.random.default_rng(seed)
    names = [f"c{place}" for place in noise.integers(0, 6, count)]
    changed = frame.copy()
    for row, name in enumerate(names):
        changed.loc[row, name] += noise.choice([-1, 1]) * noise.uniform(3, 6) * frame[name].std()
    return changed, names


def false_discoveries(seed: int, trials: int = 40) -> tuple[float, float]:
    """Share of normal rows among those called anomalies, and of planted rows found, in the mean of trials of 400."""
    detector = sfumato.AnomalyDetector(contaminated=False, fdr=FDR, random_state=seed).fit(related(4000, seed))
    scores = [
        detector.decision_function(with_faults(related(400, 1000 * seed + trial + 1), 20, trial)[0])
        for trial in range(trials)
    ]
    called = [detector.judged(each)[1] for each in scores]
    false = [labels[20:].sum() / max(labels.sum(), 1) for labels in called]
    return float(np.mean(false)), float(np.mean([labels[:20].mean() for labels in called]))


def planted_columns(seed: int) -> float:
    """Share of rows with a fault whose costliest column is the one with the fault; trained on all rows."""
    frame, names = with_faults(related(2000, seed + 50), PLANTED, seed)
    detector = sfumato.AnomalyDetector(random_state=seed).fit(frame)
    reasons = detector.explain(frame, range(PLANTED))
    return float(np.mean([bool(each) and each[0].column == name for each, name in zip(reasons, names, strict=True)]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sets", nargs="*", default=UNUSED)
    parser.add_argument("--data", type=Path, required=True, help="folder that holds adbench/")
    parser.add_argument("--rows", type=int, default=MOST_ROWS)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    logging.disable(logging.WARNING)
    columns = ("sfumato", *RIVALS)
    print(f"| set | trained | {' | '.join(columns)} |\n{'|---' * (2 + len(columns))}|", flush=True)
    every: dict[str, list[list[float]]] = {regime: [] for regime in REGIMES}
    for done, name in enumerate(options.sets, 1):
        for regime in REGIMES:
            by_name = areas(options.data / "adbench" / f"{name}.npz", regime, options.seed, options.rows)
            every[regime].append([by_name[column] for column in columns])
            print(_line(name, regime, every[regime][-1]), flush=True)
        for regime, lines in every.items():
            print(_line(f"mean of {done}", regime, np.mean(lines, axis=0)), flush=True)


def _line(name: str, regime: str, values: Iterable[float]) -> str:
    return f"| {name} | {regime} | {' | '.join(f'{area:.3f}' for area in values)} |"


if __name__ == "__main__":
    main()
