"""Fully connected networks."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from torch import Tensor, nn

LEAKY = partial(nn.LeakyReLU, inplace=True)


class MLP(nn.Sequential):
    """Linear layers with an activation after each: features of the last hidden width.

    Args:
        inputs: number of input features.
        width: hidden width.
        depth: number of hidden layers.
        activation: makes one activation; LeakyReLU is the classic here.

    Shapes: (B, inputs) to (B, width); with depth 0, the identity on (B, inputs).
    """

    def __init__(self, inputs: int, width: int, depth: int, activation: Callable[[], nn.Module] = LEAKY) -> None:
        layers: list[nn.Module] = []
        for _ in range(depth):
            layers += [nn.Linear(inputs, width), activation()]
            inputs = width
        super().__init__(*layers)
        self.outputs = inputs


class Reshape(nn.Module):
    """View (B, …) as (B, *shape)."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.shape = shape

    def forward(self, x: Tensor) -> Tensor:
        return x.view(len(x), *self.shape)
