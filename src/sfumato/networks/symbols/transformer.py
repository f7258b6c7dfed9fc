"""Transformers that read sequences of symbols, and spell them."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from sfumato.networks.attention import AttentionBlock, Past
from sfumato.networks.features import GivenFeatures
from sfumato.networks.gaussian import full
from sfumato.networks.symbols.places import CodeAtPlaces, PlacesToVector
from sfumato.networks.symbols.spelled import Read, SymbolDecoder
from sfumato.spec import DataSpec

START = 0.1
"""Standard deviation of embeddings and places at the start."""

PlaceAndPast = tuple[int, tuple[Past | None, ...]]
"""How many symbols were read, and the keys and values of each block at them."""


class TransformerBody(nn.Module):
    """Blocks in which each place sees all others, then `PlacesToVector`.

    Shapes: (B, T, width) to (B, `outputs`).
    """

    def __init__(self, length: int, width: int, depth: int) -> None:
        super().__init__()
        self.place = nn.Parameter(START * torch.randn(length, width))
        self.blocks = nn.ModuleList(AttentionBlock(width, causal=False) for _ in range(depth))
        self.norm = nn.LayerNorm(width)
        self.places = PlacesToVector(width, length)
        self.outputs = self.places.outputs

    def forward(self, x: Tensor) -> Tensor:
        h = x + self.place
        for block in self.blocks:
            h, _ = block(h)
        return self.places(self.norm(h))


class TransformerDecoder(SymbolDecoder):
    """p(x | z, c) = Π_t p(x_t | x_<t, z, c): a causal transformer that sees A_t (z, c) at place t.

    Spelling keeps the keys and values of the symbols so far, so that each symbol is read once.

    Args:
        spec: of the sequences.
        latent_dim: number of latents L.
        width: numbers at each place, a multiple of 4.
        depth: blocks.
        given, dropout: as of `SymbolDecoder`.
    """

    def __init__(
        self,
        spec: DataSpec,
        latent_dim: int,
        width: int,
        depth: int,
        given: GivenFeatures | None = None,
        dropout: float = 0.0,
    ) -> None:
        super().__init__(spec, width, given, dropout)
        nn.init.normal_(self.embedding.weight, std=START)
        self.place = nn.Parameter(START * torch.randn(self.length, width))
        self.places = CodeAtPlaces(latent_dim + (given.outputs if given else 0), self.length)
        self.take = nn.Linear(self.places.outputs, width)
        self.blocks = nn.ModuleList(AttentionBlock(width) for _ in range(depth))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, self.size)

    def reader(self, code: Tensor) -> tuple[Read, PlaceAndPast, Tensor]:
        at_places = self.take(self.places(code)) + self.place

        def read(symbols: Tensor, state: PlaceAndPast) -> tuple[Tensor, PlaceAndPast]:
            place, pasts = state
            after = place + symbols.shape[1]
            h = self.embedding(symbols) + at_places[:, place:after]
            seen = []
            for block, past in zip(self.blocks, pasts, strict=True):
                h, keys_and_values = block(h, past)
                seen.append(keys_and_values)
            return full(self.head(self.norm(h))), (after, tuple(seen))

        return read, (0, (None,) * len(self.blocks)), full(at_places)
