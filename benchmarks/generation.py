"""How good samples of tables are, beside sequential trees and independent columns: a table on the standard output.

python benchmarks/generation.py adult magic shoppers --data DIR --seeds 1 2 3
python benchmarks/generation.py pairs relations --only sfumato            (tables made here)

Every method sees the training rows alone, and samples are compared with held-out rows: `adult_test.csv` for adult, a
quarter of the rows of the others. *cart* is sequential CART in the manner of synthpop: each column by a tree on the
columns before it, its values drawn from the rows of a leaf. *shuffled* permutes each column by itself: no other method
has better shapes. *real* are training rows: what a perfect copy scores.

Columns: shape and trend of SDMetrics' definitions, AUC or R² of trees trained on samples and tested on real rows,
C2ST score 1 − (2·max(AUC, ½) − 1) of boosted trees, share of copies of training rows, AUC of a membership attack, and
by how much the missing rate of a column, and of two columns together, is off at most.
"""

from __future__ import annotations

import argparse
import ast
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

import sfumato
from dependence import dates, kept, pairs
from machine import describe
from sfumato.data.core.options import DataOptions
from sfumato.evaluation.samples.external_samples import evaluate

FILES = {"alarm": "alarm.csv.gz", "asia": "asia.csv.gz", "adult": "adult_train.csv"}
TARGETS = {"adult": "income", "magic": "class", "shoppers": "Revenue"}
MEASURES = {
    "shape": "column shapes",
    "trend": "pair trends",
    "AUC": "train on samples, test on real",
    "C2ST": "two-sample score",
    "copies": "copies of training rows",
    "membership": "membership attack by samples",
}
Rows = pd.DataFrame
Sample = Callable[[int, int], Rows]
"""So many new rows, drawn with a seed."""


def relations(rng: np.random.Generator, rows: int) -> Rows:
    """A sum, an order of two dates and a temperature in two units."""
    first, second = rng.exponential(10, (2, rows)).round(2)
    parts = pd.DataFrame({"first": first, "second": second, "total": (first + second).round(2)})
    return parts.join(dates(rng, rows).drop(columns="kind"))


MADE = {"pairs": partial(pairs, count=8), "relations": relations}


