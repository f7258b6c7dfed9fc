"""The maximum mean discrepancy against closed forms."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import stats

from sfumato.distributions import Normal, StandardNormal
from sfumato.objectives import Gaussian, InverseMultiquadratic, discrepancy, mmd


def test_shifted_normals_have_the_value_of_the_closed_form() -> None:
    """E k(u, v) = (h²/(h²+4))^{L/2} exp(−‖m‖²/(h²+4)) for u ~ N(m, 1), v ~ N(0, 1)."""
    torch.manual_seed(0)
    shift, bandwidth = 1.0, 2.0
    z, drawn = torch.randn(1500, 3) + shift, torch.randn(1500, 3)
    spread = (bandwidth**2 / (bandwidth**2 + 4)) ** 1.5
    expected = 2 * spread * (1 - math.exp(-3 * shift**2 / (bandwidth**2 + 4)))
    assert mmd(z, drawn, Gaussian(bandwidth)).mean().item() == pytest.approx(expected, abs=0.03)


@pytest.mark.parametrize("kernel", [Gaussian(4.0), InverseMultiquadratic(4)])
def test_equal_distributions_have_none_on_average_however_small_the_batch(kernel) -> None:
    torch.manual_seed(0)
    found = torch.stack([mmd(torch.randn(6, 4), torch.randn(6, 4), kernel).mean() for _ in range(800)])
    error = found.std() / math.sqrt(len(found))
    assert abs(found.mean()) < 4 * error < 0.03
    assert (found < 0).any()


def test_shares_add_up_to_the_double_sums() -> None:
    torch.manual_seed(0)
    z, drawn = torch.randn(5, 2, dtype=torch.float64), torch.randn(5, 2, dtype=torch.float64)
    kernel = InverseMultiquadratic(2)
    among = across = 0.0
    for i in range(5):
        for j in range(5):
            if i != j:
                among += (kernel((z[i] - z[j]).square().sum()) + kernel((drawn[i] - drawn[j]).square().sum())).item()
            across += kernel((z[i] - drawn[j]).square().sum()).item()
    assert mmd(z, drawn, kernel).mean().item() == pytest.approx(among / 20 - 2 * across / 25, abs=1e-12)


def test_its_gradient_leads_a_normal_to_the_prior() -> None:
    torch.manual_seed(0)
    mean, log_scale = torch.full((2,), 2.0, requires_grad=True), torch.full((2,), -2.0, requires_grad=True)
    optimizer = torch.optim.Adam([mean, log_scale], lr=0.05)
    for _ in range(200):
        optimizer.zero_grad()
        z = mean + log_scale.exp() * torch.randn(100, 2)
        mmd(z, torch.randn(100, 2), InverseMultiquadratic(2)).mean().backward()
        optimizer.step()
    torch.testing.assert_close(mean.detach(), torch.zeros(2), rtol=0, atol=0.2)
    torch.testing.assert_close(log_scale.detach(), torch.zeros(2), rtol=0, atol=0.2)


def test_a_batch_of_one_costs_nothing() -> None:
    assert mmd(torch.randn(1, 3), torch.randn(1, 3), Gaussian(3.0)).item() == 0.0


@pytest.mark.parametrize("dim", [1, 2, 16])
@pytest.mark.parametrize("kind", [Gaussian, InverseMultiquadratic])
def test_means_of_kernels_under_a_normal_are_those_of_many_draws(kind, dim: int) -> None:
    torch.manual_seed(0)
    kernel, drawn, z = kind(dim), torch.randn(200_000, dim), 2 * torch.randn(3, dim)
    expected = torch.stack([kernel((drawn - one).square().sum(1)).mean() for one in z])
    torch.testing.assert_close(kernel.to_normal(z.square().sum(1), dim), expected, rtol=0, atol=0.004)
    both = kernel((drawn - torch.randn_like(drawn)).square().sum(1)).mean().item()
    assert kernel.of_normal(dim) == pytest.approx(both, abs=0.004)


@pytest.mark.parametrize("dim", [1, 3, 40])
@pytest.mark.parametrize("away", [0.0, 1.0, 30.0, 1e3, 1e6])
def test_the_mean_of_the_inverse_multiquadratic_is_a_dense_integral_near_and_far(dim: int, away: float) -> None:
    """‖z − z′‖² is a noncentral χ² of `dim` degrees, with ‖z‖² = dim·away off the centre."""
    squared = dim * away
    middle, width = squared + dim, math.sqrt(2 * dim + 4 * squared)
    low, high = max(middle - 12 * width, 0.0), middle + 14 * width
    # Of the root, so that the density of one degree is finite at 0.
    points = 200_001 if away < 100 else 20_001  # far out the density is smooth, and its value slow to come by
    root = np.linspace(math.sqrt(low), math.sqrt(high), points)[1:]
    density = (stats.ncx2(dim, squared) if squared else stats.chi2(dim)).pdf(root**2) * 2 * root
    means = [2 * dim * s / (2 * dim * s + root**2) for s in (0.1, 0.2, 0.5, 1, 2, 5, 10)]
    expected = float(np.trapezoid(np.mean(means, 0) * density, root) / np.trapezoid(density, root))
    found = InverseMultiquadratic(dim).to_normal(torch.tensor([squared], dtype=torch.float64), dim)
    assert found.item() == pytest.approx(expected, rel=2e-5)


@pytest.mark.parametrize("kernel", [Gaussian(4.0), InverseMultiquadratic(4)])
def test_the_exact_prior_leaves_the_mean_and_a_quarter_of_the_variance(kernel) -> None:
    torch.manual_seed(0)
    codes = [0.3 + 1.2 * torch.randn(16, 4) for _ in range(500)]
    exact = torch.stack([discrepancy(z, StandardNormal(16, 4), kernel).mean() for z in codes])
    drawn = torch.stack([mmd(z, torch.randn(16, 4), kernel).mean() for z in codes])
    error = math.sqrt((exact.var() + drawn.var()) / len(codes))
    assert abs(exact.mean() - drawn.mean()) < 4 * error
    null = [torch.randn(16, 4) for _ in range(500)]
    exact = torch.stack([discrepancy(z, StandardNormal(16, 4), kernel).mean() for z in null])
    drawn = torch.stack([mmd(z, torch.randn(16, 4), kernel).mean() for z in null])
    assert abs(exact.mean()) < 4 * exact.std() / math.sqrt(len(null))
    assert exact.var() < 0.35 * drawn.var()


def test_another_prior_is_compared_by_its_draws() -> None:
    z, prior = torch.randn(20, 2), Normal(torch.ones(20, 2), torch.zeros(20, 2))
    torch.manual_seed(3)
    found = discrepancy(z, prior, Gaussian(2.0))
    torch.manual_seed(3)
    torch.testing.assert_close(found, mmd(z, prior.sample(), Gaussian(2.0)))
