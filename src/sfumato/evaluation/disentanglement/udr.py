"""Disentanglement without known factors: do several trainings find the same latents?"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.stats import rankdata

INFORMATIVE = 0.01
"""A latent with a smaller mean rate than this, in nats, says nothing."""


def udr(codes: Sequence[np.ndarray], rates: Sequence[np.ndarray] | None = None) -> np.ndarray:
    """The unsupervised disentanglement ranking of M models, (M,). Duan et al. 2020.

        UDR_ab = 1/(d_a + d_b) [Σ_j (max_i R_ij)² / Σ_i R_ij + Σ_i (max_j R_ij)² / Σ_j R_ij]
        UDR_a = median over the other models b

    R_ij is the absolute rank correlation of latent i of model a with latent j of model b over the same examples; sums
    go over the d_a and d_b latents that say something. It is 1 where two models have the same latents in any order and
    sign, each like one of the other's alone; a rotation of the code lowers it. Models whose latents are tangled find
    them tangled differently from seed to seed. A model without such latents has 0.

    Args:
        codes: for each model E[z | x] of the same examples, (N, L); L may differ.
        rates: for each model the mean rate of each latent in nats, (L,); latents below 0.01 are left out. Without
            them, all latents that vary count.

    >>> z = np.random.default_rng(0).normal(size=(5000, 3))
    >>> udr([z, -z[:, [2, 0, 1]]]).round(1)
    array([1., 1.])
    """
    ranked = []
    for place, means in enumerate(codes):
        used = np.ptp(means, axis=0) > 0 if rates is None else np.asarray(rates[place]) > INFORMATIVE
        rank = rankdata(means[:, used], axis=0)
        spread = rank.std(0)
        ranked.append((rank - rank.mean(0)) / np.where(spread > 0, spread, 1.0))
    pairs = np.full((len(codes), len(codes)), np.nan)
    for a in range(len(codes)):
        for b in range(a):
            pairs[a, b] = pairs[b, a] = _alike(np.abs(ranked[a].T @ ranked[b]) / len(ranked[a]))
    others = ~np.eye(len(codes), dtype=bool)
    return np.array([np.median(row[keep]) if keep.any() else np.nan for row, keep in zip(pairs, others, strict=True)])


def _alike(correlation: np.ndarray) -> float:
    if not correlation.size:
        return 0.0
    total = 0.0
    for axis in (0, 1):
        total += float((correlation.max(axis) ** 2 / np.maximum(correlation.sum(axis), 1e-12)).sum())
    return total / sum(correlation.shape)
