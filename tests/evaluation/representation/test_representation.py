"""Measures of codes and of disentanglement, on models that are known or asked for by protocol."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from sfumato import data
from sfumato.data import DataOptions
from sfumato.data.core.dataset import Dataset
from sfumato.distributions import Normal
from sfumato.errors import SfumatoError
from sfumato.evaluation import EvaluationSettings, Measure, Subject, evaluate
from sfumato.evaluation.disentanglement import measures
from sfumato.models import build
from sfumato.models.vae import VAE


class Exact(nn.Module):
    """q(z | x) = N(g(x), noise²): the two columns of the plane, and a third latent that is always 0."""

    def __init__(self, noise: float) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor([noise, noise, 1.0]).log())

    def forward(self, x: Tensor, given: Tensor | None = None, mask: Tensor | None = None) -> Normal:
        return Normal(torch.cat([x, torch.zeros_like(x[:, :1])], 1), self.scale.expand(len(x), 3))


@pytest.fixture(autouse=True)
def _two_halves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measures, "RANDOM_HALVES", 2)


def gaussian(n: int = 3000) -> Dataset:
    x = np.random.default_rng(0).normal(size=(n, 2))
    return data.open(x, options=DataOptions(likelihood="gaussian", split=(0.5, 0.0, 0.5)))


def judged(opened: Dataset, noise: float, **how: object) -> dict[str, Measure]:
    decoder = build("vae", opened.schema.spec, latent_dim=3).decoder
    model = VAE(Exact(noise), decoder, 3).eval()
    subject = Subject.of(model, opened.schema, opened, 0)
    told = EvaluationSettings(families=("representation", "disentanglement"), **how)  # type: ignore[arg-type]
    return {one.name: one for one in evaluate(subject, told)}


def test_a_channel_of_known_capacity_is_told_between_its_bounds() -> None:
    opened = gaussian()
    found = judged(opened, 0.5)
    known = math.log(1 + 1 / 0.25)
    least, most = found["mutual information"], found["mutual information, upper bound"]
    assert least.value - 3 * (least.error or 0) < known < most.value + 3 * (most.error or 0)
    assert most.value - least.value < 0.1
    assert least.reference == pytest.approx(math.log(1500))
    assert found["active units"].value == 2
    assert found["latents that share the rate"].value == pytest.approx(2, abs=0.01)
    rate = sum(found["latents that share the rate"].parts.values())
    divergence = 2 * 0.5 * (1.25 - 1 - math.log(1.25))
    assert rate == pytest.approx(known + divergence, abs=0.1)
    assert found["divergence of codes from prior"].value == pytest.approx(divergence, abs=0.1)


class Whisper(nn.Module):
    """q(z | x) = N(x/100, 1), which says next to nothing, whatever chance makes of the draws."""

    def forward(self, x: Tensor, given: Tensor | None = None, mask: Tensor | None = None) -> Normal:
        return Normal(0.01 * x, torch.zeros_like(x))


def test_what_a_still_code_says_lies_between_nothing_and_the_rate() -> None:
    opened = gaussian(80)
    model = VAE(Whisper(), build("vae", opened.schema.spec, latent_dim=2).decoder, 2).eval()
    rate = 0.5e-4 * float(opened.test.take(slice(None)).x.square().sum(1).mean())
    for seed in range(6):
        found = {
            one.name: one.value
            for one in evaluate(
                Subject.of(model, opened.schema, opened, seed),
                EvaluationSettings(("representation",), quick=True, seed=seed),
            )
        }
        least, most = found["mutual information"], found["mutual information, upper bound"]
        assert 0 <= least <= most <= rate * 1.001
        assert found["divergence of codes from prior"] >= 0


def test_codes_like_the_prior_have_no_discrepancy_and_narrow_ones_do() -> None:
    opened = gaussian()
    alike, narrow = (judged(opened, noise)["MMD² of codes and prior"] for noise in (1e-3, 4.0))
    assert abs(alike.value) < 3 * (alike.error or 0) + 1e-4
    assert narrow.value > 10 * (narrow.reference or 0)


def test_factors_that_the_user_names_are_scored_and_probed() -> None:
    opened = gaussian()
    x = opened.schema.decode(opened.test.take(slice(None)).x)
    factors = {"left": x[:, 0], "above": np.where(x[:, 1] > 0, "yes", "no")}
    found = judged(opened, 1e-3, factors=factors)
    assert found["FactorVAE score"].value == 1.0
    assert found["DCI disentanglement"].value > 0.95
    assert found["DCI disentanglement"].error is not None
    assert found["MIG"].parts["above"] > 0.8
    assert list(found["SAP"].parts) == ["left", "above"]
    assert found["linear probe: left"].value > 0.99
    assert found["linear probe: above"].value > 0.95
    one = judged(opened, 1e-3, factors={"left": factors["left"]})
    assert "SAP" in one
    assert "FactorVAE score" not in one
    assert list(judged(opened, 1e-3, factors=factors, quick=True))[-1] == "MIG"
    with pytest.raises(SfumatoError, match="factor 'left' has 3 values for 1500 examples"):
        judged(opened, 1e-3, factors={"left": np.zeros(3)})


def test_sprites_bring_their_factors_and_the_same_seed_the_same_numbers() -> None:
    opened = data.open("sprites", options=DataOptions(rows=200, split=(0.6, 0.0, 0.4)))
    torch.manual_seed(0)
    model = build("vae", opened.schema.spec, latent_dim=3)
    how = EvaluationSettings(families=("representation", "disentanglement"))
    once, again = (evaluate(Subject.of(model, opened.schema, opened, 0), how) for _ in range(2))
    assert once == again
    scores = {one.name: one for one in once}
    assert list(scores["MIG"].parts) == ["shape", "scale", "rotation", "x", "y"]
    assert scores["FactorVAE score"].reference == 0.2
    assert "linear probe: rotation" in scores


@pytest.mark.parametrize(
    ("model", "told"), [("vq_vae", False), ("sparse_vae", True), ("cvae", True), ("hierarchical_vae", True)]
)
def test_what_does_not_apply_is_not_told(model: str, told: bool) -> None:
    given = ("label",) if model == "cvae" else ()
    opened = data.open("digits", options=DataOptions(given=given))
    torch.manual_seed(0)
    made = build(model, opened.schema.spec)
    found = evaluate(
        Subject.of(made, opened.schema, opened, 0), EvaluationSettings(families=("representation", "disentanglement"))
    )
    names = [one.name for one in found]
    assert ("active units" in names) is told
    assert ("linear probe: label" in names) is told
    assert ("mutual information" in names) is (model == "cvae")
    assert "MIG" not in names
