"""What a classifier may learn from examples without a label: to be smooth, sure and balanced."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from sfumato.distributions.noise import normal
from sfumato.objectives.rate import joint_mean

PERTURBATION = 0.25
"""Length of the perturbation, in root mean square distances of examples from their mean."""
PROBE = 0.05
"""Length of the probe that finds its direction, in those of the perturbation."""
ENTROPY, IMBALANCE = 0.1, 0.4
"""Weights of the entropy and the imbalance relative to that of the smoothness (Hu et al. 2017)."""


def classifier_terms(
    logits: Callable[[Tensor], Tensor], features: Tensor, log_q: Tensor, log_p: Tensor
) -> dict[str, Tensor]:
    """Three terms of each example, without its label, in nats, each (B,).

        smoothness = KL(q(y|x) ‖ q(y|x + r)),  r the direction of length ε in which that grows fastest
        entropy    = H(q(y|x))
        imbalance  = Σ_y q(y|x) log m(y)/p(y),  m the mean of q(y|x) over the batch

    The first is virtual adversarial training (Miyato, Maeda, Koyama and Ishii 2018), with one power iteration and
    q(y|x) without a gradient: classes change where there are few examples. Hu, Miyato, Tokui, Matsumoto and Sugiyama
    2017 learn classes without any label by the three. The mean of the third is KL(m ‖ p), and so is its gradient; it
    keeps classes from vanishing.

    Args:
        logits: features to logits of q(y|x), (B, K).
        features: of the examples, (B, …), of which r is a change.
        log_q: log q(y|x), (B, K).
        log_p: how frequent classes should be, (K,).
    """
    fixed, still = features.detach(), log_q.detach()
    flat = fixed.flatten(1)
    spread = joint_mean((flat - joint_mean(flat)).square().sum(1)).sqrt()
    with torch.enable_grad():
        probe = (PROBE * PERTURBATION * spread * _unit(normal(fixed))).requires_grad_(True)
        (steepest,) = torch.autograd.grad(_divergence(still, logits(fixed + probe)).sum(), probe)
    mean = joint_mean(still.exp())
    return {
        "smoothness": _divergence(still, logits(fixed + PERTURBATION * spread * _unit(steepest))),
        "entropy": -(log_q.exp() * log_q).sum(1),
        "imbalance": (log_q.exp() * (mean.log() - log_p.detach())).sum(1),
    }


def classifier_weights(smoothness: float) -> dict[str, float]:
    """The weights of `classifier_terms`, all in proportion to that of the smoothness."""
    return {"smoothness": smoothness, "entropy": ENTROPY * smoothness, "imbalance": IMBALANCE * smoothness}


def _divergence(log_q: Tensor, logits: Tensor) -> Tensor:
    """KL of each example from log q to the classes of these logits."""
    return (log_q.exp() * (log_q - torch.log_softmax(logits, 1))).sum(1)


def _unit(directions: Tensor) -> Tensor:
    """Each example's direction at length 1."""
    lengths = directions.flatten(1).norm(dim=1).clamp_min(1e-12)
    return directions / lengths.view(-1, *[1] * (directions.dim() - 1))
