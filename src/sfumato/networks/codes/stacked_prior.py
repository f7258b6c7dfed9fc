"""A distribution over stacks of codes, several at each place along time: a causal transformer, then level by level."""

from __future__ import annotations

from collections.abc import Generator
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sfumato.distributions.discrete import draw
from sfumato.networks.attention import AttentionBlock, Past
from sfumato.networks.codes.code_prior import CodeListPrior, uniform_heads
from sfumato.networks.features import GivenFeatures
from sfumato.networks.gaussian import full


class NextCode(NamedTuple):
    """What is known before a code is.

    Attributes:
        logits: of its values, (n, K), or (n, K + 1) where the list may end.
        going: which of the lists have not ended, (n,).
    """

    logits: Tensor
    going: Tensor


class StackedPrior(CodeListPrior):
    """p(k | c) = Π_t Π_l p(k_tl | k_<t, k_t,<l, c) for P places with L codes each, that refine one another.

    A causal transformer goes over the places, of which each is the sum of what its codes mean; at a place a small
    network goes from level to level, with what the levels before have said (after Lee et al. 2022, Autoregressive image
    generation using residual quantization). So it looks back over P places, not over the P·L codes of one long list: at
    200 places of 8 levels that is a sixtieth of the pairs.

    Where lists may end early (`ends`), the first level has one more value, K: the end. All codes behind it are K too,
    and cost nothing.

    Args:
        places: P.
        levels: L.
        size: values K of each code.
        dim: D, numbers in the vector of a code.
        given: features of the conditions, or None.
        ends: whether lists may end before P places.
        width: numbers at each place.
        depth: blocks.
        dropout: probability of leaving out a number of what a block adds, in training.
    """

    vectors: Tensor

    def __init__(
        self,
        places: int,
        levels: int,
        size: int,
        dim: int,
        given: GivenFeatures | None,
        *,
        ends: bool = False,
        width: int = 64,
        depth: int = 2,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        self.places, self.levels, self.size, self.length, self.ends = places, levels, size, places * levels, ends
        self.row = places
        self.given = given
        self.first = nn.Parameter(0.02 * torch.randn(width)) if given is None else nn.Linear(given.outputs, width)
        self.entry = nn.Embedding(levels * (size + 1), width)
        self.place = nn.Parameter(0.02 * torch.randn(places, width))
        self.level = nn.Parameter(0.02 * torch.randn(levels, width))
        self.register_buffer("vectors", torch.zeros(levels, size, dim))
        self.look = nn.Linear(2 * dim, width)
        self.blocks = nn.ModuleList(AttentionBlock(width, dropout) for _ in range(depth))
        self.norm = nn.LayerNorm(width)
        self.mlp = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU())
        self.heads = uniform_heads(2 * width, [size + (ends and not level) for level in range(levels)])
        nn.init.normal_(self.entry.weight, std=0.02)

    @torch.no_grad()
    def follow(self, vectors: Tensor) -> None:
        """Keep what the codes mean, vectors (levels, K, D), brought to a mean square of 1 of their sums."""
        self.vectors.copy_(vectors * vectors.square().mean((1, 2)).sum().clamp_min(1e-12).rsqrt())

    def log_prob(self, codes: Tensor, given: Tensor | None = None) -> Tensor:
        """log p(k | c) in nats, shape (B,), of codes (B, L·P): all of the first level, then all of the second, …."""
        stacks = codes.unflatten(1, (self.levels, self.places)).transpose(1, 2)
        entries, meant = self._entries(stacks), self._meant(stacks)
        start = self._start(len(codes), given)
        x = torch.cat([start, entries.sum(2)[:, :-1]], 1) + self.place + self.look(_last_two(meant.sum(2)))
        for block in self.blocks:
            x, _ = block(x)
        said = entries.cumsum(2) - entries
        h = self.mlp(self.norm(x[:, :, None] + said + self.level))
        total = full(x.new_zeros(len(x)))
        over = stacks[:, :, 0] == self.size
        behind = F.pad(over, (1, 0))[:, :-1]
        for level, head in enumerate(self.heads):
            logits = full(head(h[:, :, level]))
            costs = F.cross_entropy(
                logits.transpose(1, 2), stacks[:, :, level].clamp_max(logits.shape[2] - 1), reduction="none"
            )
            total = total - costs.masked_fill(over if level else behind, 0.0).sum(1)
        return total

    def sample(self, n: int, given: Tensor | None = None, *, temperature: float = 1.0) -> Tensor:
        """Draw n lists of codes, (n, L·P).

        Logits are divided by the temperature, and 0 takes the most likely code each time.
        """
        walk = self.walk(n, given)
        step = next(walk)
        while True:
            code = draw(step.logits / temperature) if temperature else step.logits.argmax(1)
            try:
                step = walk.send(code)
            except StopIteration as end:
                codes: Tensor = end.value
                return codes

    def walk(self, n: int, given: Tensor | None = None) -> Generator[NextCode, Tensor, Tensor]:
        """The logits of one code after the other of n lists, place by place; each code is sent before the next.

        Yields:
            The logits, and which of the lists have not ended; what is sent for one that has ended counts for nothing.

        Returns:
            The codes, (n, L·P).
        """
        past: list[Past | None] = [None] * len(self.blocks)
        stacks = torch.full((n, self.places, self.levels), self.size, device=self.place.device)
        x, meant = self._start(n, given)[:, 0], self.vectors.new_zeros(n, 2, self.vectors.shape[2])
        going = torch.ones(n, dtype=torch.bool, device=self.place.device)
        for at in range(self.places):
            h = (x + self.place[at] + self.look(meant.flatten(1)))[:, None]
            for number, block in enumerate(self.blocks):
                h, past[number] = block(h, past[number])
            said = torch.zeros_like(x)
            for level, head in enumerate(self.heads):
                logits = full(head(self.mlp(self.norm(h[:, 0] + said + self.level[level]))))
                code = yield NextCode(logits, going)
                stacks[:, at, level] = torch.where(going, code, self.size)
                going = going & (stacks[:, at, level] < self.size)
                said = said + self.entry(stacks[:, at, level] + level * (self.size + 1))
                if not bool(going.any()):
                    return stacks.transpose(1, 2).flatten(1)
            x, meant = said, torch.cat([self._meant(stacks[:, at : at + 1]).sum(2), meant[:, :1]], 1)
        return stacks.transpose(1, 2).flatten(1)

    def _entries(self, stacks: Tensor) -> Tensor:
        """What codes (B, P, L) add to their place, (B, P, L, width)."""
        return self.entry(stacks + (self.size + 1) * torch.arange(self.levels, device=stacks.device))

    def _meant(self, stacks: Tensor) -> Tensor:
        """The vectors of codes (B, P, L), (B, P, L, D); 0 behind an end."""
        level = torch.arange(self.levels, device=stacks.device)
        vectors = self.vectors[level, stacks.clamp_max(self.size - 1)]
        return vectors.masked_fill((stacks == self.size)[..., None], 0.0)


def _last_two(meant: Tensor) -> Tensor:
    """At each place (B, P, D) the vectors of the two places before it, (B, P, 2·D), the nearer one first."""
    return torch.cat([F.pad(meant, (0, 0, back, 0))[:, : meant.shape[1]] for back in (1, 2)], 2)
