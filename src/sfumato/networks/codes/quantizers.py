"""From vectors to codes and back: a codebook that follows the vectors, and a fixed grid (VQ-VAE, FSQ)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import NamedTuple

import torch
import torch.distributed
from torch import Tensor, nn
from torch.nn import functional as F

from sfumato.distributions import noise
from sfumato.networks.gaussian import full
from sfumato.objectives.joint import joint

LAPLACE = 1e-5
KMEANS_ROUNDS = 10
DEAD = 0.05
"""An entry is dead once its running count is below this part of the mean count."""


class Quantized(NamedTuple):
    """What a quantizer makes of vectors z.

    Attributes:
        codes: whole numbers, (B, P, levels).
        values: the vectors meant by the codes, (B, P, D); their gradient is passed to z (straight-through).
        commitment: Σ ‖z − sg[e]‖² over places and levels, (B,); None where nothing draws z towards its code.
    """

    codes: Tensor
    values: Tensor
    commitment: Tensor | None


class Quantizer(nn.Module, ABC):
    """Vectors of shape (B, P, D) to codes and back.

    Attributes:
        levels: numbers in the code of one vector.
        size: how many values each of them can take.
    """

    levels: int
    size: int

    @abstractmethod
    def forward(self, z: Tensor, present: Tensor | None = None) -> Quantized:
        """Codes of z, shape (B, P, D); in training mode the quantizer may learn from z.

        Where `present`, (B, P), is False there is nothing: no commitment is counted and nothing is learned from it.
        Places that are present come before all that are not, and there is at least one.
        """

    @abstractmethod
    def look_up(self, codes: Tensor) -> Tensor:
        """The vectors meant by codes of shape (B, P, levels)."""

    @property
    @abstractmethod
    def vectors(self) -> Tensor:
        """Vectors of the codes, shape (levels, K, numbers): similar codes are close."""


class Codebook(Quantizer):
    """Codebooks that follow the means of the vectors closest to their entries (van den Oord et al. 2017, appendix A).

        k = argmin_i ‖z − e_i‖²
        N_i ← γ N_i + (1 − γ) n_i        m_i ← γ m_i + (1 − γ) Σ_{z: k = i} z        e_i = m_i / Ñ_i
        Ñ_i = (N_i + ε) / (Σ_j N_j + K ε) · Σ_j N_j,   ε = 1e-5

    n_i counts the vectors of the batch whose entry is i. With several levels, each quantises what the ones before it
    left over (residual quantization; Zeghidour et al. 2021), and the vector is the sum of its entries.

    Only training mode updates, after the vectors were quantised, with counts and sums of the joint batch. The first
    batch starts the entries, N and m by k-means. An entry whose N falls below a twentieth of the mean is moved to a
    random vector of the batch, with the mean count.

    Args:
        dim: D.
        size: entries K of each codebook.
        levels: number of codebooks.
        decay: γ.
    """

    entries: Tensor
    counts: Tensor
    sums: Tensor
    ready: Tensor

    def __init__(self, dim: int, size: int, levels: int = 1, *, decay: float = 0.99) -> None:
        super().__init__()
        self.levels, self.size, self.decay = levels, size, decay
        self.register_buffer("entries", torch.randn(levels, size, dim))
        self.register_buffer("counts", torch.ones(levels, size))
        self.register_buffer("sums", self.entries.clone())
        self.register_buffer("ready", torch.zeros(()))
        # Known on the host once it is so, as asking the device at each step would stall it.
        self._ready = False

    def forward(self, z: Tensor, present: Tensor | None = None) -> Quantized:
        with torch.autocast(z.device.type, enabled=False):
            return self._quantised(full(z) if present is None else repeated(full(z), present), present)

    def look_up(self, codes: Tensor) -> Tensor:
        return torch.stack([self.entries[level][codes[..., level]] for level in range(self.levels)]).sum(0)

    @property
    def vectors(self) -> Tensor:
        """The entries."""
        return self.entries

    def _quantised(self, z: Tensor, present: Tensor | None) -> Quantized:
        self._ready = self._ready or bool(self.ready)
        start = self.training and not self._ready
        rest, total = z, torch.zeros_like(z)
        codes, commitment = [], z.new_zeros(len(z))
        for level in range(self.levels):
            detached = rest.detach()
            if start:
                self._start(level, detached)
            code = nearest(detached, self.entries[level])
            value = self.entries[level][code]
            away = (rest - value).square()
            commitment = commitment + (away if present is None else away * present[..., None]).flatten(1).sum(1)
            if self.training:
                self._follow(level, detached, code, present)
            codes.append(code)
            rest, total = rest - value, total + value
        if start:
            self.ready.fill_(1.0)
        return Quantized(torch.stack(codes, -1), z + (total - z).detach(), commitment)

    @torch.no_grad()
    def _start(self, level: int, z: Tensor) -> None:
        """k-means of the joint batch, which also seeds N and m."""
        points = joint(z).flatten(0, 1)
        order = noise.shared_uniform(points, len(points)).argsort()
        centres = points[order[torch.arange(self.size, device=z.device) % len(points)]]
        for _ in range(KMEANS_ROUNDS):
            n, sums = tally(points, nearest(points, centres), self.size)
            centres = torch.where(n[:, None] > 0, sums / n[:, None].clamp_min(1.0), centres)
        n, sums = tally(points, nearest(points, centres), self.size)
        used = n > 0
        self.entries[level] = centres
        self.counts[level] = torch.where(used, n, 1.0)
        self.sums[level] = torch.where(used[:, None], sums, centres)

    @torch.no_grad()
    def _follow(self, level: int, z: Tensor, code: Tensor, present: Tensor | None) -> None:
        first, total = noise.place(len(z))
        points = z.flatten(0, 1)
        weights = None if present is None else present.flatten().to(points)
        n, sums = tally(points, code.flatten(), self.size, weights)
        candidates = _candidates(points, first * z.shape[1], total * z.shape[1], self.size)
        if total != len(z):
            message = torch.cat([n[:, None], sums, candidates], 1)
            torch.distributed.all_reduce(message)
            n, sums, candidates = message[:, 0], *message[:, 1:].chunk(2, 1)
        counts = torch.lerp(n, self.counts[level], self.decay)
        sums = torch.lerp(sums, self.sums[level], self.decay)
        mean = counts.mean()
        dead = counts < DEAD * mean
        counts = torch.where(dead, mean, counts)
        sums = torch.where(dead[:, None], mean * candidates, sums)
        self.counts[level], self.sums[level] = counts, sums
        self.entries[level] = sums / smoothed(counts)[:, None]


class FiniteScalar(Quantizer):
    """Finite scalar quantization: d numbers, each rounded to one of L_i values (Mentzer et al. 2024).

        v = (tanh(u + s) · h − o),   h = (L − 1)(1 + 1e-3)/2,   o = ½ for even L and 0 for odd,   s = atanh(o / h)
        code = Σ_i (round(v_i) + ⌊L_i/2⌋) Π_{j<i} L_j

    with u a linear map of z to d numbers; the value is a linear map of round(v) / ⌊L/2⌋ back to D. Rounding hands its
    gradient through. There is no codebook to learn, and none that could be left unused.

    Args:
        dim: D.
        steps: L_1, …, L_d.
    """

    reach: Tensor
    offset: Tensor
    shift: Tensor
    middle: Tensor
    basis: Tensor
    steps: Tensor

    def __init__(self, dim: int, steps: tuple[int, ...]) -> None:
        super().__init__()
        self.levels, self.size, self.sizes = 1, int(torch.tensor(steps).prod()), steps
        sizes = torch.tensor(steps, dtype=torch.float32)
        half = (sizes - 1) * (1 + 1e-3) / 2
        offset = torch.where(sizes % 2 == 0, 0.5, 0.0)
        constants = {
            "reach": half,
            "offset": offset,
            "shift": torch.atanh(offset / half),
            "middle": sizes // 2,
            "basis": torch.tensor([1, *steps[:-1]]).cumprod(0),
            "steps": torch.tensor(steps),
        }
        for name, value in constants.items():
            self.register_buffer(name, value, persistent=False)
        self.inward = nn.Linear(dim, len(steps))
        self.outward = nn.Linear(len(steps), dim)

    def forward(self, z: Tensor, present: Tensor | None = None) -> Quantized:
        u = full(self.inward(z))
        bounded = torch.tanh(u + self.shift) * self.reach - self.offset
        rounded = bounded + (bounded.round() - bounded).detach()
        codes = ((rounded.detach() + self.middle).round().long() * self.basis).sum(-1, keepdim=True)
        return Quantized(codes, full(self.outward(rounded / self.middle)), None)

    def look_up(self, codes: Tensor) -> Tensor:
        digits = codes // self.basis % self.steps
        return full(self.outward((digits - self.middle) / self.middle))

    @property
    def vectors(self) -> Tensor:
        """For each of the d numbers, 1 at its value and 0 elsewhere."""
        codes = torch.arange(self.size, device=self.basis.device)[:, None]
        digits = (codes // self.basis % self.steps).unbind(1)
        one_hot = [F.one_hot(digit, size) for digit, size in zip(digits, self.sizes, strict=True)]
        return torch.cat(one_hot, 1)[None].to(self.reach.dtype)


FSQ_STEPS = (
    (4, 4), (8, 8), (8, 6, 5), (8, 5, 5, 5), (7, 5, 5, 5, 5), (8, 8, 8, 6, 5), (8, 8, 8, 5, 5, 5),
)  # fmt: skip


def steps_for(size: int) -> tuple[int, ...]:
    """The steps of `FiniteScalar` whose number of codes is nearest to `size`; from 2⁸ on, those of the paper.

    >>> steps_for(256), steps_for(1000)
    ((8, 6, 5), (8, 5, 5, 5))
    """
    logarithm = torch.tensor(float(size)).log()
    return min(FSQ_STEPS, key=lambda steps: float((torch.tensor(steps).prod().log() - logarithm).abs()))


def nearest(points: Tensor, entries: Tensor) -> Tensor:
    """Index of the entry (K, D) nearest to each point (…, D)."""
    return (entries.square().sum(1) - 2 * points @ entries.T).argmin(-1)


def tally(points: Tensor, code: Tensor, size: int, weights: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """How many of the points (M, D) have each code, (K,), and their sum, (K, D); each counted by its weight."""
    weights = points.new_ones(len(code)) if weights is None else weights
    n = points.new_zeros(size).index_add_(0, code, weights)
    return n, points.new_zeros(size, points.shape[1]).index_add_(0, code, points * weights[:, None])


def repeated(z: Tensor, present: Tensor) -> Tensor:
    """z (B, P, D) with those that are present over and over in the places of those that are not.

    So k-means and the vectors that dead entries are moved to are of what is there.

    >>> z = torch.arange(4.0).view(1, 4, 1)
    >>> repeated(z, torch.tensor([[True, True, True, False]])).flatten().tolist()
    [0.0, 1.0, 2.0, 0.0]
    """
    place = torch.arange(z.shape[1], device=z.device) % present.sum(1, keepdim=True).clamp_min(1)
    return z.gather(1, place[..., None].expand_as(z))


def smoothed(counts: Tensor) -> Tensor:
    """Ñ: counts with Laplace smoothing, of the same sum."""
    total = counts.sum()
    return (counts + LAPLACE) / (total + len(counts) * LAPLACE) * total


def _candidates(points: Tensor, first: int, total: int, size: int) -> Tensor:
    """One random point of the joint batch for each entry; zero where another process holds it."""
    index = (noise.shared_uniform(points, size) * total).long() - first
    here = (index >= 0) & (index < len(points))
    return torch.where(here[:, None], points[index.clamp(0, len(points) - 1)], 0.0)


@torch.no_grad()
def perplexity_and_usage(codes: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """Of the codes (B, P, levels) of the joint batch: exp(entropy), and the share of entries taken; each (B,).

    Codes of `size` or more, which mark an end, are not counted.

    >>> [value.tolist() for value in perplexity_and_usage(torch.tensor([[[0], [1]]]), 4)]
    [[2.0], [0.5]]
    """
    levels = codes.shape[2]
    index = (codes.clamp_max(size - 1) + size * torch.arange(levels, device=codes.device)).flatten()
    ones = (codes < size).flatten().float()
    n = torch.zeros(levels * size, device=codes.device).index_add_(0, index, ones)
    if noise.place(len(codes))[1] != len(codes):
        torch.distributed.all_reduce(n)
    n = n.view(levels, size)
    share = n / n.sum(1, keepdim=True)
    perplexity = torch.special.entr(share).sum(1).exp().mean()
    return perplexity.expand(len(codes)), (n > 0).float().mean().expand(len(codes))
