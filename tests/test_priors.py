"""Learned priors: their densities are densities, their draws follow them, and their parameters are held once."""

from __future__ import annotations

import math
import sys
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor

from sfumato.batch import Batch
from sfumato.distributions import Normal, NormalMixture, SpikeSlab, SpikeSlabMixture
from sfumato.distributions.base import Latent
from sfumato.errors import SfumatoError
from sfumato.models import build
from sfumato.spec import DataSpec, Field

POINTS = DataSpec((2,), (Field("real"),), examples=1000)
MIXED = DataSpec((3,), (Field("real", missing=True), Field("category", 4), Field("cells", 8)), likelihood="cells")
PICTURES = DataSpec((1, 8, 8), (Field("level", 256),), likelihood="mse")


def _grid(reach: float = 12.0, points: int = 600) -> tuple[Tensor, float]:
    line = torch.linspace(-reach, reach, points)
    return torch.cartesian_prod(line, line), float(line[1] - line[0]) ** 2


@pytest.mark.parametrize("name", ["vamp", "flow", "mixture"])
def test_a_learned_prior_adds_up_to_one_and_its_draws_follow_it(name: str) -> None:
    torch.manual_seed(0)
    model = build("vae", POINTS, prior=name, components=7, latent_dim=2, width=16)
    for parameter in model.prior_net.parameters():
        parameter.data += (0.05 if name == "flow" else 0.3) * torch.randn_like(parameter)
    grid, area = _grid()
    with torch.no_grad():
        density = model.prior(len(grid)).log_prob(grid).exp()
        drawn = model.prior(20_000).sample()
    assert float(density.sum()) * area == pytest.approx(1, abs=0.01)
    mean = (density[:, None] * grid).sum(0) * area
    torch.testing.assert_close(drawn.mean(0), mean, atol=0.05, rtol=0)
    for inside in (lambda z: z.norm(dim=1) < 1, lambda z: z[:, 0] > 0.5, lambda z: z[:, 1] < -0.2):
        expected = float(density[inside(grid)].sum()) * area
        assert float(inside(drawn).float().mean()) == pytest.approx(expected, abs=0.02)


@pytest.mark.parametrize("name", ["vamp", "flow"])
def test_repeating_a_learned_prior_and_its_point_keep_shapes(name: str) -> None:
    prior = build("vae", POINTS, prior=name, components=3).prior(4)
    assert prior.repeat(3).sample().shape == (12, 2)
    assert prior.mode().shape == (4, 2)


@pytest.mark.parametrize("spec", [POINTS, MIXED, PICTURES])
def test_the_vamp_prior_is_the_mean_of_the_posteriors_at_its_pseudo_inputs(spec: DataSpec) -> None:
    torch.manual_seed(1)
    model = build("vae", spec, prior="vamp", components=5, latent_dim=3, width=8, depth=1)
    with torch.no_grad():
        q = model.encoder.normal(model.encoder.body(model.prior_net.inputs))
        z = torch.randn(6, 3)
        each = torch.distributions.Normal(q.mean, q.log_scale.exp()).log_prob(z[:, None]).sum(2)
        torch.testing.assert_close(model.prior(6).log_prob(z), each.logsumexp(1) - torch.tensor(5.0).log())


def test_the_vamp_prior_moves_the_encoder_and_lists_nothing_twice() -> None:
    model = build("vae", POINTS, prior="vamp", components=4)
    model.prior(1).log_prob(torch.zeros(1, 2)).sum().backward()
    assert model.prior_net.inputs.grad is not None
    assert model.encoder.normal.linear.weight.grad is not None
    assert [name for name in model.state_dict() if name.startswith("prior_net")] == ["prior_net.inputs"]
    twin = build("vae", POINTS, prior="vamp", components=4)
    twin.load_state_dict(model.state_dict())
    z = torch.randn(5, 2)
    torch.testing.assert_close(twin.prior(5).log_prob(z), model.prior(5).log_prob(z))


@pytest.mark.parametrize("name", ["vamp", "flow"])
def test_a_learned_prior_fits_the_codes_of_two_clusters(name: str) -> None:
    torch.manual_seed(0)
    x = 0.2 * torch.randn(256, 2) + torch.tensor([[2.0, 2.0]]) * torch.randn(256, 1).sign()
    bound = {}
    for prior in ("standard", name):
        torch.manual_seed(0)
        model = build("vae", POINTS, prior=prior, components=4, latent_dim=2, width=32)
        optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
        for step in range(120):
            optimizer.zero_grad()
            model.losses(Batch(x), step)["model"].total.backward()
            optimizer.step()
        with torch.no_grad():
            bound[prior] = float(torch.stack([model.losses(Batch(x), 0)["model"].total for _ in range(20)]).mean())
    assert bound[name] < bound["standard"] + 0.05


