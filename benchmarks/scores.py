"""The scores of models that the papers report, as functions of a model or of numbers."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np
import torch
from scipy import linalg
from sklearn.linear_model import LogisticRegression
from torch import Tensor

from sfumato.batch import Batch


@torch.no_grad()
def importance_nll(
    log_weight: Callable[[Batch, int], Tensor], batches: Iterator[Batch], samples: int, chunk: int = 50
) -> float:
    """Mean of −log (1/k) Σ_i p(x, z_i) / q(z_i | x) over the examples, in nats.

    Args:
        log_weight: the model's own: (batch, k) → log p(x, z_i) − log q(z_i | x), shape (B, k).
        batches: the test part.
        samples: k, drawn `chunk` at a time.
    """
    total, seen = 0.0, 0
    for batch in batches:
        parts = [log_weight(batch, min(chunk, samples - done)) for done in range(0, samples, chunk)]
        weights = torch.cat(parts, dim=1).double()
        total -= float((torch.logsumexp(weights, dim=1) - math.log(weights.shape[1])).sum())
        seen += len(batch)
    return total / seen


def active_units(means: Tensor, threshold: float = 0.01) -> int:
    """Number of latent dimensions with Var_x E[z | x] above `threshold` (Burda et al. 2016); means (N, L)."""
    return int((means.double().var(dim=0) > threshold).sum())


def frechet(a: np.ndarray, b: np.ndarray) -> float:
    """|μ_a − μ_b|² + tr(Σ_a + Σ_b − 2 (Σ_a Σ_b)^½) of Gaussians fitted to features (N, F)."""
    gap = a.mean(0) - b.mean(0)
    first, second = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    # a product of covariances has real eigenvalues ≥ 0, and the trace of its root is the sum of their roots
    roots = np.sqrt(np.clip(linalg.eigvals(first @ second).real, 0, None))
    return float(gap @ gap + np.trace(first) + np.trace(second) - 2 * roots.sum())


def higgins(
    codes: np.ndarray,
    sizes: tuple[int, ...],
    *,
    votes: int = 10_000,
    test_votes: int = 5_000,
    pairs: int = 64,
    seed: int = 0,
) -> float:
    """The β-VAE metric (Higgins et al. 2017, A.4): accuracy of a linear classifier of the fixed factor.

    One vote: a factor is drawn; `pairs` pairs of examples share its value and nothing else by design; the
    vote's input is the mean over pairs of |μ(x_1) − μ(x_2)|, its answer the factor.

    Args:
        codes: E[z | x] of the full grid of factors, shape (Π sizes, L), the last factor fastest.
        sizes: number of values of each factor.
    """
    noise = np.random.default_rng(seed)
    strides = np.array([math.prod(sizes[i + 1 :]) for i in range(len(sizes))])

    def cast(count: int) -> tuple[np.ndarray, np.ndarray]:
        answers = noise.integers(len(sizes), size=count)
        inputs = np.empty((count, codes.shape[1]))
        for row, factor in enumerate(answers):
            first, second = (noise.integers(sizes, size=(pairs, len(sizes))) for _ in range(2))
            second[:, factor] = first[:, factor]
            inputs[row] = np.abs(codes[first @ strides] - codes[second @ strides]).mean(0)
        return inputs, answers

    inputs, answers = cast(votes)
    scale = inputs.std(0) + 1e-12
    judge = LogisticRegression(C=100.0, max_iter=2000).fit(inputs / scale, answers)
    inputs, answers = cast(test_votes)
    return float(judge.score(inputs / scale, answers))
