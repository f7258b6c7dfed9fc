"""Between a code and the places of a sequence: every place has its own layer, to the code and from it."""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn
from torch.nn import functional as F

from sfumato.networks.symbols.spelled import after_end, known
from sfumato.spec import DataSpec

SYMBOL_EMBEDDING = 32
PLACE_WIDTH = 16
"""Numbers that stand for a place on the way to the code, and that the code says to a place."""


class SymbolFeatures(nn.Module):
    """Each symbol through an embedding; zeros behind the end. A missing symbol has an embedding of its own.

    Args:
        spec: of the sequences.
        width: numbers in an embedding.

    Shapes: x (B, n, 1) with n up to T, mask like x or None; to (B, T, `outputs`), zeros from n on.
    """

    def __init__(self, spec: DataSpec, width: int = SYMBOL_EMBEDDING) -> None:
        super().__init__()
        self.length, self.absent = spec.shape[0], spec.fields[0].size
        self.end = self.absent - 1 if spec.ends else None
        self.outputs = width
        self.embedding = nn.Embedding(self.absent + 1, width)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        symbols = known(x, mask, self.absent)
        h = self.embedding(symbols)
        if self.end is not None:
            h = h * ~after_end(symbols, self.end).unsqueeze(2)
        return F.pad(h, (0, 0, 0, self.length - h.shape[1]))


class PlacesToVector(nn.Module):
    """A few numbers of each place, one place after the other.

    So a linear layer that follows can tell the places apart, which the last state of a recurrent network, or a mean
    over places, has to learn first.

    Shapes: (B, T, inputs) to (B, `outputs`).
    """

    def __init__(self, inputs: int, length: int) -> None:
        super().__init__()
        self.outputs = length * PLACE_WIDTH
        self.narrow = nn.Linear(inputs, PLACE_WIDTH)

    def forward(self, h: Tensor) -> Tensor:
        return self.narrow(h).flatten(1)


class CodeAtPlaces(nn.Module):
    """What a code says to each place: A_t z + b_t.

    A decoder that is given z itself at every place would have to find out what of it is about where it is; on
    molecules the code then told it half as much after as many steps.

    Shapes: (B, inputs) to (B, T, `outputs`).
    """

    def __init__(self, inputs: int, length: int) -> None:
        super().__init__()
        self.length, self.outputs = length, PLACE_WIDTH
        self.linear = nn.Linear(inputs, length * PLACE_WIDTH)

    def forward(self, code: Tensor) -> Tensor:
        said: Tensor = self.linear(code)
        return said.unflatten(1, (self.length, PLACE_WIDTH))


class ConvBody(nn.Module):
    """Convolutions along a sequence, then `PlacesToVector`.

    Shapes: (B, T, inputs) to (B, `outputs`).
    """

    def __init__(self, inputs: int, length: int, width: int, depth: int) -> None:
        super().__init__()
        sizes = [inputs, *[width] * (depth + 1)]
        self.layers = nn.ModuleList(nn.Conv1d(before, after, 5, padding=2) for before, after in pairwise(sizes))
        self.places = PlacesToVector(width, length)
        self.outputs = self.places.outputs

    def forward(self, x: Tensor) -> Tensor:
        h = x.transpose(1, 2)
        for layer in self.layers:
            h = F.gelu(layer(h))
        return self.places(h.transpose(1, 2))
