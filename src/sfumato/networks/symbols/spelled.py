"""A distribution over sequences of symbols, each given those before it.

A symbol is an index 0 … K − 1. Where `DataSpec.ends`, index K − 1 is the end: it stands at the end of a sequence and in
all places behind it, where it is certain and costs nothing.
"""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sfumato.distributions import Distribution, noise
from sfumato.distributions.base import sum_event
from sfumato.distributions.discrete import draw, nucleus
from sfumato.networks.features import GivenFeatures
from sfumato.spec import DataSpec

Read = Callable[[Tensor, Any], tuple[Tensor, Any]]
"""Symbols (B, n) and what was remembered before them to the logits (B, n, K) of those that follow each."""


def after_end(symbols: Tensor, end: int) -> Tensor:
    """Which places lie behind the first end of each row; shape of `symbols`, (B, T).

    >>> after_end(torch.tensor([[0, 2, 2], [1, 1, 2]]), 2)
    tensor([[False, False,  True],
            [False, False, False]])
    """
    ended = symbols == end
    return ended.cumsum(1) - ended.long() > 0


def known(x: Tensor, mask: Tensor | None, absent: int) -> Tensor:
    """(B, T, 1) as whole numbers (B, T), `absent` where the mask is False."""
    symbols = x.squeeze(2).long()
    return symbols if mask is None else symbols.masked_fill(~mask.squeeze(2), absent)


class Spelled(Distribution):
    """p(x) = Π_t p(x_t | x_<t) over sequences of T symbols, (B, T, 1).

    Missing symbols add nothing, and those after them are given that they are missing. Of a sequence that is shorter
    than T, `log_prob` is the probability of beginning so.

    Args:
        read: symbols so far and a state to the logits of what follows, and the state after them.
        state: before the first symbol.
        like: a tensor with B rows, whose device and type draws have.
        length: T.
        size: number of symbols K; as inputs of `read`, K means missing and K + 1 the start.
        end: the symbol that ends a sequence, or None.
        dropout: probability of hiding a symbol from those that follow it.
    """

    def __init__(
        self, read: Read, state: Any, like: Tensor, length: int, size: int, end: int | None = None, dropout: float = 0.0
    ) -> None:
        self._read, self._state, self._like = read, state, like
        self.length, self.size, self.end, self.dropout = length, size, end, dropout
        self.temperature, self.top_p = 1.0, 1.0

    def log_prob(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        symbols = known(x, mask, self.size)
        before = torch.cat([self._start(), symbols[:, :-1]], 1)
        if self.dropout:
            hidden = noise.uniform(self._like, *before.shape) < self.dropout
            hidden[:, 0] = False
            before = before.masked_fill(hidden, self.size)
        logits, _ = self._read(before, self._state)
        losses = F.cross_entropy(logits.transpose(1, 2), symbols, reduction="none", ignore_index=self.size)
        if self.end is not None:
            losses = losses.masked_fill(after_end(symbols, self.end), 0.0)
        return -sum_event(losses)

    @property
    def rows(self) -> int:
        """Number of examples B."""
        return len(self._like)

    def sample(self) -> Tensor:
        return self._spell(self._draw) if self.temperature else self.mode()

    def tempered(self, temperature: float, top_p: float = 1.0) -> Spelled:
        other = copy.copy(self)
        other.temperature, other.top_p = temperature, top_p
        return other

    def _draw(self, logits: Tensor) -> Tensor:
        logits = logits / self.temperature
        return draw(logits if self.top_p == 1 else nucleus(logits, self.top_p))

    def one_by_one(self) -> Generator[Tensor, Tensor, None]:
        """Symbol by symbol: yields the logits (B, K) of each, and is sent the symbols (B,) that those after it see."""
        symbol, state = self._start(), self._state
        for _ in range(self.length):
            logits, state = self._read(symbol, state)
            symbol = (yield logits[:, 0])[:, None]

    def mode(self) -> Tensor:
        """The most likely symbol at each place, given those taken before it."""
        return self._spell(lambda logits: logits.argmax(-1))

    def _spell(self, choose: Callable[[Tensor], Tensor]) -> Tensor:
        places, ended = self.one_by_one(), None
        symbols: list[Tensor] = []
        logits = next(places)
        for place in range(self.length):
            symbol = choose(logits)
            if self.end is not None:
                symbol = symbol if ended is None else symbol.masked_fill(ended, self.end)
                ended = symbol == self.end
            symbols.append(symbol)
            if place + 1 < self.length:
                logits = places.send(symbol)
        return torch.stack(symbols, 1)[:, :, None].to(self._like.dtype)

    def _start(self) -> Tensor:
        return torch.full((self.rows, 1), self.size + 1, device=self._like.device)


class SymbolDecoder(nn.Module, ABC):
    """p(x | z, c) = Π_t p(x_t | x_<t, z, c) over sequences of symbols.

    Args:
        spec: of the sequences.
        width: numbers that stand for a symbol.
        given: features of the conditions, or None.
        dropout: in training, probability of hiding a symbol from those that follow it (Bowman et al. 2016, Generating
            sentences from a continuous space, section 3.1).

    Shapes: z (B, L), given (B, G) or None; to `Spelled` over (B, T, 1).
    """

    def __init__(self, spec: DataSpec, width: int, given: GivenFeatures | None, dropout: float) -> None:
        super().__init__()
        self.length, self.size, self.dropout = spec.shape[0], spec.fields[0].size, dropout
        self.end = self.size - 1 if spec.ends else None
        self.given = given
        # Rows of the embedding: K symbols, one that is missing, and the start.
        self.embedding = nn.Embedding(self.size + 2, width)

    def forward(self, z: Tensor, given: Tensor | None = None) -> Spelled:
        code = z if self.given is None else torch.cat([z, self.given(given, z)], 1)
        read, start, at_places = self.reader(code)
        dropout = self.dropout if self.training else 0.0
        return Spelled(read, start, at_places, self.length, self.size, self.end, dropout)

    @abstractmethod
    def reader(self, code: Tensor) -> tuple[Read, Any, Tensor]:
        """How symbols are read under codes (B, L + features): `Spelled`'s `read`, `state` and `like`."""
