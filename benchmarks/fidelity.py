"""How far a made table is from a real one: column shapes, pair trends, and what a classifier learns from it.

The first two follow the published definitions of SDMetrics (1 is a perfect match):

* column shapes: the mean over columns of 1 − KS (numbers) or 1 − TV (categories);
* pair trends: the mean over pairs of 1 − |ρ_real − ρ_made| / 2 for two numeric columns, and of 1 − TV of the
  joint table otherwise, numeric columns cut into ten equal bins over the range of the real ones.

A missing category counts as a category of its own; a missing number stays out of its column's score.
"""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pandas as pd
from scipy.stats import ks_2samp
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import roc_auc_score

BINS = 10


def column_shapes(real: pd.DataFrame, made: pd.DataFrame) -> dict[str, float]:
    """The match of each column's marginal distribution, in [0, 1]."""
    return {
        name: 1 - ks_2samp(real[name].dropna(), made[name].dropna()).statistic
        if is_number(real[name])
        else 1 - total_variation(text(real[name]), text(made[name]))
        for name in real
    }


def pair_trends(real: pd.DataFrame, made: pd.DataFrame) -> dict[tuple[str, str], float]:
    """The match of each pair of columns' dependence, in [0, 1]."""
    cuts = {name: bins(real[name]) for name in real if is_number(real[name])}
    scores = {}
    for a, b in combinations(real.columns, 2):
        if a in cuts and b in cuts:
            scores[a, b] = 1 - abs(real[a].corr(real[b]) - made[a].corr(made[b])) / 2
        else:
            joint = [binned(rows[a], cuts.get(a)) + "\x1f" + binned(rows[b], cuts.get(b)) for rows in (real, made)]
            scores[a, b] = 1 - total_variation(*joint)
    return scores


def classifier_auc(train: pd.DataFrame, test: pd.DataFrame, label: str, positive: str, *, seed: int = 0) -> float:
    """Area under the ROC curve on `test` of trees boosted on `train`; 0.5 where that has one class."""
    inputs = [name for name in test if name != label]
    answer = text(train[label]) == positive
    if answer.nunique() < 2:
        return 0.5
    levels = {name: sorted(set(text(test[name]))) for name in inputs if not is_number(test[name])}
    model = HistGradientBoostingClassifier(categorical_features=list(levels), random_state=seed)
    model.fit(_inputs(train[inputs], levels), answer)
    return float(roc_auc_score(text(test[label]) == positive, model.predict_proba(_inputs(test[inputs], levels))[:, 1]))


def total_variation(a: pd.Series, b: pd.Series) -> float:
    """½ Σ |p − q| over the values of two samples of categories."""
    p, q = a.value_counts(normalize=True), b.value_counts(normalize=True)
    return float(p.sub(q, fill_value=0).abs().sum() / 2)


def is_number(column: pd.Series) -> bool:
    """Whether a column is scored as numbers."""
    return pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column)


def text(column: pd.Series) -> pd.Series:
    """Categories as words, a missing one as `?`."""
    return column.astype(object).where(column.notna(), "?").astype(str)


def bins(column: pd.Series) -> np.ndarray:
    """Inner edges of ten equal bins over the range of a column."""
    return np.linspace(column.min(), column.max(), BINS + 1)[1:-1]


def binned(column: pd.Series, edges: np.ndarray | None) -> pd.Series:
    """A column as words: its categories, or the bin its number falls into."""
    if edges is None:
        return text(column)
    numbers = column.to_numpy(dtype=float, na_value=np.nan)
    found = np.where(np.isnan(numbers), -1, np.searchsorted(edges, numbers, side="right"))
    return pd.Series(found, index=column.index).astype(str)


def _inputs(rows: pd.DataFrame, levels: dict[str, list[str]]) -> pd.DataFrame:
    """Categories by the levels of the test rows; others are unknown to the trees."""
    found = {
        name: pd.Categorical(text(rows[name]), categories=levels[name]) if name in levels else rows[name].astype(float)
        for name in rows
    }
    return pd.DataFrame(found, index=rows.index)
