"""Adult: a table learned and drawn again, against TVAE by the same scores and clock."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import torch

from peers import python_of
from registry import Measure, Setting, system
from sfumato import data
from sfumato.data.core.options import DataOptions
from sfumato.evaluation.metrics.classifiers import auc, inputs, predict
from sfumato.evaluation.metrics.columns import Aligned, aligned, trends
from sfumato.models import build
from sfumato.training import Settings, fit


@dataclass(frozen=True)
class Outcome:
    """What was drawn, and how long its model took to fit, by the wall and by the processor's own clock."""

    made: pd.DataFrame
    wall: float
    cpu: float


def table(path: Path) -> pd.DataFrame:
    """A CSV, missing categories as `?`."""
    return pd.read_csv(path, skipinitialspace=True, keep_default_na=False, na_values=[""])


def known(rows: pd.DataFrame) -> pd.DataFrame:
    """Missing categories as a category of its own: TVAE cannot take them, and both are handed the same."""
    words = [name for name in rows if not pd.api.types.is_numeric_dtype(rows[name])]
    return rows.fillna(dict.fromkeys(words, "?"))


def tvae(setting: Setting) -> Outcome:
    """TVAE of CTGAN at its defaults, 300 epochs on one thread; run once, its rows and times kept in the cache."""
    folder = setting.cache / "tvae-adult"
    if not (folder / "times.json").exists():
        if setting.peers is None:
            raise SystemExit("TVAE has not been run yet: name a folder for the peers' environments with --peers")
        script = Path(__file__).with_name("peer_tvae.py")
        command = [python_of("ctgan", setting.peers), script, setting.data / "adult_train.csv", folder]
        subprocess.run([str(part) for part in command], check=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    times = json.loads((folder / "times.json").read_text())
    return Outcome(table(folder / "samples.csv"), times["wall"], times["cpu"])


def ours(setting: Setting) -> Outcome:
    """sfumato: read, fit and draw as many rows; reading and fitting are timed."""
    wall, cpu = time.perf_counter(), time.process_time()
    rows = table(setting.data / "adult_train.csv")
    found = data.open(known(rows), options=DataOptions(split=(0.95, 0.05, 0.0), seed=setting.seed))
    torch.manual_seed(setting.seed)
    model = build("beta_vae", found.schema.spec, beta=0.7, latent_dim=32, prior="mixture", components=64)
    settings = Settings(epochs=30, batch_size=512, lr=2e-3, seed=setting.seed, device=setting.device)
    fit(model, found.train, found.valid, settings=settings)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    model.eval().cpu()
    torch.manual_seed(setting.seed)
    count = len(rows)
    with torch.no_grad():
        made = torch.cat([model.sample(min(4096, count - done)) for done in range(0, count, 4096)])
    return Outcome(pd.DataFrame(found.schema.decode(made)), wall, cpu)


def scores(real: pd.DataFrame, made: pd.DataFrame, test: pd.DataFrame) -> tuple[float, float, float]:
    """Column shapes, pair trends, and the AUC on real test rows of trees trained on the made ones."""
    table = aligned([known(rows) for rows in (real, made, test)])
    pairs = [column.pair(0, 1) for column in table]
    return (
        statistics.fmean(1 - column.distance for column in pairs),
        statistics.fmean(trends(pairs).values()),
        income_auc(table, 1),
    )


def income_auc(table: Sequence[Aligned], side: int, test: int = -1) -> float:
    """How well trees that learned from one of the tables tell on another who earns more."""
    income = next(column for column in table if column.name == "income")
    rows = inputs([column for column in table if column is not income], [test])
    earns = [values == income.levels.index(">50K") for values in income.values]
    said = predict(rows.sets[side], earns[side].astype(int), rows.sets[test], 2, categories=rows.categories)
    return auc(earns[test].astype(int), said)


SCORES = ("column shapes", "pair trends", "train-on-made AUC")
PILOT = {"column shapes": ".839", "pair trends": ".868", "train-on-made AUC": ".890"}


@system(
    "adult",
    *(Measure(f"{name}: ours") for name in SCORES),
    *(Measure(f"{name}: TVAE", f"pilot {PILOT[name]}") for name in SCORES),
    Measure("train-on-made AUC: the real rows", "pilot .927"),
    *(Measure(f"{name}: ours less TVAE", low=0.0) for name in SCORES),
    Measure("fit, wall seconds: ours"),
    Measure("fit, wall seconds: TVAE", "pilot 524"),
    Measure("fit, processor seconds: ours over TVAE", high=1 / 3),
)
def adult(setting: Setting) -> dict[str, float]:
    """Adult's training split to as many made rows; the test split for the classifier."""
    real, test = table(setting.data / "adult_train.csv"), table(setting.data / "adult_test.csv")
    peer, own = tvae(setting), ours(setting)
    theirs, mine = scores(real, peer.sampled, test), scores(real, own.sampled, test)
    return {
        **{f"{name}: ours": value for name, value in zip(SCORES, mine, strict=True)},
        **{f"{name}: TVAE": value for name, value in zip(SCORES, theirs, strict=True)},
        "train-on-made AUC: the real rows": income_auc(aligned([known(real), known(test)]), 0),
        **{f"{name}: ours less TVAE": a - b for name, a, b in zip(SCORES, mine, theirs, strict=True)},
        "fit, wall seconds: ours": own.wall,
        "fit, wall seconds: TVAE": peer.wall,
        "fit, processor seconds: ours over TVAE": own.cpu / peer.cpu,
    }
