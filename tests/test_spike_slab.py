"""The spike-and-slab distribution against its parts, and against Monte Carlo."""

from __future__ import annotations

import pytest
import torch
from torch import distributions as td

from sfumato.distributions import Normal, SpikeSlab, SpikeSlabMixture
from sfumato.distributions.codes.spike_slab import bernoulli_kl


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def spike_slab(rows: int, latents: int = 3) -> SpikeSlab:
    slab = Normal(torch.randn(rows, latents), 0.4 * torch.randn(rows, latents))
    return SpikeSlab(slab, 0.1 + 0.8 * torch.rand(rows, latents))


def test_its_density_is_the_mass_of_the_spike_at_zero_and_that_of_the_slab_elsewhere() -> None:
    q = spike_slab(1)
    z = torch.tensor([[0.0, 0.7, 0.0]])
    normal = td.Normal(q.slab.mean, q.slab.log_scale.exp()).log_prob(z)
    expected = torch.log(1 - q.gamma[0, 0]) + torch.log(q.gamma[0, 1]) + normal[0, 1] + torch.log(1 - q.gamma[0, 2])
    torch.testing.assert_close(q.log_prob(z)[0], expected)


def test_mass_and_density_add_up_to_one() -> None:
    q = SpikeSlab(Normal(torch.tensor([[0.3]]), torch.tensor([[-0.5]])), torch.tensor([[0.6]]))
    grid = torch.linspace(-8, 8, 16_000)[:, None]
    slab = torch.exp(q.repeat(len(grid)).log_prob(grid)).sum() * (grid[1, 0] - grid[0, 0])
    torch.testing.assert_close(slab + torch.exp(q.log_prob(torch.zeros(1, 1)))[0], torch.tensor(1.0), rtol=1e-3, atol=0)


@pytest.mark.parametrize("how", ["sample", "draw"])
def test_draws_are_zero_as_often_as_said_and_normal_otherwise(how: str) -> None:
    q = SpikeSlab(Normal(torch.tensor([[2.0, -1.0]]), torch.tensor([[0.0, -1.0]])), torch.tensor([[0.3, 0.9]]))
    many = q.repeat(40_000)
    z = many.sample() if how == "sample" else many.draw(torch.randn(40_000, 2))
    on = z != 0
    torch.testing.assert_close(on.float().mean(0), q.gamma[0], rtol=0, atol=0.01)
    for j in range(2):
        slab = z[on[:, j], j]
        torch.testing.assert_close(slab.mean(), q.slab.mean[0, j], rtol=0, atol=0.03)
        torch.testing.assert_close(slab.std(), q.slab.log_scale[0, j].exp(), rtol=0.03, atol=0)


def test_relaxed_draws_tend_to_exact_ones_and_reach_gamma() -> None:
    q = SpikeSlab(Normal(torch.full((20_000, 1), 2.0), torch.zeros(20_000, 1)), torch.full((20_000, 1), 0.3))
    soft = q.relaxed(1e4)
    torch.testing.assert_close((soft.abs() > 1e-6).float().mean(), torch.tensor(0.3), rtol=0, atol=0.02)
    gamma = torch.full((20_000, 1), 0.3, requires_grad=True)
    mean = SpikeSlab(q.slab, gamma).relaxed(20.0).mean()
    (gradient,) = torch.autograd.grad(mean, gamma)
    torch.testing.assert_close(gradient.sum(), torch.tensor(2.0), rtol=0.05, atol=0)  # dE[z]/dγ = μ


def test_the_kl_is_its_closed_form_and_that_of_monte_carlo() -> None:
    q, p = spike_slab(2), spike_slab(2)
    normals = td.kl_divergence(
        td.Normal(q.slab.mean, q.slab.log_scale.exp()), td.Normal(p.slab.mean, p.slab.log_scale.exp())
    )
    coins = td.kl_divergence(td.Bernoulli(q.gamma), td.Bernoulli(p.gamma))
    torch.testing.assert_close(q.kl(p), q.gamma * normals + coins)
    z = q.repeat(100_000).sample()
    estimate = q.repeat(100_000).log_prob(z) - p.repeat(100_000).log_prob(z)
    torch.testing.assert_close(estimate.view(2, -1).mean(1), q.kl(p).sum(1), rtol=0.03, atol=0.03)


def test_the_kl_to_each_of_several_is_that_to_one_after_the_other() -> None:
    q, p = spike_slab(7), spike_slab(3)
    every = q.kl_to_each(p)
    for u in range(3):
        one = SpikeSlab(Normal(p.slab.mean[u : u + 1], p.slab.log_scale[u : u + 1]), p.gamma[u : u + 1])
        torch.testing.assert_close(every[:, u], q.kl(one).sum(1), rtol=1e-4, atol=1e-5)


def test_the_kl_of_two_coins_is_torchs() -> None:
    p, q = torch.rand(2, 50).clamp(0.01, 0.99)
    torch.testing.assert_close(bernoulli_kl(p, q), td.kl_divergence(td.Bernoulli(p), td.Bernoulli(q)))


def test_codes_have_exact_zeros_where_the_spike_is_the_likelier() -> None:
    q = SpikeSlab(Normal(torch.ones(1, 3), torch.zeros(1, 3)), torch.tensor([[0.0, 0.49, 0.51]]))
    assert q.mode().tolist() == [[0.0, 0.0, 1.0]]
    assert torch.isfinite(q.log_prob(torch.ones(1, 3))).all()


def test_the_mixture_by_matrix_products_is_the_sum_of_its_components() -> None:
    components, logits = spike_slab(4), torch.randn(4)
    mixture = SpikeSlabMixture(logits, components, 50)
    z = mixture.sample()
    assert 0.1 < (z == 0).float().mean() < 0.9
    each = torch.stack(
        [SpikeSlab(Normal(components.slab.mean[u : u + 1], components.slab.log_scale[u : u + 1]),
                   components.gamma[u : u + 1]).repeat(50).log_prob(z) for u in range(4)], 1
    )  # fmt: skip
    expected = torch.logsumexp(torch.log_softmax(logits, 0) + each, 1)
    torch.testing.assert_close(mixture.log_prob(z), expected, rtol=1e-4, atol=1e-4)


def test_the_mixture_draws_each_component_as_often_as_it_weighs() -> None:
    slab = Normal(torch.tensor([[-50.0], [50.0]]), torch.zeros(2, 1))
    mixture = SpikeSlabMixture(torch.log(torch.tensor([0.2, 0.8])), SpikeSlab(slab, torch.full((2, 1), 0.5)), 20_000)
    z = mixture.sample()
    shares = torch.stack([(z < -1).float().mean(), (z == 0).float().mean(), (z > 1).float().mean()])
    torch.testing.assert_close(shares, torch.tensor([0.1, 0.5, 0.4]), rtol=0, atol=0.015)
    assert mixture.mode().unique().tolist() == [0.0]
