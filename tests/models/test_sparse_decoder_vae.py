"""The sparse decoder: what an entry may depend on, the EM updates, both scalings."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import distributions as td

import sfumato
from sfumato.batch import Batch
from sfumato.distributions import Columns, Normal
from sfumato.errors import SfumatoError
from sfumato.models import build
from sfumato.models.sparse.sparse_decoder_vae import SparseDecoderVAE, scale_penalty
from sfumato.networks.sparse.sparse_decoder import SparseDecoder
from sfumato.spec import DataSpec, Field

SPEC = DataSpec((4,), (Field("real"),), examples=200)
TABLE = DataSpec((3,), (Field("category", 3), Field("real"), Field("cells", 5)), likelihood="cells")


def model_of(**options: object) -> SparseDecoderVAE:
    torch.manual_seed(0)
    model = build("sparse_decoder_vae", SPEC, **{"width": 16, "latent_dim": 3, **options})
    assert isinstance(model, SparseDecoderVAE)
    return model


def test_an_entry_depends_on_its_own_latents_alone() -> None:
    torch.manual_seed(0)
    decoder = SparseDecoder(SPEC, 3, 16, 2)
    with torch.no_grad():
        decoder.w[0, 1:] = 0.0
        decoder.w[1] = 0.0

    def means(z: torch.Tensor) -> torch.Tensor:
        p = decoder(z)
        assert isinstance(p, Normal)
        return p.mean.sum(0)

    jacobian = torch.autograd.functional.jacobian(means, torch.randn(5, 3)).abs().sum(1)  # type: ignore[no-untyped-call]
    assert (jacobian != 0).tolist() == [[True, False, False], [False] * 3, [True] * 3, [True] * 3]


def test_the_size_of_a_weight_is_told_by_w_alone() -> None:
    torch.manual_seed(0)
    decoder, z = SparseDecoder(SPEC, 3, 16, 2), torch.randn(5, 3)
    before = decoder(z).mode()
    with torch.no_grad():
        decoder.first.weight[:, 1] *= 100.0
    torch.testing.assert_close(decoder(z).mode(), before)
    with torch.no_grad():
        decoder.w[:, 1] *= 2.0
    assert not torch.allclose(decoder(z).mode(), before)


def test_every_column_of_a_mixed_table_has_its_block_in_its_place() -> None:
    torch.manual_seed(0)
    decoder, z = SparseDecoder(TABLE, 2, 8, 1), torch.randn(4, 2)
    p = decoder(z)
    assert isinstance(p, Columns)
    for j, size in enumerate((3, 1, 5)):
        h = torch.nn.functional.leaky_relu((z * decoder.w[j]) @ decoder.directions().t())
        block = (h @ decoder.last[j].t() + decoder.bias[j])[:, :size]
        found = [p.logits[:, :3], p.normal.mean, p.logits[:, 3:]][j]
        torch.testing.assert_close(found, block)


def test_the_e_step_is_bayes_rule_and_the_m_step_the_mode_of_a_beta() -> None:
    model = model_of()
    w, eta = model.decoder.w.detach().clone(), torch.tensor([0.5, 0.5, 0.5])
    model.train().losses(Batch(torch.randn(8, 4)), 0)
    slab = eta * torch.exp(td.Laplace(0.0, 1.0).log_prob(w))
    spike = (1 - eta) * torch.exp(td.Laplace(0.0, 0.1).log_prob(w))
    expected = slab / (slab + spike)
    torch.testing.assert_close(model.p_star, expected)
    # Beta(1 + Σp*, D + D − Σp*) has its mode at Σp* / (2D − 1).
    torch.testing.assert_close(model.eta, expected.sum(0) / (2 * 4 - 1))


def test_evaluation_moves_neither_expectations_nor_rates() -> None:
    model = model_of().eval()
    before = model.p_star.clone()
    model.losses(Batch(torch.randn(8, 4)), 0)
    assert torch.equal(model.p_star, before)


def test_the_two_scalings_weigh_the_same_terms() -> None:
    batch = Batch(torch.randn(8, 4))
    cases = (("elbo", 1, 1.0, 1 / 200), ("elbo", 10, 1.0, 1 / 200), ("released", 1, 1 / 3, 1 / 8))
    for scaling, sparsity, of_rate, of_rest in cases:
        model = model_of(scaling=scaling, sparsity=sparsity)
        loss = model.losses(batch, 0)["model"]
        terms = {name: value.mean() for name, value in loss.terms.items()}
        w = model.decoder.w
        torch.testing.assert_close(terms["penalty"], ((model.p_star + 10 * (1 - model.p_star)) * w.abs()).sum())
        penalties = sparsity * terms["penalty"] + terms["scale_penalty"]
        torch.testing.assert_close(loss.total, terms["distortion"] + of_rate * terms["rate"] + of_rest * penalties)


def test_the_released_scaling_is_the_released_loss_with_its_scales_shrunk_by_root_d() -> None:
    """½ mean (err/σ)² + Σ log σ of the released code, at σ = σ′/√D, is our distortion at σ′ up to a constant."""
    torch.manual_seed(0)
    x, mean, log_scale = torch.randn(8, 4), torch.randn(8, 4), 0.3 * torch.randn(4)
    differences = []
    for shift in (0.0, 0.7):
        shrunk = log_scale + shift - np.log(2.0)
        released = 0.5 * (((x - mean) / shrunk.exp()) ** 2).mean() + shrunk.sum()
        differences.append(-Normal(mean, log_scale + shift).log_prob(x).mean() - released)
    torch.testing.assert_close(differences[0], differences[1])


def test_the_prior_of_the_scales_is_an_inverse_gamma() -> None:
    log_scales = torch.tensor([[-1.0], [0.0]])
    penalties = [scale_penalty(Normal(torch.zeros(1, 1), one), one) for one in log_scales]
    prior = td.InverseGamma(torch.tensor(1.5), torch.tensor(1.5 * 0.195))
    expected = prior.log_prob(torch.exp(2 * log_scales[1])) - prior.log_prob(torch.exp(2 * log_scales[0]))
    torch.testing.assert_close(penalties[0] - penalties[1], expected[0], rtol=1e-4, atol=1e-4)


def test_drives_is_exactly_zero_where_the_spike_is_the_likelier() -> None:
    model = model_of()
    with torch.no_grad():
        model.decoder.w.zero_()
        model.decoder.w[2, 1] = -1.5
        model.decoder.w[0, 0] = 0.01
    driven = model.drives()
    assert driven.shape == (4, 3)
    assert driven.nonzero().tolist() == [[2, 1]]
    assert driven[2, 1] == 1.5


def test_it_finds_which_latent_drives_which_column() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 600))
    x = np.stack([a, -2 * a, np.sin(a), b, 2 * b, -b], 1) + 0.1 * rng.normal(size=(600, 6))
    x = torch.tensor(x / x.std(0), dtype=torch.float32)
    torch.manual_seed(1)
    model = build("sparse_decoder_vae", DataSpec((6,), (Field("real"),), examples=600), latent_dim=3, width=32)
    assert isinstance(model, SparseDecoderVAE)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for step in range(400):
        loss = model.losses(Batch(x[torch.randint(0, 600, (100,))]), step)["model"].total
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    driven = model.drives() > 0
    first, second = driven[:3].any(0), driven[3:].any(0)
    assert first.any()
    assert second.any()
    assert not (first & second).any()
    assert driven.any(1).sum() >= 5


def test_options_that_make_no_sense_are_refused() -> None:
    with pytest.raises(SfumatoError, match="spike > slab > 0"):
        model_of(spike=1.0, slab=2.0)
    with pytest.raises(SfumatoError, match="above 0"):
        model_of(sparsity=0.0)
    with pytest.raises(SfumatoError, match="choose one of released, elbo"):
        model_of(scaling="true")
    with pytest.raises(SfumatoError, match="too many for a sparse decoder"):
        build("sparse_decoder_vae", DataSpec((3, 64, 64), (Field("level", 256),)))
    with pytest.raises(SfumatoError, match="does not suit a sparse decoder"):
        build("sparse_decoder_vae", DataSpec((1, 8, 8), (Field("level", 256),), likelihood="categorical"))


def test_all_doors_on_moons(tmp_path: Path) -> None:
    auto = sfumato.fit("moons", model="sparse_decoder_vae", steps=20, rows=300, device="cpu")
    drawn = auto.sample(20, seed=0)
    z, scores = auto.encode(drawn), auto.score_samples(drawn)
    assert z.shape == (20, 2)
    assert len(auto.reconstruct(drawn)) == 20
    auto.save(tmp_path / "run")
    again = sfumato.load(tmp_path / "run")
    assert np.array_equal(again.encode(drawn), z)
    assert np.array_equal(again.score_samples(drawn), scores)
    assert torch.equal(again.model_.drives(), auto.model_.drives())


def test_what_is_validated_is_the_loss_that_is_trained_whatever_the_batches() -> None:
    model = model_of(scaling="released").train()
    weight = model.losses(Batch(torch.randn(50, 4)), 0)["model"].weights["penalty"]
    assert weight == pytest.approx(1 / 50)
    assert model.losses(Batch(torch.randn(7, 4)), 0)["model"].weights["penalty"] == weight  # a pass's last batch
    assert model.eval().losses(Batch(torch.randn(256, 4)), 0)["model"].weights["penalty"] == weight
