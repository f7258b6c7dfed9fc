"""Paths between two codes that ask nothing of the decoder, and the conditions along a path."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from sfumato.spec import Field

SMALL_ANGLE = 1e-6
"""Radians from 0 or π within which two directions span no plane."""


def straight(start: Tensor, end: Tensor, steps: int) -> Tensor:
    """z(t) = (1 − t)·a + t·b at evenly spaced t, both ends among them.

    Args:
        start, end: codes a and b, (L,).
        steps: how many, 2 at least.

    Returns:
        Codes, (steps, L).

    >>> straight(torch.tensor([0.0, 0.0]), torch.tensor([1.0, 2.0]), 3)
    tensor([[0.0000, 0.0000],
            [0.5000, 1.0000],
            [1.0000, 2.0000]])
    """
    t = torch.linspace(0, 1, steps, dtype=start.dtype, device=start.device)[:, None]
    return (1 - t) * start + t * end


def spherical(start: Tensor, end: Tensor, steps: int) -> Tensor:
    """The great circle from the direction of a to that of b at even angles, its radius going evenly from |a| to |b|.

        z(t) = [(1 − t)|a| + t|b|] · [sin((1 − t)ω) a/|a| + sin(tω) b/|b|] / sin ω,    ω = angle of a and b

    Under N(0, 1) in many dimensions nearly all codes lie about √L from 0, and the middle of a straight line is nearer
    than any of them. So it is for priors that are the same in all directions, N(0, 1) alone among those here. Two
    directions that are the same, or opposite, span no plane: the path is straight there. Shoemake 1985, Animating
    rotation with quaternion curves; White 2016, Sampling generative networks.

    Args:
        start, end: codes a and b, (L,).
        steps: how many, 2 at least.

    Returns:
        Codes, (steps, L).

    >>> spherical(torch.tensor([1.0, 0.0]), torch.tensor([0.0, 2.0]), 3)[1].norm()
    tensor(1.5000)
    """
    radii = start.norm(), end.norm()
    if not radii[0] or not radii[1]:
        return straight(start, end, steps)
    first, last = start / radii[0], end / radii[1]
    # Of nearly equal or opposite directions, acos of the product would lose half of the digits.
    angle = 2 * torch.atan2((last - first).norm(), (last + first).norm())
    if not SMALL_ANGLE < angle < torch.pi - SMALL_ANGLE:
        return straight(start, end, steps)
    t = torch.linspace(0, 1, steps, dtype=start.dtype, device=start.device)[:, None]
    directions = (torch.sin((1 - t) * angle) * first + torch.sin(t * angle) * last) / torch.sin(angle)
    return ((1 - t) * radii[0] + t * radii[1]) * directions


def mixed_conditions(start: Tensor, end: Tensor, fields: Sequence[Field], steps: int) -> Tensor:
    """Conditions along a path: numbers go evenly from one end to the other, categories change in the middle.

    Args:
        start, end: conditions of the two ends, (G,); NaN where missing, which numbers then are along the whole path.
        fields: of the conditions.
        steps: how many, 2 at least.

    Returns:
        Conditions, (steps, G).

    >>> fields = (Field("category", 3), Field("real"))
    >>> mixed_conditions(torch.tensor([0.0, 1.0]), torch.tensor([2.0, 2.0]), fields, 3)
    tensor([[0.0000, 1.0000],
            [2.0000, 1.5000],
            [2.0000, 2.0000]])
    """
    t = torch.linspace(0, 1, steps, dtype=start.dtype, device=start.device)[:, None]
    category = torch.tensor([field.kind == "category" for field in fields], device=start.device)
    return torch.where(category, torch.where(t < 0.5, start, end), (1 - t) * start + t * end)