COMPONENTS = torch.tensor([[3.0, -1.0], [-2.0, 5.0], [-6.0, -4.0]])
SHARES = torch.tensor([0.5, 0.3, 0.2])


def _mixture() -> Latent:
    return NormalMixture(SHARES.log(), COMPONENTS, torch.full((3, 2), -1.0), 6000)


def _vamp() -> Latent:
    model = build("vae", POINTS, prior="vamp", components=3, latent_dim=2, width=8, depth=1)
    at_inputs = Normal(COMPONENTS, torch.full((3, 2), -1.0))
    model.prior_net._encoder = (SimpleNamespace(body=lambda inputs: inputs, normal=lambda h: at_inputs),)
    model.prior_net.weights = SHARES.log()
    return model.prior(6000)


@pytest.mark.parametrize("make", [_mixture, _vamp])
@pytest.mark.parametrize("temperature", [1.5, 0.4, 0.0])
def test_temperature_scales_the_noise_inside_a_component_and_nothing_else(make, temperature: float) -> None:
    torch.manual_seed(0)
    z = make().sample(temperature).detach()
    nearest = torch.cdist(z, COMPONENTS).argmin(1)
    for k, (centre, share) in enumerate(zip(COMPONENTS, SHARES, strict=True)):
        own = z[nearest == k]
        assert len(own) / len(z) == pytest.approx(float(share), abs=0.025)
        torch.testing.assert_close(own.mean(0), centre, atol=0.06, rtol=0)
        torch.testing.assert_close(own.std(0), torch.full((2,), temperature * math.exp(-1)), rtol=0.06, atol=1e-6)


def test_temperature_leaves_the_zeros_of_spike_and_slab_codes() -> None:
    torch.manual_seed(0)
    slab = Normal(torch.tensor([[2.0, -3.0], [9.0, 4.0]]), torch.tensor([[0.0, -1.0], [-2.0, 0.5]]))
    prior = SpikeSlabMixture(torch.zeros(2), SpikeSlab(slab, torch.tensor([[0.2, 0.9], [0.7, 0.4]])), 8000)
    for temperature in (1.0, 0.3, 0.0):
        z = prior.sample(temperature)
        torch.testing.assert_close((z == 0).float().mean(0), torch.tensor([0.55, 0.35]), rtol=0, atol=0.02)
        high = z[z[:, 0] > 6.5, 0]
        torch.testing.assert_close(high.mean(), torch.tensor(9.0), rtol=0, atol=0.02)
        torch.testing.assert_close(high.std(), torch.tensor(temperature * math.exp(-2)), rtol=0.06, atol=1e-6)


def test_temperature_scales_the_noise_of_a_flow_and_of_conditional_layers() -> None:
    torch.manual_seed(0)
    flow = build("vae", POINTS, prior="flow", latent_dim=2).prior(500)
    torch.manual_seed(1)
    z = flow.sample(0.3).detach()
    torch.manual_seed(1)
    torch.testing.assert_close(flow._transform(z), 0.3 * torch.randn(500, 2), atol=1e-4, rtol=0)
    q = Normal(torch.tensor([[1.0, -2.0]]).expand(8000, 2), torch.tensor(0.5)).sample(0.5)
    torch.testing.assert_close(q.std(0), torch.full((2,), 0.5 * math.exp(0.5)), rtol=0.04, atol=0)


def test_a_flow_without_its_package_says_what_to_install(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "zuko.flows", None)
    with pytest.raises(SfumatoError, match=r"pip install 'sfumato\[flows\]'"):
        build("vae", POINTS, prior="flow")


def test_a_flow_of_one_latent_works() -> None:
    prior = build("vae", POINTS, prior="flow", latent_dim=1).prior(3)
    assert prior.log_prob(prior.sample()).shape == (3,)


def test_free_bits_under_a_learned_mixture_are_each_latents_in_every_model() -> None:
    spec, x = DataSpec((3,), (Field("real"),) * 3, examples=100), torch.randn(16, 3)
    asked = replace(spec, given=(Field("category", 2),))
    charged = {}
    for name in ("vae", "cvae"):
        torch.manual_seed(0)
        model = build(name, asked if name == "cvae" else spec, latent_dim=4)
        model.prior_net = build("vae", spec, latent_dim=4, prior="mixture").prior_net
        model.free_bits = 50.0
        charged[name] = float(
            model.losses(Batch(x, torch.zeros(16, 1)), 0)["model"].terms["charged_rate"].detach().mean()
        )
    assert charged == {"vae": 200.0, "cvae": 200.0}
