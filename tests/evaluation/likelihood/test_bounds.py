"""Bounds on log p(x), against a linear-Gaussian model, a uniform one, and sums over all there is."""

from __future__ import annotations

import itertools
import math
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from sfumato import models
from sfumato.batch import Batch
from sfumato.distributions import Categorical, Normal
from sfumato.estimator import Autoencoder
from sfumato.evaluation import EvaluationSettings, Subject
from sfumato.evaluation.likelihood import annealed, bounds
from sfumato.evaluation.likelihood.importance import cost, hashed, weigh
from sfumato.evaluation.settings import generator
from sfumato.models import build
from sfumato.models.vae import VAE
from sfumato.networks import MixturePrior
from sfumato.spec import DataSpec, Field, Part

LATENTS, ENTRIES = 3, 5


class Linear(nn.Module):
    """x = Wz + ε, ε ~ N(0, σ²), z ~ N(0, 1): log p(x) is that of N(0, WWᵀ + σ²)."""

    def __init__(self, sigma: float) -> None:
        super().__init__()
        self.sigma = sigma
        weights = torch.randn(ENTRIES, LATENTS, generator=generator(1))
        self.layer = nn.Linear(LATENTS, ENTRIES, bias=False)
        self.layer.weight = nn.Parameter(weights)

    def forward(self, z: Tensor, given: Tensor | None = None) -> Normal:
        return Normal(self.layer(z), torch.tensor(math.log(self.sigma)))

    def evidence(self, x: Tensor) -> np.ndarray:
        w = self.layer.weight.double()
        covariance = w @ w.T + self.sigma**2 * torch.eye(ENTRIES, dtype=torch.float64)
        zero = torch.zeros(ENTRIES, dtype=torch.float64)
        return torch.distributions.MultivariateNormal(zero, covariance).log_prob(x.double()).detach().numpy()


class Guess(nn.Module):
    """The best diagonal normal, moved and widened to make a worse one."""

    def __init__(self, decoder: Linear, moved: float, widened: float = 1.0) -> None:
        super().__init__()
        w = decoder.layer.weight.detach()
        precision = torch.eye(LATENTS) + w.T @ w / decoder.sigma**2
        self.moved = moved
        self.register_buffer("log_scale", -0.5 * precision.diagonal().log() + math.log(widened))
        self.register_buffer("gain", torch.linalg.solve(precision, w.T / decoder.sigma**2))

    def forward(self, x: Tensor, given: Tensor | None = None, mask: Tensor | None = None) -> Normal:
        return Normal(x @ self.gain.T + self.moved, self.log_scale.expand(len(x), -1))


def linear(sigma: float = 0.5, moved: float = 0.0, widened: float = 1.2, n: int = 100) -> tuple[VAE, Batch, np.ndarray]:
    decoder = Linear(sigma)
    z, noise = torch.randn(n, LATENTS, generator=generator(2)), torch.randn(n, ENTRIES, generator=generator(3))
    x = (z @ decoder.layer.weight.T + sigma * noise).detach()
    model = VAE(Guess(decoder, moved, widened), decoder, LATENTS).eval()
    return model, Batch(x), decoder.evidence(x)


def subject(model: nn.Module, batch: Batch, spec: DataSpec, volume: float = 0.0) -> Subject:
    schema = SimpleNamespace(spec=spec, log_jacobian=lambda x: torch.full((len(x),), volume), characters=lambda x: None)
    return Subject(cast(Any, model), cast(Any, schema), cast(Any, None), "test split", batch, None, 0, np.arange(0))


def named(model: nn.Module, batch: Batch, spec: DataSpec, how: EvaluationSettings) -> dict[str, Any]:
    with torch.no_grad():
        return {one.name: one for one in bounds.measures(subject(model, batch, spec), how)}


@torch.no_grad()
def test_weighted_draws_come_to_the_exact_evidence_from_below() -> None:
    model, batch, exact = linear(moved=0.5)
    assert (weigh(model, batch, 8).evidence - exact).mean() < -0.5
    model, batch, exact = linear()
    many = weigh(model, batch, 1000).evidence - exact
    assert abs(many.mean()) < 3 * many.std() / math.sqrt(len(many))
    assert abs(many).mean() < 0.1


@torch.no_grad()
def test_annealing_comes_to_the_exact_evidence_and_nearer_than_as_many_weighted_draws() -> None:
    model, batch, exact = linear(moved=0.5, n=40)
    torch.manual_seed(0)
    off = annealed.log_evidence(model, batch, 100, chains=16) - exact
    assert abs(off.mean()) < 3 * off.std() / math.sqrt(len(off))
    assert abs(off).mean() < 0.5 * abs(weigh(model, batch, 16).evidence - exact).mean()


