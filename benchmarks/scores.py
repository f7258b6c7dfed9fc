"""The scores of models that the papers report, as functions of a model or of numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from sfumato.batch import Batch
from sfumato.evaluation.metrics.set_distances import frechet
from sfumato.objectives import importance_bound

__all__ = ["active_units", "frechet", "importance_nll"]


@torch.no_grad()
def importance_nll(
    log_weight: Callable[[Batch, int], Tensor], batches: Iterator[Batch], samples: int, chunk: int = 50
) -> float:
    """Mean of −log (1/k) Σ_i p(x, z_i) / q(z_i | x) over the examples, in nats.

    Args:
        log_weight: the model's own: (batch, k) → log p(x, z_i) − log q(z_i | x), shape (B, k).
        batches: the test split.
        samples: k, drawn `chunk` at a time.
    """
    total, seen = 0.0, 0
    for batch in batches:
        parts = [log_weight(batch, min(chunk, samples - done)) for done in range(0, samples, chunk)]
        total -= float(importance_bound(torch.cat(parts, dim=1).double()).sum())
        seen += len(batch)
    return total / seen


def active_units(means: Tensor, threshold: float = 0.01) -> int:
    """Number of latent dimensions with Var_x E[z | x] above `threshold` (Burda et al. 2016); means (N, L)."""
    return int((means.double().var(dim=0) > threshold).sum())
