"""A block of a transformer."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sfumato.distributions import noise

HEADS = 4

Past = tuple[Tensor, Tensor]
"""Keys and values of what came before, each (B, heads, T, width / heads)."""


class AttentionBlock(nn.Module):
    """x + attention(norm(x)), then x + mlp(norm(x)).

    Args:
        width: numbers at each place, a multiple of 4.
        dropout: probability of leaving out a number of what the block adds, in training.
        causal: whether each place sees itself and those before it alone; otherwise it sees all.
    """

    def __init__(self, width: int, dropout: float = 0.0, *, causal: bool = True) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.look = nn.Linear(width, 3 * width)
        self.take = nn.Linear(width, width)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))
        self.dropout, self.causal = dropout, causal

    def forward(self, x: Tensor, past: Past | None = None) -> tuple[Tensor, Past]:
        """(B, T, width) to the same; with `past`, T is 1 and the place comes after all of that."""
        q, k, v = self.look(self.norm1(x)).unflatten(2, (3, HEADS, -1)).permute(2, 0, 3, 1, 4)
        if past is not None:
            k, v = torch.cat([past[0], k], 2), torch.cat([past[1], v], 2)
        if q.shape[2] == 1:  # A single place, which sees all there is.
            seen = (q @ k.transpose(2, 3) / math.sqrt(q.shape[3])).softmax(3) @ v
        else:
            seen = F.scaled_dot_product_attention(q, k, v, is_causal=self.causal)
        x = x + self._dropped(self.take(seen.transpose(1, 2).flatten(2)))
        return x + self._dropped(self.mlp(self.norm2(x))), (k, v)

    def _dropped(self, x: Tensor) -> Tensor:
        if not (self.training and self.dropout):
            return x
        return x * (noise.uniform(x) >= self.dropout) / (1 - self.dropout)
