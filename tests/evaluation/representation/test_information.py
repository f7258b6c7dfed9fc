"""Information and divergences where they have closed forms, and probes where the answer is known."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from sfumato.distributions import Normal
from sfumato.evaluation.representation.information import aggregate_mmd, densities
from sfumato.evaluation.representation.probes import tell_category, tell_number


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def channel(noise: float, n: int = 2500, latents: int = 2) -> tuple[Normal, torch.Tensor]:
    """z = x + noise·ε with x ~ N(0, 1): I(x; z) = L/2 · log(1 + 1/noise²), q(z) = N(0, 1 + noise²)."""
    q = Normal(torch.randn(n, latents), torch.full((n, latents), math.log(noise)))
    return q, q.sample()


@pytest.mark.parametrize("noise", [2.0, 0.5, 0.3])
def test_information_of_a_gaussian_channel(noise: float) -> None:
    q, z = channel(noise)
    known = math.log(1 + 1 / noise**2)
    found = densities(q, z)
    assert found.at_least.mean() == pytest.approx(known, abs=0.06)
    assert found.at_most.mean() == pytest.approx(known, abs=0.06)
    assert found.at_least.mean() <= found.at_most.mean()


def test_a_code_that_says_more_than_the_examples_can_show_is_capped_at_their_logarithm() -> None:
    q, z = channel(1e-4, n=300)
    found = densities(q, z)
    assert found.at_least.mean() == pytest.approx(math.log(300), abs=1e-6)
    assert found.at_most.mean() > 2 * math.log(300)


def test_a_code_that_says_nothing_has_no_information() -> None:
    q = Normal(torch.zeros(500, 3), torch.zeros(500, 3))
    found = densities(q, q.sample())
    assert abs(found.at_least).max() < 1e-9
    assert abs(found.at_most).max() < 1e-9


def test_divergence_of_all_codes_from_the_prior() -> None:
    """q(z) = N(1, 1.25) in two dimensions against N(0, 1)."""
    q, z = channel(0.5)
    moved = Normal(q.mean + 1, q.log_scale)
    pairs = densities(moved, z + 1)
    prior = Normal(torch.zeros(1, 2), torch.zeros(1, 2)).log_prob(z + 1)
    known = 2 * 0.5 * (1.25 + 1 - 1 - math.log(1.25))
    assert float((pairs.all - prior).mean()) == pytest.approx(known, abs=0.08)


def test_densities_are_those_of_all_pairs() -> None:
    q = Normal(torch.randn(700, 3), torch.randn(700, 3))
    z = q.sample()
    found = densities(q, z)
    pairs = torch.distributions.Normal(q.mean.double(), q.scale.double()).log_prob(z.double()[:, None]).sum(2)
    assert torch.allclose(found.own, pairs.diagonal())
    assert torch.allclose(found.all, torch.logsumexp(pairs, 1) - math.log(700))
    pairs.fill_diagonal_(-math.inf)
    assert torch.allclose(found.others, torch.logsumexp(pairs, 1) - math.log(699))


def test_discrepancy_grows_with_the_shift_and_is_nothing_for_the_prior_itself() -> None:
    z, drawn, again = (torch.randn(2000, 4) for _ in range(3))
    same, near, far = (aggregate_mmd(z + shift, drawn, again) for shift in (0.0, 0.3, 1.0))
    assert abs(same.value) < 3 * (same.error or 0)
    assert same.value < 2 * same.same < near.value < far.value
    assert near.value > 5 * (near.error or 0)


def test_probes_find_what_is_linear_and_nothing_in_noise() -> None:
    random = np.random.default_rng(0)
    z = random.normal(size=(1500, 3))
    number = tell_number(z, z @ [1.0, 2.0, 0.0] + random.normal(size=1500))
    assert number is not None
    assert number.score == pytest.approx(5 / 6, abs=3 * number.error + 0.01)
    classes = np.digitize(z[:, 2], [-0.5, 0.5])
    found, chance = tell_category(z, classes), tell_category(random.normal(size=(1500, 3)), classes)
    assert found is not None
    assert chance is not None
    assert found.score > 0.95
    assert chance.score == pytest.approx(chance.chance, abs=4 * chance.error)
    assert sorted(found.parts) == [0, 1, 2]


def test_probes_leave_out_what_is_unknown_rare_or_always_the_same() -> None:
    z = np.random.default_rng(0).normal(size=(40, 2))
    classes = (z[:, 0] > 0).astype(int)
    classes[:3] = [-1, 2, 2]
    found = tell_category(z, classes)
    assert found is not None
    assert sorted(found.parts) == [0, 1]
    assert tell_category(z, np.zeros(40, int)) is None
    assert tell_number(z, np.full(40, 3.0)) is None
    assert tell_number(z, np.where(np.arange(40) < 35, np.nan, 1.0)) is None


@pytest.mark.parametrize("noise", [0.1, 1.0])
def test_the_error_of_a_number_told_is_what_fresh_examples_show(noise: float) -> None:
    random = np.random.default_rng(0)
    found = []
    for _ in range(60):
        z = random.normal(size=(200, 1))
        probe = tell_number(z, z[:, 0] + noise * random.normal(size=200))
        assert probe is not None
        found.append((probe.score, probe.error))
    score, error = np.array(found).T
    assert 0.75 < np.sqrt((error**2).mean()) / score.std(ddof=1) < 1.35
