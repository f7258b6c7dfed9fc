"""Residual convolutional networks for pictures of any size and number of channels."""

from __future__ import annotations

import math
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

SMALLEST = 4


def sides(height: int, width: int) -> list[tuple[int, int]]:
    """The sizes a picture passes through: halved, rounding up, until its shorter side is at most 4.

    >>> sides(28, 28)
    [(28, 28), (14, 14), (7, 7), (4, 4)]
    """
    found = [(height, width)]
    while min(found[-1]) > SMALLEST:
        found.append(((found[-1][0] + 1) // 2, (found[-1][1] + 1) // 2))
    return found


class ResidualBlock(nn.Module):
    """x + conv(act(norm(conv(act(norm(x)))))), the last convolution scaled by 1/√blocks at the start."""

    def __init__(self, channels: int, blocks: int) -> None:
        super().__init__()
        self.norm1 = nn.GroupNorm(_groups(channels), channels)
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.norm2 = nn.GroupNorm(_groups(channels), channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)
        with torch.no_grad():
            self.conv2.weight.mul_(1 / math.sqrt(blocks))

    def forward(self, x: Tensor) -> Tensor:
        h = self.conv1(F.silu(self.norm1(x)))
        return x + self.conv2(F.silu(self.norm2(h)))


def _groups(channels: int) -> int:
    return next(groups for groups in (8, 4, 2, 1) if channels % groups == 0)


def _channels(width: int, levels: int) -> list[int]:
    """Channels at each size: doubled with each halving, up to four times `width`."""
    return [width * min(2**level, 4) for level in range(levels)]


class ConvEncoder(nn.Module):
    """A picture to flat features: residual blocks at each size, strided convolutions between.

    Arguments:
        shape: (C, H, W).
        width: channels at full size.
        depth: residual blocks at each size.

    Shapes: (B, C, H, W) to (B, `outputs`).
    """

    def __init__(self, shape: tuple[int, ...], width: int, depth: int) -> None:
        super().__init__()
        sizes = sides(*shape[1:])
        channels = _channels(width, len(sizes))
        blocks = depth * len(sizes)
        layers: list[nn.Module] = [nn.Conv2d(shape[0], channels[0], 3, padding=1)]
        for level in range(len(sizes)):
            layers += [ResidualBlock(channels[level], blocks) for _ in range(depth)]
            if level + 1 < len(sizes):
                layers.append(nn.Conv2d(channels[level], channels[level + 1], 3, stride=2, padding=1))
        layers += [nn.GroupNorm(_groups(channels[-1]), channels[-1]), nn.SiLU(), nn.Flatten()]
        self.layers = nn.Sequential(*layers)
        self.outputs = channels[-1] * math.prod(sizes[-1])

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)


class ConvDecoder(nn.Module):
    """Flat features to raw outputs at every pixel: the encoder's way back, with nearest-neighbour upsampling.

    Arguments:
        inputs: number of input features.
        raw: (channels, H, W) of the outputs.
        width: channels at full size.
        depth: residual blocks at each size.

    Shapes: (B, inputs) to (B, *raw).
    """

    def __init__(self, inputs: int, raw: tuple[int, ...], width: int, depth: int) -> None:
        super().__init__()
        self.sizes = sides(*raw[1:])[::-1]
        channels = _channels(width, len(self.sizes))[::-1]
        blocks = depth * len(self.sizes)
        self.start = nn.Sequential(
            nn.Linear(inputs, channels[0] * math.prod(self.sizes[0])),
            nn.Unflatten(1, (channels[0], *self.sizes[0])),
        )
        self.stages = nn.ModuleList(nn.Sequential(*(ResidualBlock(c, blocks) for _ in range(depth))) for c in channels)
        self.ups = nn.ModuleList(nn.Conv2d(before, after, 3, padding=1) for before, after in pairwise(channels))
        self.end = nn.Sequential(
            nn.GroupNorm(_groups(channels[-1]), channels[-1]),
            nn.SiLU(),
            nn.Conv2d(channels[-1], raw[0], 3, padding=1),
        )

    def forward(self, z: Tensor) -> Tensor:
        h = self.stages[0](self.start(z))
        for up, stage, size in zip(self.ups, self.stages[1:], self.sizes[1:], strict=True):
            h = stage(up(F.interpolate(h, size=size, mode="nearest")))
        return self.end(h)
