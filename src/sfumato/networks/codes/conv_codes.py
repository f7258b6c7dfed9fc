"""Between an example and a few vectors: a grid of them for an image, a row of them for anything else."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from sfumato.distributions import Distribution
from sfumato.networks.convolutional import ResidualBlock, doubled
from sfumato.networks.features import LevelFeatures, for_fields
from sfumato.networks.gaussian import full
from sfumato.networks.heads import Head, for_likelihood
from sfumato.networks.mlp import MLP, Reshape
from sfumato.spec import DataSpec

MAX_CODE_SIDE = 8
"""Images are halved once, and then until the shorter side of the grid is at most this."""


def halvings(height: int, width: int) -> int:
    """How often an image is halved on the way to its grid.

    >>> halvings(28, 28), halvings(8, 8), halvings(64, 64)
    (2, 1, 3)
    """
    return max(1, math.ceil(math.log2(max(min(height, width), 1) / MAX_CODE_SIDE)))


def grid(height: int, width: int) -> tuple[int, int]:
    """Rows and columns of the grid.

    >>> grid(28, 28), grid(8, 8), grid(30, 64)
    ((7, 7), (4, 4), (8, 16))
    """
    parts = 2 ** halvings(height, width)
    return -(-height // parts), -(-width // parts)


class GridEncoder(nn.Module):
    """An image to vectors on a grid: strided convolutions, then residual blocks.

    Args:
        spec: of images.
        dim: D.
        width: the grid has four times as many channels.
        depth: residual blocks, twice as many.

    Shapes: (B, C, H, W) to (B, P, D), the places row by row.
    """

    def __init__(self, spec: DataSpec, dim: int, width: int, depth: int) -> None:
        super().__init__()
        self.features = for_fields(spec)
        channels = 4 * width
        count = halvings(*spec.shape[1:])
        layers: list[nn.Module] = []
        inputs = spec.shape[0]
        for at in range(count):
            outputs = channels if at == count - 1 else max(channels // 2, 1)
            layers += [nn.Conv2d(inputs, outputs, 3, stride=2, padding=1), nn.SiLU()]
            inputs = outputs
        layers += [ResidualBlock(channels, 2 * depth) for _ in range(2 * depth)]
        self.layers = nn.Sequential(*layers, nn.SiLU(), nn.Conv2d(channels, dim, 1))
        self.places = math.prod(grid(*spec.shape[1:]))

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        h = self.features(x, mask).contiguous(memory_format=torch.channels_last)
        return self.layers(h).flatten(2).transpose(1, 2)


class GridDecoder(nn.Module):
    """Vectors on a grid to the distribution of an image: the encoder's way back.

    Shapes: (B, P, D) to a distribution over (B, C, H, W).
    """

    def __init__(self, spec: DataSpec, dim: int, width: int, depth: int) -> None:
        super().__init__()
        self.head: Head = for_likelihood(spec)
        self.size = spec.shape[1:]
        self.grid = grid(*self.size)
        channels = 4 * width
        count = halvings(*self.size)
        layers: list[nn.Module] = [nn.Conv2d(dim, channels, 3, padding=1)]
        layers += [ResidualBlock(channels, 2 * depth) for _ in range(2 * depth)]
        inputs = channels
        for at in range(count):
            outputs = self.head.raw[0] if at == count - 1 else max(channels // 2, 1)
            norm = nn.GroupNorm(math.gcd(8, inputs), inputs)
            layers += [norm, nn.SiLU(), doubled(inputs, outputs)]
            inputs = outputs
        self.layers = nn.Sequential(*layers)

    def forward(self, z: Tensor) -> Distribution:
        raw = self.layers(z.transpose(1, 2).unflatten(2, self.grid))
        return self.head(full(raw[:, :, : self.size[0], : self.size[1]]))


class RowEncoder(nn.Module):
    """An example to a row of P vectors through a fully connected network; (B, *shape) to (B, P, D)."""

    def __init__(self, spec: DataSpec, places: int, dim: int, width: int, depth: int) -> None:
        super().__init__()
        self.features = for_fields(spec)
        inputs = spec.entries if isinstance(self.features, LevelFeatures) else self.features.outputs
        body = MLP(inputs, width, depth)
        self.body = nn.Sequential(nn.Flatten(), *body, nn.Linear(body.outputs, places * dim))
        self.places = places

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        return self.body(self.features(x, mask)).unflatten(1, (self.places, -1))


class RowDecoder(nn.Module):
    """A row of P vectors to the distribution of an example; (B, P, D) to a distribution over (B, *shape)."""

    def __init__(self, spec: DataSpec, places: int, dim: int, width: int, depth: int) -> None:
        super().__init__()
        self.head: Head = for_likelihood(spec)
        body = MLP(places * dim, width, depth)
        self.body = nn.Sequential(*body, nn.Linear(body.outputs, math.prod(self.head.raw)), Reshape(self.head.raw))

    def forward(self, z: Tensor) -> Distribution:
        return self.head(full(self.body(z.flatten(1))))
