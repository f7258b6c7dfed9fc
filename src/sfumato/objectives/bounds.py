"""Bounds on log p(x) from importance weights."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def importance_bound(log_weight: Tensor) -> Tensor:
    """L_k = log (1/k) Σ_i w_i, with w_i = p(x, z_i)/q(z_i | x); shape (B, k) to (B,), in nats.

    E[L_k] ≤ log p(x), rising with k; k = 1 is the ELBO. Burda, Grosse and Salakhutdinov 2016, eq. 8. Where w is a
    product of F factors with draws of their own, (B, k, F), L_k = Σ_f log (1/k) Σ_i w_if: a mean of products over all
    pairings of draws, not over k of them.

    >>> importance_bound(torch.log(torch.tensor([[1.0, 3.0]])))  # log of the mean weight, 2
    tensor([0.6931])
    """
    bound = torch.logsumexp(log_weight, 1) - math.log(log_weight.shape[1])
    return bound if bound.ndim == 1 else bound.sum(1)


def doubly_reparametrised(z: Tensor, log_weight: Tensor, power: float = 1.0) -> None:
    """Make the gradient of `importance_bound` reach q by way of its draws alone, and without bias.

        ∇_q L_k = E Σ_i [(1 − w) w̃_i + w·w̃_i²] ∂log w_i/∂z_i · ∂z_i/∂q,    w̃_i = w_i / Σ_j w_j

    Tucker et al. 2019, Doubly reparameterized gradient estimators for Monte Carlo objectives, eq. 8, which is w = 1:
    where the ratio of prior and posterior has a power w, its score is so much smaller. The usual gradient of q gets
    the noisier, against its size, the more draws there are (Rainforth et al. 2018).

    To be called before `backward`, with log-weights in which log q is `Posterior.log_prob_along`.

    Args:
        z: the draws, each an example's k in a row, shape (B·k, L); the gradient that comes to them is scaled.
        log_weight: log w_i, shape (B, k).
        power: w, the power of p(z)/q(z|x) in w_i.
    """
    if z.requires_grad:
        share = torch.softmax(log_weight.detach(), 1).flatten()
        # The gradient of the log of a sum has one factor w̃ already.
        factor = (1 - power) + power * share
        z.register_hook(lambda gradient: factor.to(gradient.dtype).unsqueeze(1) * gradient)