@torch.no_grad()
@pytest.mark.parametrize("schedule", ["sigmoid", "linear"])
def test_annealing_finds_its_steps_where_the_posterior_is_far_narrower_than_the_prior(schedule: Any) -> None:
    model, batch, exact = linear(sigma=0.2, n=10)
    torch.manual_seed(0)
    off = annealed.log_evidence(model, batch, 100, chains=8, schedule=schedule) - exact
    assert abs(np.median(off)) < 0.5


@torch.no_grad()
@pytest.mark.parametrize("threads", [1, 3])
def test_the_stream_is_the_sum_of_all_weights_at_once_however_it_is_cut_and_shared_out(threads: int) -> None:
    model, batch, _ = linear(n=7)
    model = model.double()
    batch = Batch(batch.x.double())
    direct, k = [], 100
    for place in range(7):
        noise = torch.randn(112, LATENTS, generator=generator(hashed(4, place)))[:k]
        weights = model.log_weight(Batch(batch.x[place : place + 1]), k, noise.double())[0]
        total = weights.logsumexp(0)
        direct.append((total - math.log(k), (2 * total - (2 * weights).logsumexp(0)).exp(), -weights.mean()))
    evidence, effective, elbo = np.array(direct).T
    held = torch.get_num_threads()
    for at_a_time in (1, 16, 48, 224, 10_000):
        torch.set_num_threads(threads)
        try:
            found = weigh(model, batch, k, seed=4, at_a_time=at_a_time)
            assert torch.get_num_threads() == threads
        finally:
            torch.set_num_threads(held)
        np.testing.assert_allclose(found.evidence, evidence, rtol=1e-12)
        np.testing.assert_allclose(found.effective, effective, rtol=1e-9)
        np.testing.assert_allclose(found.negative_elbo, elbo, rtol=1e-12)


class Given(nn.Module):
    """A model whose log-weights are what they are told to be, whatever x is."""

    noise_size = 1

    def __init__(self, weights: Tensor) -> None:
        super().__init__()
        self.weights, self.done = weights, 0

    def log_weight(self, batch: Batch, k: int, noise: Tensor | None = None) -> Tensor:
        return self.weights[:k].expand(len(batch), -1)

    def log_weight_parts(self, batch: Batch, k: int, noise: Tensor | None = None) -> tuple[Tensor, Tensor]:
        part = self.weights[self.done : self.done + k].expand(len(batch), -1)
        self.done += k
        return part, torch.zeros_like(part)


def test_far_below_what_single_precision_can_tell_apart_sums_are_exact() -> None:
    weights = -200_000.0 + torch.randn(5000, generator=generator(5))
    found = weigh(cast(Any, Given(weights)), Batch(torch.zeros(1, 2)), 5000, at_a_time=64)
    exact = np.logaddexp.reduce(weights.double().numpy()) - math.log(5000)
    assert found.evidence[0] == pytest.approx(exact, abs=1e-9)
    assert found.negative_elbo[0] == pytest.approx(-weights.double().mean().item(), abs=1e-9)


@pytest.mark.parametrize(("weights", "effective"), [(torch.zeros(64), 64.0), (torch.linspace(0, 1e4, 64), 1.0)])
def test_effective_draws_are_all_where_weights_are_equal_and_one_where_one_is_all(
    weights: Tensor, effective: float
) -> None:
    found = weigh(cast(Any, Given(weights)), Batch(torch.zeros(1, 2)), 64, at_a_time=16)
    assert found.effective[0] == pytest.approx(effective)


