"""The energy score in objectives: against the one that judges forecasts, the CRPS of a normal, and its gradient."""

from __future__ import annotations

import math

import pytest
import torch

from sfumato.evaluation.forecasts import measures
from sfumato.objectives import energy_score


def test_it_is_the_score_that_forecasts_are_judged_by() -> None:
    torch.manual_seed(0)
    draws, x = torch.randn(6, 5, 3), torch.randn(6, 3)
    mask = torch.rand(6, 3) < 0.7
    came = x.masked_fill(~mask, torch.nan).unsqueeze(1).numpy()
    judged = measures.energy_score(draws.unsqueeze(2).numpy(), came)
    torch.testing.assert_close(energy_score(draws, x, mask), torch.from_numpy(judged).float(), atol=1e-5, rtol=1e-5)


def test_its_mean_is_the_crps_of_a_normal() -> None:
    torch.manual_seed(0)
    draws, x = torch.randn(200_000, 2, 1), torch.full((200_000, 1), 0.7)
    # σ [ω(2Φ(ω) − 1) + 2φ(ω) − 1/√π] at ω = 0.7
    below, density = 0.5 * (1 + math.erf(0.7 / math.sqrt(2))), math.exp(-0.245) / math.sqrt(2 * math.pi)
    crps = 0.7 * (2 * below - 1) + 2 * density - 1 / math.sqrt(math.pi)
    assert energy_score(draws, x).mean().item() == pytest.approx(crps, abs=0.006)


def test_gradients_lead_to_the_mean_and_spread_of_what_is_observed() -> None:
    torch.manual_seed(0)
    mean, log_scale = torch.zeros(1, requires_grad=True), torch.zeros(1, requires_grad=True)
    optimizer = torch.optim.Adam([mean, log_scale], lr=0.03)
    for _ in range(500):
        draws = mean + log_scale.exp() * torch.randn(512, 2, 1)
        loss = energy_score(draws, 1.5 + 0.4 * torch.randn(512, 1)).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert mean.item() == pytest.approx(1.5, abs=0.05)
    assert log_scale.exp().item() == pytest.approx(0.4, abs=0.05)


def test_equal_draws_have_a_finite_gradient() -> None:
    draws = torch.zeros(2, 3, 2, requires_grad=True)
    energy_score(draws, torch.zeros(2, 2)).sum().backward()
    assert draws.grad is not None
    assert draws.grad.isfinite().all()
