"""What samples of a table keep of how its columns hang together, for each likelihood: a table on the standard output.

    python benchmarks/dependence.py pairs dates mixed few adult.csv --likelihoods cells autoregressive gaussian

Sets are made here (`SETS`) or CSV files. Rows are shuffled; up to `--rows` are fitted, as many as half of that judge.
C2ST AUC is of gradient boosting that tells samples from these held-out rows, by cross-validation: .5 is best.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np
import pandas as pd
import torch
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import cross_val_predict

import sfumato
from sfumato import Autoencoder
from sfumato.estimator import inference
from sfumato.objectives import rate

Rng = np.random.Generator


def pairs(rng: Rng, rows: int, count: int = 4) -> pd.DataFrame:
    """Pairs of normal columns with correlation .98, each independent of the others."""
    base = rng.normal(size=(rows, count))
    wobble = 0.2 * rng.normal(size=(rows, count))
    made = {f"{name}{i}": base[:, i] + wobble[:, i] * (name == "b") for i in range(count) for name in "ab"}
    return pd.DataFrame(made).round(3)


def dates(rng: Rng, rows: int) -> pd.DataFrame:
    """Two scales of one temperature, and a start before an end."""
    celsius = rng.normal(15, 8, rows).round(1)
    start = rng.integers(0, 300, rows)
    return pd.DataFrame(
        {
            "celsius": celsius,
            "fahrenheit": (celsius * 9 / 5 + 32 + rng.normal(0, 0.3, rows)).round(1),
            "start": start,
            "end": start + rng.integers(1, 40, rows),
            "kind": rng.choice(["p", "q"], rows),
        }
    )


def mixed(rng: Rng, rows: int) -> pd.DataFrame:
    """Unequal spread, modes by a group, a ring, an amount that is 0 by a threshold, and a sum."""
    x, group, angle = rng.normal(size=rows), rng.integers(0, 3, rows), rng.uniform(0, 2 * np.pi, rows)
    first, second = rng.exponential(10, (2, rows)).round(2)
    return pd.DataFrame(
        {
            "x": x,
            "spread": x + 0.3 * np.exp(0.8 * x) * rng.normal(size=rows),
            "group": np.array(list("abc"))[group],
            "modes": np.where(rng.random(rows) < 0.5, 4, -4) * (group - 1) + 0.5 * rng.normal(size=rows),
            "ring1": np.cos(angle) + 0.05 * rng.normal(size=rows),
            "ring2": np.sin(angle) + 0.05 * rng.normal(size=rows),
            "pay": np.where(x > 0.5, np.exp(x + 0.3 * rng.normal(size=rows)).round(2), 0.0),
            "first": first,
            "second": second,
            "total": (first + second).round(2),
        }
    )


SETS: dict[str, Callable[[Rng, int], pd.DataFrame]] = {
    "pairs": pairs,
    "dates": dates,
    "mixed": mixed,
    "few": lambda rng, rows: pairs(rng, rows, 1),
}
FEW = 60
"""Rows that the set `few` is fitted on."""


def kept(name: str, drawn: pd.DataFrame) -> str:
    """What is known of a set made here, as the samples have it."""
    if name in ("pairs", "few"):
        found = [drawn[f"a{i}"].corr(drawn[f"b{i}"]) for i in range(drawn.shape[1] // 2)]
        return "correlations " + ", ".join(f"{one:.2f}" for one in found)
    if name == "dates":
        error = (drawn["fahrenheit"] - drawn["celsius"] * 9 / 5 - 32).abs().median()
        return f"{error:.2f} °F off, end before start {(drawn['end'] <= drawn['start']).mean():.1%}"
    if name == "mixed":
        radius = np.hypot(drawn["ring1"], drawn["ring2"])
        off = (drawn["first"] + drawn["second"] - drawn["total"]).abs().median()
        wrong = ((drawn["pay"] > 0) != (drawn["x"] > 0.5)).mean()
        return f"sum {off:.2f} off, on the ring {((radius > 0.8) & (radius < 1.2)).mean():.0%}, pay {wrong:.1%} wrong"
    return ""


def codes(real: pd.DataFrame, made: pd.DataFrame) -> np.ndarray:
    """Both tables as numbers, categories by a code, (rows of both, columns)."""
    both = pd.concat([real, made], ignore_index=True)
    numeric = both.apply(pd.api.types.is_numeric_dtype)
    found = [both[c].astype(float) if numeric[c] else both[c].astype(str).astype("category").cat.codes for c in both]
    return np.stack([np.asarray(one, float) for one in found], 1)


def told_apart(real: pd.DataFrame, made: pd.DataFrame) -> float:
    """AUC of gradient boosting between the two, threefold cross-validated."""
    x, y = codes(real, made), np.repeat([0, 1], [len(real), len(made)])
    judge = HistGradientBoostingClassifier(random_state=0, max_iter=40)
    return float(roc_auc_score(y, cross_val_predict(judge, x, y, cv=3, method="predict_proba")[:, 1]))


def overlaps(real: pd.DataFrame, made: pd.DataFrame, bins: int = 10) -> tuple[float, float]:
    """Mean overlap (1 − total variation) of columns and of pairs of them, numbers cut at deciles of the real rows."""
    cut = []
    for column in codes(real, made).T:
        values = np.nan_to_num(column, nan=-1e300)
        if len(np.unique(values[: len(real)])) > bins:
            edges = np.unique(np.quantile(values[: len(real)], np.linspace(0, 1, bins + 1)[1:-1]))
            values = np.searchsorted(edges, values, "right")
        cut.append(np.unique(values, return_inverse=True)[1])

    def overlap(values: np.ndarray) -> float:
        size = values.max() + 1
        counts = [np.bincount(part, minlength=size) / len(part) for part in np.split(values, [len(real)])]
        return float(np.minimum(*counts).sum())

    both = [overlap(a * (b.max() + 1) + b) for i, a in enumerate(cut) for b in cut[:i]]
    return float(np.mean([overlap(one) for one in cut])), float(np.mean(both))


def bounds(auto: Autoencoder, rows: pd.DataFrame) -> tuple[float, float, int]:
    """−ELBO and rate in nats a row, and active units (variance of the mean over 0.01)."""
    model, schema = inference.exact(auto.model_), auto.schema_
    losses, rates, means = [], [], []
    torch.manual_seed(0)
    for batch in inference.batches(model, schema, rows, None):
        q = model.encode(batch)
        rates.append(rate(q, model.prior(len(batch), batch.given), q.sample()).sum(1))
        losses.append(-model.log_weight(batch, 8).mean(1))
        means.append(q.mode())
    active = int((torch.cat(means).var(0) > 0.01).sum())
    return float(torch.cat(losses).mean()), float(torch.cat(rates).mean()), active


def line(name: str, likelihood: str, seed: int, asked: argparse.Namespace) -> str:
    """Fit one set with one likelihood: one row of the table."""
    rng = np.random.default_rng(seed)
    made_here = name in SETS
    table = SETS[name](rng, asked.rows * 3 // 2) if made_here else pd.read_csv(name)
    table = table.sample(frac=1, random_state=seed).reset_index(drop=True)
    rows = FEW if name == "few" else min(asked.rows, len(table) * 2 // 3)
    train, held = table[:rows], table[rows : rows + asked.rows // 2].reset_index(drop=True)
    start = time.process_time()
    options = {"model": asked.model, "likelihood": likelihood, "steps": asked.steps, "seed": seed, "beta": asked.beta}
    options["weight_decay"] = asked.weight_decay
    auto = sfumato.fit(train, **{key: value for key, value in options.items() if value is not None})
    seconds = time.process_time() - start
    drawn = auto.sample(len(held), seed=seed)
    shapes, both = overlaps(held, drawn)
    loss, nats, active = bounds(auto, held)
    return (
        f"| {name.rsplit('/', 1)[-1]} | {likelihood} | {seed} | {told_apart(held, drawn):.3f} "
        f"| {shapes:.3f} | {both:.3f} "
        f"| {loss:.2f} | {nats:.1f} | {active} | {seconds:.0f} | {kept(name, drawn)} |"
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sets", nargs="*", default=list(SETS))
    parser.add_argument("--likelihoods", nargs="+", default=["cells", "autoregressive"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[1])
    parser.add_argument("--model", default="vae")
    parser.add_argument("--beta", type=float)
    parser.add_argument("--rows", type=int, default=3000)
    parser.add_argument("--steps", type=int)
    parser.add_argument("--weight-decay", type=float)
    asked = parser.parse_args()
    print("| set | likelihood | seed | C2ST AUC | columns | pairs | −ELBO | rate | active | CPU s | kept |")
    print("|---|---|---|---|---|---|---|---|---|---|---|")
    for name in asked.sets:
        for likelihood in asked.likelihoods:
            for seed in asked.seeds:
                print(line(name, likelihood, seed, asked), flush=True)


if __name__ == "__main__":
    main()
