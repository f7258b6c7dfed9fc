"""Rows completed from a few known cells, beside how often each value occurs among rows that have these cells."""

from __future__ import annotations

import numpy as np
import pandas as pd
from sklearn.tree import DecisionTreeClassifier

import sfumato
from registry import Measure, Setting, system

WISHES, DRAWS, FEWEST = 60, 400, 400
"""Wishes, draws of each, and rows of the file that have the known cells of a wish, at least."""
TREE_LEAF = 20


def distance(one: pd.Series, other: pd.Series) -> float:
    """Total variation of two distributions."""
    return 0.5 * float(one.sub(other, fill_value=0.0).abs().sum())


def evidence(frame: pd.DataFrame, random: np.random.Generator) -> tuple[list[str], np.ndarray]:
    """One to three columns with the cells of some row, such that many rows have them, and which rows do."""
    while True:
        names = list(random.choice(frame.columns, random.integers(1, 4), replace=False))
        row = frame.iloc[random.integers(len(frame))]
        same = (frame[names] == row[names]).all(axis=1).to_numpy()
        if same.sum() >= FEWEST:
            return names, same


@system(
    "completion-alarm",
    Measure("TV of conditionals of single columns, draws", high=0.05),
    Measure("TV, tree of each column given the known ones"),
    Measure("TV, marginals"),
    Measure("TV of as many real rows"),
    Measure("wishes answered", low=1.0),
    Measure("effective draws of 1,600, median"),
)
def completion(setting: Setting) -> dict[str, float]:
    """Samples of the ALARM network: 37 categories; conditionals as counted in all 20,000 rows."""
    frame = pd.read_csv(setting.data / "alarm.csv.gz", dtype=str)
    random = np.random.default_rng(setting.seed)
    auto = sfumato.fit(frame, model="vae", seed=setting.seed, device=setting.device)
    wishes, queries = [], []
    for _ in range(WISHES):
        names, same = evidence(frame, random)
        wishes.append(frame.loc[same, names].iloc[0])
        queries.append((names, same, random.choice([c for c in frame if c not in names])))
    table = pd.DataFrame(wishes).reindex(columns=frame.columns).astype(object)
    table = table.where(table.notna(), None)
    drawn = auto.complete(table, n=DRAWS, seed=setting.seed, return_effective=True)
    rows = drawn.examples.reset_index(drop=True)
    values: dict[str, list[float]] = {name: [] for name in ("ours", "tree", "marginal", "real")}
    for number, (names, same, target) in enumerate(queries):
        truth = frame.loc[same, target].value_counts(normalize=True)
        ours = rows[target][number * DRAWS : (number + 1) * DRAWS].value_counts(normalize=True)
        values["ours"].append(distance(truth, ours))
        features = pd.get_dummies(frame[names])
        tree = DecisionTreeClassifier(min_samples_leaf=TREE_LEAF, random_state=0).fit(features, frame[target])
        said = tree.predict_proba(features[same].iloc[:1])[0]
        values["tree"].append(distance(truth, pd.Series(said, tree.classes_)))
        values["marginal"].append(distance(truth, frame[target].value_counts(normalize=True)))
        some = frame.loc[same, target].sample(DRAWS, random_state=setting.seed, replace=True)
        values["real"].append(distance(truth, some.value_counts(normalize=True)))
    means = [float(np.mean(values[name])) for name in ("ours", "tree", "marginal", "real")]
    answered = float((len(rows) == WISHES * DRAWS) and not rows.isna().any().any())
    return completion.named([*means, answered, float(np.median(drawn.effective))])
