"""Total correlation and its kin against Gaussians whose values are known."""

from __future__ import annotations

import math
from itertools import permutations

import pytest
import torch

from sfumato.distributions import Normal, StandardNormal, noise
from sfumato.objectives import decomposed_rate, log_weights, second_half_permuted, telling_apart

CORRELATION = 0.8
NOISE = 0.3


def correlated(n: int) -> torch.Tensor:
    torch.manual_seed(0)
    x = torch.randn(n, 2)
    return torch.stack([x[:, 0], CORRELATION * x[:, 0] + math.sqrt(1 - CORRELATION**2) * x[:, 1]], 1)


@pytest.mark.parametrize("estimator", ["stratified", "weighted"])
def test_terms_are_those_of_a_gaussian_with_known_correlation(estimator: str) -> None:
    """x ~ N(0, Σ), z | x ~ N(x, s²), so z ~ N(0, Σ + s²)."""
    x = correlated(1500)
    q = Normal(x, torch.full_like(x, math.log(NOISE)))
    z = q.sample()
    log_prior = StandardNormal(len(x), 2).log_prob(z)
    parts = decomposed_rate(q, z, log_prior, len(x), estimator)
    # Weighted sampling takes each density too low by a factor N when the batch is the whole data.
    low = math.log(len(x)) if estimator == "weighted" else 0.0
    information, correlation, dimensions = parts[0] - low, parts[1] - low, parts[2] + 2 * low
    variance = 1 + NOISE**2
    left = 1 - (CORRELATION / variance) ** 2
    assert correlation.mean().item() == pytest.approx(-0.5 * math.log(left), abs=0.05)
    joint_variance = math.log(variance**2 * left)
    assert information.mean().item() == pytest.approx(0.5 * joint_variance - 2 * math.log(NOISE), abs=0.05)
    assert dimensions.mean().item() == pytest.approx(variance - 1 - math.log(variance), abs=0.05)


@pytest.mark.parametrize("estimator", ["stratified", "weighted"])
def test_terms_add_up_to_the_rate_of_the_draw(estimator: str) -> None:
    torch.manual_seed(1)
    q = Normal(torch.randn(40, 5, dtype=torch.float64), 0.5 * torch.randn(40, 5, dtype=torch.float64))
    z = q.sample()
    log_prior = StandardNormal(40, 5).log_prob(z)
    parts = decomposed_rate(q, z, log_prior, 1000, estimator)
    torch.testing.assert_close(sum(parts), q.log_prob(z) - log_prior, rtol=0, atol=1e-12)


def test_stratified_estimate_is_unbiased_for_the_aggregate() -> None:
    """All ordered batches of 3 out of 5 examples that begin with the one z was drawn from, enumerated."""
    densities = torch.tensor([0.9, 0.01, 0.3, 0.2, 0.05], dtype=torch.float64)
    weights = log_weights(3, 5, "stratified", densities).exp()
    estimates = [weights[0] @ densities[[0, *others]] for others in permutations(range(1, 5), 2)]
    assert torch.stack(estimates).mean().item() == pytest.approx(densities.mean().item(), abs=1e-12)
    # The paper's weights have the same mean over all batches, and more variance.
    paper = torch.tensor([1 / 5, 1 / 2, (5 - 2) / (5 * 2)], dtype=torch.float64)
    theirs = [paper @ densities[[0, *others]] for others in permutations(range(1, 5), 2)]
    assert torch.stack(theirs).mean().item() == pytest.approx(densities.mean().item(), abs=1e-12)
    assert torch.stack(estimates).var() < torch.stack(theirs).var()
    # Each row looks at the batch from its own example.
    assert all(torch.equal(weights[i].roll(-i), weights[0]) for i in range(3))


@pytest.mark.parametrize("batch", [2, 5, 40])
def test_with_all_examples_in_the_batch_the_decomposition_is_exact(batch: int) -> None:
    torch.manual_seed(0)
    q = Normal(torch.randn(batch, 2).double(), 0.3 * torch.randn(batch, 2).double())
    z = q.sample()
    parts = decomposed_rate(q, z, torch.zeros(batch).double(), batch)
    pairs = torch.distributions.Normal(q.mean, q.log_scale.exp()).log_prob(z[:, None])
    log_q = pairs.sum(2).logsumexp(1) - math.log(batch)
    log_each = (pairs.logsumexp(1) - math.log(batch)).sum(1)
    torch.testing.assert_close(parts.total_correlation, log_q - log_each)
    torch.testing.assert_close(parts.mutual_information, q.log_prob(z) - log_q)


def test_weights_without_a_count_of_examples_are_those_of_the_batch_alone() -> None:
    for batch in (1, 2, 7):
        weights = log_weights(batch, 0, "stratified", torch.zeros(())).exp()
        torch.testing.assert_close(weights.sum(1), torch.ones(batch))
        assert torch.equal(weights.diagonal(), torch.full((batch,), 1 / batch))


def test_permuting_keeps_each_dimension_of_the_second_half_and_breaks_their_tie() -> None:
    z = correlated(4001)
    permuted = second_half_permuted(z)
    assert permuted.shape == (2000, 2)
    for dimension in range(2):
        assert torch.equal(permuted[:, dimension].sort().values, z[2001:, dimension].sort().values)
    assert abs(torch.corrcoef(permuted.t())[0, 1].item()) < 0.08
    assert not second_half_permuted(z.requires_grad_()).requires_grad


def test_the_discriminator_s_loss_is_the_mean_of_its_two_halves() -> None:
    logits, permuted = torch.randn(7), torch.randn(3)
    duel = telling_apart(logits, permuted)
    real = torch.nn.functional.binary_cross_entropy_with_logits(logits[:4], torch.ones(4))
    false = torch.nn.functional.binary_cross_entropy_with_logits(permuted, torch.zeros(3))
    torch.testing.assert_close(duel.cross_entropy.mean(), 0.5 * (real + false))
    right = 0.5 * ((logits[:4] > 0).float().mean() + (permuted < 0).float().mean())
    torch.testing.assert_close(duel.correct.mean(), right)


def test_the_best_discriminator_s_logit_estimates_the_total_correlation() -> None:
    """The log density ratio of N(0, Σ) to the product of its marginals, in closed form."""
    z = correlated(20_000)
    left = 1 - CORRELATION**2
    a, b = z.unbind(1)
    quadratic = (CORRELATION**2 * (a**2 + b**2) - 2 * CORRELATION * a * b) / left
    best = -0.5 * quadratic - 0.5 * math.log(left)
    assert best.mean().item() == pytest.approx(-0.5 * math.log(left), abs=0.02)
    permuted = second_half_permuted(z)
    a, b = permuted.unbind(1)
    at_permuted = -0.5 * (CORRELATION**2 * (a**2 + b**2) - 2 * CORRELATION * a * b) / left - 0.5 * math.log(left)
    lowest = telling_apart(best, at_permuted).cross_entropy.mean()
    for factor in (0.8, 1.25):
        assert telling_apart(factor * best, factor * at_permuted).cross_entropy.mean() > lowest


def test_a_part_of_a_joint_batch_knows_its_place() -> None:
    with noise.rows(3, 4, 10):
        assert noise.place(4) == (3, 10)
        assert noise.place(8) == (0, 8)
    assert noise.place(4) == (0, 4)