class Uniform(nn.Module):
    def __init__(self, levels: int, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.levels, self.shape = levels, shape

    def forward(self, z: Tensor, given: Tensor | None = None) -> Categorical:
        return Categorical(torch.zeros(len(z), *self.shape, self.levels))


class Nothing(nn.Module):
    def forward(self, x: Tensor, given: Tensor | None = None, mask: Tensor | None = None) -> Normal:
        return Normal(torch.zeros(len(x), 2), torch.zeros(len(x), 2))


def test_a_uniform_model_of_256_levels_takes_8_bits_per_dimension() -> None:
    spec = DataSpec((3, 4, 4), (Field("level", 256),), likelihood="categorical")
    model = VAE(Nothing(), Uniform(256, (3, 4, 4)), 2)
    batch = Batch(torch.randint(0, 256, (5, 3, 4, 4), generator=generator(0)))
    found = named(model, batch, spec, EvaluationSettings(k=16))
    assert found["bits per dimension"].value == pytest.approx(8.0, abs=1e-5)
    assert found["bits per dimension"].parts["from the NLL"] == pytest.approx(8.0, abs=1e-5)
    assert found["rate"].value == pytest.approx(0.0, abs=1e-6)


class Whisper(nn.Module):
    def forward(self, x: Tensor, given: Tensor | None = None, mask: Tensor | None = None) -> Normal:
        return Normal(torch.full((len(x), 2), 0.01), torch.zeros(len(x), 2))


def test_a_rate_is_not_negative_where_it_has_a_closed_form_and_else_it_says_why() -> None:
    spec = DataSpec((3,), (Field("real"),))
    batch = Batch(torch.zeros(6, 3))
    model = VAE(Whisper(), build("vae", spec, latent_dim=2).decoder, 2)
    drawn = [weigh(model, batch, 8, seed=seed).rate.mean() for seed in range(4)]
    assert min(drawn) < 0 < max(drawn)
    for seed, one in enumerate(drawn):
        found = named(model, batch, spec, EvaluationSettings(quick=True, seed=seed))
        assert found["rate"].value == pytest.approx(one if one > 0 else 1e-4, rel=1e-3)
        assert found["−ELBO"].value == pytest.approx(found["distortion"].value + found["rate"].value)
    prior = MixturePrior(2, 1)
    nn.init.zeros_(prior.means)
    mixed = VAE(Whisper(), model.decoder, prior)
    told = [named(mixed, batch, spec, EvaluationSettings(quick=True, seed=seed))["rate"] for seed in range(4)]
    assert {"chance" in one.meaning for one in told if one.value < 0} == {True}
    assert {"chance" in one.meaning for one in told if one.value >= 0} <= {False}


def test_bounds_tell_what_they_are_in_the_units_of_the_data() -> None:
    model, batch, _ = linear()
    judged = subject(model, batch, DataSpec((ENTRIES,), (Field("real"),)), volume=7.0)
    with torch.no_grad():
        found = {one.name: one for one in bounds.measures(judged, EvaluationSettings(k=16))}
    for name in ("−ELBO", "NLL"):
        assert found[name].reference == pytest.approx(found[name].value + 7)
        assert "units of your data" in found[name].reference_is
    assert found["distortion"].reference is found["rate"].reference is None
    assert (
        named(model, batch, DataSpec((ENTRIES,), (Field("real"),)), EvaluationSettings(k=16))["NLL"].reference is None
    )


def test_log_densities_keep_to_the_units_that_bounds_are_told_in_beside() -> None:
    rows = 1000.0 * np.random.default_rng(0).normal(size=(120, 3))
    auto = Autoencoder(latent_dim=2, width=16, depth=1, steps=15, device="cpu").fit(rows)
    bound = {one.name: one for one in auto.evaluate(rows, families=("bounds",), k=64)}["NLL"]
    assert bound.reference is not None
    assert bound.reference - bound.value > 3 * math.log(500.0)
    assert -auto.log_density(rows, samples=64).mean() == pytest.approx(bound.reference, abs=0.3)


def test_bits_are_told_only_where_a_likelihood_is_a_probability_of_levels() -> None:
    def counts(likelihood: str, levels: int, shape: tuple[int, ...] = (1, 4, 4)) -> bool:
        return bounds.counts_levels(DataSpec(shape, (Field("level", levels),), likelihood=likelihood))

    assert counts("bernoulli", 2)
    assert counts("logistic_mixture", 256)
    assert not counts("bernoulli", 256)
    assert not counts("gaussian", 256)
    assert not counts("categorical", 256, (4,))


def test_measures_name_their_draws_and_the_check_stands_beside_them() -> None:
    model, batch, exact = linear()
    spec = DataSpec((ENTRIES,), (Field("real"),))
    found = named(model, batch, spec, EvaluationSettings(k=500, annealing=30))
    assert list(found) == [
        "distortion",
        "rate",
        "−ELBO",
        "NLL",
        "effective draws",
        "NLL by annealing",
        "gap of the NLL",
    ]
    assert found["NLL"].unit == "nats per example, k = 500"
    assert found["NLL"].value == pytest.approx(-exact.mean(), abs=0.05)
    assert found["NLL"].value < found["−ELBO"].value
    assert found["−ELBO"].value == pytest.approx(found["distortion"].value + found["rate"].value)
    assert found["NLL"].error == pytest.approx(exact.std() / math.sqrt(len(exact)), rel=0.1)
    gap = found["NLL by annealing"].reference - found["NLL by annealing"].value
    assert found["gap of the NLL"].value == pytest.approx(gap, abs=1e-9)
    assert list(named(model, batch, spec, EvaluationSettings(quick=True))) == ["distortion", "rate", "−ELBO"]


@torch.no_grad()
def test_lengths_of_discrete_codes_are_exact_and_a_code_of_all_there_is() -> None:
    torch.manual_seed(0)
    spec = DataSpec((3,), (Field("category", 2),) * 3, likelihood="cells", examples=100)
    model = build("vq_vae", spec, codebook=4, codes=2, width=16, depth=1, prior_width=16, prior_depth=1).eval()
    everything = torch.tensor(list(itertools.product((0.0, 1.0), repeat=3)))
    codes = torch.tensor(list(itertools.product(range(4), repeat=2)))
    log_prior = model.code_prior.log_prob(codes)
    given_code = [model.decode(code[None].expand(8, -1)).log_prob(everything) for code in codes]
    both = torch.stack(given_code) + log_prior[:, None]
    evidence = both.logsumexp(0)
    assert evidence.exp().sum().item() == pytest.approx(1.0, abs=1e-5)
    found = weigh(cast(Any, model), Batch(everything), 5000)
    assert found.draws == 1
    assert (found.evidence <= evidence.numpy() + 1e-5).all()
    assert np.exp(-found.negative_elbo).sum() <= 1 + 1e-5
    np.testing.assert_allclose(-found.negative_elbo, found.evidence)
    told = named(cast(Any, model), Batch(everything), spec, EvaluationSettings())
    assert list(told) == ["distortion", "rate", "−ELBO"]
    assert "exact length" in told["−ELBO"].meaning


def test_the_cost_of_a_draw_is_what_its_layers_multiply() -> None:
    model, batch, _ = linear()
    assert cost(model, batch).work == max(2 * LATENTS * ENTRIES, 64 * ENTRIES)
    spec = DataSpec((1, 8, 8), (Field("level", 2),), likelihood="bernoulli")
    net = build("vae", spec, network="mlp", width=32, depth=2, latent_dim=4)
    counted = cost(net, Batch(torch.zeros(1, 1, 8, 8)))
    assert counted.work == 64 * 64 or counted.work == 2 * (4 * 32 + 32 * 32 + 32 * 64)
    assert counted.widest == 64


@torch.no_grad()
@pytest.mark.parametrize("name", models.names())
def test_every_model_is_weighed_and_those_with_a_density_are_annealed(name: str) -> None:
    torch.manual_seed(0)
    conditions = (Field("category", 3),) if models.describe(name).needs_conditions else ()
    spec = DataSpec((4,), (Field("real"),) * 4, conditions, examples=100)
    batch = Batch(torch.randn(3, 4), torch.zeros(3, 1) if conditions else None)
    if "sequence" in models.describe(name).data_forms:
        spec = DataSpec((6, 2), (Field("real"),) * 2, examples=100)
        batch = Batch(torch.randn(3, 6, 2))
    if "record" in models.describe(name).data_forms:
        halves = [Part(half, DataSpec((2,), (Field("real"),) * 2)) for half in ("first", "second")]
        spec = DataSpec.of_parts(halves, 100)
    model = build(name, spec).eval()
    judged = subject(model, batch, spec)
    found = weigh(judged.model, batch, 20)
    assert np.isfinite(found.evidence).all()
    assert (found.evidence >= -found.negative_elbo - 1e-4).all()
    if annealed.applies(judged):
        assert np.isfinite(annealed.log_evidence(judged.latent_space, batch, 4, chains=2)).all()
    assert annealed.applies(judged) == (name not in ("vq_vae", "td_vae", "sparse_vae"))


def test_a_class_that_is_not_given_is_not_annealed() -> None:
    spec = DataSpec((4,), (Field("real"),) * 4, (Field("category", 3, missing=True),), examples=100)
    model = build("m2", spec).eval()
    known = torch.tensor([[0.0], [2.0], [1.0]])
    for given, applies in ((known, True), (known.where(known > 0, torch.nan), False)):
        assert annealed.applies(subject(model, Batch(torch.randn(3, 4), given), spec)) is applies


class OwnDecoder(nn.Module):
    """A net of somebody's own: its `weight` is its own too, and it gives a distribution."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(ENTRIES, LATENTS))

    def forward(self, z: Tensor, given: Tensor | None = None) -> Normal:
        return Normal(z @ self.weight.T, torch.zeros(()))


def test_weighing_leaves_modes_gradients_and_random_numbers_as_they_were() -> None:
    frozen = nn.BatchNorm1d(ENTRIES).eval()
    _, batch, _ = linear(n=4)
    model = VAE(Guess(Linear(0.5), 0.0, 1.2), OwnDecoder(), LATENTS)
    model.extra = nn.ModuleList([frozen, nn.BatchNorm1d(ENTRIES)])
    model.train()
    frozen.eval()
    before = torch.get_rng_state()
    first = weigh(model, batch, 32)
    assert torch.equal(torch.get_rng_state(), before)
    assert model.training
    assert [one.training for one in model.extra] == [False, True]
    assert np.array_equal(first.evidence, weigh(model.eval(), batch, 32).evidence)
    assert np.isfinite(annealed.log_evidence(model, batch, 3, chains=2)).all()
