"""Codes of adult that are not to tell the sex: what they tell of it, and of income."""

from __future__ import annotations

import numpy as np
import pandas as pd
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import sfumato
from registry import Measure, Setting, system

ROWS = 6000
"""To train on, and as many of the test file to tell sex and income from."""
STEPS = 1500
INDEPENDENCE = 30.0
WEIGHTS = (0, 30, 100, 300)
SHORT_ROWS, SHORT_TESTED, SHORT_LEARNED, SHORT_STEPS = 5000, 4000, 2800, 400
"""Of `fair-weights`: rows to train on, those encoded, how many of those the judges learn from, and steps."""


@system(
    "fair",
    Measure("sex from the codes, AUC", high=0.60),
    Measure("income lost beside the codes without the penalty, AUC", high=0.015),
    Measure("income lost beside the columns, AUC"),
    Measure("sex from the columns, AUC"),
    Measure("sex from the codes without the penalty, AUC"),
    Measure("linear removal from the columns: sex, AUC"),
    Measure("linear removal from the columns: income lost, AUC"),
    Measure("linear removal from the codes without the penalty: sex, AUC"),
    Measure("linear removal from the codes without the penalty: income lost beside them, AUC"),
)
def fair(setting: Setting) -> dict[str, float]:
    """A `cvae` given the sex and without income, on 6,000 rows, 1,500 steps, with independence 30 and without.

    Areas by the better of boosted trees and logistic regression, five folds of 6,000 rows of the test file.
    """
    train, test = (
        pd.read_csv(setting.data / f"adult_{part}.csv").sample(ROWS, random_state=setting.seed).reset_index(drop=True)
        for part in ("train", "test")
    )
    reports = []
    for weight in (INDEPENDENCE, 0.0):
        how = {"given": "sex", "drop": ("income",), "steps": STEPS, "independence": weight}
        auto = sfumato.fit(train, model="cvae", seed=setting.seed, device=setting.device, **how)
        reports.append(auto.fairness(test, "sex", "income", seed=setting.seed))
    codes, columns, plain = reports[0]["codes"], reports[0]["columns"], reports[1]["codes"]
    no_line, plain_no_line = reports[0]["columns, linear removed"], reports[1]["codes, linear removed"]
    values = (
        codes.protected.best,
        plain.target.best - codes.target.best,
        columns.target.best - codes.target.best,
        columns.protected.best,
        plain.protected.best,
        no_line.protected.best,
        columns.target.best - no_line.target.best,
        plain_no_line.protected.best,
        plain.target.best - plain_no_line.target.best,
    )
    return fair.named(values)


@system(
    "fair-weights",
    *(
        Measure(f"independence {weight}: {column} from the means, AUC")
        for weight in WEIGHTS
        for column in ("sex", "income")
    ),
)
def fair_weights(setting: Setting) -> dict[str, float]:
    """The same with four weights, on 5,000 rows, 400 steps; judges of 50 trees and a line, 2,800 rows to learn from.

    Areas on the 1,200 others: the better of the two.
    """
    train, test = (
        pd.read_csv(setting.data / f"adult_{part}.csv").sample(rows, random_state=setting.seed).reset_index(drop=True)
        for part, rows in (("train", SHORT_ROWS), ("test", SHORT_TESTED))
    )
    classes = {"sex": test["sex"].str.strip() == "Male", "income": test["income"].str.contains(">")}
    how = {"given": "sex", "drop": ("income",), "steps": SHORT_STEPS, "sampler": "prior", "verbose": False}
    values = {}
    for weight in WEIGHTS:
        auto = sfumato.fit(
            train, model="cvae", seed=setting.seed, device=setting.device, independence=float(weight), **how
        )
        means = auto.encode(test)
        for column, answers in classes.items():
            values[f"independence {weight}: {column} from the means, AUC"] = _area(means, answers.to_numpy())
    return values


def _area(means: np.ndarray, answers: np.ndarray) -> float:
    """The better of two judges on rows that they have not seen."""
    learned, line = slice(SHORT_LEARNED), make_pipeline(StandardScaler(), LogisticRegression(max_iter=200))
    judges = line, HistGradientBoostingClassifier(max_iter=50, random_state=0)
    tested = slice(SHORT_LEARNED, None)
    scores = (judge.fit(means[learned], answers[learned]).predict_proba(means[tested])[:, 1] for judge in judges)
    return max(float(roc_auc_score(answers[tested], each)) for each in scores)
