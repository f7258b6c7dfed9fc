"""Variational sparse coding on Fashion-MNIST: a few of many latents in use, and codes that a classifier can read."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression

from registry import Measure, Setting, system
from sfumato.data.batches import Resident
from sfumato.models import build
from sfumato.models._latent import LatentModel
from sfumato.models.sparse_vae import SparseVAE
from sfumato.spec import DataSpec, Field
from sfumato.training import Settings, fit
from sources import digits, pictures

EPOCHS, LABELLED = 10, 5000
"""Passes of each training, and the training examples whose labels the classifier sees."""


@torch.no_grad()
def codes(model: LatentModel, part: Resident) -> np.ndarray:
    """The point of q(z | x) of every example."""
    return torch.cat([model.encode(batch).point() for batch in part.epoch(5000)]).numpy()


def told(train: np.ndarray, labels: np.ndarray, test: np.ndarray, answers: np.ndarray) -> float:
    """Accuracy of a linear classifier of codes, each latent brought to the same scale."""
    scale = train.std(0) + 1e-6
    return float(LogisticRegression(max_iter=500).fit(train / scale, labels).score(test / scale, answers))


@cache
def scored(name: str, data: Path, device: str, seed: int, latents: int, **options: float) -> tuple[float, float, float]:
    """Accuracy from the codes, mean of γ, share of the codes' entries that are not 0; on the test part."""
    found = digits(data / "fashion_mnist.npz")
    train, test = (Resident(pictures(found[part])) for part in ("x_train", "x_test"))
    torch.manual_seed(seed)
    spec = DataSpec((1, 28, 28), (Field("level", 256),), examples=len(train))
    model = build(name, spec, network="mlp", latent_dim=latents, width=400, depth=1, **options)
    assert isinstance(model, LatentModel)
    fit(model, train, settings=Settings(epochs=EPOCHS, batch_size=128, lr=1e-3, seed=seed, device=device))
    model.eval().cpu()
    labelled = Resident(pictures(found["x_train"][:LABELLED]))
    seen, unseen = codes(model, labelled), codes(model, test)
    accuracy = told(seen, found["y_train"][:LABELLED], unseen, found["y_test"])
    gamma = 1.0
    if isinstance(model, SparseVAE):
        with torch.no_grad():
            gamma = float(torch.cat([model.encode(batch).gamma.mean(1) for batch in test.epoch(5000)]).mean())
    return accuracy, gamma, float((unseen != 0).mean())


@system(
    "sparse-vae",
    Measure("accuracy from 200 sparse latents", "Tonolini et al. .797"),
    Measure("accuracy from 16 sparse latents"),
    Measure("accuracy from 200 latents of a VAE"),
    Measure("accuracy: 200 sparse less 16 sparse", low=0.05),
    Measure("accuracy: 200 sparse less the VAE's 200", low=0.02),
    Measure("mean γ, 200 latents", "α = .01", 0.005, 0.02),
    Measure("entries of the codes that are not 0, 200 latents"),
)
def sparse_vae(setting: Setting) -> dict[str, float]:
    """Fashion-MNIST, 784-400-L, 10 passes of 128, one-cycle 1e-3, α = .01; a linear classifier sees 5,000 labels."""
    place = (setting.data, setting.device, setting.seed)
    many, gamma, share = scored("sparse_vae", *place, 200, alpha=0.01)
    few, _, _ = scored("sparse_vae", *place, 16, alpha=0.01)
    plain, _, _ = scored("vae", *place, 200)
    return {
        "accuracy from 200 sparse latents": many,
        "accuracy from 16 sparse latents": few,
        "accuracy from 200 latents of a VAE": plain,
        "accuracy: 200 sparse less 16 sparse": many - few,
        "accuracy: 200 sparse less the VAE's 200": many - plain,
        "mean γ, 200 latents": gamma,
        "entries of the codes that are not 0, 200 latents": share,
    }
