"""Counts of examples as features, and counts that are independent given their total."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from sfumato.batch import Batch
from sfumato.distributions.base import observed
from sfumato.distributions.counts import USUAL_TOTAL, NegativeBinomial, Poisson

SIZES_TRIED = (0.25, 0.5, 1.0, 2.0, 4.0)
"""Multiples of the size by moments that are tried for the likeliest one."""
LARGEST_SIZE = 1e4


def log_normalised(x: Tensor, mask: Tensor | None = None) -> Tensor:
    """log(1 + 10⁴·x/l) with l = Σ x, (N, D): counts as usually looked at, whatever the total.

    >>> log_normalised(torch.tensor([[0.0, 0.0], [1.0, 9999.0]])).exp()
    tensor([[1.0000e+00, 1.0000e+00],
            [2.0000e+00, 1.0000e+04]])
    """
    x = observed(x, mask).float()
    return torch.log1p(USUAL_TOTAL * x / x.sum(1, keepdim=True).clamp_min(1))


def independent(train: Batch, test: Batch) -> np.ndarray:
    """log p of examples whose columns are independent given the total, (N,) in nats.

    Each column is a negative binomial whose expectation is its share of the training counts times the total, and whose
    size is the likeliest on the training rows of a few multiples of that by moments.

    Args:
        train: rows that are learned from.
        test: the examples.
    """
    x = observed(train.x, train.mask).double()
    share = x.sum(0) + 0.5
    log_share = (share / share.sum()).log()
    mean = x.sum(1, keepdim=True) * log_share.exp()
    excess = ((x - mean) ** 2 - mean).sum(0)
    size = ((mean**2).sum(0) / excess.clamp_min(1e-12)).clamp(1e-3, LARGEST_SIZE)
    log_mean = mean.clamp_min(1e-12).log()
    tried = torch.stack([(size * factor).log() for factor in SIZES_TRIED])
    fits = torch.stack([_of(log_share, each).log_mass(x, log_mean).sum(0) for each in tried])
    best = tried.gather(0, fits.argmax(0, keepdim=True))[0]
    rows = log_share.expand(len(test), -1)
    return np.asarray(_of(rows, best).log_prob(test.x.double(), test.mask).cpu().numpy())


def _of(log_share: Tensor, log_size: Tensor) -> NegativeBinomial:
    """Negative binomials of which no totals are drawn."""
    return NegativeBinomial(log_share, lambda: torch.empty(0), torch.tensor(1.0), log_size)


def poisson(train: Batch, test: Batch) -> np.ndarray:
    """`independent`, of Poisson distributions."""
    share = observed(train.x, train.mask).double().sum(0) + 0.5
    rows = (share / share.sum()).log().expand(len(test), -1)
    counts = Poisson(rows, lambda: torch.empty(0), torch.tensor(1.0))
    return np.asarray(counts.log_prob(test.x.double(), test.mask).cpu().numpy())
