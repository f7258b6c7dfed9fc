"""Random, untrained features in which two sets of examples are compared."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

FILTER_SEED, FILTER_CHANNELS, MIN_HALVED_SIDE = 20160202, 16, 4
"""Of the filters; channels of the first stage; sides of images below which they are not halved again."""


class RandomFeatures(nn.Module):
    """Vectors as they are; images as pixels and three stages at most of random 4×4 convolutions that halve the sides.

    The filters are drawn from N(0, 1/fan-in) once and for all: the same in every model, not in the `state_dict`, and
    deaf to the generator that the weights come from. Each stage's features are divided by the root of their number, so
    that all stages have equal weight: detail is compared as well as the layout of pixels.

    Shapes: (B, *`shape`) to (B, F).

    >>> RandomFeatures((1, 8, 8))(torch.zeros(5, 1, 8, 8)).shape, RandomFeatures((3,))(torch.zeros(5, 3)).shape
    (torch.Size([5, 448]), torch.Size([5, 3]))
    """

    def __init__(self, shape: Sequence[int]) -> None:
        super().__init__()
        self.stages = 0
        if len(shape) != 3:
            return
        draw = torch.Generator().manual_seed(FILTER_SEED)
        channels, side = shape[0], min(shape[1:])
        while self.stages < 3 and side >= MIN_HALVED_SIDE:
            outputs = FILTER_CHANNELS * 2**self.stages
            weight = torch.randn(outputs, channels, 4, 4, generator=draw, dtype=torch.float32)
            self.register_buffer(f"filters_{self.stages}", weight / math.sqrt(channels * 16), persistent=False)
            channels, side, self.stages = outputs, -(-side // 2), self.stages + 1

    def forward(self, x: Tensor) -> Tensor:
        if x.dim() != 4:
            return x.flatten(1)
        stages = [x]
        for stage in range(self.stages):
            # Two more rows and columns than halving needs, so that sides of any length are halved upwards.
            padded = F.pad(stages[-1], (1, 2, 1, 2))
            stages.append(F.leaky_relu(F.conv2d(padded, self.get_buffer(f"filters_{stage}"), stride=2), 0.2))
        return torch.cat([part.flatten(1) / math.sqrt(part[0].numel()) for part in stages], 1)
