"""Sequences of symbols: an encoder that reads them, and a decoder that spells them, each symbol given those before.

A symbol is an index 0 … K − 1. Where `DataSpec.ends`, index K − 1 is the end: it stands at the end of a sequence and in
all places behind it, where it is certain and costs nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Generator

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sfumato.distributions import Distribution, noise
from sfumato.distributions.base import sum_event
from sfumato.distributions.discrete import draw
from sfumato.networks.features import GivenFeatures
from sfumato.networks.gaussian import full
from sfumato.spec import DataSpec

SYMBOL_EMBEDDING = 32

LSTMState = tuple[Tensor, Tensor]
"""What an LSTM remembers: h and c, each (layers, B, width)."""

Read = Callable[[Tensor, LSTMState], tuple[Tensor, LSTMState]]
"""Symbols (B, n) and what was remembered before them to the logits (B, n, K) of those that follow each."""


def after_end(symbols: Tensor, end: int) -> Tensor:
    """Which places lie behind the first end of each row; shape of `symbols`, (B, T).

    >>> after_end(torch.tensor([[0, 2, 2], [1, 1, 2]]), 2)
    tensor([[False, False,  True],
            [False, False, False]])
    """
    ended = symbols == end
    return ended.cumsum(1) - ended.long() > 0


class SymbolFeatures(nn.Module):
    """Each symbol through an embedding; what stands behind the end goes to the front, as zeros.

    So every sequence has its last symbol at the last place, where a network that reads from left to right ends. A
    missing symbol takes an embedding row that means *missing*.

    Shapes: x (B, T, 1), mask like x or None; to (B, T, `outputs`).
    """

    def __init__(self, spec: DataSpec) -> None:
        super().__init__()
        self.absent = spec.fields[0].size
        self.end = self.absent - 1 if spec.ends else None
        self.outputs = SYMBOL_EMBEDDING
        self.embedding = nn.Embedding(self.absent + 1, SYMBOL_EMBEDDING)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        symbols = known(x, mask, self.absent)
        if self.end is None:
            return self.embedding(symbols)
        behind = after_end(symbols, self.end).sum(1, keepdim=True)
        place = torch.arange(symbols.shape[1], device=symbols.device) - behind
        moved = self.embedding(symbols.gather(1, place.clamp_min(0)))
        return moved * (place >= 0).unsqueeze(2)


class LastState(nn.Module):
    """An LSTM from left to right, and what it remembers at the end.

    Shapes: (B, T, inputs) to (B, width).
    """

    def __init__(self, inputs: int, width: int, depth: int) -> None:
        super().__init__()
        self.outputs = width
        self.recurrent = nn.LSTM(inputs, width, depth, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        return steps(self.recurrent, x)[0][:, -1]


class Spelled(Distribution):
    """p(x) = Π_t p(x_t | x_<t) over sequences of T symbols, (B, T, 1).

    Missing symbols add nothing, and those after them are given that they are missing. Of a sequence that is shorter
    than T, `log_prob` is the probability of beginning so.

    Args:
        read: symbols so far and a state to the logits of what follows, and the state after them.
        state: before the first symbol.
        length: T.
        size: number of symbols K; as inputs of `read`, K means missing and K + 1 the start.
        end: the symbol that ends a sequence, or None.
        dropout: probability of hiding a symbol from those that follow it.
    """

    def __init__(
        self, read: Read, state: LSTMState, length: int, size: int, end: int | None = None, dropout: float = 0.0
    ) -> None:
        self._read, self._state = read, state
        self.length, self.size, self.end, self.dropout = length, size, end, dropout

    def log_prob(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        symbols = known(x, mask, self.size)
        before = torch.cat([self._start(), symbols[:, :-1]], 1)
        if self.dropout:
            hidden = noise.uniform(self._state[0][0], *before.shape) < self.dropout
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
        return self._state[0].shape[1]

    def sample(self) -> Tensor:
        return self._spell(draw)

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
        return torch.stack(symbols, 1)[:, :, None].to(self._state[0].dtype)

    def _start(self) -> Tensor:
        hidden = self._state[0]
        return torch.full((hidden.shape[1], 1), self.size + 1, device=hidden.device)


class RecurrentDecoder(nn.Module):
    """p(x | z, c) = Π_t p(x_t | x_<t, z, c): an LSTM that starts from z and c and sees them again at every place.

    Args:
        spec: of the sequences.
        latent_dim: number of latents L.
        width: of the LSTM.
        depth: its layers.
        given: features of the conditions, or None.
        dropout: in training, probability of hiding a symbol from those that follow it (Bowman et al. 2016, Generating
            sentences from a continuous space, section 3.1).

    Shapes: z (B, L), given (B, G) or None; to `Spelled` over (B, T, 1).
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
        super().__init__()
        self.length, self.size, self.depth, self.dropout = spec.shape[0], spec.fields[0].size, depth, dropout
        self.end = self.size - 1 if spec.ends else None
        self.given = given
        inputs = latent_dim + (given.outputs if given else 0)
        self.embedding = nn.Embedding(self.size + 2, SYMBOL_EMBEDDING)
        self.first = nn.Linear(inputs, depth * width)
        self.recurrent = nn.LSTM(SYMBOL_EMBEDDING + inputs, width, depth, batch_first=True)
        self.head = nn.Linear(width, self.size)

    def forward(self, z: Tensor, given: Tensor | None = None) -> Spelled:
        code = z if self.given is None else torch.cat([z, self.given(given, z)], 1)
        hidden = torch.tanh(full(self.first(code))).view(len(code), self.depth, -1).transpose(0, 1).contiguous()

        def read(symbols: Tensor, state: LSTMState) -> tuple[Tensor, LSTMState]:
            repeated = code.unsqueeze(1).expand(-1, symbols.shape[1], -1)
            h, after = steps(self.recurrent, torch.cat([self.embedding(symbols), repeated], 2), state)
            return full(self.head(h)), after

        dropout = self.dropout if self.training else 0.0
        return Spelled(read, (hidden, torch.zeros_like(hidden)), self.length, self.size, self.end, dropout)


def steps(recurrent: nn.LSTM, x: Tensor, state: LSTMState | None = None) -> tuple[Tensor, LSTMState]:
    """An LSTM in at least single precision: there are processors that have none in bfloat16, under mixed precision.

    Shapes: (B, T, inputs) to (B, T, width) and the state after the last step.
    """
    with torch.autocast(x.device.type, enabled=False):
        output: tuple[Tensor, LSTMState] = recurrent(full(x), state)
    return output


def known(x: Tensor, mask: Tensor | None, absent: int) -> Tensor:
    """(B, T, 1) as whole numbers (B, T), `absent` where the mask is False."""
    symbols = x.squeeze(2).long()
    return symbols if mask is None else symbols.masked_fill(~mask.squeeze(2), absent)
