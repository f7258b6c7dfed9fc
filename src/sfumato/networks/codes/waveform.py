"""Between a waveform and vectors along its time: overlapping stretches of samples, and convolutions over those."""

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

PLACES_A_SECOND = 62.5
"""Vectors a second, about."""
DILATIONS = (1, 2, 4)


def hop_of(rate: int) -> int:
    """Samples from one vector to the next, a power of two.

    >>> hop_of(8000), hop_of(16000), hop_of(44100)
    (128, 256, 512)
    """
    return 2 ** max(round(math.log2(rate / PLACES_A_SECOND)), 1)


def cosines(hop: int) -> Tensor:
    """The modified discrete cosine transform under a sine window, (hop, 2·hop): row k is the filter of frequency k.

        a_kn = √(2/H) sin(π (n + ½) / 2H) cos(π/H (n + ½ + H/2)(k + ½))

    Overlapping by half, the same filters analyse and synthesise: Σ_t A_tᵀ A_t = 1 (Princen, Johnson and Bradley 1987).

    >>> a = cosines(8)
    >>> torch.allclose(a @ a.T, torch.eye(8), atol=1e-6), (a[:, :8] @ a[:, 8:].T).abs().max() < 1e-6
    (True, tensor(True))
    """
    n, k = torch.arange(2 * hop, dtype=torch.float64) + 0.5, torch.arange(hop, dtype=torch.float64)[:, None] + 0.5
    window = torch.sin(math.pi / (2 * hop) * n)
    return (math.sqrt(2 / hop) * window * torch.cos(math.pi / hop * (n + hop / 2) * k)).float()


class DilatedBlock(nn.Module):
    """h + conv(act(dilated conv(act(h)))) along time, the last convolution scaled by 1/√blocks at the start."""

    def __init__(self, width: int, blocks: int, dilation: int, causal: bool) -> None:
        super().__init__()
        self.around = (2 * dilation, 0) if causal else (dilation, dilation)
        self.conv1 = nn.Conv1d(width, width, 3, dilation=dilation)
        self.conv2 = nn.Conv1d(width, width, 1)
        with torch.no_grad():
            self.conv2.weight.mul_(1 / math.sqrt(blocks))

    def forward(self, h: Tensor) -> Tensor:
        return h + self.conv2(F.silu(self.conv1(F.pad(F.silu(h), self.around))))


def _blocks(width: int, depth: int, causal: bool) -> list[nn.Module]:
    count = 2 * depth
    return [DilatedBlock(width, count, DILATIONS[at % len(DILATIONS)], causal) for at in range(count)]


def _before(hop: int, causal: bool) -> int:
    """Samples of a stretch that lie before its vector's place: none of those that follow it are seen where causal."""
    return hop if causal else hop // 2


class WaveformEncoder(nn.Module):
    """A waveform to vectors along its time, one for each `hop` samples.

    Stretches of 2·hop samples, each half over the next, are seen through hop filters a channel, which are learned and
    begin as `cosines`; a linear map of what they see and residual blocks over it are added up. Behind the end of a
    sound is 0.

    Args:
        spec: of waveforms, shape (T, C).
        dim: numbers of a vector.
        width: channels of the blocks.
        depth: residual blocks, twice as many.
        causal: let a vector depend on no sample behind its place: vector t on those before (t + 1)·hop.

    Shapes: x (B, T, C) and mask like x or None, to (B, `places`, dim).
    """

    def __init__(self, spec: DataSpec, dim: int, width: int, depth: int, *, causal: bool = False) -> None:
        super().__init__()
        steps, channels = spec.shape
        self.hop = hop_of(spec.rate)
        self.places = -(-steps // self.hop)
        before = _before(self.hop, causal)
        self.around = (before, self.places * self.hop + self.hop - before - steps)
        seen = channels * self.hop
        self.filters = nn.Conv1d(channels, seen, 2 * self.hop, stride=self.hop, groups=channels, bias=False)
        with torch.no_grad():
            self.filters.weight.copy_(cosines(self.hop)[:, None].repeat(channels, 1, 1))
        self.near = (2, 0) if causal else (1, 1)
        self.inward = nn.Conv1d(seen, width, 3)
        self.blocks = nn.Sequential(*_blocks(width, depth, causal))
        self.outward = nn.Conv1d(width, dim, 1)
        self.straight = nn.Conv1d(seen, dim, 1, bias=False)

    def present(self, mask: Tensor) -> Tensor:
        """Which places begin before the end of each sound, (B, `places`), from its mask (B, T, C)."""
        ends = mask.any(2).to(torch.int64).mul(torch.arange(1, mask.shape[1] + 1, device=mask.device)).amax(1)
        return torch.arange(self.places, device=mask.device) * self.hop < ends[:, None]

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        heard = x if mask is None else x.where(mask, 0.0)
        h = self.filters(F.pad(heard.transpose(1, 2), self.around))
        bent = self.outward(F.silu(self.blocks(self.inward(F.pad(h, self.near)))))
        return (bent + self.straight(h)).transpose(1, 2)


class WaveformDecoder(nn.Module):
    """Vectors along time to the distribution of a waveform, a product over its samples: the encoder's way back.

    Args:
        spec, dim, width, depth: as of `WaveformEncoder`.
        causal: let samples before t·hop depend on no vector behind place t.

    Shapes: (B, `places`, dim) to a distribution over (B, T, C).
    """

    def __init__(self, spec: DataSpec, dim: int, width: int, depth: int, *, causal: bool = False) -> None:
        super().__init__()
        self.head: Head = for_likelihood(spec.step)
        self.steps, hop = spec.shape[0], hop_of(spec.rate)
        channels = self.head.raw[0]
        self.before = _before(hop, causal)
        self.near = (2, 0) if causal else (1, 1)
        self.inward = nn.Conv1d(dim, width, 3)
        self.blocks = nn.Sequential(*_blocks(width, depth, causal))
        self.outward = nn.Conv1d(width, channels * hop, 1)
        self.straight = nn.Conv1d(dim, channels * hop, 1, bias=False)
        self.filters = nn.ConvTranspose1d(channels * hop, channels, 2 * hop, stride=hop, groups=channels, bias=False)
        with torch.no_grad():
            self.filters.weight.copy_(cosines(hop)[:, None].repeat(channels, 1, 1))

    def forward(self, z: Tensor) -> Distribution:
        h = z.transpose(1, 2)
        seen = self.outward(F.silu(self.blocks(self.inward(F.pad(h, self.near))))) + self.straight(h)
        raw = full(self.filters(seen)[:, :, self.before : self.before + self.steps])
        return Steps(self.head(raw.transpose(1, 2).flatten(0, 1)), self.steps)


class Ending(Distribution):
    """A distribution over waveforms (B, T, C) that end after `lengths` samples, (B,): draws are NaN behind that."""

    def __init__(self, p: Distribution, lengths: Tensor) -> None:
        self._p, self._lengths = p, lengths

    def log_prob(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        return self._p.log_prob(x, mask)

    def sample(self) -> Tensor:
        return self._ended(self._p.sample())

    def mode(self) -> Tensor:
        return self._ended(self._p.mode())

    def _ended(self, x: Tensor) -> Tensor:
        beyond = torch.arange(x.shape[1], device=x.device) >= self._lengths[:, None]
        return x.masked_fill(beyond[..., None], torch.nan)
