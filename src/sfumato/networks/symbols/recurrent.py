"""A decoder that spells sequences of symbols with an LSTM."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from sfumato.networks.features import GivenFeatures
from sfumato.networks.gaussian import full
from sfumato.networks.symbols.places import SYMBOL_EMBEDDING, CodeAtPlaces
from sfumato.networks.symbols.spelled import Read, SymbolDecoder
from sfumato.spec import DataSpec

LSTMState = tuple[Tensor, Tensor]
"""What an LSTM remembers: h and c, each (layers, B, width)."""
PlaceAndState = tuple[int, LSTMState]
"""How many symbols were read, and what is remembered of them."""


class RecurrentDecoder(SymbolDecoder):
    """p(x | z, c) = Π_t p(x_t | x_<t, z, c): an LSTM that starts from z and c and sees A_t (z, c) at place t.

    Args:
        spec: of the sequences.
        latent_dim: number of latents L.
        width: of the LSTM.
        depth: its layers.
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
        super().__init__(spec, SYMBOL_EMBEDDING, given, dropout)
        self.depth = depth
        inputs = latent_dim + (given.outputs if given else 0)
        self.places = CodeAtPlaces(inputs, self.length)
        self.first = nn.Linear(inputs, depth * width)
        self.recurrent = nn.LSTM(SYMBOL_EMBEDDING + self.places.outputs, width, depth, batch_first=True)
        self.head = nn.Linear(width + self.places.outputs, self.size)

    def reader(self, code: Tensor) -> tuple[Read, PlaceAndState, Tensor]:
        hidden = torch.tanh(full(self.first(code))).view(len(code), self.depth, -1).transpose(0, 1).contiguous()
        at_places = full(self.places(code))

        def read(symbols: Tensor, state: PlaceAndState) -> tuple[Tensor, PlaceAndState]:
            place, remembered = state
            after = place + symbols.shape[1]
            here = at_places[:, place:after]
            h, remembered = steps(self.recurrent, torch.cat([self.embedding(symbols), here], 2), remembered)
            return full(self.head(torch.cat([h, here], 2))), (after, remembered)

        return read, (0, (hidden, torch.zeros_like(hidden))), at_places


def steps(recurrent: nn.LSTM, x: Tensor, state: LSTMState | None = None) -> tuple[Tensor, LSTMState]:
    """An LSTM in at least single precision: there are processors that have none in bfloat16, under mixed precision.

    Shapes: (B, T, inputs) to (B, T, width) and the state after the last step.
    """
    with torch.autocast(x.device.type, enabled=False):
        output: tuple[Tensor, LSTMState] = recurrent(full(x), state)
    return output
