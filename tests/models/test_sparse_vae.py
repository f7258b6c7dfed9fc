"""The sparse VAE: its bound, its phases, its exact zeros."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from torch import distributions as td

import sfumato
from sfumato.batch import Batch
from sfumato.distributions import SpikeSlabMixture
from sfumato.errors import SfumatoError
from sfumato.models import build
from sfumato.models.base import END
from sfumato.models.sparse.sparse_vae import SparseVAE, sparsity
from sfumato.objectives import importance_bound
from sfumato.spec import DataSpec, Field

SPEC = DataSpec((6,), (Field("real"),))


def model_of(**options: object) -> SparseVAE:
    torch.manual_seed(0)
    model = build("sparse_vae", SPEC, **{"width": 32, "latent_dim": 8, "alpha": 0.25, **options})
    assert isinstance(model, SparseVAE)
    return model


def test_the_prior_is_the_encoders_own_answer_to_the_pseudo_inputs() -> None:
    model = model_of(pseudo_inputs=4)
    inputs = torch.randn(4, 6)
    with torch.no_grad():
        model.prior_net.inputs.copy_(inputs)
    prior, q = model.prior(5), model.encode(Batch(inputs))
    assert isinstance(prior, SpikeSlabMixture)
    least = model.prior_net.least
    torch.testing.assert_close(prior.components.gamma, least + (1 - 2 * least) * q.gamma)  # type: ignore[attr-defined]
    torch.testing.assert_close(prior.components.slab.mean, q.slab.mean)  # type: ignore[attr-defined]
    names = list(model.state_dict())
    assert len(names) == len({value.data_ptr() for value in model.state_dict().values()})


def test_no_latent_is_out_of_reach_of_the_prior() -> None:
    for alpha, least in ((0.25, 1 / (1 + np.exp(5))), (0.001, 0.0005)):
        model = model_of(alpha=alpha)
        with torch.no_grad():
            model.encoder.v.bias.fill_(-50.0)
            gamma = model.prior_net.components().gamma
        torch.testing.assert_close(gamma, torch.full_like(gamma, float(least)), rtol=1e-2, atol=0)


def test_no_choice_of_pseudo_inputs_makes_a_lower_bound_than_theirs() -> None:
    model = model_of(pseudo_inputs=3).eval()
    with torch.no_grad():
        batch = Batch(torch.randn(7, 6))
        terms = model.losses(batch, END)["model"].terms
        rates = model.encode(batch).kl_to_each(model.prior_net.components())  # type: ignore[attr-defined]
        paid = terms["rate"] + terms["selection"]
        for omega in (*torch.eye(3), torch.full((3,), 1 / 3), torch.tensor([0.5, 0.3, 0.2])):
            other = omega @ rates.t() + torch.special.xlogy(omega, 3 * omega).sum()
            assert (paid <= other + 1e-5).all()


def test_what_is_minimised_bounds_log_p_and_weights_are_of_one_measure() -> None:
    """distortion + rate + selection ≥ −ELBO of the mixture, and the bound rises with the number of draws."""
    model = model_of().eval()
    x = torch.randn(64, 6)
    with torch.no_grad():
        many = [model.losses(Batch(x), END)["model"].terms for _ in range(200)]
        minimised = torch.stack([t["distortion"] + t["rate"] + t["selection"] for t in many]).mean()
        weights = model.log_weight(Batch(x), 400)
    bounds = [importance_bound(weights[:, :k]).mean() for k in (1, 10, 400)]
    assert bounds == sorted(bounds)
    assert -minimised <= weights.mean() + 0.02
    assert weights.mean() <= bounds[2]


def test_score_with_shared_noise_is_that_with_fresh_noise() -> None:
    model = model_of().eval()
    batch = Batch(torch.randn(16, 6))
    with torch.no_grad():
        fresh, shared = model.log_weight(batch, 4000), model.log_weight(batch, 4000, torch.randn(4000, 8))
    torch.testing.assert_close(fresh.mean(1), shared.mean(1), rtol=0, atol=0.25)


def test_in_the_first_phase_the_slab_is_standard_and_gamma_alone_learns() -> None:
    model = model_of(spike_steps=10, slab_steps=10)
    batch = Batch(torch.randn(16, 6))

    def reached(step: int) -> list[bool]:
        model.zero_grad()
        model.losses(batch, step)["model"].total.backward()
        encoder = model.encoder
        layers = (encoder.normal.linear, encoder.v)
        return [one.weight.grad is not None and bool(one.weight.grad.abs().sum() > 0) for one in layers]

    assert reached(0) == reached(9) == [False, True]
    assert reached(15) == reached(100) == [True, True]


def test_the_sparsity_term_is_zero_at_alpha_and_counts_every_latent() -> None:
    model, batch = model_of(alpha=0.25), Batch(torch.randn(5, 6))
    with torch.no_grad():
        model.encoder.v.weight.zero_()
        for gamma, expected in ((0.25, 0.0), (0.5, 8 * (0.5 * np.log(2) + 0.5 * np.log(0.5 / 0.75)))):
            model.encoder.v.bias.fill_(float(np.log(gamma / (1 - gamma))))
            found = model.losses(batch, END)["model"].terms["sparsity"]
            torch.testing.assert_close(found, torch.full((5,), float(expected)), rtol=1e-4, atol=1e-5)


def test_the_sparsity_term_and_its_gradient_are_those_of_the_usage_of_each_latent() -> None:
    gamma = torch.rand(9, 4).clamp(0.05, 0.95).requires_grad_()
    usage = td.kl_divergence(td.Bernoulli(gamma.mean(0)), td.Bernoulli(torch.full((4,), 0.2))).sum()
    shared = sparsity(gamma, 0.2).mean()
    torch.testing.assert_close(shared, usage)
    torch.testing.assert_close(*(torch.autograd.grad(one, gamma)[0] for one in (shared, usage)))


def test_the_same_latents_for_all_cost_more_than_others_for_each() -> None:
    same, others = torch.zeros(4, 4), torch.eye(4)
    same[:, 0] = 1.0
    costs = [float(sparsity(gamma.clamp(1e-6, 1 - 1e-6), 0.25).mean()) for gamma in (same, others)]
    assert costs[0] > 2.0
    assert abs(costs[1]) < 1e-4


def sparse_data(n: int) -> Tensor:
    """Each row is one of six directions: few latents are in use for one example."""
    which = torch.randint(0, 6, (n,))
    return torch.nn.functional.one_hot(which, 6) * (2 + torch.randn(n, 1).abs()) + 0.1 * torch.randn(n, 6)


def test_codes_of_a_trained_model_are_exactly_zero_but_for_a_few() -> None:
    model = model_of(alpha=0.2, slope=20.0, spike_steps=0, slab_steps=0)
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    for step in range(600):
        loss = model.losses(Batch(sparse_data(128)), step)["model"].total
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    model.eval()
    x = sparse_data(200)
    with torch.no_grad():
        codes = model.encode(Batch(x)).mode()
        error = (model.reconstruct(Batch(x)) - x).square().mean()
        drawn = model.prior(2000).sample()
    assert 0.05 < (codes != 0).float().mean() < 0.5
    assert error < 0.5 * x.var()
    assert (drawn == 0).float().mean() > 0.5


def test_with_a_contrast_gates_start_decided_and_different() -> None:
    x = torch.randn(200, 6)
    even, decided = (model_of(contrast=contrast, latent_dim=100, alpha=0.02) for contrast in (0.0, 25.0))
    with torch.no_grad():
        even, decided = (one.encode(Batch(x)).gamma for one in (even, decided))  # type: ignore[attr-defined]
    assert ((even > 0.15) & (even < 0.6)).all()
    assert ((decided < 0.1) | (decided > 0.9)).float().mean() > 0.7
    assert 0.02 < decided.mean() < 0.3
    assert decided.std(0).mean() > 3 * even.std(0).mean()


def test_options_that_make_no_sense_are_refused() -> None:
    with pytest.raises(SfumatoError, match="alpha is"):
        model_of(alpha=1.5)
    with pytest.raises(SfumatoError, match="contrast is"):
        model_of(contrast=-1.0)


def test_all_doors_on_moons(tmp_path: Path) -> None:
    auto = sfumato.fit("moons", model="sparse_vae", steps=20, rows=300, device="cpu")
    drawn = auto.sample(20, seed=0)
    z, scores = auto.encode(drawn), auto.score_samples(drawn)
    assert z.shape == (20, 2)
    assert len(auto.reconstruct(drawn)) == 20
    auto.save(tmp_path / "run")
    again = sfumato.load(tmp_path / "run")
    assert np.array_equal(again.encode(drawn), z)
    assert np.array_equal(again.score_samples(drawn), scores)


def test_patience_waits_for_both_phases_and_the_warm_up() -> None:
    model = model_of(spike_steps=30, slab_steps=20)
    assert [step for step in range(60) if model.schedules_done(step)] == list(range(50, 60))
    assert [step for step in range(9) if model_of(warmup=7).schedules_done(step)] == [7, 8]


def test_the_warm_up_weighs_rate_and_selection_and_sparsity_its_own_term() -> None:
    model, batch = model_of(warmup=10, sparsity=3.0).train(), Batch(torch.randn(20, SPEC.entries))
    loss = model.losses(batch, 5)["model"]
    parts = loss.terms
    expected = parts["distortion"] + 0.5 * (parts["rate"] + parts["selection"]) + 3 * parts["sparsity"]
    torch.testing.assert_close(loss.per_example, expected)
