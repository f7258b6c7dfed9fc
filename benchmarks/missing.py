"""Which cells of samples are missing, beside real rows: a table on the standard output.

    python benchmarks/missing.py adult_train.csv flchain.csv penguins.csv

A fit at the defaults with each seed, and as many samples as there are rows, 20,000 at least. Rates are of all columns
of which the data have missing cells; patterns are the four ways in which two columns can be missing. Differences are in
points (percent of the rows). The last column is the share of samples in which every column that was found to follow
from another does so.
"""

from __future__ import annotations

import argparse
import time
from itertools import combinations, product

import numpy as np
import pandas as pd

import sfumato


def patterns(real: pd.DataFrame, made: pd.DataFrame) -> float:
    """The largest difference, over pairs of columns, in the share of rows with one of the four patterns, in points."""
    worst = 0.0
    for one, two in combinations(real.columns, 2):
        for first, second in product((False, True), repeat=2):
            shares = [((table[one] == first) & (table[two] == second)).mean() for table in (real, made)]
            worst = max(worst, abs(shares[0] - shares[1]))
    return 100 * worst


def agreement(auto: sfumato.Autoencoder, made: pd.DataFrame) -> str:
    """The share of rows in which all dependences hold, and which they are."""
    dependences = auto.schema_.dependences
    if not dependences:
        return ""
    table = auto.schema_.read(made)
    holds = np.all([one.penalty(table, 1) == 0 for one in dependences], axis=0).mean()
    named = ", ".join(f"{one.column.name} from {one.determinant.name}" for one in dependences)
    return f"{holds:.1%}: {named}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="+")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--max-time", default=None)
    options = parser.parse_args()
    print("| data | seed | missing, real → samples, % | largest rate gap | largest pattern gap | dependences | s |")
    print("|---|---|---|---|---|---|---|")
    for file in options.files:
        for seed in options.seeds:
            start = time.perf_counter()
            auto = sfumato.fit(file, seed=seed, max_time=options.max_time)
            seconds = time.perf_counter() - start
            rows = auto.schema_.select(file).to_pandas()
            made = auto.sample(max(len(rows), 20_000), seed=seed)
            columns = [name for name in rows if rows[name].isna().any()]
            real, sampled = rows[columns].isna(), made[columns].isna()
            rates = [f"{name} {100 * real[name].mean():.1f} → {100 * sampled[name].mean():.1f}" for name in columns]
            gap = 100 * np.abs(real.mean() - sampled.mean()).max()
            worst = patterns(real, sampled)
            name = file.rpartition("/")[2]
            cells = [
                name,
                seed,
                ", ".join(rates),
                f"{gap:.2f}",
                f"{worst:.2f}",
                agreement(auto, made),
                f"{seconds:.0f}",
            ]
            print(f"| {' | '.join(map(str, cells))} |", flush=True)


if __name__ == "__main__":
    main()
