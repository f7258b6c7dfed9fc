"""Gradients of sampled bounds against exact ones, in a linear-Gaussian model: x = 2z + ε, z ~ N(0, 1), ε ~ N(0, ½²)."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from sfumato.batch import Batch
from sfumato.distributions import Normal, NormalMixture
from sfumato.models.vae import VAE
from sfumato.objectives import doubly_reparametrised, importance_bound, rate

ROWS = 20_000
SLOPE, NOISE, X = 2.0, 0.5, 1.5
# q(z|x) away from the posterior, which is N(12/17, 1/17).
MEAN, LOG_SCALE = 0.5, -1.0


def _prior(n: int) -> NormalMixture:
    """N(0, 1), as a mixture of one: its KL is sampled."""
    return NormalMixture(torch.zeros(1), torch.zeros(1, 1), torch.zeros(1, 1), n)


def _q(rows: int, mean: float = MEAN, log_scale: float = LOG_SCALE) -> Normal:
    """q of as many examples, each with parameters of its own: their gradients are those of single draws."""
    return Normal(torch.full((rows, 1), mean, requires_grad=True), torch.full((rows, 1), log_scale, requires_grad=True))


def _gradients(q: Normal, total: Tensor) -> Tensor:
    """Of each row's mean and log σ, (rows, 2)."""
    return torch.cat(torch.autograd.grad(total.sum(), (q.mean, q.log_scale)), 1)


def _close(drawn: Tensor, exact: Tensor) -> None:
    error = drawn.std(0) / len(drawn) ** 0.5
    assert ((drawn.mean(0) - exact).abs() < 4 * error + 1e-5).all(), (drawn.mean(0), exact, error)


def _bound_gradients(q: Normal, k: int, power: float, *, landed: bool) -> Tensor:
    """Of the bound of k draws, by the usual estimator or by way of the draws alone."""
    many = q.repeat(k)
    z = many.sample()
    log_p = Normal(SLOPE * z, torch.tensor(NOISE).log()).log_prob(torch.full_like(z, X))
    log_q = many.log_prob_along(z) if landed else many.log_prob(z)
    log_weight = (log_p + power * (_prior(len(z)).log_prob(z) - log_q)).view(-1, k)
    if landed:
        doubly_reparametrised(z, log_weight, power)
    return _gradients(q, importance_bound(log_weight))


def _exact_bound(mean: Tensor, log_scale: Tensor, k: int, power: float) -> Tensor:
    """E log (1/k) Σ w by quadrature over the k normal numbers."""
    nodes, weights = (torch.as_tensor(part) for part in np.polynomial.hermite_e.hermegauss(60))
    weights = weights / weights.sum()
    z = mean + log_scale.exp() * nodes
    log_q = -0.5 * nodes.square() - log_scale
    log_p = -0.5 * ((X - SLOPE * z) / NOISE).square() - np.log(NOISE) - 0.5 * np.log(2 * np.pi)
    log_w = log_p + power * (-0.5 * z.square() - log_q)
    if k == 1:
        return (weights * log_w).sum()
    pairs = torch.logaddexp(log_w[:, None], log_w[None]) - np.log(2)
    return (weights[:, None] * weights[None] * pairs).sum()


def _exact_gradient(k: int, power: float) -> Tensor:
    where = [torch.tensor(value, dtype=torch.float64, requires_grad=True) for value in (MEAN, LOG_SCALE)]
    return torch.stack(torch.autograd.grad(_exact_bound(where[0], where[1], k, power), where)).float()


def test_the_sampled_rate_has_the_gradient_of_the_kl() -> None:
    torch.manual_seed(0)
    q = _q(ROWS)
    landed = _gradients(q, rate(q, _prior(ROWS), q.sample()))
    exact = _gradients(one := _q(1), one.kl(Normal(torch.zeros(1, 1), torch.zeros(1, 1))))[0]
    _close(landed, exact)
    with torch.no_grad():
        value = rate(q, _prior(ROWS), z := q.sample())[:, 0]
        torch.testing.assert_close(value, q.log_prob(z) - _prior(ROWS).log_prob(z))


def test_the_gradient_of_the_sampled_bound_is_still_where_q_is_the_posterior() -> None:
    torch.manual_seed(0)
    q = _q(500, 12 / 17, -0.5 * np.log(17.0))
    landed, whole = (_bound_gradients(q, 1, 1.0, landed=how) for how in (True, False))
    assert landed.abs().max() < 1e-4
    assert whole.std(0).min() > 0.5


@pytest.mark.parametrize("power", [1.0, 0.4])
@pytest.mark.parametrize("k", [1, 2])
def test_the_gradient_of_the_bound_of_k_draws_is_the_exact_one(k: int, power: float) -> None:
    torch.manual_seed(1)
    q = _q(ROWS)
    landed, whole = (_bound_gradients(q, k, power, landed=how) for how in (True, False))
    exact = _exact_gradient(k, power)
    _close(whole, exact)
    _close(landed, exact)


@pytest.mark.parametrize("k", [8, 64])
def test_the_gradient_of_many_draws_is_that_of_the_usual_estimator_with_less_noise(k: int) -> None:
    torch.manual_seed(2)
    q = _q(ROWS if k < 10 else 4000)
    landed, whole = (_bound_gradients(q, k, 1.0, landed=how) for how in (True, False))
    error = ((whole.var(0) + landed.var(0)) / len(whole)).sqrt()
    assert ((whole.mean(0) - landed.mean(0)).abs() < 4 * error).all()
    assert (landed.var(0) < 0.1 * whole.var(0)).all()


class _Encoder(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.mean, self.log_scale = (torch.nn.Parameter(torch.tensor(value)) for value in (MEAN, LOG_SCALE))

    def forward(self, x: Tensor, given: Tensor | None = None, mask: Tensor | None = None) -> Normal:
        return Normal(self.mean.expand(len(x), 1), self.log_scale.expand(len(x), 1))


class _Decoder(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.slope = torch.nn.Parameter(torch.tensor(SLOPE))

    def forward(self, z: Tensor, given: Tensor | None = None) -> Normal:
        return Normal(self.slope * z, torch.tensor(NOISE).log())


@pytest.mark.parametrize("samples", [1, 2])
def test_a_vae_with_a_learned_prior_or_several_draws_moves_along_the_exact_gradient(samples: int) -> None:
    torch.manual_seed(3)
    model = VAE(_Encoder(), _Decoder(), 1, samples=samples)
    model.prior_net.forward = lambda given, n: _prior(n)  # type: ignore[method-assign]
    rows, parts = 4000, []
    for _ in range(12):
        model.zero_grad()
        model.losses(Batch(torch.full((rows, 1), X)), 0)["model"].total.backward()
        parts.append(torch.stack([-model.encoder.mean.grad, -model.encoder.log_scale.grad]))
        # What does not come by way of z is as it was: ∂/∂slope of log p(x|z).
        assert model.decoder.slope.grad.abs() > 0
    _close(torch.stack(parts), _exact_gradient(samples, 1.0))
