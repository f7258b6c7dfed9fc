"""Maximum mean discrepancy: a distance between two distributions, from draws of both."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from sfumato.distributions.noise import place
from sfumato.objectives.joint import joint

Kernel = Callable[[Tensor], Tensor]
"""k as a function of the squared distance ‖u − v‖²."""

SCALES = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)


@dataclass(frozen=True)
class Gaussian:
    """k(u, v) = exp(−‖u − v‖²/h²).

    >>> round(Gaussian(2.0)(torch.tensor(4.0)).item(), 4)
    0.3679
    """

    bandwidth: float

    def __call__(self, squared: Tensor) -> Tensor:
        return torch.exp(-squared / self.bandwidth**2)


@dataclass(frozen=True)
class InverseMultiquadratic:
    """k(u, v) = (1/7) Σ_s sC/(sC + ‖u − v‖²) with s from 0.1 to 10 and C = 2L, the mean of ‖u − v‖² under N(0, 1).

    Its tails are heavy: codes that lie far off are drawn in too. Tolstikhin et al. 2018, section 4, and the authors'
    code for the mixture (a sum there, a mean here, so that k(u, u) = 1).

    >>> InverseMultiquadratic(8)(torch.tensor(0.0))
    tensor(1.)
    """

    latent_dim: int

    def __call__(self, squared: Tensor) -> Tensor:
        widths = [2.0 * self.latent_dim * scale for scale in SCALES]
        total = widths[0] / (widths[0] + squared)
        for width in widths[1:]:
            total = total + width / (width + squared)
        return total / len(widths)


def mmd(z: Tensor, drawn: Tensor, kernel: Kernel) -> Tensor:
    """MMD² of q and p from n draws z ~ q and n draws z′ ~ p, shared out over the draws; shape (B, L) twice to (B,).

        MMD² = Σ_{i≠j} k(z_i, z_j)/n(n−1) + Σ_{i≠j} k(z′_i, z′_j)/n(n−1) − 2 Σ_ij k(z_i, z′_j)/n²

    The mean over the joint batch is this unbiased estimate (Gretton et al. 2012, eq. 3): of equal distributions it is
    0 on average, so it may be negative. A batch of one has no pairs: 0.

    >>> z = torch.tensor([[0.0], [1.0]])
    >>> mmd(z, z, Gaussian(1.0)).mean()  # e⁻¹ + e⁻¹ − 2(1 + e⁻¹)/2
    tensor(-0.6321)
    """
    start, total = place(len(z))
    if total == 1:
        return 0.0 * z.sum(1)
    every_z, every_drawn = joint(z), joint(drawn)
    rows = torch.arange(len(z), device=z.device)
    itself = torch.zeros(len(z), total, dtype=torch.bool, device=z.device)
    itself[rows, rows + start] = True
    among_z = kernel(squared_distance(z, every_z)).masked_fill(itself, 0.0).sum(1)
    among_drawn = kernel(squared_distance(drawn, every_drawn)).masked_fill(itself, 0.0).sum(1)
    across = kernel(squared_distance(z, every_drawn)).sum(1)
    return (among_z + among_drawn) / (total - 1) - 2 * across / total


def squared_distance(u: Tensor, v: Tensor) -> Tensor:
    """‖u_i − v_j‖² as a matrix product, in single precision at least; shapes (B, L) and (C, L) to (B, C)."""
    with torch.autocast(u.device.type, enabled=False):
        product = u @ v.t()
    return (u.square().sum(1, keepdim=True) + v.square().sum(1) - 2 * product).clamp_min(0.0)
