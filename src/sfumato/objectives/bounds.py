"""Bounds on log p(x) from importance weights."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def importance_bound(log_weight: Tensor) -> Tensor:
    """L_k = log (1/k) Σ_i w_i, with w_i = p(x, z_i)/q(z_i | x); shape (B, k) to (B,), in nats.

    E[L_k] ≤ log p(x), rising with k; k = 1 is the ELBO. Burda, Grosse and Salakhutdinov 2016, eq. 8.

    >>> importance_bound(torch.log(torch.tensor([[1.0, 3.0]])))  # log of the mean weight, 2
    tensor([0.6931])
    """
    return torch.logsumexp(log_weight, 1) - math.log(log_weight.shape[1])
