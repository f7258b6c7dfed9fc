"""MMD² and mutual information on codes whose values are known."""

from __future__ import annotations

import math

import pytest
import torch

import matching


def test_draws_of_the_prior_have_none_and_moved_ones_the_closed_form() -> None:
    torch.manual_seed(0)
    z = torch.randn(4000, 2)
    assert abs(matching.mmd_to_prior(z, 2.0)) < 5e-4
    expected = 2 * (4 / 8) * (1 - math.exp(-2 / 8))
    assert matching.mmd_to_prior(z + 1, 2.0) == pytest.approx(expected, abs=0.01)


def test_information_is_log_2_of_two_codes_and_half_the_log_of_the_ratio_of_normals() -> None:
    torch.manual_seed(0)
    mean = torch.tensor([[-9.0], [9.0]]).repeat(1000, 1)
    assert matching.information(mean, torch.zeros(2000, 1), mean + torch.randn(2000, 1)) == pytest.approx(math.log(2))
    mean, log_scale = torch.randn(4000, 1), torch.full((4000, 1), -1.0)
    z = mean + log_scale.exp() * torch.randn(4000, 1)
    assert matching.information(mean, log_scale, z) == pytest.approx(0.5 * math.log(1 + math.e**2), abs=0.05)
