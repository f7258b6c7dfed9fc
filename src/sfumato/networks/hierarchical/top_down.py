"""The deep top-down network for images: residual groups of latents from 1×1 up to the larger sizes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sfumato.distributions import Distribution, Normal
from sfumato.networks.convolutional import BLOCKS_UP_TO, doubled, sides
from sfumato.networks.features import GivenFeatures
from sfumato.networks.gaussian import bounded, full
from sfumato.networks.heads.base import Head
from sfumato.networks.hierarchical.hierarchy import Hierarchy, LayerState


class Block(nn.Sequential):
    """1×1, 3×3, 3×3, 1×1 convolutions with an activation before each; 1×1 throughout where an image is 1×1.

    Args:
        scale: factor on the weights of the last convolution at the start.
    """

    def __init__(self, inputs: int, outputs: int, size: tuple[int, int], scale: float = 1.0) -> None:
        hidden = max(inputs, outputs) // 2 or 1
        side = 3 if max(size) > 1 else 1
        super().__init__(
            nn.SiLU(),
            nn.Conv2d(inputs, hidden, 1),
            nn.SiLU(),
            nn.Conv2d(hidden, hidden, side, padding=side // 2),
            nn.SiLU(),
            nn.Conv2d(hidden, hidden, side, padding=side // 2),
            nn.SiLU(),
            shrunk(nn.Conv2d(hidden, outputs, 1), scale),
        )


class Residual(Block):
    """x + block(x)."""

    def __init__(self, channels: int, size: tuple[int, int], scale: float) -> None:
        super().__init__(channels, channels, size, scale)

    def forward(self, x: Tensor) -> Tensor:
        return x + super().forward(x)


class LatentGroup(nn.Module):
    """One layer of latents: its prior, its posterior, and its way into what is known."""

    def __init__(self, channels: int, latents: int, size: tuple[int, int], scale: float) -> None:
        super().__init__()
        self.prior = Block(channels, 2 * latents + channels, size, 0.0)
        self.posterior = Block(2 * channels, 2 * latents, size)
        self.z = shrunk(nn.Conv2d(latents, channels, 1), scale)
        self.residual = Residual(channels, size, scale)


class UpsampledLevel(nn.Module):
    """What a size begins with on the way down: the upsampled state and a bias of its own at each position."""

    def __init__(self, above: int, channels: int, size: tuple[int, int]) -> None:
        super().__init__()
        self.size = size
        self.widen = nn.Conv2d(above, channels, 1) if above not in (0, channels) else nn.Identity()
        self.bias = nn.Parameter(torch.zeros(1, channels, *size))

    def forward(self, h: Tensor) -> Tensor:
        return F.interpolate(self.widen(h), self.size, mode="nearest") + self.bias


class TopDown(Hierarchy):
    """Child 2021, Very deep VAEs generalize autoregressive models and can outperform them on images.

    The encoder goes through residual blocks from the largest size to 1×1. The way down carries a state h; each group
    of latents at its size does

        p(z_l | z_>l), δ = prior(h),    h ← h + δ
        q(z_l | z_>l, x) = posterior(h, features of x at this size)
        h ← h + proj(z_l),    h ← h + block(h)

    with N groups, the last convolution of each residual block and proj are scaled by 1/√N at the start; sizes are
    doubled by nearest-neighbour upsampling. Groups work at the sizes of `convolutional.sides` of at most 16 pixels, and
    at 1×1.
    Conditions enter the encoder and the state at the top, which all that follows can read.

    Args:
        features: pixels to numbers, (x, mask) → tensor of the same shape.
        shape: (C, H, W).
        head: raw outputs to the distribution of x.
        latents: latents at each position of 1×1; half as many at each larger size, so that their total grows slowly.
        width: channels at the largest size; doubled with each halving, up to four times.
        depth: residual blocks of the encoder at each size.
        groups: number of groups N, shared out evenly over the sizes; the smaller ones take what is left over.
        given: features of the conditions, or None.
        merged: False leaves the posterior to the features of x alone.
    """

    def __init__(
        self,
        features: nn.Module,
        shape: tuple[int, ...],
        head: Head,
        latents: int,
        width: int,
        depth: int,
        groups: int,
        given: GivenFeatures | None,
        *,
        merged: bool = True,
    ) -> None:
        super().__init__()
        self.features, self.given, self.merged = features, given, merged
        sizes = all_sizes(shape)
        channels = [width * min(2**level, 4) for level in range(len(sizes))]
        self.up = _encoder(shape[0] + (given.outputs if given else 0), shape[1:], sizes, channels, depth)

        scale = 1 / math.sqrt(groups)
        groups_at = shared_out(groups, [min(size) <= BLOCKS_UP_TO for size in sizes])
        levels: list[UpsampledLevel] = []
        kept: list[LatentGroup] = []
        self.level_of: list[int] = []
        shapes: list[tuple[int, ...]] = []
        above = 0
        for level in reversed(range(len(sizes))):
            levels.append(UpsampledLevel(above, channels[level], sizes[level]))
            above = channels[level]
            count = max(1, latents >> (len(sizes) - 1 - level))
            for _ in range(groups_at[level]):
                kept.append(LatentGroup(above, count, sizes[level], scale))
                self.level_of.append(len(sizes) - 1 - level)
                shapes.append((count, *sizes[level]))
        self.shapes = tuple(shapes)
        self.levels = cast("Sequence[UpsampledLevel]", nn.ModuleList(levels))
        self.groups = cast("Sequence[LatentGroup]", nn.ModuleList(kept))
        self.conditions = nn.Linear(given.outputs, channels[-1]) if given else None
        self.gain = nn.Parameter(torch.ones(1, above, 1, 1))
        if sizes[0] == tuple(shape[1:]):
            self.out = nn.Sequential(nn.SiLU(), nn.Conv2d(above, head.raw[0], 3, padding=1))
        else:
            self.out = nn.Sequential(nn.SiLU(), doubled(above, head.raw[0]))
        self.size = shape[1:]
        self.head = head

    def evidence(self, x: Tensor, given: Tensor | None, mask: Tensor | None) -> list[Tensor]:
        h = self.features(x, mask)
        if self.given is not None:
            c = self.given(given, h)
            h = torch.cat([h, c[:, :, None, None].expand(-1, -1, *h.shape[2:])], 1)
        features = []
        for part in self.up:
            h = part(h)
            features.append(h)
        return [features[-1 - level] for level in self.level_of]

    def start(self, n: int, given: Tensor | None) -> LayerState:
        nothing = self.gain.new_zeros(n, 0)
        h = self.gain.new_zeros(n, self.levels[0].bias.shape[1], 1, 1)
        if self.given is None or self.conditions is None:
            return LayerState(h, nothing)
        c = self.given(given, nothing)
        return LayerState(h + self.conditions(c)[:, :, None, None], c)

    def prior(self, at: int, state: LayerState) -> tuple[Normal, LayerState]:
        h = self._down(state.h, self.level_of[at - 1] + 1 if at else 0, self.level_of[at])
        latents = self.shapes[at][0]
        mean, log_scale, delta = self.groups[at].prior(h).split([latents, latents, h.shape[1]], 1)
        return Normal(full(mean), bounded(full(log_scale))), LayerState(h + delta, state.c)

    def posterior(self, at: int, state: LayerState, evidence: Tensor, prior: Normal) -> Normal:
        h = state.h if self.merged else torch.zeros_like(state.h)
        mean, log_scale = full(self.groups[at].posterior(torch.cat([h, evidence], 1))).chunk(2, 1)
        return Normal(mean, bounded(log_scale))

    def below(self, at: int, state: LayerState, z: Tensor) -> LayerState:
        group = self.groups[at]
        return LayerState(group.residual(state.h + group.z(z)), state.c)

    def observe(self, state: LayerState) -> Distribution:
        h = self._down(state.h, self.level_of[-1] + 1, len(self.levels) - 1)
        return self.head(full(self.out(h * self.gain)[:, :, : self.size[0], : self.size[1]]))

    def _down(self, h: Tensor, first: int, last: int) -> Tensor:
        for level in self.levels[first : last + 1]:
            h = level(h)
        return h


def _encoder(
    inputs: int, shape: tuple[int, ...], sizes: list[tuple[int, int]], channels: list[int], depth: int
) -> nn.ModuleList:
    """One part for each size, the largest first."""
    scale = 1 / math.sqrt(depth * len(sizes))
    parts = nn.ModuleList()
    for level, size in enumerate(sizes):
        if level == 0:
            entry = nn.Conv2d(inputs, channels[0], *((3, 1, 1) if size == tuple(shape) else (5, 2, 2)))
        elif size == (1, 1):
            entry = nn.Conv2d(channels[level - 1], channels[level], sizes[level - 1])
        else:
            entry = nn.Conv2d(channels[level - 1], channels[level], 3, 2, 1)
        blocks = depth if min(size) <= BLOCKS_UP_TO else 0
        parts.append(nn.Sequential(entry, *(Residual(channels[level], size, scale) for _ in range(blocks))))
    return parts


def all_sizes(shape: tuple[int, ...]) -> list[tuple[int, int]]:
    """The sizes of `convolutional.sides`, then 1×1.

    >>> all_sizes((1, 28, 28))
    [(14, 14), (7, 7), (4, 4), (1, 1)]
    """
    sizes = sides(*shape[1:])
    return sizes if sizes[-1] == (1, 1) else [*sizes, (1, 1)]


def shared_out(groups: int, allowed: list[bool]) -> list[int]:
    """Number of groups at each size, the largest first; the smaller sizes take what does not divide evenly.

    >>> shared_out(7, [False, True, True, True])
    [0, 2, 2, 3]
    """
    base, extra = divmod(groups, sum(allowed))
    counts = [base * may for may in allowed]
    for place in range(extra):
        counts[-1 - place] += 1
    return counts


def shrunk(convolution: nn.Conv2d, scale: float) -> nn.Conv2d:
    """The convolution with its weights multiplied by `scale` and its bias 0."""
    with torch.no_grad():
        convolution.weight.mul_(scale)
        assert convolution.bias is not None
        convolution.bias.zero_()
    return convolution
