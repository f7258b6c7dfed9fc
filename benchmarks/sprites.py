"""32×32 black-and-white sprites: 3 shapes × 6 scales × 40 orientations × 32 × 32 positions.

Made here, not the published dSprites (64×64), so numbers are not comparable with tables on that set.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

SIDE = 32
FACTORS = ("shape", "scale", "orientation", "x", "y")
SIZES = (3, 6, 40, 32, 32)


def render(factors: Tensor) -> Tensor:
    """Pictures of rows of factor indices, (N, 5) to (N, 1, 32, 32) of 0 and 1 in uint8.

    A sprite's half width goes from 3 to 6 pixels, its angle round the circle, its centre from 8 to 23.5.
    """
    shape, scale, turn, x, y = factors.double().T.reshape(5, -1, 1, 1)
    grid = torch.arange(SIDE, dtype=torch.double)
    radius, angle = 3 + 3 * scale / (SIZES[1] - 1), 2 * np.pi * turn / SIZES[2]
    right, down = grid.view(1, 1, -1) - (8 + x / 2), grid.view(1, -1, 1) - (8 + y / 2)
    u = (torch.cos(angle) * right + torch.sin(angle) * down) / radius
    v = (torch.cos(angle) * down - torch.sin(angle) * right) / radius
    square = torch.maximum(u.abs(), v.abs()) <= 0.8
    ellipse = u**2 + (2 * v) ** 2 <= 1
    a, b = 1.25 * u, -1.25 * v
    heart = (a**2 + b**2 - 1) ** 3 - a**2 * b**3 <= 0
    return torch.where(shape == 0, square, torch.where(shape == 1, ellipse, heart)).to(torch.uint8).unsqueeze(1)


def grid(every: tuple[int, ...] = (1, 1, 1, 2, 2), chunk: int = 8192) -> tuple[Tensor, tuple[int, ...]]:
    """Every n-th value of each factor in all combinations, the last factor fastest; how many of each.

    The default keeps every second position: 184,320 pictures.
    """
    values = [torch.arange(0, size, step) for size, step in zip(SIZES, every, strict=True)]
    rows = torch.cartesian_prod(*values)
    return torch.cat([render(part) for part in rows.split(chunk)]), tuple(len(value) for value in values)
