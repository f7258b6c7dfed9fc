"""Residual convolutional networks for images of any size and number of channels."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

MIN_FEATURE_SIDE = 4
BLOCKS_UP_TO = 16
"""Residual blocks work where the shorter side is at most this; larger sizes are passed through by one convolution. Full
size, where most of the arithmetic would be, is only read and written: two by two pixels are one position."""


def sides(height: int, width: int) -> list[tuple[int, int]]:
    """The sizes of features: half the image's if its shorter side is above 16, then halved down to at most 4.

    >>> sides(28, 28), sides(8, 8)
    ([(14, 14), (7, 7), (4, 4)], [(8, 8), (4, 4)])
    """
    halved = min(height, width) > BLOCKS_UP_TO
    sizes = [((height + 1) // 2, (width + 1) // 2) if halved else (height, width)]
    while min(sizes[-1]) > MIN_FEATURE_SIDE:
        sizes.append(((sizes[-1][0] + 1) // 2, (sizes[-1][1] + 1) // 2))
    return sizes


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


def _blocks(size: tuple[int, int], depth: int) -> int:
    return depth if min(size) <= BLOCKS_UP_TO else 0


def doubled(inputs: int, outputs: int) -> nn.Sequential:
    """A convolution of features whose pixels were doubled: maps of twice their height and width.

    It takes as much arithmetic as a convolution to four pixels at each position (a pixel shuffle), whose four sets of
    weights leave a grid in the images that training takes long to remove (Odena et al. 2016, Deconvolution and
    checkerboard artifacts).

    Shapes: (B, inputs, H, W) to (B, outputs, 2H, 2W).

    >>> doubled(8, 3)(torch.randn(1, 8, 4, 4)).shape
    torch.Size([1, 3, 8, 8])
    """
    return nn.Sequential(nn.Upsample(scale_factor=2), nn.Conv2d(inputs, outputs, 3, padding=1))


class ConvEncoder(nn.Module):
    """An image to flat features: strided convolutions, with residual blocks at the smaller sizes.

    Args:
        shape: (C, H, W).
        width: channels at the largest size of features; doubled with each halving, up to four times.
        depth: residual blocks at each size of at most 16 pixels.

    Shapes: (B, C, H, W) to (B, `outputs`).
    """

    def __init__(self, shape: tuple[int, ...], width: int, depth: int) -> None:
        super().__init__()
        sizes = sides(*shape[1:])
        channels = _channels(width, len(sizes))
        blocks = sum(_blocks(size, depth) for size in sizes)
        if sizes[0] == tuple(shape[1:]):
            layers: list[nn.Module] = [nn.Conv2d(shape[0], channels[0], 3, padding=1)]
        else:
            layers = [nn.Conv2d(shape[0], channels[0], 5, stride=2, padding=2)]
        for level, size in enumerate(sizes):
            if level:
                layers.append(nn.Conv2d(channels[level - 1], channels[level], 3, stride=2, padding=1))
            if _blocks(size, depth):
                layers += [ResidualBlock(channels[level], blocks) for _ in range(depth)]
            else:
                layers.append(nn.SiLU())
        layers += [nn.GroupNorm(_groups(channels[-1]), channels[-1]), nn.SiLU(), nn.Flatten()]
        self.layers = nn.Sequential(*layers)
        self.outputs = channels[-1] * math.prod(sizes[-1])

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x.contiguous(memory_format=torch.channels_last))


class ConvDecoder(nn.Module):
    """Flat features to raw outputs at every pixel: the encoder's way back, with nearest-neighbour upsampling.

    Args:
        inputs: number of input features.
        raw: (channels, H, W) of the outputs.
        width: channels at the largest size of features; doubled with each halving, up to four times.
        depth: residual blocks at each size of at most 16 pixels.

    Shapes: (B, inputs) to (B, *raw).
    """

    def __init__(self, inputs: int, raw: tuple[int, ...], width: int, depth: int) -> None:
        super().__init__()
        sizes = sides(*raw[1:])[::-1]
        channels = _channels(width, len(sizes))[::-1]
        blocks = sum(_blocks(size, depth) for size in sizes)
        layers: list[nn.Module] = [
            nn.Linear(inputs, channels[0] * math.prod(sizes[0])),
            nn.Unflatten(1, (channels[0], *sizes[0])),
        ]
        for level, size in enumerate(sizes):
            if level:
                layers += [nn.Upsample(size), nn.Conv2d(channels[level - 1], channels[level], 3, padding=1)]
            if _blocks(size, depth):
                layers += [ResidualBlock(channels[level], blocks) for _ in range(depth)]
            else:
                layers.append(nn.SiLU())
        layers += [nn.GroupNorm(_groups(channels[-1]), channels[-1]), nn.SiLU()]
        if sizes[-1] == tuple(raw[1:]):
            layers.append(nn.Conv2d(channels[-1], raw[0], 3, padding=1))
        else:
            layers.append(doubled(channels[-1], raw[0]))
        self.layers = nn.Sequential(*layers)
        self.size = raw[1:]

    def forward(self, z: Tensor) -> Tensor:
        return self.layers(z)[:, :, : self.size[0], : self.size[1]]