def split(name: str, data: Path, rows: int | None) -> tuple[Rows, Rows]:
    """Training rows and held-out rows."""
    if name in MADE:
        table = MADE[name](np.random.default_rng(0), rows or 8000)
    else:
        table = pd.read_csv(data / FILES.get(name, f"{name}.csv"), skipinitialspace=True)
    if name == "adult":
        held_out = pd.read_csv(data / "adult_test.csv", skipinitialspace=True)
        return table.sample(rows, random_state=0, ignore_index=True) if rows else table, held_out
    table = table.sample(frac=1, random_state=0, ignore_index=True)[: rows and rows * 4 // 3]
    cut = len(table) * 3 // 4
    return table[:cut], table[cut:].reset_index(drop=True)


def fit_sfumato(train: Rows, seed: int, **options: Any) -> Sample:
    """The default of the product."""
    auto = sfumato.fit(train, seed=seed, **options)
    return lambda n, draw: auto.sample(n, seed=draw)


def fit_shuffled(train: Rows, seed: int) -> Sample:
    """Each column by itself."""

    def sample(n: int, draw: int) -> Rows:
        return pd.DataFrame(
            {
                name: train[name].sample(n, replace=True, random_state=draw * 1000 + place).to_numpy()
                for place, name in enumerate(train)
            }
        )

    return sample


def fit_real(train: Rows, seed: int) -> Sample:
    """Training rows as they are."""
    return lambda n, draw: train.sample(n, replace=n > len(train), random_state=draw).reset_index(drop=True)


def fit_cart(train: Rows, seed: int) -> Sample:
    """Sequential CART (Reiter 2005), leaves of 5 rows at least; what is missing is one more category."""
    codes = pd.DataFrame({name: _numbers(train[name]) for name in train})
    leaves: list[tuple[Any, dict[int, np.ndarray]]] = []
    for place, name in enumerate(train):
        before, target = codes.iloc[:, :place].to_numpy(), codes[name].to_numpy()
        if not place:
            leaves.append((None, {0: np.arange(len(train))}))
            continue
        number = pd.api.types.is_numeric_dtype(train[name]) and train[name].nunique() > 2
        kind = DecisionTreeRegressor if number else DecisionTreeClassifier
        tree = kind(min_samples_leaf=5, random_state=seed).fit(before, target)
        leaf = tree.apply(before)
        leaves.append((tree, {int(one): np.flatnonzero(leaf == one) for one in np.unique(leaf)}))

    def sample(n: int, draw: int) -> Rows:
        rng = np.random.default_rng(draw)
        drawn, columns = np.zeros((n, 0)), {}
        for (tree, donors), name in zip(leaves, train, strict=True):
            leaf = np.zeros(n, int) if tree is None else tree.apply(drawn)
            rows = np.empty(n, int)
            for one in np.unique(leaf):
                at = leaf == one
                rows[at] = rng.choice(donors[int(one)], at.sum())
            columns[name] = train[name].to_numpy()[rows]
            drawn = np.column_stack([drawn, codes[name].to_numpy()[rows]])
        return pd.DataFrame(columns)

    return sample


def _numbers(column: pd.Series) -> np.ndarray:
    if pd.api.types.is_numeric_dtype(column):
        values = column.to_numpy(float)
        return np.where(np.isnan(values), np.nanmin(values) - 1, values)
    return np.asarray(column.astype(object).fillna("?").astype("category").cat.codes, float)


METHODS: dict[str, Callable[..., Sample]] = {
    "sfumato": fit_sfumato,
    "cart": fit_cart,
    "shuffled": fit_shuffled,
    "real": fit_real,
}


def scores(name: str, train: Rows, held_out: Rows, drawn: Rows, seed: int) -> dict[str, float]:
    """The measures of the product, with samples as many as held-out rows."""
    label = TARGETS.get(name)
    options = DataOptions(label=label) if label else None
    measures = {one.name: one.value for one in evaluate(train, drawn, holdout=held_out, options=options, seed=seed)}
    return {short: measures.get(name, float("nan")) for short, name in MEASURES.items()}


def known(name: str, drawn: Rows) -> str:
    """What is known of a table made here, as the samples have it."""
    if name != "relations":
        return kept(name, drawn)
    off = (drawn["first"] + drawn["second"] - drawn["total"]).abs().median()
    return f"sum {off:.2f} off, {kept('dates', drawn)}"


def missing_off(train: Rows, drawn: Rows) -> tuple[float, float]:
    """Largest difference of the missing rate of a column, and of two columns missing together."""
    real, made = train.isna().to_numpy(float), drawn.isna().to_numpy(float)
    single = np.abs(real.mean(0) - made.mean(0)).max()
    both = np.abs(real.T @ real / len(real) - made.T @ made / len(made)).max()
    return float(single), float(both)


def option(text: str) -> tuple[str, Any]:
    """name=value, the value as Python writes it, or a word."""
    name, _, value = text.partition("=")
    try:
        return name, ast.literal_eval(value)
    except ValueError:
        return name, value


def line(name: str, method: str, seed: int, args: argparse.Namespace) -> str:
    """Fit one table with one method: one row of the table."""
    train, held_out = split(name, args.data, args.rows)
    begun = time.perf_counter()
    options = dict(args.options) if method == "sfumato" else {}
    sample = METHODS[method](train, seed, **options)
    fitted = time.perf_counter() - begun
    begun = time.perf_counter()
    seeds = range(seed * args.draws, (seed + 1) * args.draws)
    drawn = [sample(min(len(held_out), 10_000), draw) for draw in seeds]
    sampled = (time.perf_counter() - begun) / args.draws
    each = [scores(name, train, held_out, rows, draw) for draw, rows in zip(seeds, drawn, strict=True)]
    values = {measure: float(np.mean([one[measure] for one in each])) for measure in each[0]}
    shown = " | ".join(f"{value:.3f}" for value in values.values())
    single, both = missing_off(train, drawn[0])
    return (
        f"| {name} | {method} | {seed} | {shown} | {single:.3f}, {both:.3f} "
        f"| {fitted:.0f} + {sampled:.1f} | {known(name, drawn[0])} |"
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sets", nargs="*", default=["adult", "magic", "shoppers", "alarm", "flchain"])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--only", nargs="+", choices=METHODS, default=list(METHODS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[1, 2, 3])
    parser.add_argument("--draws", type=int, default=1, help="sets of samples whose measures are averaged")
    parser.add_argument("--rows", type=int, help="training rows (default: all)")
    parser.add_argument("--options", nargs="*", type=option, default=[], help="of the fit, such as epochs=30")
    args = parser.parse_args()
    print(describe())
    print(f"| set | method | seed | {' | '.join(MEASURES)} | missing off | s: fit, sample | kept |")
    print("|" + "---|" * (len(MEASURES) + 6))
    for name in args.sets:
        for method in args.only:
            for seed in args.seeds:
                print(line(name, method, seed, args), flush=True)


if __name__ == "__main__":
    main()
