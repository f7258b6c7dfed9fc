"""The hierarchical VAE: against closed forms, a linear-Gaussian model of two layers, and the VAE."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import Tensor

import sfumato
from sfumato.batch import Batch
from sfumato.distributions import Normal
from sfumato.errors import SfumatoError
from sfumato.evaluation.subject import Subject, frozen_eval
from sfumato.models import build
from sfumato.models.base import END
from sfumato.models.hierarchical_vae import HierarchicalVAE
from sfumato.models.vae import VAE
from sfumato.networks.hierarchical.hierarchy import Hierarchy, LayerState
from sfumato.networks.hierarchical.ladder import Ladder, VarianceLayer, merge
from sfumato.networks.hierarchical.top_down import TopDown, shared_out
from sfumato.objectives import importance_bound
from sfumato.report.figures import latent_levels
from sfumato.spec import DataSpec, Field

WEIGHT, SLOPE = 1.5, torch.tensor([2.0, 0.7])
ABOVE, NOISE = 0.8, 0.5

TABLE = DataSpec((6,), (Field("real"),), examples=500)
PICTURE = DataSpec((1, 8, 8), (Field("level", 17),), examples=500)
GIVEN = (Field("category", 3), Field("real"))


class Linear(Hierarchy):
    """z_2 ~ N(0, 1), z_1 = WEIGHT·z_2 + ABOVE·ε, x = SLOPE·z_1 + NOISE·ε, with the true posterior.

    Of z_1 it is the merge of the prior given z_2 with x's own word on z_1: that is why the ladder is built so.
    """

    shapes = ((2,), (2,))

    def __init__(self, shift: float = 0.0) -> None:
        super().__init__()
        self.shift = torch.nn.Parameter(torch.tensor(shift))

    def evidence(self, x: Tensor, given: Tensor | None, mask: Tensor | None) -> list[Tensor]:
        return [x, x]

    def start(self, n: int, given: Tensor | None) -> LayerState:
        return LayerState(torch.zeros(n, 2), torch.zeros(n, 0))

    def prior(self, at: int, state: LayerState) -> tuple[Normal, LayerState]:
        return Normal(WEIGHT * state.h, torch.full((2,), math.log(ABOVE) if at else 0.0)), state

    def posterior(self, at: int, state: LayerState, evidence: Tensor, prior: Normal) -> Normal:
        word = Normal(evidence / SLOPE, torch.log(NOISE / SLOPE).expand_as(evidence))
        if at:
            true = merge(word, prior)
        else:
            noise = torch.sqrt((NOISE / SLOPE) ** 2 + ABOVE**2) / WEIGHT
            true = merge(Normal(word.mean / WEIGHT, noise.log().expand_as(evidence)), prior)
        return Normal(true.mean + self.shift, true.log_scale)

    def below(self, at: int, state: LayerState, z: Tensor) -> LayerState:
        return LayerState(z, state.c)

    def observe(self, state: LayerState) -> Normal:
        return Normal(state.h * SLOPE, torch.tensor(math.log(NOISE)))


def evidence(x: Tensor) -> Tensor:
    variance = SLOPE**2 * (WEIGHT**2 + ABOVE**2) + NOISE**2
    return (-0.5 * x**2 / variance - 0.5 * torch.log(2 * torch.pi * variance)).sum(1)


def data(n: int = 64) -> Tensor:
    torch.manual_seed(0)
    return HierarchicalVAE(Linear()).sample(n)


def made(spec: DataSpec, **options: object) -> tuple[HierarchicalVAE, Batch]:
    torch.manual_seed(0)
    model = build("hierarchical_vae", spec, **{"width": 16, "depth": 1, **options})
    x = torch.randn(12, *spec.shape) if spec is TABLE else torch.randint(0, 17, (12, *spec.shape), dtype=torch.uint8)
    given = torch.stack([torch.randint(0, 3, (12,)).float(), torch.randn(12)], 1) if spec.given else None
    # As if trained: priors that differ from N(0, 1).
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return model.eval(), Batch(x, given)


both = pytest.mark.parametrize(
    ("spec", "options"), [(TABLE, {"layers": 3}), (PICTURE, {"network": "conv", "layers": 4})], ids=["ladder", "deep"]
)


def test_merging_is_the_normalised_product_of_the_two_densities() -> None:
    one = Normal(torch.tensor([[1.0, -2.0, 5.0]]), torch.tensor([[0.3, -1.0, 2.0]]))
    other = Normal(torch.tensor([[-0.5, 1.0, 0.0]]), torch.tensor([[-0.4, 1.0, -1.0]]))
    precision = one.scale**-2 + other.scale**-2
    merged = merge(one, other)
    torch.testing.assert_close(merged.scale**-2, precision)
    torch.testing.assert_close(merged.mean, (one.mean * one.scale**-2 + other.mean * other.scale**-2) / precision)
    z = torch.randn(50, 3)
    constant = one.log_density(z) + other.log_density(z) - merged.log_density(z)
    torch.testing.assert_close(constant, constant[:1].expand_as(constant), rtol=1e-4, atol=1e-3)


def test_with_the_true_posterior_every_weight_is_the_evidence() -> None:
    model, x = HierarchicalVAE(Linear()), data()
    weights = model.log_weight(Batch(x), 9)
    torch.testing.assert_close(weights, evidence(x)[:, None].expand(-1, 9), rtol=1e-4, atol=1e-4)
    shared = model.log_weight(Batch(x), 9, torch.randn(9, 4))
    torch.testing.assert_close(shared, weights, rtol=1e-4, atol=1e-4)


def test_with_a_worse_posterior_bounds_rise_to_the_evidence() -> None:
    model, x = HierarchicalVAE(Linear(shift=0.2)), data(2000)
    with torch.no_grad():
        bounds = [importance_bound(model.log_weight(Batch(x), k)).mean().item() for k in (1, 5, 100)]
        elbo = -model.losses(Batch(x), END)["model"].total.item()
    assert bounds == sorted(bounds)
    assert bounds[0] < evidence(x).mean().item() - 0.1
    assert bounds[-1] == pytest.approx(evidence(x).mean().item(), abs=0.03)
    assert elbo == pytest.approx(bounds[0], abs=0.1)


@both
def test_rates_are_those_of_monte_carlo_and_their_sum_is_the_rate(spec: DataSpec, options: dict) -> None:
    model, batch = made(spec, **options)
    many = Batch(batch.x[:1].repeat(3000, *[1] * len(spec.shape)))
    with torch.no_grad():
        loss = model.losses(many, END)["model"]
        _, log_ratio = model.log_weight_parts(Batch(batch.x[:1]), 3000)
    rates = torch.stack([loss.metrics[f"rate_{layer}"] for layer in range(1, len(model.net.shapes) + 1)])
    torch.testing.assert_close(rates.sum(0), loss.terms["rate"])
    error = log_ratio.std() / math.sqrt(3000) * 5 + loss.terms["rate"].std() / math.sqrt(3000) * 5
    assert abs(loss.terms["rate"].mean() + log_ratio.mean()) < error


@both
def test_weights_found_in_one_walk_are_those_of_the_densities_asked_apart(spec: DataSpec, options: dict) -> None:
    model, batch = made(spec, **options)
    noise = torch.randn(2, sum(model.net.sizes))
    q = model.encode(batch).repeat(2)
    z = q.draw(noise.repeat(12, 1))
    x = batch.x.repeat_interleave(2, 0)
    apart = model.decode(z).log_prob(x) + model.prior(24).log_prob(z) - q.log_prob(z)
    torch.testing.assert_close(model.log_weight(batch, 2, noise).flatten(), apart, rtol=1e-4, atol=1e-3)


def test_one_layer_is_the_vae() -> None:
    model, batch = made(TABLE, layers=1)
    net = model.net
    assert isinstance(net, Ladder)

    class Encoder(torch.nn.Module):
        def forward(self, x: Tensor, given: Tensor | None, mask: Tensor | None) -> Normal:
            return net.estimates[0](net.up[0](x))

    class Decoder(torch.nn.Module):
        def forward(self, z: Tensor, given: Tensor | None = None) -> object:
            return net.head(net.trunk(z))

    vae = VAE(Encoder(), Decoder(), net.sizes[0])
    found = []
    for one in (model, vae):
        torch.manual_seed(3)
        found.append(one.losses(batch, END)["model"])
    for term in ("distortion", "rate"):
        torch.testing.assert_close(found[0].terms[term], found[1].terms[term])
    torch.testing.assert_close(model.reconstruct(batch), vae.reconstruct(batch))


@both
def test_a_reconstruction_from_the_top_layers_leaves_the_others_to_the_prior(spec: DataSpec, options: dict) -> None:
    model, batch = made(spec, **options)
    whole = model.reconstruct(batch)
    assert torch.equal(whole, model.reconstruct(batch, layers=len(model.net.shapes)))
    torch.testing.assert_close(whole, model.decode(model.encode(batch).mode()).mode())
    nothing = model.reconstruct(batch, layers=0)
    torch.testing.assert_close(nothing, nothing[:1].expand_as(nothing))
    torch.testing.assert_close(nothing, model.sample(12, temperature=0.0, noise=False))
    some = [model.reconstruct(batch, layers=k) for k in range(len(model.net.shapes) + 1)]
    assert all(not torch.equal(one, other) for one, other in pairwise(some))
    with pytest.raises(SfumatoError, match="give a whole number from 0 to"):
        model.reconstruct(batch, layers=9)


def test_temperature_scales_the_spread_of_every_layer() -> None:
    model = HierarchicalVAE(Linear())
    drawn = model.sample(20_000, temperature=0.5, noise=False)
    torch.testing.assert_close(drawn.std(0), 0.5 * SLOPE * math.hypot(WEIGHT, ABOVE), rtol=0.03, atol=0.0)


def test_free_bits_charge_each_layer_at_least_that_much_and_leave_it_alone_below() -> None:
    model, batch = made(TABLE, layers=2)
    rates = model.losses(batch, END)["model"].metrics
    model.free_bits = max(rates["rate_1"].mean().item(), rates["rate_2"].mean().item()) + 5
    loss = model.losses(batch, END)["model"]
    torch.testing.assert_close(loss.terms["charged_rate"], torch.full((12,), 2 * model.free_bits))
    gradients = torch.autograd.grad(loss.terms["charged_rate"].sum(), list(model.parameters()), allow_unused=True)
    assert all(gradient is None or not gradient.any() for gradient in gradients)
    torch.testing.assert_close(loss.metrics["rate"], loss.metrics["rate_1"] + loss.metrics["rate_2"])


def test_the_weight_of_the_rate_rises_over_the_warm_up() -> None:
    model, batch = made(TABLE, warmup=10)
    assert [model.losses(batch, step)["model"].weights["rate"] for step in (0, 5, 10, 50)] == [0.0, 0.5, 1.0, 1.0]


@both
def test_conditions_move_prior_and_samples_and_may_be_left_out(spec: DataSpec, options: dict) -> None:
    model, batch = made(DataSpec(spec.shape, spec.fields, GIVEN, spec.likelihood, 500), **options)
    moved = Batch(batch.x, torch.cat([(batch.given[:, :1] + 1) % 3, -batch.given[:, 1:]], 1))
    for one in (model.prior(12, batch.given).mode(), model.encode(batch).mode(), model.reconstruct(batch, layers=0)):
        assert one.isfinite().all()
    assert not torch.equal(model.prior(12, batch.given).mode(), model.prior(12, moved.given).mode())
    assert not torch.equal(model.encode(batch).mode(), model.encode(moved).mode())
    left_out = torch.full_like(batch.given, torch.nan)
    assert torch.equal(model.prior(12, left_out).mode(), model.prior(12, None).mode())


@pytest.mark.parametrize("layers", [1, 2, 5, 9])
def test_a_deep_net_has_as_many_groups_as_asked_from_one_pixel_up(layers: int) -> None:
    model, _ = made(DataSpec((3, 9, 12), (Field("level", 256),)), network="conv", layers=layers)
    assert isinstance(model.net, TopDown)
    assert len(model.net.shapes) == layers
    assert model.net.shapes[0][1:] == (1, 1)
    sides = [shape[1] for shape in model.net.shapes]
    assert sides == sorted(sides)
    assert model.sample(2).shape == (2, 3, 9, 12)


def test_groups_are_shared_out_among_the_sizes_that_may_have_them() -> None:
    assert shared_out(12, [True] * 4) == [3, 3, 3, 3]
    assert shared_out(2, [False, True, True, True]) == [0, 0, 1, 1]


def test_without_the_ladder_the_posterior_does_not_know_what_was_drawn_above() -> None:
    for ladder, same in ((True, False), (False, True)):
        model, batch = made(TABLE, layers=2, ladder=ladder)
        q = [model.encode(batch).walk(lambda at, p, q, z=z: torch.full_like(p.mean, z)).posteriors[1] for z in (0, 3)]
        assert torch.equal(q[0].mean, q[1].mean) is same


@pytest.mark.parametrize(
    ("source", "options"),
    [("moons", {"rows": 300}), ("moons", {"rows": 300, "given": ("label",)}), ("digits", {"network": "conv"})],
)
def test_every_door_is_open(tmp_path, source: str, options: dict) -> None:
    small = {"width": 8, "depth": 1, "layers": 3, "steps": 15, "warmup": 5, "device": "cpu"}
    auto = sfumato.fit(source, model="hierarchical_vae", **small, **options)
    assert "rate_3" in auto.history_.of("valid")[-1]
    auto.save(tmp_path / "run")
    again = sfumato.load(tmp_path / "run")
    given = {"label": 1} if "given" in options else None
    x = auto.sample(20, given, temperature=0.8, seed=0)
    assert np.array_equal(np.asarray(again.sample(20, given, temperature=0.8, seed=0)), np.asarray(x))
    codes = again.encode(x)
    assert codes.shape == (20, sum(again.model_.net.sizes))
    assert np.shape(again.decode(codes)) == np.shape(again.reconstruct(x)) == np.shape(x)
    scores = again.score_samples(x, samples=3)
    assert np.isfinite(scores).all()
    np.testing.assert_allclose(again.score_samples(x[:5], samples=3), scores[:5])


def test_the_report_shows_what_each_level_holds(tmp_path) -> None:
    small = {"width": 8, "depth": 1, "layers": 3, "steps": 5, "device": "cpu"}
    auto = sfumato.fit("digits", model="hierarchical_vae", **small)
    shown = Subject.of(auto.model_, auto.schema_, auto.data_, 0)
    with frozen_eval(auto.model_, 0):
        (image,) = latent_levels.draw(shown, tmp_path)
    assert image.path.exists()
    assert "none of its 3 layers" in image.alt
    vae = sfumato.fit("digits", **{name: value for name, value in small.items() if name != "layers"})
    with frozen_eval(vae.model_, 0):
        assert latent_levels.draw(Subject.of(vae.model_, vae.schema_, vae.data_, 0), tmp_path) == []


def test_a_layer_that_was_given_up_still_feels_where_its_evidence_points() -> None:
    """σ̂² = softplus(5) = 5.007, so that the evidence weighs 1/(1 + 5.007); with log σ̂ = 5 it would weigh 0.00005."""
    layer = VarianceLayer(1, 1)
    with torch.no_grad():
        layer.linear.weight.zero_()
        layer.linear.bias.copy_(torch.tensor([1.0, 5.0]))
    q = merge(layer(torch.zeros(1, 1)), Normal(torch.zeros(1, 1), torch.zeros(1, 1)))
    assert q.mean.item() == pytest.approx(1 / (1 + math.log1p(math.exp(5))), abs=1e-5)
    (gradient,) = torch.autograd.grad(q.mean.sum(), layer.linear.bias)
    assert gradient[0].item() == pytest.approx(q.mean.item(), abs=1e-5)


def test_a_batch_of_one_row_trains_and_moves_no_statistics() -> None:
    model, batch = made(TABLE, layers=2)
    before = {name: value.clone() for name, value in model.named_buffers()}
    loss = model.train().losses(Batch(batch.x[:1]), 0)["model"].total
    loss.backward()
    assert loss.isfinite()
    assert all(torch.equal(before[name], value) for name, value in model.named_buffers())
