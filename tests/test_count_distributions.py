"""Distributions of counts: probabilities against scipy, limits, draws, totals, and what is far out."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor

from sfumato.distributions.counts import Counts, NegativeBinomial, Poisson, ZeroInflated
from sfumato.networks.heads import for_likelihood
from sfumato.spec import CountStatistics, DataSpec, Field

X = torch.tensor([0.0, 1, 2, 5, 20, 100, 1e4, 1e6, 1e9])
MEANS = (1e-6, 1e-2, 1.0, 30.0, 1e4, 1e6)
SIZES = (1e-3, 0.1, 1.0, 10.0, 1e3, 2e4)
LOG_SHARE = torch.log_softmax(torch.tensor([[0.0, 1.0, 2.0, -1.0], [1.0, 1.0, -4.0, 0.0]]), 1)


def of(build: Callable[..., Counts], log_share: Tensor = LOG_SHARE, *more: Tensor, total: float = 30.0) -> Counts:
    return build(log_share, lambda: torch.full(log_share.shape[:1], total).to(log_share), torch.tensor(total), *more)


def negative_binomial(size: float, dtype: torch.dtype = torch.float64) -> Counts:
    return of(NegativeBinomial, LOG_SHARE.to(dtype), torch.tensor(math.log(size), dtype=dtype))


@pytest.mark.parametrize(("dtype", "accuracy"), [(torch.float64, 1e-8), (torch.float32, 1e-3)])
def test_the_log_mass_is_that_of_scipy_also_far_out(dtype: torch.dtype, accuracy: float) -> None:
    x = X.to(dtype)
    for mean in MEANS:
        log_mean = torch.tensor(math.log(mean), dtype=dtype)
        poisson = of(Poisson).log_mass(x, log_mean).double().numpy()
        np.testing.assert_allclose(
            poisson, stats.poisson.logpmf(X.numpy(), mean), rtol=0.01 if accuracy > 1e-6 else accuracy, atol=1e-5
        )
        for size in SIZES:
            expected = stats.nbinom.logpmf(X.double().numpy(), size, size / (size + mean))
            got = negative_binomial(size, dtype).log_mass(x, log_mean).double().numpy()
            finite = np.isfinite(expected)  # scipy's own overflows for some
            np.testing.assert_allclose(got[finite], expected[finite], rtol=accuracy, atol=1e-5)
            assert np.isfinite(got).all()


def test_probabilities_of_all_counts_sum_to_one_and_have_the_stated_mean_and_variance() -> None:
    x, mean, size, gate = torch.arange(4000.0).double(), 7.0, 1.7, -0.4
    base = negative_binomial(size)
    inflated = ZeroInflated(base, torch.tensor(gate).double())
    there = 1 / (1 + math.exp(gate))
    for counts, expected, variance in (
        (base, mean, mean + mean**2 / size),
        (inflated, there * mean, there * (mean + mean**2 / size) + there * (1 - there) * mean**2),
    ):
        p = counts.log_mass(x, torch.tensor(math.log(mean)).double()).exp()
        assert p.sum().item() == pytest.approx(1, abs=1e-9)
        assert (p * x).sum().item() == pytest.approx(expected, rel=1e-6)
        assert (p * (x - expected) ** 2).sum().item() == pytest.approx(variance, rel=1e-6)


def test_the_negative_binomial_becomes_poisson() -> None:
    x, log_mean = X[:7].double(), torch.tensor(2.0).double()
    near = negative_binomial(1e9).log_mass(x, log_mean)
    torch.testing.assert_close(near[:6], of(Poisson).log_mass(x, log_mean)[:6], rtol=1e-5, atol=1e-5)


def test_draws_follow_the_masses() -> None:
    torch.manual_seed(0)
    share = torch.log_softmax(torch.tensor([[0.0, 1.0, 2.0]]), 1).expand(20_000, 3)
    size, gate = torch.tensor([0.5, 2.0, 50.0]).log(), torch.tensor([[0.5, -1.0, -5.0]]).expand(20_000, 3)
    base = of(NegativeBinomial, share, size)
    for counts in (of(Poisson, share), base, ZeroInflated(base, gate)):
        drawn = counts.sample()
        assert (drawn == drawn.round()).all()
        zero = counts.log_mass(torch.zeros(1, 3), (30 * share[:1].exp()).log()).exp()[0]
        torch.testing.assert_close((drawn == 0).float().mean(0), zero, atol=0.015, rtol=0)
        torch.testing.assert_close(drawn.mean(0), counts.mode()[0], rtol=0.06, atol=0)


def test_the_expectation_is_the_share_of_the_total() -> None:
    x = torch.tensor([[3.0, 0, 1, 6], [0, 0, 0, 0]])
    sized = of(Poisson).with_total_of(x)
    torch.testing.assert_close(sized.mode(), x.sum(1, keepdim=True) * LOG_SHARE.exp())
    assert (sized.sample()[1] == 0).all(), "an example without counts stays without"
    torch.testing.assert_close(of(Poisson).mode().sum(1), torch.full((2,), 30.0))


def test_missing_entries_leave_the_others_as_they_would_be_alone() -> None:
    mask = torch.tensor([[True, False, True, True], [True, True, False, False]])
    x = torch.tensor([[3.0, torch.nan, 1, 6], [2, 0, torch.nan, torch.nan]])
    log_p = of(Poisson).log_prob(x, mask)
    for row in range(2):
        seen = mask[row]
        alone = LOG_SHARE[row : row + 1, seen]
        expected = of(Poisson, alone - alone.logsumexp(1, keepdim=True)).log_prob(x[row : row + 1, seen])
        torch.testing.assert_close(log_p[row : row + 1], expected)
    torch.manual_seed(0)
    filled, log_weight = of(Poisson).complete(x.nan_to_num(0), mask)
    assert (filled[mask] == x[mask]).all()
    torch.testing.assert_close(log_weight, log_p)
    nothing = of(Poisson).complete(x.nan_to_num(0), torch.zeros_like(mask))[0]
    assert nothing.isfinite().all()
    assert nothing.sum() > 20, "of an example of which nothing is known the total is drawn"


@pytest.mark.parametrize("name", ["negative_binomial", "zero_inflated_negative_binomial", "poisson"])
@pytest.mark.parametrize("raw", [0.0, 1e4, -1e4])
def test_gradients_stay_finite_for_odd_examples(name: str, raw: float) -> None:
    head = for_likelihood(DataSpec((3,), (Field("count"),), likelihood=name))
    outputs = torch.randn(4, *head.raw) * 3 + raw * torch.tensor([1.0, -1, 1] * (head.raw[0] // 3))
    outputs.requires_grad_()
    x = torch.tensor([[0.0, 0, 0], [1, 0, 0], [1e9, 0, 3e8], [0, 7e6, 1]])
    log_p = head(outputs).log_prob(x)
    log_p.sum().backward()  # type: ignore[no-untyped-call]
    assert log_p.isfinite().all()
    assert log_p[0].abs() < 1e-3, "no counts among none are certain"
    assert all(p.grad is None or p.grad.isfinite().all() for p in (outputs, *head.parameters()))


def test_totals_of_new_examples_are_those_of_the_same_conditions() -> None:
    seen = CountStatistics((0.5, 0.5), (10.0, 20.0, 1000.0, 2000.0), ((0.0, 1.0), (0.0, -1.0), (1.0, 1.0), (1.0, -1.0)))
    given = (Field("category", 2), Field("real"))
    head = for_likelihood(DataSpec((2,), (Field("count"),), given, "poisson", counts=seen))
    torch.manual_seed(0)
    wanted = torch.tensor([[0.0, torch.nan], [1.0, torch.nan], [1.0, -0.9], [torch.nan, torch.nan]]).repeat(300, 1)
    totals = head.under(torch.zeros(1200, 2), wanted)._totals().view(300, 4).T  # type: ignore[attr-defined]
    kinds = [set(row.tolist()) for row in totals]
    assert kinds == [{10.0, 20.0}, {1000.0, 2000.0}, {2000.0}, {10.0, 20.0, 1000.0, 2000.0}]
