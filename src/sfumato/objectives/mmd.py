"""Maximum mean discrepancy: a distance between two distributions, from draws of both."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, Protocol

import numpy as np
import torch
from torch import Tensor

from sfumato.distributions import Latent, StandardNormal
from sfumato.distributions.noise import place
from sfumato.objectives.joint import joint

SCALES = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
LOG_T_STEP, LEAST_T, LARGEST_T = 0.4, 1e-14, 40.0
"""Of the quadrature of `InverseMultiquadratic`: the step of log t, and the least and the largest t."""

SMALLEST_STD = 1e-6
"""Standard deviation that standardised codes are divided by at least."""


class Kernel(Protocol):
    """k(u, v), a function of ‖u − v‖² alone, and its means under a standard normal."""

    def __call__(self, squared: Tensor) -> Tensor:
        """k where ‖u − v‖² is `squared`."""

    def to_normal(self, squared: Tensor, dim: int) -> Tensor:
        """E k(z, z′) over z′ ~ N(0, 1) of `dim` dimensions, where ‖z‖² is `squared`, shape (B,)."""

    def of_normal(self, dim: int) -> float:
        """E k(z, z′) over z, z′ ~ N(0, 1)."""


@dataclass(frozen=True)
class Gaussian:
    """k(u, v) = exp(−‖u − v‖²/h²).

    >>> round(Gaussian(2.0)(torch.tensor(4.0)).item(), 4)
    0.3679
    """

    bandwidth: float

    def __call__(self, squared: Tensor) -> Tensor:
        return torch.exp(-squared / self.bandwidth**2)

    def to_normal(self, squared: Tensor, dim: int) -> Tensor:
        """(h²/(h²+2))^(L/2) exp(−‖z‖²/(h²+2))."""
        wide = self.bandwidth**2 + 2
        return (self.bandwidth**2 / wide) ** (dim / 2) * torch.exp(-squared / wide)

    def of_normal(self, dim: int) -> float:
        """(h²/(h²+4))^(L/2)."""
        return float((self.bandwidth**2 / (self.bandwidth**2 + 4)) ** (dim / 2))


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

    def to_normal(self, squared: Tensor, dim: int) -> Tensor:
        """By quadrature over the Gaussians that this kernel is a mixture of."""
        wide = torch.as_tensor(self._mixture[0] + 2, dtype=squared.dtype, device=squared.device)
        weights = self._mixture[1] * (self._mixture[0] / (self._mixture[0] + 2)) ** (dim / 2)
        return torch.exp(-squared[:, None] / wide) @ torch.as_tensor(weights).to(squared)

    def of_normal(self, dim: int) -> float:
        """By the same quadrature."""
        return float(self._mixture[1] @ (self._mixture[0] / (self._mixture[0] + 4)) ** (dim / 2))

    @cached_property
    def _mixture(self) -> tuple[np.ndarray, np.ndarray]:
        """Squares h² of bandwidths, and weights: C/(C + r²) = ∫ e^(−t) exp(−r² t/C) dt, with h² = C/t.

        By the trapezoidal rule in log h², on one grid for all C: its error falls as e^(−π²/step), and it reaches as far
        out as codes do. To 1e-6 of the value where ‖z‖² is 10⁶ times the latents.
        """
        widths = 2.0 * self.latent_dim * np.array(SCALES)
        inverse = np.exp(np.arange(np.log(LEAST_T / widths.max()), np.log(LARGEST_T / widths.min()), LOG_T_STEP))
        t = widths[:, None] * inverse
        return 1 / inverse, LOG_T_STEP * (t * np.exp(-t)).mean(0)


KernelName = Literal["imq", "gaussian"]
"""The kernels that options name: inverse multiquadratics of seven widths, or one Gaussian."""


def kernel_for(name: KernelName, latents: int, bandwidth: float | None = None) -> Kernel:
    """The kernel of this name for codes of so many latents.

    Args:
        name: of the kernel.
        latents: number of latents.
        bandwidth: h of the Gaussian; the number of latents if None, as in the code of Zhao et al. (2017).

    >>> kernel_for("gaussian", 5).bandwidth
    5
    """
    return InverseMultiquadratic(latents) if name == "imq" else Gaussian(bandwidth or latents)


class NegativeDistance:
    """k(u, v) = −‖u − v‖, under which the MMD² of two distributions is their energy distance (Székely and Rizzo 2013).

    It has no bandwidth to choose, and is 0 for equal distributions alone.

    >>> NegativeDistance()(torch.tensor(4.0))
    tensor(-2.)
    """

    def __call__(self, squared: Tensor) -> Tensor:
        return -squared.sqrt()


def usual_weight(entries: int) -> float:
    """The λ of a discrepancy that suits a likelihood summed over so many entries: 4√D, at least 20.

    D itself switched the codes of MNIST off.

    >>> usual_weight(784), usual_weight(3)
    (112.0, 20.0)
    """
    return max(20.0, 4 * entries**0.5)


def discrepancy(z: Tensor, prior: Latent, kernel: Kernel) -> Tensor:
    """MMD² of q and p from n draws z ~ q, shared out over the draws, (B, L) to (B,).

    Where p is N(0, 1) what concerns it is known exactly, so that a quarter of the variance is left; draws from any
    other p are compared by `mmd`.

        MMD² = Σ_{i≠j} k(z_i, z_j)/n(n−1) − 2 Σ_i E k(z_i, z′)/n + E k(z′, z″)

    >>> z = torch.tensor([[0.0], [1.0]])
    >>> round(discrepancy(z, StandardNormal(2, 1), Gaussian(1.0)).mean().item(), 4)
    -0.1759
    """
    if not isinstance(prior, StandardNormal):
        return mmd(z, prior.sample(), kernel)
    total, dim = place(len(z))[1], z.shape[1]
    if total == 1:
        return 0.0 * z.sum(1)
    across = kernel.to_normal(z.square().sum(1), dim)
    return among(z, kernel) / (total - 1) - 2 * across + kernel.of_normal(dim)


def mmd(z: Tensor, drawn: Tensor, kernel: Callable[[Tensor], Tensor]) -> Tensor:
    """MMD² of q and p from n draws z ~ q and n draws z′ ~ p, shared out over the draws; shape (B, L) twice to (B,).

        MMD² = Σ_{i≠j} k(z_i, z_j)/n(n−1) + Σ_{i≠j} k(z′_i, z′_j)/n(n−1) − 2 Σ_ij k(z_i, z′_j)/n²

    The mean over the joint batch is this unbiased estimate (Gretton et al. 2012, eq. 3): of equal distributions it is
    0 on average, so it may be negative. A batch of one has no pairs: 0.

    >>> z = torch.tensor([[0.0], [1.0]])
    >>> mmd(z, z, Gaussian(1.0)).mean()  # e⁻¹ + e⁻¹ − 2(1 + e⁻¹)/2
    tensor(-0.6321)
    """
    total = place(len(z))[1]
    if total == 1:
        return 0.0 * z.sum(1)
    across = kernel(squared_distance(z, joint(drawn))).sum(1)
    return (among(z, kernel) + among(drawn, kernel)) / (total - 1) - 2 * across / total


def group_mmd(z: Tensor, groups: Tensor, kernel: Callable[[Tensor], Tensor]) -> Tensor:
    """How far the codes of groups are apart, Σ_g (n_g/n) MMD²(codes of g, codes of all others), shared out over rows.

    Each MMD² is the unbiased estimate of `mmd` for n_g and n − n_g draws, so the mean over the joint batch is 0 on
    average where codes do not depend on the group. Groups with fewer than two rows, or all but one, have no pairs.

    Args:
        z: codes, (B, L).
        groups: the group of each row, whole numbers from 0; NaN where it is not known, (B,).
        kernel: k, as a function of ‖u − v‖².

    Returns:
        (B,).

    >>> z = torch.tensor([[0.0], [0.0], [9.0], [9.0]])
    >>> group_mmd(z, torch.tensor([0, 0, 1, 1]), Gaussian(1.0)).mean(), group_mmd(z, torch.tensor([0, 1, 0, 1]),
    ...     Gaussian(1.0)).mean()
    (tensor(2.), tensor(-1.))
    """
    start, total = place(len(z))
    of_all = joint(groups.float())
    itself = torch.zeros(len(z), total, dtype=torch.bool, device=z.device)
    rows = torch.arange(len(z), device=z.device)
    itself[rows, rows + start] = True
    similar = kernel(squared_distance(z, joint(z))).masked_fill(itself, 0.0)
    known = of_all.isfinite()
    shares = similar.new_zeros(len(z))
    for group in of_all[known].unique():
        inside = (known & (of_all == group)).to(similar)
        outside = known.to(similar) - inside
        n, m = inside.sum(), outside.sum()
        if n < 2 or m < 2:
            continue
        to_inside, to_outside = similar @ inside, similar @ outside
        own_inside, own_outside = inside[start : start + len(z)], outside[start : start + len(z)]
        of_inside = to_inside / (n * (n - 1)) - to_outside / (n * m)
        of_outside = to_outside / (m * (m - 1)) - to_inside / (n * m)
        shares = shares + n / (n + m) * total * (own_inside * of_inside + own_outside * of_outside)
    return shares


def standardised(codes: Tensor) -> Tensor:
    """Each latent less its mean over the joint batch, by its standard deviation there; (B, L).

    What compares standardised codes sees how the groups lie to one another and not how far codes are spread: shrinking
    them changes nothing, and nor does its gradient.

    >>> standardised(torch.tensor([[0.0], [2.0]])).ravel()
    tensor([-0.7071,  0.7071])
    """
    rows = joint(codes)
    if len(rows) == 1:
        return 0.0 * codes
    return (codes - rows.mean(0)) / rows.std(0).clamp_min(SMALLEST_STD)


def among(z: Tensor, kernel: Callable[[Tensor], Tensor]) -> Tensor:
    """Σ_{j≠i} k(z_i, z_j) over the rows of the joint batch, (B, L) to (B,)."""
    start, total = place(len(z))
    rows = torch.arange(len(z), device=z.device)
    itself = torch.zeros(len(z), total, dtype=torch.bool, device=z.device)
    itself[rows, rows + start] = True
    return kernel(squared_distance(z, joint(z))).masked_fill(itself, 0.0).sum(1)


def squared_distance(u: Tensor, v: Tensor) -> Tensor:
    """‖u_i − v_j‖² as a matrix product, in single precision at least; shapes (B, L) and (C, L) to (B, C)."""
    with torch.autocast(u.device.type, enabled=False):
        product = u @ v.t()
    return (u.square().sum(1, keepdim=True) + v.square().sum(1) - 2 * product).clamp_min(0.0)
