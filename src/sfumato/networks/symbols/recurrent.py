"""A decoder that spells sequences of symbols with an LSTM."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from sfumato.networks.features import GivenFeatures
from sfumato.networks.gaussian import full
from sfumato.networks.symbols.places import SYMBOL_EMBEDDING, CodeAtPlaces
from sfumato.networks.symbols.spelled import Spelled
from sfumato.spec import DataSpec

LSTMState = tuple[Tensor, Tensor]
"""What an LSTM remembers: h and c, each (layers, B, width)."""
PlaceAndState = tuple[int, LSTMState]
"""How many symbols were read, and what is remembered of them."""


class RecurrentDecoder(nn.Module):
    """p(x | z, c) = Π_t p(x_t | x_<t, z, c): an LSTM that starts from z and c and sees A_t (z, c) at place t.

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
        # Rows of the embedding: K symbols, one that is missing, and the start.
        self.embedding = nn.Embedding(self.size + 2, SYMBOL_EMBEDDING)
        self.places = CodeAtPlaces(inputs, self.length)
        self.first = nn.Linear(inputs, depth * width)
        self.recurrent = nn.LSTM(SYMBOL_EMBEDDING + self.places.outputs, width, depth, batch_first=True)
        self.head = nn.Linear(width + self.places.outputs, self.size)

    def forward(self, z: Tensor, given: Tensor | None = None) -> Spelled:
        code = z if self.given is None else torch.cat([z, self.given(given, z)], 1)
        hidden = torch.tanh(full(self.first(code))).view(len(code), self.depth, -1).transpose(0, 1).contiguous()
        at_places = full(self.places(code))

        def read(symbols: Tensor, state: PlaceAndState) -> tuple[Tensor, PlaceAndState]:
            place, remembered = state
            after = place + symbols.shape[1]
            here = at_places[:, place:after]
            h, remembered = steps(self.recurrent, torch.cat([self.embedding(symbols), here], 2), remembered)
            return full(self.head(torch.cat([h, here], 2))), (after, remembered)

        dropout = self.dropout if self.training else 0.0
        start = (0, (hidden, torch.zeros_like(hidden)))
        return Spelled(read, start, at_places, self.length, self.size, self.end, dropout)


def steps(recurrent: nn.LSTM, x: Tensor, state: LSTMState | None = None) -> tuple[Tensor, LSTMState]:
    """An LSTM in at least single precision: there are processors that have none in bfloat16, under mixed precision.

    Shapes: (B, T, inputs) to (B, T, width) and the state after the last step.
    """
    with torch.autocast(x.device.type, enabled=False):
        output: tuple[Tensor, LSTMState] = recurrent(full(x), state)
    return output
