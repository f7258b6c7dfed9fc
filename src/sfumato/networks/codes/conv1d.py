"""Between a sequence and a row of vectors along its time: strided convolutions there and back."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sfumato.distributions import Distribution
from sfumato.networks.gaussian import full
from sfumato.networks.heads import Head, for_likelihood
from sfumato.networks.state_space import Steps
from sfumato.spec import DataSpec

MAX_CODE_LENGTH = 32
"""A sequence is halved once, and then until its row has at most this many vectors."""


def halvings(steps: int) -> int:
    """How often a sequence is halved on the way to its row.

    >>> halvings(24), halvings(100), halvings(427)
    (1, 2, 4)
    """
    return max(1, math.ceil(math.log2(steps / MAX_CODE_LENGTH)))


def places(steps: int) -> int:
    """Vectors of the row of a sequence.

    >>> places(24), places(100), places(427)
    (12, 25, 27)
    """
    return -(-steps // 2 ** halvings(steps))


class TimeBlock(nn.Module):
    """h + conv(act(conv(act(h)))) along time, the last convolution scaled by 1/√blocks at the start."""

    def __init__(self, width: int, blocks: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv1d(width, width, 3, padding=1)
        self.conv2 = nn.Conv1d(width, width, 3, padding=1)
        with torch.no_grad():
            self.conv2.weight.mul_(1 / math.sqrt(blocks))

    def forward(self, h: Tensor) -> Tensor:
        return h + self.conv2(F.silu(self.conv1(F.silu(h))))


class TimeEncoder(nn.Module):
    """A sequence to vectors along its time, each of 2^`halvings` steps and what lies around them.

    Each entry is seen with a flag of its own that says whether it was observed: gaps and the padding behind a shorter
    sequence are 0 with the flag down. Steps count as evenly spaced; time stamps are not used.

    Args:
        spec: of sequences, shape (T, D).
        dim: numbers of a vector.
        width: channels.
        depth: residual blocks, twice as many.

    Shapes: x (B, T, D) and mask like x or None, to (B, `places`, dim).
    """

    def __init__(self, spec: DataSpec, dim: int, width: int, depth: int) -> None:
        super().__init__()
        steps, channels = spec.shape
        layers: list[nn.Module] = []
        inputs = 2 * channels
        for _ in range(halvings(steps)):
            layers += [nn.Conv1d(inputs, width, 3, stride=2, padding=1), nn.SiLU()]
            inputs = width
        layers += [TimeBlock(width, 2 * depth) for _ in range(2 * depth)]
        self.layers = nn.Sequential(*layers, nn.SiLU(), nn.Conv1d(width, dim, 1))
        self.places = places(steps)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        seen = torch.ones_like(x, dtype=torch.bool) if mask is None else mask
        h = torch.cat([x.where(seen, 0.0), seen.to(x.dtype)], 2)
        return self.layers(h.transpose(1, 2)).transpose(1, 2)


class TimeDecoder(nn.Module):
    """Vectors along time to the distribution of a sequence, a product over its steps: the encoder's way back.

    Shapes: (B, `places`, dim) to a distribution over (B, T, D).
    """

    def __init__(self, spec: DataSpec, dim: int, width: int, depth: int) -> None:
        super().__init__()
        self.head: Head = for_likelihood(spec.step)
        self.steps = spec.shape[0]
        layers: list[nn.Module] = [nn.Conv1d(dim, width, 3, padding=1)]
        layers += [TimeBlock(width, 2 * depth) for _ in range(2 * depth)]
        for _ in range(halvings(self.steps)):
            layers += [nn.SiLU(), nn.Upsample(scale_factor=2), nn.Conv1d(width, width, 3, padding=1)]
        self.layers = nn.Sequential(*layers, nn.SiLU(), nn.Conv1d(width, self.head.raw[0], 3, padding=1))

    def forward(self, z: Tensor) -> Distribution:
        raw = full(self.layers(z.transpose(1, 2))[:, :, : self.steps])
        return Steps(self.head(raw.transpose(1, 2).flatten(0, 1)), self.steps)
