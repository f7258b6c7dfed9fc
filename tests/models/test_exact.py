"""The VAE family against a linear-Gaussian model, whose evidence and posterior are known."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from sfumato.batch import Batch
from sfumato.distributions import Normal
from sfumato.errors import SfumatoError
from sfumato.models.conditional.cvae import CVAE
from sfumato.models.factors.beta_vae import BetaVAE
from sfumato.models.vae import VAE
from sfumato.networks.features import leave_out
from sfumato.objectives import Ramp, importance_bound

SCALES = torch.tensor([2.0, 0.7])
NOISE = 0.5


class LinearDecoder(nn.Module):
    """x = diag(a)·z + ε, ε ~ N(0, NOISE²)."""

    def forward(self, z: Tensor, given: Tensor | None = None) -> Normal:
        return Normal(z * SCALES, torch.tensor(math.log(NOISE)))


class ExactEncoder(nn.Module):
    """The true posterior, moved by `shift` to make a worse one."""

    def __init__(self, shift: float = 0.0) -> None:
        super().__init__()
        self.shift = nn.Parameter(torch.tensor(shift))

    def forward(self, x: Tensor, given: Tensor | None = None, mask: Tensor | None = None) -> Normal:
        variance = 1 / (1 + SCALES**2 / NOISE**2)
        return Normal(variance * SCALES * x / NOISE**2 + self.shift, 0.5 * torch.log(variance).expand_as(x))


def evidence(x: Tensor) -> Tensor:
    variance = SCALES**2 + NOISE**2
    return (-0.5 * x**2 / variance - 0.5 * torch.log(2 * torch.pi * variance)).sum(1)


def data(n: int = 64) -> Tensor:
    torch.manual_seed(0)
    return torch.randn(n, 2) * SCALES + NOISE * torch.randn(n, 2)


def test_with_the_true_posterior_every_weight_is_the_evidence() -> None:
    model, x = VAE(ExactEncoder(), LinearDecoder(), 2), data()
    weights = model.log_weight(Batch(x), 9)
    torch.testing.assert_close(weights, evidence(x)[:, None].expand(-1, 9), rtol=1e-4, atol=1e-4)
    shared = model.log_weight(Batch(x), 9, torch.randn(9, 2))
    torch.testing.assert_close(shared, weights, rtol=1e-4, atol=1e-4)


def test_the_elbo_falls_short_of_the_evidence_by_the_kl_to_the_true_posterior() -> None:
    model, x = VAE(ExactEncoder(shift=0.1), LinearDecoder(), 2), data(20_000)
    elbo = -model.losses(Batch(x), 0)["model"].total
    variance = 1 / (1 + SCALES**2 / NOISE**2)
    gap = (0.5 * 0.1**2 / variance).sum()
    torch.testing.assert_close(elbo, evidence(x).mean() - gap, rtol=0, atol=0.05)


def test_free_bits_are_refused_where_there_is_no_rate_to_hold_up() -> None:
    with pytest.raises(SfumatoError, match=r"free_bits .* choose one"):
        VAE(ExactEncoder(shift=0.3), LinearDecoder(), 2, samples=5, free_bits=0.1)


def test_the_bound_of_more_samples_is_tighter_and_never_above_the_evidence() -> None:
    x = data(4000)
    bounds = []
    for samples in (1, 5, 50):
        model = VAE(ExactEncoder(shift=0.3), LinearDecoder(), 2, samples=samples)
        bounds.append(-model.losses(Batch(x), 0)["model"].total.item())
    assert bounds == sorted(bounds)
    assert evidence(x).mean().item() - bounds[-1] == pytest.approx(0.0, abs=0.05)


def test_beta_one_is_the_vae_and_beta_weighs_the_rate_alone() -> None:
    x = data()
    totals = {}
    for beta in (0.0, 1.0, 4.0):
        torch.manual_seed(1)
        loss = BetaVAE(ExactEncoder(), LinearDecoder(), 2, beta=beta).losses(Batch(x), 0)["model"]
        totals[beta] = loss.total
    torch.manual_seed(1)
    vae = VAE(ExactEncoder(), LinearDecoder(), 2).losses(Batch(x), 0)["model"]
    torch.testing.assert_close(totals[1.0], vae.total)
    torch.testing.assert_close(totals[4.0] - totals[0.0], 4 * vae.terms["rate"].mean())


def test_the_capacity_follows_its_schedule() -> None:
    model = BetaVAE(ExactEncoder(), LinearDecoder(), 2, capacity=10.0, gamma=100.0, warmup=Ramp(100))
    batch = Batch(data())
    for step, capacity in ((0, 0.0), (50, 5.0), (100, 10.0), (1000, 10.0)):
        loss = model.losses(batch, step)["model"]
        gap = abs(loss.metrics["rate"].mean().item() - capacity)
        assert loss.terms["capacity_gap"].mean().item() == pytest.approx(gap, rel=1e-4)
        expected = loss.terms["distortion"].mean().item() + 100 * gap
        assert loss.total.item() == pytest.approx(expected, rel=1e-4)


def test_warm_up_weighs_the_rate_and_reports_it_whole() -> None:
    model, batch = VAE(ExactEncoder(), LinearDecoder(), 2, warmup=Ramp(10)), Batch(data())
    loss = model.losses(batch, 5)["model"]
    expected = loss.terms["distortion"].mean() + 0.5 * loss.terms["rate"].mean()
    torch.testing.assert_close(loss.total, expected)


class ShiftedPrior(nn.Module):
    """p(z | c) = N(c, 1): the condition is the mean of z."""

    def forward(self, given: Tensor | None, n: int) -> Normal:
        assert given is not None
        return Normal(torch.nan_to_num(given), torch.zeros(n, 2))


class ShiftedEncoder(ExactEncoder):
    def forward(self, x: Tensor, given: Tensor | None = None, mask: Tensor | None = None) -> Normal:
        assert given is not None
        variance = 1 / (1 + SCALES**2 / NOISE**2)
        mean = variance * (SCALES * x / NOISE**2 + torch.nan_to_num(given))
        return Normal(mean + 0 * self.shift, 0.5 * torch.log(variance).expand_as(x))


def test_the_conditional_bound_with_the_true_posterior_is_the_conditional_evidence() -> None:
    x, given = data(), torch.randn(64, 2)
    model = CVAE(ShiftedEncoder(), LinearDecoder(), ShiftedPrior()).eval()
    expected = evidence(x - SCALES * given)
    bound = importance_bound(model.log_weight(Batch(x, given), 5))
    torch.testing.assert_close(bound, expected, rtol=1e-4, atol=1e-4)


def test_conditions_are_left_out_as_often_as_asked_in_training_alone() -> None:
    torch.manual_seed(0)
    dropped = leave_out(torch.zeros(20_000, 2), 0.3).isnan().float().mean(0)
    torch.testing.assert_close(dropped, torch.full((2,), 0.3), rtol=0, atol=0.01)
    seen: list[Tensor] = []

    class Watching(ShiftedEncoder):
        def forward(self, x: Tensor, given: Tensor | None = None, mask: Tensor | None = None) -> Normal:
            assert given is not None
            seen.append(given)
            return super().forward(x, given, mask)

    model = CVAE(Watching(), LinearDecoder(), ShiftedPrior(), condition_dropout=0.5)
    batch = Batch(data(), torch.zeros(64, 2))
    model.train().losses(batch, 0)
    model.eval().losses(batch, 0)
    assert seen[0].isnan().any()
    assert not seen[1].isnan().any()
