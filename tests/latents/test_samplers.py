"""Samplers fitted after training: they follow the codes, have densities, and repeat themselves."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch
from sklearn.datasets import load_iris

from sfumato import Autoencoder
from sfumato.distributions import StandardNormal
from sfumato.errors import SfumatoError
from sfumato.latents import samplers
from sfumato.latents.codes import Codes
from sfumato.randomness.generators import seeded

CPU = torch.device("cpu")


def _two_clusters(n: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    side = torch.randint(0, 2, (n, 1), generator=generator) * 6.0 - 3
    noise = torch.randn(n, 2, generator=generator) @ torch.tensor([[1.0, 0.8], [0.0, 0.6]])
    return side + noise


def _codes(z: torch.Tensor) -> Codes:
    return Codes(z[:, None], torch.full_like(z, 1e-3))


@pytest.mark.parametrize("name", ["mixture", "flow"])
def test_a_sampler_has_the_mean_and_the_spread_of_the_codes_and_both_their_clusters(name, monkeypatch):
    z = _two_clusters(4000)
    monkeypatch.setattr(samplers, "SPLINE_STEPS", 150)
    codes = _codes(z)
    sampler = samplers.fit_mixture(codes, None, 2) if name == "mixture" else samplers.fit_spline_flow(codes)
    with seeded(CPU, 0):
        drawn = sampler.sample(8000)
    assert drawn.mean(0).numpy() == pytest.approx(z.mean(0).numpy(), abs=0.25)
    assert np.cov(drawn.T.numpy()) == pytest.approx(np.cov(z.T.numpy()), rel=0.1, abs=0.3)
    assert (
        float((drawn.sum(1).abs() < 2).float().mean()) < 0.04
    )  # the prior would put a sixth of its draws there or more
    grid = torch.cartesian_prod(*2 * [torch.linspace(-8, 8, 81)])
    with torch.no_grad():
        assert float(sampler.log_prob(grid).exp().sum() * 0.2**2) == pytest.approx(1.0, abs=0.03)
    again = samplers.unfitted(name, 2, (), sampler.sizes)
    again.load_state_dict(sampler.state_dict())
    with seeded(CPU, 0):
        assert torch.equal(again.sample(8000), drawn)


def test_temperature_narrows_each_component_of_a_mixture_and_leaves_their_weights(monkeypatch):
    z = _two_clusters(3000)
    sampler = samplers.fit_mixture(_codes(z), None, 2)
    with seeded(CPU, 0):
        whole, half = sampler.sample(6000), sampler.sample(6000, temperature=0.25)
    for drawn, factor in ((whole, 1.0), (half, 0.25)):
        for side in (z.sum(1) > 0, z.sum(1) <= 0):
            centre = z[side].mean(0)
            near = drawn[(drawn - centre).norm(dim=1) < (drawn + centre).norm(dim=1)]
            assert len(near) / 6000 == pytest.approx(float(side.float().mean()), abs=0.03)
            assert near.mean(0).tolist() == pytest.approx(centre.tolist(), abs=0.15)
            assert near.std(0).tolist() == pytest.approx((factor * z[side].std(0)).tolist(), rel=0.12)
    monkeypatch.setattr(samplers, "SPLINE_STEPS", 20)
    flow = samplers.fit_spline_flow(_codes(z))
    assert float(flow.sample(50, temperature=0.0).std(0).max()) == pytest.approx(0.0, abs=1e-5)


def test_validation_finds_the_number_of_components():
    z = _two_clusters(3000)
    assert samplers.fit_mixture(_codes(z[:2000]), _codes(z[2000:])).sizes["components"] > 1
    normal = torch.randn(600, 3, generator=torch.Generator().manual_seed(0))
    assert samplers.fit_mixture(_codes(normal[:400]), _codes(normal[400:])).sizes["components"] == 1
    assert samplers.fit_mixture(_codes(z[:2000]), _codes(z[2000:]), seconds=0.0).sizes["components"] == 1


def test_latents_that_carry_nothing_stay_the_prior():
    """Means of the second latent of three are two clusters; the others are noise for every example."""
    side = torch.randint(0, 2, (1500,), generator=torch.Generator().manual_seed(0)) * 3.0 - 1.5
    scale = torch.tensor([1.0, 0.3, 1.0]).expand(1500, 3)
    rates = torch.tensor([0.0, 2.0, 0.001])
    codes = Codes(torch.stack([0 * side, side, 0 * side], 1)[:, None], scale, None, rates)
    assert codes.active().tolist() == [1]
    only = codes.only(codes.active())
    assert only.draw(0).x.shape == (1500, 1)
    whole = samplers.ActiveLatents(samplers.fit_mixture(only, None, 2), codes.active(), 3)
    z = codes.draw(1).x
    others = StandardNormal(1500, 2, z).log_prob(z[:, [0, 2]])
    torch.testing.assert_close(whole.log_prob(z), whole.sampler.log_prob(z[:, 1:2]) + others)
    with seeded(CPU, 0):
        drawn = whole.sample(8000)
    assert drawn.std(0).tolist() == pytest.approx(z.std(0).tolist(), rel=0.08)
    assert float((drawn[:, 1].abs() < 0.5).float().mean()) < 0.02
    again = samplers.unfitted("mixture", 3, (), whole.sizes)
    again.load_state_dict(whole.state_dict())
    with seeded(CPU, 0):
        assert torch.equal(again.sample(8000), drawn)


def test_draws_of_a_sampler_are_a_function_of_the_seed_and_survive_pickling():
    X, _ = load_iris(return_X_y=True)
    auto = Autoencoder(latent_dim=2, steps=30).fit(X)
    first = auto.sample(6, sampler="mixture", seed=3)
    np.testing.assert_array_equal(first, auto.sample(6, sampler="mixture", seed=3))
    np.testing.assert_array_equal(first, pickle.loads(pickle.dumps(auto)).sample(6, sampler="mixture", seed=3))
    assert not np.array_equal(first, auto.sample(6, seed=3))


def test_a_sampler_serves_under_conditions():
    X, y = load_iris(return_X_y=True)
    auto = Autoencoder("cvae", latent_dim=2, steps=400, condition_dropout=0.0).fit(X, y)
    for label in range(3):
        drawn = auto.sample(200, given={"label": label}, sampler="mixture", seed=0)
        nearest = np.argmin([np.linalg.norm(drawn - X[y == k].mean(0), axis=1) for k in range(3)], axis=0)
        assert (nearest == label).mean() > 0.7


def test_what_cannot_be_fitted_is_told_in_one_line(tmp_path):
    X, _ = load_iris(return_X_y=True)
    auto = Autoencoder(latent_dim=2, steps=5).fit(X)
    with pytest.raises(SfumatoError, match="no sampler is called 'mixtur'"):
        auto.sample(3, sampler="mixtur", seed=0)
    with pytest.raises(SfumatoError, match="too few for 1000 components"):
        auto.fit_sampler("mixture", components=1000)
    with pytest.raises(SfumatoError, match=r"guidance is 2\.0: only flow matching under conditions"):
        auto.sample(3, guidance=2.0)
    auto.save(tmp_path / "run")
    with pytest.raises(SfumatoError, match="data in memory"):
        Autoencoder.load(tmp_path / "run").sample(3, sampler="mixture")
    codes = Autoencoder("vq_vae", steps=5).fit(X)
    with pytest.raises(SfumatoError, match="cannot fit a sampler"):
        codes.sample(3, sampler="mixture")
    assert codes.second_stage().chosen == "prior"
