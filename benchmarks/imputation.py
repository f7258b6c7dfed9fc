"""Missing cells filled, beside column means and modes, nearest neighbours, and chained trees."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import pandas as pd
from sklearn.datasets import load_breast_cancer
from sklearn.ensemble import ExtraTreesRegressor
from sklearn.experimental import enable_iterative_imputer  # noqa: F401
from sklearn.impute import IterativeImputer, KNNImputer, SimpleImputer

import sfumato
from registry import Measure, Setting, System, system

MOST_ROWS = 5000
"""Rows of a set that are taken, at random by the seed."""
TREES, ROUNDS = 20, 4
"""Trees of each column of the chained ones, and rounds over all columns."""
WORSE = 1.05
"""Errors up to so many times the best of the others are no worse."""
WAYS = ("sfumato", "mean and mode", "neighbours", "chained trees")
SETS = ("penguins", "breast-cancer", "shoppers", "adult")
MECHANISMS = ("mcar", "mar", "mnar")
SHARES = (10, 30, 50)


def rows_of(name: str, setting: Setting) -> pd.DataFrame:
    """Complete rows of a set."""
    if name == "breast-cancer":
        bunch = load_breast_cancer(as_frame=True)
        frame = bunch.data.assign(target=bunch.target.map({0: "malignant", 1: "benign"}))
    else:
        file = {"adult": "adult_train.csv"}.get(name, f"{name}.csv")
        frame = pd.read_csv(setting.data / file, na_values="?", skipinitialspace=True).dropna()
    frame = frame.astype({column: str for column in frame if frame[column].dtype == bool})
    return frame.sample(min(len(frame), MOST_ROWS), random_state=setting.seed).reset_index(drop=True)


def holes(frame: pd.DataFrame, mechanism: str, share: float, seed: int) -> np.ndarray:
    """Which cells are hidden: at random; by another column, which stays; or the larger ones of their own column."""
    random = np.random.default_rng(100 + seed)
    if mechanism == "mcar":
        return random.random(frame.shape) < share
    codes = [frame[c] if pd.api.types.is_numeric_dtype(frame[c]) else pd.factorize(frame[c])[0] for c in frame]
    ranks = np.column_stack([pd.Series(column).rank(pct=True) for column in codes])
    odds = np.exp(3 * (ranks - 0.5))
    if mechanism == "mar":  # by the first column, of which nothing is hidden
        odds = np.repeat(odds[:, :1], frame.shape[1], 1)
    chance = odds * share / odds.mean(0)
    hidden = random.random(frame.shape) < np.minimum(chance, 0.95)
    if mechanism == "mar":
        hidden[:, 0] = False
    return hidden


def errors(frame: pd.DataFrame, filled: pd.DataFrame, hidden: np.ndarray) -> tuple[float, float]:
    """Mean root mean square error of columns of numbers, in standard deviations; mean share of wrong categories."""
    numbers, categories = [], []
    for place, name in enumerate(frame):
        cells = hidden[:, place]
        if not cells.any():
            continue
        truth, guess = frame[name][cells], filled[name][cells]
        if pd.api.types.is_numeric_dtype(frame[name]):
            numbers.append(float(np.sqrt(((guess.astype(float) - truth) ** 2).mean()) / frame[name].std()))
        else:
            categories.append(float((guess.astype(str).to_numpy() != truth.astype(str).to_numpy()).mean()))
    return float(np.mean(numbers)), float(np.mean(categories)) if categories else 0.0


def by_columns(frame: pd.DataFrame, fill: Callable[[np.ndarray], np.ndarray]) -> pd.DataFrame:
    """A table filled by what takes numbers alone: these standardised, categories as columns of zeros and ones."""
    parts, backs = [], []
    for name in frame:
        column = frame[name]
        if pd.api.types.is_numeric_dtype(column):
            mean, scale = column.mean(), column.std() or 1.0
            parts.append(((column - mean) / scale).to_numpy(float)[:, None])
            backs.append(lambda part, mean=mean, scale=scale: part[:, 0] * scale + mean)
        else:
            labels = np.array(sorted(column.dropna().unique()), object)
            ones = (column.to_numpy(object)[:, None] == labels).astype(float)
            ones[column.isna()] = np.nan
            parts.append(ones)
            backs.append(lambda part, labels=labels: labels[part.argmax(1)])
    filled = fill(np.concatenate(parts, 1))
    starts = np.cumsum([0, *(part.shape[1] for part in parts)])
    return pd.DataFrame(
        {name: back(filled[:, a:b]) for name, back, a, b in zip(frame, backs, starts[:-1], starts[1:], strict=True)}
    )


def impute(setting: Setting, name: str, mechanism: str, share: int) -> dict[str, float]:
    """Errors of all ways, and how often intervals of 90% hold the hidden number."""
    frame = rows_of(name, setting)
    hidden = holes(frame, mechanism, share / 100, setting.seed)
    blank = frame.mask(hidden)
    imputer = sfumato.Imputer(random_state=setting.seed, options={"device": setting.device}).fit(blank)
    trees = IterativeImputer(
        ExtraTreesRegressor(TREES, min_samples_leaf=3, random_state=setting.seed), max_iter=ROUNDS, random_state=0
    )
    filled = {
        "sfumato": imputer.transform(blank),
        "mean and mode": by_columns(blank, SimpleImputer().fit_transform),
        "neighbours": by_columns(blank, KNNImputer().fit_transform),
        "chained trees": by_columns(blank, trees.fit_transform),
    }
    low, high = imputer.predict_interval(blank, 0.9)
    inside = [
        ((frame[c] >= low[c]) & (frame[c] <= high[c]))[hidden[:, place]].mean()
        for place, c in enumerate(frame)
        if pd.api.types.is_numeric_dtype(frame[c]) and hidden[:, place].any()
    ]
    values = {way: errors(frame, table, hidden) for way, table in filled.items()}
    result = {f"{kind}, {way}": pair[place] for way, pair in values.items() for place, kind in enumerate(KINDS)}
    for place, kind in enumerate(KINDS):
        best = min(values[way][place] for way in WAYS[1:])
        result[f"{kind}, sfumato / best of the others"] = values["sfumato"][place] / best if best else 1.0
    return result | {"intervals of 90% hold": float(np.mean(inside))}


KINDS = ("numbers", "categories")
MEASURES = (
    *(Measure(f"{kind}, {way}") for kind in KINDS for way in WAYS),
    *(Measure(f"{kind}, sfumato / best of the others", high=WORSE) for kind in KINDS),
    Measure("intervals of 90% hold", low=0.88, high=0.92),
)


def _enter(name: str, mechanism: str, share: int) -> System:
    run = partial(impute, name=name, mechanism=mechanism, share=share)
    return system(f"imputation-{name}-{mechanism}{share}", *MEASURES)(run)


IMPUTATIONS = [_enter(name, mechanism, share) for name in SETS for mechanism in MECHANISMS for share in SHARES]
