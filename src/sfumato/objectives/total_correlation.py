"""Total correlation, KL(q(z) ‖ Π_d q(z_d)): how far the latents of the whole data set depend on one another."""

from __future__ import annotations

import math
from typing import Literal, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from sfumato.distributions import Normal
from sfumato.distributions.noise import place, shared_uniform
from sfumato.objectives.joint import joint


class Decomposition(NamedTuple):
    """The three parts of the rate, each of shape (B,), in nats; they add up to log q(z|x) − log p(z)."""

    mutual_information: Tensor
    total_correlation: Tensor
    dimension_rate: Tensor


def decomposed_rate(
    q: Normal,
    z: Tensor,
    log_prior: Tensor,
    examples: int,
    estimator: Literal["stratified", "weighted"] = "stratified",
) -> Decomposition:
    """Chen et al. 2018, eq. 2: log q(z|x) − log p(z) cut at log q(z) and log Π_d q(z_d), for the draw z ~ q(z|x).

        mutual information = log q(z|x) − log q(z)
        total correlation  = log q(z) − Σ_d log q(z_d)
        dimension rate     = Σ_d log q(z_d) − log p(z)

    Their means over the data are I(x; z), KL(q(z) ‖ Π_d q(z_d)) and Σ_d KL(q(z_d) ‖ p(z_d)) when p has independent
    latents. q(z) = (1/N) Σ_n q(z|x_n) is estimated by `log_weights` of the examples of the joint batch.

    Args:
        q: q(z|x) of the local batch, over (B, L).
        z: its draws, shape (B, L).
        log_prior: log p(z), shape (B,).
        examples: N, the number of training examples.
        estimator: see `log_weights`.
    """
    density = q.log_density(z)
    start, total = place(len(z))
    weights = log_weights(total, examples, estimator, z)[start : start + len(z)]
    everyone = Normal(joint(q.mean), joint(q.log_scale.expand_as(q.mean)))
    pairs = everyone.log_density(z.unsqueeze(1))
    log_q = density.sum(1)
    log_aggregate = torch.logsumexp(weights + pairs.sum(2), 1)
    log_product = torch.logsumexp(weights.unsqueeze(2) + pairs, 1).sum(1)
    return Decomposition(log_q - log_aggregate, log_aggregate - log_product, log_product - log_prior)


def log_weights(batch: int, examples: int, estimator: Literal["stratified", "weighted"], like: Tensor) -> Tensor:
    """log w_ij, so that q(z_i) ≈ Σ_j w_ij q(z_i|x_j) over the batch x_1 … x_B of N examples; shape (B, B).

    * stratified: x_i itself stands for 1 of the N examples, w_ii = 1/N; the B − 1 others for the rest,
      w_ij = (N − 1)/(N(B − 1)). Rows sum to 1, q(z_i) is estimated without bias by batches drawn without replacement,
      and exactly when B = N. (Chen et al. 2018, appendix C.2, with M = B − 1, put (N − M)/(NM) on one of the others and
      1/M on the rest: the same mean, with more variance, and not exact when B = N. Their released code fills the first
      column instead of the diagonal with 1/N.)
    * weighted (eq. 6): w_ij = 1/(NB). Too low, by up to a factor N: then the mutual information comes out too large by
      log N, the total correlation by (L − 1) log N. What is left of their gradients when B = N is the same.

    With N unknown or less than B, N = B.

    >>> log_weights(3, 6, "stratified", torch.zeros(())).exp()
    tensor([[0.1667, 0.4167, 0.4167],
            [0.4167, 0.1667, 0.4167],
            [0.4167, 0.4167, 0.1667]])
    """
    examples = max(examples, batch)
    if estimator == "weighted":
        return like.new_full((batch, batch), -math.log(examples * batch))
    others = batch - 1
    if not others:
        return like.new_zeros(1, 1)
    weights = like.new_full((batch, batch), (examples - 1) / (examples * others))
    weights.fill_diagonal_(1 / examples)
    return weights.log()


class Duel(NamedTuple):
    """Loss and accuracy of a discriminator on the local batch, each of shape (B,).

    Attributes:
        cross_entropy: its mean over the joint batch is what the discriminator minimises, in nats.
        correct: its mean over the joint batch is the share of its answers that are right.
    """

    cross_entropy: Tensor
    correct: Tensor


def second_half_permuted(z: Tensor) -> Tensor:
    """Draws of Π_d q(z_d): each dimension of the joint batch's second half, permuted by itself; without gradient.

    Shape (B, L) to (B₂, L): the draws that stand in for the local rows of that half, of which there may be none.
    Kim and Mnih 2018, algorithm 1.
    """
    z = z.detach()
    start, total = place(len(z))
    half = _first_half(total)
    order = shared_uniform(z, total - half, z.shape[1]).argsort(0)
    return joint(z)[half:].gather(0, order)[max(start - half, 0) : max(start + len(z) - half, 0)]


def telling_apart(logits: Tensor, permuted: Tensor) -> Duel:
    """½[CE(D(z), 0) + CE(D(z′), 1)] over the two halves of the joint batch, shared out over their rows.

    Args:
        logits: log D₀ − log D₁ at the draws z of the local batch, shape (B,); those of the first half count.
        permuted: the same at what `second_half_permuted` gave, shape (B₂,).
    """
    _, total = place(len(logits))
    half = _first_half(total)
    first = logits[: len(logits) - len(permuted)]
    share = 0.5 * total / half, 0.5 * total / max(total - half, 1)
    entropy = torch.cat([share[0] * F.softplus(-first), share[1] * F.softplus(permuted)])
    correct = torch.cat([share[0] * (first > 0), share[1] * (permuted < 0)])
    return Duel(entropy, correct)


def _first_half(total: int) -> int:
    return total - total // 2
