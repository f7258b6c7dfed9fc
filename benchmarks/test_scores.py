"""The scores at cases whose answers are known."""

from __future__ import annotations

import math

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
