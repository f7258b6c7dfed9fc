"""Few labels: MNIST with 100 of 60,000, by semi-supervised models and by what a person would otherwise use."""

from __future__ import annotations

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.semi_supervised import LabelSpreading, SelfTrainingClassifier
from torch import nn
from torch.nn import functional as F

from registry import Measure, Setting, system
from sfumato import Autoencoder
from sfumato.evaluation.metrics.calibration import calibration_error
from sources import digits

LABELS = 100
STEPS = 10_000
ALONE_STEPS = 1000
NEIGHBOURS = 10
GRAPH_ROWS = 10_000
"""Rows of which the graph of neighbours is made: with 60,000 it takes half an hour."""


def chosen(labels: np.ndarray, seed: int) -> np.ndarray:
    """Rows of the same number of each class, `LABELS` in all."""
    rng = np.random.default_rng(seed)
    each = [rng.choice(np.flatnonzero(labels == k), LABELS // 10, replace=False) for k in range(10)]
    return np.concatenate(each)


def semi_supervised(model: str, setting: Setting) -> tuple[float, float]:
    """Accuracy and calibration error on the test digits, by a model with its defaults, trained for `STEPS` steps.

    All 100 labels are learned from: there is no validation split, so predictions have no temperature of their own.
    """
    data = digits(setting.data / "mnist.npz")
    rows = chosen(data["y_train"], setting.seed)
    y = np.full(len(data["x_train"]), np.nan)
    y[rows] = data["y_train"][rows]
    auto = Autoencoder(
        model, likelihood="bernoulli", split=(1, 0, 0), steps=STEPS, seed=setting.seed, device=setting.device
    ).fit(data["x_train"], y)
    probability = auto.predict_proba(data["x_test"])
    truth = data["y_test"].astype(int)
    return float((probability.argmax(1) == truth).mean()), calibration_error(probability, truth)


@system(
    "few-m2",
    Measure("accuracy of m2", "Kingma et al. .880; Pyro's study .932", low=0.93),
    Measure("calibration error of m2"),
)
def m2(setting: Setting) -> dict[str, float]:
    """MNIST binarised afresh, 100 of 60,000 with a label."""
    return m2.named(semi_supervised("m2", setting))


@system(
    "few-m1-m2",
    Measure("accuracy of m1_m2", "Kingma et al. .967", low=0.96),
    Measure("calibration error of m1_m2"),
)
def m1_m2(setting: Setting) -> dict[str, float]:
    """The same."""
    return m1_m2.named(semi_supervised("m1_m2", setting))


@system(
    "few-others",
    Measure("accuracy of a network on the 100 labels alone"),
    Measure("accuracy of logistic regression on the 100 labels alone"),
    Measure("accuracy of logistic regression, self-training on 10,000 rows"),
    Measure("accuracy of label spreading over 10,000 rows"),
)
def others(setting: Setting) -> dict[str, float]:
    """Grey levels from 0 to 1; the graph is of 10 nearest neighbours; scikit-learn's defaults otherwise."""
    data = digits(setting.data / "mnist.npz")
    x, test = (data[name].reshape(-1, 784).astype(np.float32) / 255 for name in ("x_train", "x_test"))
    y, truth = data["y_train"].astype(int), data["y_test"].astype(int)
    rows = chosen(y, setting.seed)
    rest = np.random.default_rng(setting.seed).choice(np.setdiff1d(np.arange(len(x)), rows), GRAPH_ROWS, replace=False)
    both = np.concatenate([x[rows], x[rest]])
    known = np.concatenate([y[rows], np.full(len(rest), -1)])
    line = LogisticRegression(max_iter=1000)
    trained = SelfTrainingClassifier(line, threshold=0.9).fit(both, known)
    spread = LabelSpreading(kernel="knn", n_neighbors=NEIGHBOURS, alpha=0.9, max_iter=100).fit(both, known)
    values = (
        (network_alone(x[rows], y[rows], test, setting) == truth).mean(),
        line.fit(x[rows], y[rows]).score(test, truth),
        trained.score(test, truth),
        spread.score(test, truth),
    )
    return others.named(map(float, values))


def network_alone(x: np.ndarray, y: np.ndarray, test: np.ndarray, setting: Setting) -> np.ndarray:
    """Classes by the classifier's network of m2, trained on the labelled rows alone, binarised afresh at each step."""
    torch.manual_seed(setting.seed)
    net = nn.Sequential(nn.Linear(784, 512), nn.LeakyReLU(), nn.Linear(512, 512), nn.LeakyReLU(), nn.Linear(512, 10))
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3)
    level, label = torch.from_numpy(x), torch.from_numpy(y)
    for _ in range(ALONE_STEPS):
        loss = F.cross_entropy(net(2 * torch.bernoulli(level) - 1), label)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        return net(2 * torch.bernoulli(torch.from_numpy(test)) - 1).argmax(1).numpy()
