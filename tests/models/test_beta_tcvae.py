"""The β-TCVAE's three terms."""

from __future__ import annotations

import pytest
import torch

from sfumato.batch import Batch
from sfumato.distributions import Normal
from sfumato.models import build
from sfumato.models.factors.beta_tcvae import BetaTCVAE
from sfumato.spec import DataSpec, Field

SPEC = DataSpec((3,), (Field("real"),), examples=1000)
TERMS = ("mutual_information", "total_correlation", "dimension_rate")


def make(**options) -> tuple[BetaTCVAE, Batch]:
    torch.manual_seed(0)
    return build("beta_tcvae", SPEC, latent_dim=3, width=16, **options), Batch(torch.randn(32, 3))


@pytest.mark.parametrize("estimator", ["stratified", "weighted"])
def test_with_all_weights_one_it_is_the_vae_with_a_sampled_rate(estimator: str) -> None:
    model, batch = make(alpha=1.0, beta=1.0, gamma=1.0, estimator=estimator)
    torch.manual_seed(1)
    loss = model.losses(batch, 0)["model"]
    torch.manual_seed(1)
    q = model.encode(batch)
    z = q.sample()
    log_weight = model.decode(z).log_prob(batch.x) + model.prior(32).log_prob(z) - q.log_prob(z)
    torch.testing.assert_close(loss.per_example, -log_weight, rtol=0, atol=1e-5)
    torch.testing.assert_close(loss.metrics["rate"], sum(loss.terms[name] for name in TERMS))


def test_each_term_has_its_own_weight() -> None:
    model, batch = make(alpha=2.0, beta=3.0, gamma=5.0, estimator="weighted")
    loss = model.losses(batch, 0)["model"]
    assert loss.terms["total_correlation"].mean() > 0
    expected = loss.terms["distortion"]
    for name, weight in zip(TERMS, (2.0, 3.0, 5.0), strict=True):
        expected = expected + weight * loss.terms[name]
    torch.testing.assert_close(loss.per_example, expected)


def test_nothing_is_won_by_an_estimate_that_no_total_correlation_has(monkeypatch) -> None:
    """32 of 100,000 examples, none near another: the estimate is below 0, and β does not weigh it."""
    model, batch = make(beta=6.0)
    model.examples = 100_000
    monkeypatch.setattr(model, "encode", lambda batch: Normal(batch.x, torch.full_like(batch.x, -2.0)))
    torch.manual_seed(1)
    loss = model.losses(batch, 0)["model"]
    assert loss.terms["total_correlation"].mean() < 0
    torch.testing.assert_close(loss.per_example, loss.terms["distortion"] + loss.metrics["rate"])


def test_a_large_beta_makes_latents_independent() -> None:
    """Two columns of which one follows the other: with α = 0 nothing but independence is asked of the latents."""
    found = {}
    for beta in (0.0, 30.0):
        model, _ = make(alpha=0.0, gamma=0.0, beta=beta)
        torch.manual_seed(0)
        x = torch.randn(128, 3)
        x[:, 1] = x[:, 0] + 0.3 * x[:, 1]
        optimizer = model.optimizer("model", list(model.parameters()), 5e-3, 0.0)
        for step in range(200):
            optimizer.zero_grad()
            loss = model.losses(Batch(x), step)["model"]
            loss.total.backward()
            optimizer.step()
        found[beta] = loss.terms["total_correlation"].mean().item()
    assert found[30.0] < 0.5 * found[0.0]
