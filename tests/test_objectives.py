"""Rates, bounds and schedules against closed forms."""

from __future__ import annotations

import math

import pytest
import torch

from sfumato.distributions import Normal, NormalMixture, StandardNormal
from sfumato.objectives import Ramp, free_bits, gap_of_mean, importance_bound, rate


def test_the_sampled_rate_agrees_with_the_closed_form_on_average() -> None:
    torch.manual_seed(0)
    q = Normal(torch.randn(1, 4), 0.3 * torch.randn(1, 4))
    one_component = NormalMixture(torch.zeros(1), torch.zeros(1, 4), torch.zeros(1, 4), 50_000)
    many = q.repeat(50_000)
    estimate = rate(many, one_component, many.sample())
    assert estimate.shape == (50_000, 1)
    torch.testing.assert_close(estimate.mean(), rate(q, StandardNormal(1, 4), q.mean).sum(), rtol=0.02, atol=0)


def test_free_bits_cost_their_floor_and_have_no_gradient_below_it() -> None:
    rates = torch.tensor([[0.1, 3.0], [0.3, 1.0]], requires_grad=True)
    charged = free_bits(rates, 0.5)
    charged.mean().backward()
    assert charged.mean().item() == pytest.approx(0.5 + 2.0)
    assert rates.grad is not None
    assert rates.grad.tolist() == [[0.0, 0.5], [0.0, 0.5]]


def test_latents_whose_rate_is_known_only_together_share_their_floors() -> None:
    rates = torch.tensor([[0.9], [1.3]])
    assert free_bits(rates, 0.5, 3).tolist() == pytest.approx([1.5, 1.5])
    assert torch.equal(free_bits(rates, 0.5, 2), rates.sum(1))


def test_the_gap_is_that_of_the_batch_mean_not_the_mean_of_gaps() -> None:
    rates = torch.tensor([0.0, 10.0], requires_grad=True)
    gap = gap_of_mean(rates, 5.0 + 1.0)
    assert gap.mean().item() == pytest.approx(1.0)
    gap.mean().backward()
    assert rates.grad is not None
    assert rates.grad.tolist() == [-0.5, -0.5]


def test_the_importance_bound_of_equal_weights_is_that_weight() -> None:
    log_weight = torch.full((3, 7), -1000.0)
    torch.testing.assert_close(importance_bound(log_weight), torch.full((3,), -1000.0))


def test_the_importance_bound_rises_with_k_to_the_evidence() -> None:
    """z ~ N(0,1), x | z ~ N(z, 1), so x ~ N(0, 2); q is the prior, a poor one."""
    torch.manual_seed(0)
    x = 1.5
    z = torch.randn(4000, 500)
    log_weight = -0.5 * (x - z) ** 2 - 0.5 * math.log(2 * math.pi)
    bounds = [importance_bound(log_weight[:, :k]).mean().item() for k in (1, 5, 50, 500)]
    evidence = -0.25 * x**2 - 0.5 * math.log(4 * math.pi)
    assert bounds == sorted(bounds)
    assert bounds[-1] == pytest.approx(evidence, abs=0.01)
    assert bounds[0] == pytest.approx(-0.5 * (x**2 + 1) - 0.5 * math.log(2 * math.pi), abs=0.05)


def test_ramp_rises_and_cycles() -> None:
    assert [Ramp(10)(step) for step in (0, 5, 10, 15, 20, 25)] == [0, 0.5, 1, 1, 1, 1]
    assert [Ramp(10, cycles=2)(step) for step in (0, 5, 15, 20, 25, 35, 40, 45)] == [0, 0.5, 1, 0, 0.5, 1, 1, 1]
    assert Ramp()(0) == 1
