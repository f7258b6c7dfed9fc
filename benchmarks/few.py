"""M2 on MNIST with 100 labels, beside its own classifier trained on those labels alone."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from registry import Measure, Setting, system
from sfumato.data.core.batches import Resident
from sfumato.models import build
from sfumato.models.m2 import M2
from sfumato.networks.classifier import Classifier
from sfumato.spec import DataSpec, Field
from sfumato.training import Settings, fit
from sources import digits, pictures

LABELS, LEVELS, PASSES = 100, 256, 50
SPEC = DataSpec((1, 28, 28), (Field("level", 2),), (Field("category", 10),), likelihood="bernoulli", examples=60_000)


def chosen(labels: np.ndarray, seed: int) -> np.ndarray:
    """Rows of the same number of each class, `LABELS` in all."""
    rng = np.random.default_rng(seed)
    each = [rng.choice(np.flatnonzero(labels == k), LABELS // 10, replace=False) for k in range(10)]
    return np.concatenate(each)


@torch.no_grad()
def accuracy(classifier: Classifier, x: Tensor, labels: Tensor, device: str) -> float:
    """The share of test digits, binarised once, that are told right."""
    classifier.eval()
    batches = Resident(x, levels=LEVELS).to(device).epoch(1000)
    told = torch.cat([classifier(batch.x).argmax(1).cpu() for batch in batches])
    return float((told == labels).float().mean())


def alone(model: M2, x: Tensor, labels: Tensor, device: str) -> Classifier:
    """The classifier trained on the labelled rows alone, binarised afresh at each of 1000 steps."""
    classifier = model.classifier.to(device).train()
    optimizer = torch.optim.Adam(classifier.parameters(), lr=1e-3)
    rows = Resident(x, labels.float()[:, None], levels=LEVELS).to(device)
    for step in range(1000):
        for batch in rows.epoch(LABELS, seed=step):
            loss = F.cross_entropy(classifier(batch.x), batch.given[:, 0].long())
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return classifier


@system(
    "m2",
    Measure("test accuracy from 100 labels", "Kingma et al. .880; Pyro's study .932", low=0.9),
    Measure("the same classifier on the 100 labels alone"),
    Measure("gain over the classifier alone", low=0.1),
)
def m2(setting: Setting) -> dict[str, float]:
    """MNIST binarised afresh, 100 of 60,000 with a label; one hidden layer of 256, 50 latents, 50 passes."""
    data = digits(setting.data / "mnist.npz")
    x, test = pictures(data["x_train"]), pictures(data["x_test"])
    labels, truth = data["y_train"].astype(np.int64), torch.from_numpy(data["y_test"].astype(np.int64))
    rows = chosen(labels, setting.seed)

    def made() -> M2:
        torch.manual_seed(setting.seed)
        model = build("m2", SPEC, network="mlp", width=256, depth=1, latent_dim=50, alpha=1.0, lead=6000)
        assert isinstance(model, M2)
        return model

    small = alone(made(), x[rows], torch.from_numpy(labels[rows]), setting.device)
    base = accuracy(small, test, truth, setting.device)
    given = torch.full((len(x), 1), torch.nan)
    given[rows, 0] = torch.from_numpy(labels[rows]).float()
    model = made()
    settings = Settings(epochs=PASSES, batch_size=200, lr=1e-3, seed=setting.seed, device=setting.device)
    fit(model, Resident(x, given, levels=LEVELS), settings=settings)
    found = accuracy(model.classifier, test, truth, setting.device)
    return {
        "test accuracy from 100 labels": found,
        "the same classifier on the 100 labels alone": base,
        "gain over the classifier alone": found - base,
    }
