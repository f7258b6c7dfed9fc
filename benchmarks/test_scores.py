"""The scores at cases whose answers are known."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

import scores
from sfumato.batch import Batch


def test_importance_weights_give_the_evidence_of_a_linear_gaussian_model() -> None:
    """p(z) = N(0, 1), p(x|z) = N(z, 1), q(z|x) a little off the posterior: p(x) = N(0, 2)."""
    torch.manual_seed(0)
    x = torch.randn(200, 1) * math.sqrt(2)

    def log_weight(batch: Batch, k: int) -> Tensor:
        normal = torch.distributions.Normal
        proposal = normal(batch.x / 2 + 0.1, 0.8)
        z = proposal.sample((k,)).squeeze(-1).T
        joint = normal(0.0, 1.0).log_prob(z) + normal(z, 1.0).log_prob(batch.x)
        return joint - proposal.log_prob(z)

    known = -torch.distributions.Normal(0.0, math.sqrt(2)).log_prob(x).mean()
    found = scores.importance_nll(log_weight, iter([Batch(x[:150]), Batch(x[150:])]), samples=950, chunk=100)
    assert found == pytest.approx(float(known), abs=0.01)


def test_units_that_do_not_move_are_not_active() -> None:
    means = torch.randn(1000, 3) * torch.tensor([1.0, 0.2, 0.01])
    assert scores.active_units(means) == 2


def test_frechet_distance_of_known_gaussians() -> None:
    noise = np.random.default_rng(0)
    base = noise.normal(size=(200_000, 3))
    assert scores.frechet(base, base) == pytest.approx(0.0, abs=1e-6)
    moved = noise.normal(size=(200_000, 3)) * 2 + [1.0, 0.0, 0.0]
    assert scores.frechet(base, moved) == pytest.approx(1 + 3 * (2 - 1) ** 2, rel=0.03)


def test_higgins_score_knows_a_code_of_one_factor_a_dimension_from_a_mixed_one() -> None:
    sizes = (4, 5, 6)
    grid = np.stack(np.meshgrid(*(np.arange(size) for size in sizes), indexing="ij"), -1).reshape(-1, 3)
    votes = {"votes": 600, "test_votes": 300, "pairs": 16}
    assert scores.higgins(grid.astype(float), sizes, **votes) == 1.0
    noise = np.random.default_rng(0).normal(size=(len(grid), 3))
    assert scores.higgins(noise, sizes, **votes) < 0.6
