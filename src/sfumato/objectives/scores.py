"""Proper scores of draws: minimal on average where draws and observations have the same distribution."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["energy_score"]

TINY = 1e-12
"""Added under the roots, whose slope at 0 is infinite."""


def energy_score(draws: Tensor, x: Tensor, mask: Tensor | None = None) -> Tensor:
    """The energy score of K draws for each example (Gneiting and Raftery 2007, section 4.3), fair for every K.

        1/K Σ_k ‖x_k − x‖ − 1/(2K(K − 1)) Σ_kl ‖x_k − x_l‖

    In one dimension it is the CRPS. Its mean over x and draws is least where both have the same distribution, and its
    gradient with respect to reparametrised draws is unbiased.

    Args:
        draws: (B, K, D), K at least 2.
        x: what was observed, (B, D).
        mask: (B, D), False where x is missing; such entries are left out of the norms.

    Returns:
        In the units of x, shape (B,).

    >>> energy_score(torch.tensor([[[0.0], [2.0]]]), torch.tensor([[3.0]])).round(decimals=4)
    tensor([1.])
    """
    count = draws.shape[1]
    apart = draws[:, :, None] - draws[:, None]
    away = draws - x[:, None]
    if mask is not None:
        away = away.masked_fill(~mask[:, None], 0.0)
        apart = apart.masked_fill(~mask[:, None, None], 0.0)
    return _norms(away).mean(1) - _norms(apart).sum((1, 2)) / (2 * count * (count - 1))


def _norms(differences: Tensor) -> Tensor:
    return torch.sqrt(differences.square().sum(-1) + TINY)
