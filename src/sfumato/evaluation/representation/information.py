"""How much the code says of the example, and how the codes of all examples together match the prior."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from sfumato.distributions import Normal
from sfumato.objectives import InverseMultiquadratic, mmd

DRAWS_AT_A_TIME = 500
"""Draws compared with all posteriors at a time."""
BLOCKS = 5
LARGEST_BLOCK = 1000


class Densities(NamedTuple):
    """Log densities of one draw z_n ~ q(z|x_n) of each of N examples, in nats and double precision, (N,).

    Attributes:
        own: log q(z_n | x_n).
        all: log 1/N Σ_m q(z_n | x_m), the aggregate posterior of these examples.
        others: the same without x_n itself, log 1/(N−1) Σ_{m≠n} q(z_n | x_m).
    """

    own: Tensor
    all: Tensor
    others: Tensor

    @property
    def at_least(self) -> np.ndarray:
        """log q(z|x) − log q(z) with the example among those that q(z) is made of; its mean is at most I(x; z).

        At most log N too, whatever the code says. Poole et al. 2019, on variational bounds of mutual information.
        """
        return np.asarray((self.own - self.all).cpu().numpy())

    @property
    def at_most(self) -> np.ndarray:
        """The same without the example; its mean is at least I(x; z). Poole et al. 2019."""
        return np.asarray((self.own - self.others).cpu().numpy())


def densities(q: Normal, z: Tensor) -> Densities:
    """All pairs of draws and posteriors.

    Args:
        q: q(z|x_n) over (N, L).
        z: one draw of each, (N, L).
    """
    mean, log_scale, z = q.mean.double(), q.log_scale.expand_as(q.mean).double(), z.double()
    precision = torch.exp(-2 * log_scale)
    # −½ Σ_l (z − μ)²/σ² as products of matrices; double precision bears the cancellation down to σ = 1e-6 or so.
    constant = -0.5 * (mean.square() * precision).sum(1) - log_scale.sum(1) - 0.5 * z.shape[1] * math.log(2 * math.pi)
    own = Normal(mean, log_scale).log_prob(z)
    every, others = [], []
    for start in range(0, len(z), DRAWS_AT_A_TIME):
        part = z[start : start + DRAWS_AT_A_TIME]
        pairs = constant + part @ (mean * precision).T - 0.5 * part.square() @ precision.T
        rows = torch.arange(len(part), device=z.device)
        pairs[rows, rows + start] = own[start : start + DRAWS_AT_A_TIME]
        every.append(torch.logsumexp(pairs, 1))
        pairs[rows, rows + start] = -math.inf
        others.append(torch.logsumexp(pairs, 1))
    n = len(z)
    return Densities(own, torch.cat(every) - math.log(n), torch.cat(others) - math.log(max(n - 1, 1)))


class Gap(NamedTuple):
    """A discrepancy of two sets of draws, its standard error, and the largest that two sets of one distribution had."""

    value: float
    error: float | None
    same: float


def aggregate_mmd(z: Tensor, drawn: Tensor, again: Tensor) -> Gap:
    """MMD² of q(z) and the prior with the kernel of the Wasserstein autoencoder, as a mean over blocks of draws.

    Args:
        z: draws of q(z), (N, L).
        drawn: as many draws of the prior.
        again: as many more, which say what the discrepancy is when there is none.
    """
    size = min(max(len(z) // BLOCKS, 2), LARGEST_BLOCK)
    kernel = InverseMultiquadratic(z.shape[1])
    starts = range(0, min(BLOCKS * size, len(z) - size + 1), size)

    def each(first: Tensor) -> np.ndarray:
        blocks = [(first[at : at + size].double(), drawn[at : at + size].double()) for at in starts]
        return np.array([float(mmd(a, b, kernel).mean()) for a, b in blocks])

    discrepancies = each(z)
    error = float(discrepancies.std(ddof=1) / math.sqrt(len(discrepancies))) if len(discrepancies) > 1 else None
    return Gap(float(discrepancies.mean()), error, float(each(again).max()))
