"""The likelihood's scale on Fashion-MNIST: a learned σ against σ = 1."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from registry import Measure, Setting, system
from scores import frechet, importance_nll
from sfumato.models import build
from sfumato.spec import DataSpec, Field
from sfumato.training import Settings, fit
from sources import digits, grey, pictures


class Classifier(nn.Module):
    """A small convolutional classifier whose last hidden layer is the space of the Fréchet distance."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 16, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(16, 32, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(32 * 49, 64),
            nn.ReLU(),
        )
        self.classes = nn.Linear(64, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.classes(self.features(x / 255))


@cache
def classifier(path: Path, epochs: int = 4) -> tuple[Classifier, float]:
    """Trained on the training split with a fixed seed; and its accuracy on the test split."""
    found = digits(path)
    x, y = pictures(found["x_train"]), torch.from_numpy(found["y_train"]).long()
    generator = torch.Generator().manual_seed(0)
    torch.manual_seed(0)
    net = Classifier()
    optimizer = torch.optim.Adam(net.parameters(), lr=2e-3)
    for _ in range(epochs):
        for index in torch.randperm(len(x), generator=generator).split(128):
            loss = F.cross_entropy(net(x[index].float()), y[index])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    told = features(net, pictures(found["x_test"]), last=True).argmax(1)
    return net, float((told == found["y_test"]).mean())


@torch.no_grad()
def features(net: Classifier, x: Tensor, *, last: bool = False) -> np.ndarray:
    """Features (or class scores) of pictures of levels 0 … 255."""
    layer = net if last else lambda part: net.features(part / 255)
    return torch.cat([layer(part.float()) for part in x.split(2000)]).double().numpy()


def scored(likelihood: str, setting: Setting) -> dict[str, float]:
    """NLL by 100 importance samples, and Fréchet distances of 10,000 samples shown as means and as draws."""
    path = setting.data / "fashion_mnist.npz"
    train, valid, test = grey(path)
    net, _ = classifier(path)
    torch.manual_seed(setting.seed)
    spec = DataSpec((1, 28, 28), (Field("level", 256),), likelihood=likelihood, examples=len(train))
    model = build("vae", spec, network="mlp", latent_dim=32, width=512, depth=2)
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
    """Fashion-MNIST, 784-512-512-32, 30 passes; distances in features of a classifier of the training split."""
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
