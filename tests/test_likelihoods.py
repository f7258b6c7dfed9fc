"""A likelihood is declared once: options, checks of the data, heads and reports read the declaration."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor
from torch.nn import functional as F

import sfumato
from sfumato import likelihoods
from sfumato.data import DataOptions, registry
from sfumato.distributions import Distribution
from sfumato.distributions.base import observed, sum_event
from sfumato.errors import SfumatoError
from sfumato.likelihoods import LIKELIHOODS, Likelihood
from sfumato.networks import heads
from sfumato.networks.heads import base
from sfumato.randomness.generators import current
from sfumato.spec import DataSpec, Field


class Poisson(Distribution):
    """log p(x) = Σ x log λ − λ − log x!"""

    def __init__(self, rate: Tensor) -> None:
        self.rate = rate

    def log_prob(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        x = observed(x, mask)
        return sum_event(torch.xlogy(x, self.rate) - self.rate - torch.lgamma(x + 1), mask)

    def sample(self) -> Tensor:
        return torch.poisson(self.rate, generator=current(self.rate.device))

    def mode(self) -> Tensor:
        return self.rate


class PoissonHead(heads.Head):
    def __init__(self, spec: DataSpec) -> None:
        super().__init__()
        self.raw = spec.shape

    def forward(self, raw: Tensor) -> Distribution:
        return Poisson(F.softplus(raw) + 1e-3)


@pytest.fixture
def poisson() -> Iterator[Likelihood]:
    likelihood = Likelihood(
        "test_poisson",
        ("vector",),
        quantity="a probability of counts",
        density=False,
        standardised=False,
        modelled_as="count",
        low=0.0,
        whole=True,
        passes_gradients=False,
    )
    likelihoods.register(likelihood)
    heads.register("test_poisson", PoissonHead, on=heads.COLUMNS)
    yield likelihood
    del LIKELIHOODS["test_poisson"], base.BUILDERS["test_poisson", heads.COLUMNS]


COUNTS = np.random.default_rng(0).poisson([[2.0, 5.0, 1.0]] * 60 + [[8.0, 1.0, 4.0]] * 60)


def test_a_likelihood_of_another_package_is_an_option_with_its_own_head(poisson: Likelihood) -> None:
    auto = sfumato.fit(COUNTS, likelihood="test_poisson", steps=40, latent_dim=2)
    assert auto.schema_.describe()[0]["modelled"] == "count, test_poisson"
    made = auto.sample(50, seed=0)
    assert made.dtype == COUNTS.dtype
    assert made.min() >= 0
    x, z = torch.tensor(COUNTS[:4], dtype=torch.float32), torch.zeros(4, 2)
    distribution = auto.model_.decode(z)
    expected = stats.poisson.logpmf(COUNTS[:4], distribution.rate.detach().numpy()).sum(1)
    np.testing.assert_allclose(distribution.log_prob(x).detach(), expected, rtol=1e-5)
    # No units: the density of a count is that of the data themselves.
    assert auto.schema_.log_jacobian(x).tolist() == [0.0] * 4
    assert {one.name for one in auto.evaluate(families=("bounds",), quick=True)} >= {"distortion", "rate"}
    assert auto.explain_scores(COUNTS, rows=[0])


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (COUNTS - 1, "column 0 goes from -1 .* needs values of 0 or more"),
        (COUNTS + 0.5, "row 1, column 0 is .*5; .*whole"),
    ],
)
def test_data_out_of_its_range_are_refused_before_training(poisson: Likelihood, x: np.ndarray, message: str) -> None:
    with pytest.raises(SfumatoError, match=message):
        sfumato.fit(x, likelihood="test_poisson", steps=1)


def test_it_is_offered_for_its_kinds_alone(poisson: Likelihood) -> None:
    assert likelihoods.for_kind("vector")[-1] == "test_poisson"
    with pytest.raises(SfumatoError, match="likelihood=test_poisson is not for tables; choose autoregressive"):
        sfumato.data.open("iris", options=DataOptions(likelihood="test_poisson"))
    with pytest.raises(ValueError, match="already"):
        likelihoods.register(Likelihood("mse", ("vector",)))


@pytest.mark.parametrize("likelihood", LIKELIHOODS.values(), ids=LIKELIHOODS)
def test_every_declared_likelihood_has_a_head_for_its_kinds(likelihood: Likelihood) -> None:
    specs = {
        "table": DataSpec((2,), (Field("cells", 4), Field("real"))),
        "vector": DataSpec((2,), (Field("level", likelihood.levels) if likelihood.levels else Field("real"),)),
        "sequence": DataSpec((2,), (Field("level", likelihood.levels) if likelihood.levels else Field("real"),)),
        "image": DataSpec((1, 4, 4), (Field("level", 2),)),
        "symbols": DataSpec((2,), (Field("category", 3),)),
        "counts": DataSpec((2,), (Field("count"),)),
        "sound": DataSpec((2, 3), (Field("real"),)),
    }
    assert set(likelihood.kinds) <= {kind.name for kind in registry.kinds()}
    for kind in set(likelihood.kinds) - {"record"}:  # whose parts have a head each
        spec = DataSpec(specs[kind].shape, specs[kind].fields, likelihood=likelihood.name, examples=10)
        assert isinstance(heads.for_likelihood(spec), heads.Head), kind
