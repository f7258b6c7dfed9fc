"""The likelihood's scale on Fashion-MNIST: a learned σ against σ = 1."""

from __future__ import annotations

import math
from functools import cache
from pathlib import Path

import torch

from registry import Measure, Setting, system
from scores import frechet, importance_nll
from sfumato.evaluation.samples.image_features import BATCH, Network, features, trained
from sfumato.models import build
from sfumato.spec import DataSpec, Field
from sfumato.training import Settings, fit
from sources import digits, grey, pictures


@cache
def classifier(path: Path, epochs: int = 4) -> tuple[Network, float]:
    """The features' network, trained on the training split with a fixed seed; and its accuracy on the test split."""
    found = digits(path)
    x, y = pictures(found["x_train"]), torch.from_numpy(found["y_train"]).long()
    net = trained(x, y, 10, 256, steps=epochs * math.ceil(len(x) / BATCH))
    told = features(net, pictures(found["x_test"]), last=True).argmax(1)
    return net, float((told == found["y_test"]).mean())


def scored(likelihood: str, setting: Setting) -> dict[str, float]:
    """NLL by 100 importance samples, and Fréchet distances of 10,000 samples shown as means and as draws."""
    path = setting.data / "fashion_mnist.npz"
    train, valid, test = grey(path)
    net, _ = classifier(path)
    torch.manual_seed(setting.seed)
    spec = DataSpec((1, 28, 28), (Field("level", 256),), likelihood=likelihood, examples=len(train))
    model = build("vae", spec, network="mlp", latent_dim=32, width=512, depth=2, prior="mixture")
    settings = Settings(epochs=30, batch_size=128, lr=2e-3, seed=setting.seed, device=setting.device)
    fit(model, train, valid, settings=settings)
    model.eval().cpu()
    real = features(net, test.take(slice(None)).x)
    torch.manual_seed(setting.seed)
    with torch.no_grad():
        shown = {
            name: torch.cat([model.sample(2000, noise=noise).clamp(0, 255) for _ in range(5)])
            for name, noise in (("means", False), ("draws", True))
        }
    found = {name: frechet(features(net, made), real) for name, made in shown.items()}
    return found | {"nll": importance_nll(model.log_weight, test.epoch(20), 100)}


@system(
    "likelihood",
    Measure("NLL gained by a learned σ (nats)", "σ-VAE: better", low=0.0),
    Measure("Fréchet distance, means, σ = 1"),
    Measure("Fréchet distance, means, learned σ"),
    Measure("Fréchet distance gained, means", "σ-VAE: better", low=0.0),
    Measure("Fréchet distance, draws, σ = 1"),
    Measure("Fréchet distance, draws, learned σ"),
    Measure("the features' classifier: test accuracy"),
)
def likelihood(setting: Setting) -> dict[str, float]:
    """Fashion-MNIST, 784-512-512-32, 30 passes; distances in features of a classifier of the training split.

    The prior is a mixture on both sides. A learned σ makes codes carry many more nats, and how far a standard normal
    is from where they lie would be judged instead of what is decoded from them.
    """
    unit, learned = scored("mse", setting), scored("gaussian", setting)
    return {
        "NLL gained by a learned σ (nats)": unit["nll"] - learned["nll"],
        "Fréchet distance, means, σ = 1": unit["means"],
        "Fréchet distance, means, learned σ": learned["means"],
        "Fréchet distance gained, means": unit["means"] - learned["means"],
        "Fréchet distance, draws, σ = 1": unit["draws"],
        "Fréchet distance, draws, learned σ": learned["draws"],
        "the features' classifier: test accuracy": classifier(setting.data / "fashion_mnist.npz")[1],
    }
