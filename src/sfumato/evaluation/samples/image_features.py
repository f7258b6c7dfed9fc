"""Features of images: the last hidden layer of a small network that is trained on the training split.

Nothing is downloaded, and the features suit these data. Distances have their own scale: they compare models on the
same data with the same seed, and are not comparable with Inception numbers.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sfumato.data.core.batching.batches import Batches
from sfumato.evaluation.subject import MAX_QUICK_EXAMPLES, array, some
from sfumato.randomness.generators import redirected, seeded

FEATURES = 64
TRAINING_STEPS = 600
PASSES = 20
BATCH = 128
POSES = 4
PIXELS = 200_000_000
"""Largest number of values in the training images."""


class Network(nn.Module):
    """Strided 3×3 convolutions down to 8 pixels or fewer, then 64 features and the scores of the classes.

    Shapes: x (B, C, H, W) of levels 0 … levels − 1 to (B, classes).
    """

    def __init__(self, shape: tuple[int, ...], classes: int, levels: int = 256) -> None:
        super().__init__()
        channels, *sides = shape
        stages = max(2, math.ceil(math.log2(min(sides) / 8)))
        body: list[nn.Module] = []
        for stage in range(stages):
            width = min(16 * 2**stage, 64)
            body += [nn.Conv2d(channels, width, 3, stride=2, padding=1), nn.ReLU()]
            channels, sides = width, [math.ceil(side / 2) for side in sides]
        body += [nn.Flatten(), nn.Linear(channels * math.prod(sides), FEATURES), nn.ReLU()]
        self.features = nn.Sequential(*body)
        self.classes = nn.Linear(FEATURES, classes)
        self.top = levels - 1

    def forward(self, x: Tensor) -> Tensor:
        scores: Tensor = self.classes(self.features(x / self.top))
        return scores


def trained(x: Tensor, y: Tensor | None, classes: int, levels: int, *, steps: int, seed: int = 0) -> Network:
    """Train a network to classify images; Adam at 2e-3, batches of 128; a function of `seed`.

    Args:
        x: (N, C, H, W) of levels.
        y: (N,) class of each; None without labels. It then learns which of four ways an image was rotated
            (Gidaris et al. 2018, unsupervised representation learning by predicting image rotations); images that are
            not square are mirrored instead.
        classes: number of classes.
        levels: of a pixel.
        steps: of training.
        seed: of weights and order.
    """
    generator = torch.Generator().manual_seed(seed)
    with seeded(x.device, seed), redirected():
        net = Network(tuple(x.shape[1:]), POSES if y is None else classes, levels).to(x.device)
    with torch.enable_grad():
        optimizer = torch.optim.Adam(net.parameters(), lr=2e-3)
        done = 0
        while done < steps:
            for index in torch.randperm(len(x), generator=generator).to(x.device).split(BATCH)[: steps - done]:
                shown, targets = posed(x[index]) if y is None else (x[index], y[index])
                loss = F.cross_entropy(net(shown.float()), targets)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                done += 1
    return net.requires_grad_(False)


def posed(x: Tensor) -> tuple[Tensor, Tensor]:
    """A quarter of the images unchanged, and a quarter in each of three other poses; with the pose of each."""
    square = x.shape[-1] == x.shape[-2]
    parts = [
        part.rot90(pose, (2, 3)) if square else part.flip([axis + 2 for axis in range(2) if pose >> axis & 1])
        for pose, part in enumerate(x.tensor_split(POSES))
    ]
    poses = torch.cat([torch.full((len(part),), pose, device=x.device) for pose, part in enumerate(parts)])
    return torch.cat(parts), poses


@torch.no_grad()
def features(net: Network, x: Tensor, *, last: bool = False) -> np.ndarray:
    """Features (N, 64) of images of levels, clamped to their range; or the scores of the classes."""
    layer = net if last else lambda part: net.features(part / net.top)
    return array(torch.cat([layer(part.float().clamp(0, net.top)) for part in x.split(2000)]).double())


@dataclass(frozen=True)
class FeatureNetwork:
    """A trained network for features.

    Attributes:
        taught: its training task, in words.
        scale: root of the mean variance of its features over training images.
    """

    net: Network
    taught: str
    scale: float


_KNOWN: WeakKeyDictionary[Batches, dict[int, FeatureNetwork]] = WeakKeyDictionary()


def network(train: Batches, levels: int, device: torch.device, seed: int) -> FeatureNetwork:
    """The network of a training split: trained on its labels, or on rotations without labels.

    600 steps, or 20 passes over a small split. It is cached with the data, so that a process trains it once per seed.
    """
    known = _KNOWN.setdefault(train, {})
    if seed not in known:
        shape = train.take(slice(1)).x.shape[1:]
        most = min(TRAINING_STEPS * BATCH, max(PIXELS // math.prod(shape), 1000))
        index = some(len(train), most, seed)
        x = train.take(index).x.to(device)
        labels = None if train.labels is None else np.asarray(train.labels)[index.numpy()]
        y, taught = None, "to predict rotations"
        if labels is not None and len(np.unique(labels[labels >= 0])) > 1:
            x, y = x[torch.from_numpy(labels >= 0).to(device)], torch.from_numpy(labels[labels >= 0]).to(device)
            taught = "to predict the labels"
        steps = min(TRAINING_STEPS, PASSES * math.ceil(len(x) / BATCH))
        classes = 0 if y is None else int(y.max()) + 1
        net = trained(x, y, classes, levels, steps=steps, seed=seed)
        known[seed] = FeatureNetwork(
            net, taught, float(np.sqrt(features(net, x[:MAX_QUICK_EXAMPLES]).var(0).mean())) or 1.0
        )
    return known[seed]
