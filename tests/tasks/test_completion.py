"""Completion against known conditionals: of a linear normal model, of a discrete one summed up, within sets."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from scipy import stats
from torch import nn

from sfumato.batch import Batch
from sfumato.distributions import Allowed, Normal, OwnMixture, noise
from sfumato.distributions.restricted import restricted_normal
from sfumato.latents.partial_encoder import PartialEncoder, random_mask
from sfumato.models import build
from sfumato.models.latent import LatentModel
from sfumato.randomness.generators import seeded
from sfumato.spec import DataSpec, Field, Order
from sfumato.tasks.completion import Completer, Particles

CPU = torch.device("cpu")


class Linear(nn.Module):
    """x = W z + σ ε, and the exact q(z | x_known)."""

    def __init__(self) -> None:
        super().__init__()
        self.W = torch.tensor([[1.0, 0.0], [0.8, 0.5], [-0.3, 1.2]])
        self.noise = torch.tensor([0.3, 0.4, 0.5])

    def forward(self, z, given=None):
        return Normal(z @ self.W.T, self.noise.log().expand(len(z), 3))

    def exact(self, x, given=None, mask=None):
        means, scales = [], []
        for row, known in zip(x, mask, strict=True):
            W, precision = self.W[known], self.noise[known] ** -2
            covariance = torch.linalg.inv(torch.eye(2) + W.T @ (precision[:, None] * W))
            means.append(covariance @ (W.T @ (precision * row[known])))
            scales.append(torch.linalg.cholesky(covariance))
        return _Full(torch.stack(means), torch.stack(scales))


class _Full(torch.distributions.MultivariateNormal):
    """A normal with full covariance as a `Latent`."""

    def __init__(self, mean, root):
        super().__init__(mean, scale_tril=root)

    def sample(self):
        return self.loc + (self.scale_tril @ noise.normal(self.loc)[..., None])[..., 0]

    def repeat(self, times):
        return _Full(self.loc.repeat_interleave(times, 0), self.scale_tril.repeat_interleave(times, 0))


class Anything(nn.Module):
    """A q that knows nothing: N(0, 1.5²)."""

    def forward(self, x, given=None, mask=None):
        return OwnMixture(torch.zeros(len(x), 1), torch.zeros(len(x), 1, 2), torch.full((len(x), 1, 2), 0.4))


class Never(LatentModel):
    """Only its parts are used."""

    def losses(self, batch, step):
        raise NotImplementedError


@pytest.mark.parametrize("exact", [True, False])
def test_linear_normal_model(exact):
    linear = Linear()
    model = Never(nn.Identity(), linear, 2)
    encoder = linear.exact if exact else Anything()
    x, mask = (
        torch.tensor([[1.2, 0.0, 0.0], [0.0, -1.0, 2.0]]),
        torch.tensor([[True, False, False], [False, True, True]]),
    )
    k = 5_000 if exact else 20_000
    with seeded(CPU, 0):
        drawn = Completer(model, encoder).propose(Batch(x, mask=mask), k)
        picked, _ = Completer(model, encoder).drawn_from(drawn, Batch(x, mask=mask), k, mcmc=1)
    covariance = linear.W @ linear.W.T + torch.diag(linear.noise**2)
    for row in range(2):
        known, missing = mask[row], ~mask[row]
        gain = covariance[missing][:, known] @ torch.linalg.inv(covariance[known][:, known])
        mean = gain @ x[row, known]
        spread = covariance[missing][:, missing] - gain @ covariance[known][:, missing]
        values, w = drawn.x[row][:, missing].double(), drawn.weights[row]
        assert (w @ values).numpy() == pytest.approx(mean.numpy(), abs=0.03 if exact else 0.1)
        assert np.cov(values.T.numpy(), aweights=w.numpy()) == pytest.approx(
            spread.squeeze().numpy(), abs=0.1 if exact else 0.2
        )
        assert picked[row][:, missing].mean(0).numpy() == pytest.approx(mean.numpy(), abs=0.04 if exact else 0.1)
        assert torch.equal(drawn.x[row][:, known], x[row, known].expand(k, -1))
        evidence = stats.multivariate_normal.logpdf(x[row, known], cov=covariance[known][:, known].numpy())
        assert float(drawn.log_evidence()[row]) == pytest.approx(evidence, abs=0.01 if exact else 0.1)
    # With the exact q all draws but those of the prior count.
    assert not exact or float(drawn.effective().min()) > 0.85 * k


@pytest.fixture(scope="module")
def discrete():
    """A model of two categories and a number in cells, with columns that depend on each other given z."""
    fields = (Field("category", 3), Field("category", 2), Field("cells", 4, counts=(0, 1, 0, 5)))
    with seeded(CPU, 0):
        torch.manual_seed(0)
        model = build("vae", DataSpec((3,), fields, likelihood="autoregressive", examples=100))
    with torch.no_grad():
        for parameter in model.decoder.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1)))
    model.eval().requires_grad_(False)
    nodes, weights = np.polynomial.hermite_e.hermegauss(20)
    grid = torch.tensor(list(itertools.product(nodes, repeat=2)), dtype=torch.float32)
    p = torch.tensor([a * b for a, b in itertools.product(weights, repeat=2)], dtype=torch.float64)
    assert model.code_size == 2
    return model, grid, (p / p.sum()).log()


def _exact(discrete, rows):
    """log p(x) of rows, by quadrature over z."""
    model, grid, log_weight = discrete
    return torch.stack(
        [
            torch.logsumexp(model.decode(grid).log_prob(row.expand(len(grid), -1)).double() + log_weight, 0)
            for row in rows
        ]
    )


def test_conditionals_of_a_discrete_model(discrete):
    model, _, _ = discrete
    with seeded(CPU, 1):
        encoder = PartialEncoder(DataSpec((3,), model_fields(model)), 2, width=8).requires_grad_(False)
        x, mask = torch.tensor([[0.0, 0.0, 2.25]]), torch.tensor([[False, False, True]])
        drawn = Completer(model, encoder).propose(Batch(x, mask=mask), 30_000)
    pairs = list(itertools.product(range(3), range(2)))
    exact = _exact(discrete, torch.tensor([[a, b, 2.25] for a, b in pairs]))
    assert float(drawn.log_evidence()) == pytest.approx(float(exact.logsumexp(0)), abs=0.04)
    shares = [float(drawn.weights[0][(drawn.x[0, :, 0] == a) & (drawn.x[0, :, 1] == b)].sum()) for a, b in pairs]
    assert shares == pytest.approx(torch.softmax(exact, 0).tolist(), abs=0.03)


def test_sets_of_values_weigh_by_their_probability(discrete):
    model, _, _ = discrete
    allowed = {
        0: Allowed(torch.zeros(3), torch.tensor([1.0, 0.0, 1.0])),
        2: Allowed(*ends((0, 0, 0.5, 1), (0, 0, 1, 1))),
    }
    with seeded(CPU, 2):
        encoder = PartialEncoder(DataSpec((3,), model_fields(model)), 2, width=8).requires_grad_(False)
        x, mask = torch.tensor([[0.0, 1.0, 0.0]]), torch.tensor([[False, True, False]])
        drawn = Completer(model, encoder, allowed).propose(Batch(x, mask=mask), 30_000)
    assert set(drawn.x[0, :, 0].unique().tolist()) == {0.0, 2.0}
    assert 2.5 <= float(drawn.x[0, :, 2].min()) <= float(drawn.x[0, :, 2].max()) < 3.0
    places = torch.linspace(2.5, 3.0, 21)[:-1] + 0.0125
    exact = torch.stack(
        [
            _exact(discrete, torch.stack([torch.full_like(places, a), torch.ones_like(places), places], 1))
            for a in (0, 2)
        ]
    ).logsumexp(1) + math.log(0.025)
    assert float(drawn.log_evidence()) == pytest.approx(float(exact.logsumexp(0)), abs=0.04)
    share = float(drawn.weights[0][drawn.x[0, :, 0] == 0].sum())
    assert share == pytest.approx(float(torch.softmax(exact, 0)[0]), abs=0.03)


def ends(low, high):
    return torch.tensor(low, dtype=torch.float32), torch.tensor(high, dtype=torch.float32)


def model_fields(model):
    return (Field("category", 3), Field("category", 2), Field("cells", 4))


def test_all_that_is_known_weighs_by_its_density_with_orders_too():
    fields = tuple(
        Field("cells", 3, counts=(0, 1, 0), starts=(0.0, 1.0, 1.0), widths=(1.0, 0.0, 1.0)) for _ in range(2)
    )
    spec = DataSpec((2,), fields, likelihood="autoregressive", orders=(Order(0, 1, True, False, 0.01),))
    model = build("vae", spec).eval()
    with torch.no_grad(), seeded(CPU, 3):
        p = model.decode(torch.randn(400, model.code_size))
        x = p.sample()
        full = torch.ones_like(x, dtype=torch.bool)
        again, log_weight = p.complete(x, full)
        assert torch.equal(again, x)
        assert log_weight.numpy() == pytest.approx(p.log_prob(x).numpy(), abs=1e-4)
        # The second column is drawn above the first, and within a set where that is possible.
        drawn, _ = p.complete(x, torch.tensor([True, False]).expand_as(x), {1: Allowed(*ends((0, 0, 0), (1, 1, 0.5)))})
    assert float((drawn[:, 1] >= drawn[:, 0] - 1e-4).float().mean()) > 0.75
    assert float((drawn[:, 1] - 2).max()) <= 0.5


def test_normals_between_two_ends():
    for low, high in ((-0.5, 1.0), (6.0, 7.0), (-math.inf, -20.0), (30.0, math.inf)):
        with seeded(CPU, 0):
            x, log_p = restricted_normal(torch.zeros(4000), torch.ones(4000), torch.tensor(low), torch.tensor(high))
        known = stats.truncnorm(low, high)
        assert float(x.mean()) == pytest.approx(known.mean(), abs=5 * known.std() / 4000**0.5 + 1e-4)
        tail, ends_of = (stats.norm.logsf, (low, high)) if low > 0 else (stats.norm.logcdf, (high, low))
        most, least = map(tail, ends_of)
        assert float(log_p[0]) == pytest.approx(most + math.log1p(-math.exp(least - most)), rel=1e-5, abs=1e-5)


def test_resampling_takes_draws_by_their_weights():
    weights = torch.tensor([[0.5, 0.3, 0.2]])
    with seeded(CPU, 0):
        index = Particles(torch.zeros(1, 3, 1), weights.log()).resampled(1000)
    assert torch.bincount(index[0]).tolist() == pytest.approx([500, 300, 200], abs=1)


def test_masks_hide_what_is_missing_and_whole_pixels():
    spec = DataSpec((3, 8, 8), (Field("level", 256),))
    with seeded(CPU, 0):
        mask = random_mask(torch.zeros(200, 3, 8, 8), spec)
    assert torch.equal(mask[:, 0], mask[:, 2])
    assert 0.4 < float(mask.float().mean()) < 0.6
    observed = torch.rand(20, 4) < 0.5
    with seeded(CPU, 0):
        assert not (random_mask(torch.zeros(20, 4), DataSpec((4,), (Field("real"),)), observed) & ~observed).any()
