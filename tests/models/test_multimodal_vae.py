"""The multimodal VAE: experts against closed forms, and records whose parts are known functions of each other."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

import sfumato
from sfumato.batch import Batch
from sfumato.distributions import Experts, Normal
from sfumato.distributions.parts import random_subset
from sfumato.evaluation.subject import frozen_eval
from sfumato.models.multimodal_vae import MultimodalVAE
from sfumato.networks import PartsDecoder, PartsEncoder
from sfumato.report.kinds import record
from sfumato.spec import DataSpec, Field, Part

SCALES = (0.5, 0.8)
"""Noise of the two parts of the linear model x_m = a_m z + σ_m ε."""
SLOPES = (1.2, -0.7)
LINEAR = DataSpec.of_parts([Part(name, DataSpec((1,), (Field("real"),))) for name in ("first", "second")])


class Linear(nn.Module):
    """p(x_m | z) of the linear model, and the expert p(x_m | z) as a density of z."""

    def __init__(self, part: int) -> None:
        super().__init__()
        self.part = part
        self.anchor = nn.Parameter(torch.zeros(()))

    def forward(self, z: torch.Tensor, given: None = None) -> Normal:
        return Normal(SLOPES[self.part] * z, self.anchor + math.log(SCALES[self.part]))


class LinearExpert(Linear):
    def forward(self, x: torch.Tensor, given: None = None, mask: torch.Tensor | None = None) -> Normal:  # type: ignore[override]
        log_scale = math.log(SCALES[self.part] / abs(SLOPES[self.part]))
        return Normal(x / SLOPES[self.part], self.anchor + torch.full_like(x, log_scale))


def linear(experts: Any) -> MultimodalVAE:
    encoder = PartsEncoder(LINEAR, [LinearExpert(0), LinearExpert(1)], mixture=experts == "mixture")
    decoder = PartsDecoder(LINEAR, [Linear(0), Linear(1)])
    return MultimodalVAE(encoder, decoder, 1, parts=LINEAR.parts, experts=experts).double().eval()


def batch(total: int = 6) -> Batch:
    x = torch.randn(total, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    mask = torch.ones(total, 2, dtype=torch.bool)
    mask[0, 0], mask[1, 1] = False, False
    return Batch(x * mask, None, mask)


def evidence(examples: Batch) -> torch.Tensor:
    """log p(x) of what is there: a normal of covariance a aᵀ + diag(σ²)."""
    slopes, scales = (torch.tensor(values, dtype=torch.float64) for values in (SLOPES, SCALES))
    covariance = torch.outer(slopes, slopes) + torch.diag(scales.square())
    values = []
    assert examples.mask is not None
    for x, there in zip(examples.x, examples.mask, strict=True):
        if not there.any():
            values.append(torch.zeros(()).double())
            continue
        own = torch.distributions.MultivariateNormal(
            torch.zeros(int(there.sum())).double(), covariance[there][:, there]
        )
        values.append(own.log_prob(x[there]))
    return torch.stack(values)


def test_the_product_of_experts_is_the_posterior_of_a_linear_model() -> None:
    model, examples = linear("product"), batch()
    torch.testing.assert_close(model.log_weight(examples, 5), evidence(examples)[:, None].expand(-1, 5))
    nothing = model.encode_known(examples.x, None, torch.zeros_like(examples.mask))
    assert isinstance(nothing, Normal)
    assert (nothing.mean.abs().max(), nothing.scale.min(), nothing.scale.max()) == (0, 1, 1)


def test_one_part_given_the_other_is_that_of_the_linear_model() -> None:
    model, x = linear("product"), torch.tensor([[0.9, 0.0]], dtype=torch.float64)
    q = model.encode_known(x, None, torch.tensor([[True, False]]))
    z = q.repeat(200_000).sample()
    drawn = model.decode(z).sample()[:, 1]
    variance = SLOPES[0] ** 2 + SCALES[0] ** 2
    mean = SLOPES[0] * SLOPES[1] / variance * 0.9
    spread = math.sqrt(SLOPES[1] ** 2 + SCALES[1] ** 2 - (SLOPES[0] * SLOPES[1]) ** 2 / variance)
    assert drawn.mean().item() == pytest.approx(mean, abs=0.01)
    assert drawn.std().item() == pytest.approx(spread, abs=0.01)


def repeated(examples: Batch, times: int) -> Batch:
    assert examples.mask is not None
    return Batch(examples.x.repeat_interleave(times, 0), None, examples.mask.repeat_interleave(times, 0))


def test_the_objective_of_the_product_is_the_evidence_of_the_parts_drawn() -> None:
    """Its experts are exact, so the ELBO of each subset is log p(x_S)."""
    torch.manual_seed(0)
    model, examples = linear("product"), batch(3)
    assert examples.mask is not None
    loss = model.losses(repeated(examples, 20_000), 0)["model"].per_example.view(3, -1).mean(1)
    alone = [
        evidence(Batch(examples.x, None, examples.mask & torch.tensor(which)))
        for which in ([True, False], [False, True])
    ]
    expected = evidence(examples)
    expected[2] = expected[2] * (1 / 2 + 1 / 6) + (alone[0][2] + alone[1][2]) / 6
    torch.testing.assert_close(-loss, expected, atol=0.03, rtol=0)


@pytest.mark.parametrize("experts", ["mixture-of-products", "mixture"])
def test_objectives_of_mixtures_are_bounds_and_weights_are_unbiased(experts: str) -> None:
    torch.manual_seed(0)
    model, examples = linear(experts), batch(4)
    loss = model.losses(repeated(examples, 4000), 0)["model"].per_example.view(4, -1).mean(1)
    assert (-loss[2:] < evidence(examples)[2:] - 0.02).all()
    torch.testing.assert_close(-loss[:2], evidence(examples)[:2], atol=0.08, rtol=0)
    weights = model.log_weight(examples, 20_000)
    torch.testing.assert_close(torch.logsumexp(weights, 1) - math.log(20_000), evidence(examples), atol=0.03, rtol=0)


def test_the_mixture_is_the_mean_of_the_experts_that_are_there() -> None:
    means, log_scales = torch.randn(3, 2, 1).double(), 0.3 * torch.randn(3, 2, 1).double()
    present = torch.tensor([[True, True], [False, True], [False, False]])
    mixture, z = Experts(means, log_scales, present).mixture(), torch.randn(3, 1).double()
    alone = [Experts(means[:, m : m + 1], log_scales[:, m : m + 1], torch.ones(3, 1, dtype=torch.bool)) for m in (0, 1)]
    densities = torch.stack([one.product().log_prob(z).exp() for one in alone], 1)
    expected = torch.stack(
        [densities[0].mean(), densities[1, 1], torch.exp(-0.5 * z[2] ** 2)[0] / math.sqrt(2 * math.pi)]
    )
    torch.testing.assert_close(mixture.log_prob(z).exp(), expected)
    noise = torch.randn(60_000, 2, dtype=torch.float64)
    draws = Experts(means[:1], log_scales[:1], present[:1]).mixture().repeat(60_000).draw(noise)
    assert draws.mean().item() == pytest.approx(
        Experts(means[:1], log_scales[:1], present[:1]).mixture().mode().item(), abs=0.02
    )


def test_every_subset_but_the_empty_one_is_drawn_alike() -> None:
    torch.manual_seed(0)
    present = torch.tensor([[True, False, True, True]]).expand(70_000, 4)
    chosen = random_subset(present, torch.zeros(1))
    number = (chosen * torch.tensor([1, 2, 4, 8])).sum(1)
    counts = torch.bincount(number, minlength=16)
    assert counts[[0, 2, 3, 6, 7, 10, 11, 14, 15]].sum() == 0
    assert (counts[counts > 0] / 70_000).sub(1 / 7).abs().max() < 0.01


@pytest.fixture(scope="module")
def fitted() -> sfumato.Autoencoder:
    """Records of an image, a word and a number that all say which of three bars it is; some are missing."""
    return sfumato.fit(records(300, missing=True), steps=200, lr=1e-2, width=32, latent_dim=4, seed=0)


def records(total: int, *, missing: bool = False) -> pd.DataFrame:
    random = np.random.default_rng(total)
    bar = random.integers(0, 3, total)
    pixels = random.integers(0, 30, (total, 5, 5)).astype(np.uint8)
    pixels[np.arange(total), bar] = 220
    frame = pd.DataFrame({"image": list(pixels), "word": np.array(["top", "middle", "low"])[bar], "number": bar * 2.5})
    if missing:
        for place, name in enumerate(("image", "word", "number")):
            frame.loc[np.arange(total) % 9 == place, name] = None
    return frame


def bar_of(frame: pd.DataFrame) -> dict[str, np.ndarray]:
    images = np.stack(list(frame["image"]))
    words = frame["word"].map({"top": 0, "middle": 1, "low": 2}).to_numpy()
    numbers = np.round(frame["number"] / 2.5).to_numpy(int)
    return {"image": images.mean(2)[:, :3].argmax(1), "word": words, "number": numbers}


@pytest.mark.parametrize("part", ["image", "word", "number"])
def test_any_part_is_completed_from_any_other(fitted: sfumato.Autoencoder, part: str) -> None:
    held_out = records(60)
    truth = bar_of(held_out)[part]
    for known in sorted({"image", "word", "number"} - {part}):
        asked = held_out.assign(**{name: None for name in held_out.columns if name != known})
        drawn = fitted.complete(asked, seed=0)
        assert list(drawn[known].map(str)) == list(held_out[known].map(str))
        assert (bar_of(drawn)[part] == truth).mean() > 0.9, known
    assert (bar_of(fitted.complete(held_out.drop(columns=part), best=True, seed=0))[part] == truth).mean() > 0.95


def test_records_go_through_every_use(fitted: sfumato.Autoencoder, tmp_path: Path) -> None:
    held_out = records(20, missing=True)
    assert fitted.encode(held_out).shape == (20, fitted.model_.code_size)
    assert np.isfinite(fitted.score_samples(held_out)).all()
    restored = bar_of(fitted.reconstruct(held_out))
    assert (restored["image"] == restored["word"]).mean() > 0.9
    sampled = bar_of(fitted.sample(40, seed=0))
    assert (sampled["image"] == sampled["number"]).mean() > 0.6
    measured = {measure.name: measure for measure in fitted.evaluate(held_out, families=("parts",), quick=True)}
    assert set(measured["distortion of parts"].parts) == {"columns", "image"}
    others = measured["parts from the others"]
    assert others.reference is not None
    assert others.value < others.reference
    assert fitted.diagnose(quick=True)
    assert fitted.data_ is not None
    subject = fitted.subject(fitted.data_, 0)
    with frozen_eval(fitted.model_, 0):
        drawn = record.draw(subject, tmp_path)
    assert [figure.path.stem for figure in drawn] == ["reconstructions", "parts", "samples"]


def test_texts_are_a_part_too_and_runs_of_them_load(tmp_path: Path) -> None:
    auto = sfumato.fit(
        records(60, missing=True), kinds={"word": "text"}, steps=2, width=8, run=tmp_path / "run", seed=0
    )
    again = sfumato.load(tmp_path / "run")
    asked = records(5).assign(word=None)
    first, second = (one.complete(asked, seed=0) for one in (auto, again))
    assert first["word"].tolist() == second["word"].tolist()
    assert all(isinstance(word, str) for word in first["word"])
    assert [part.name for part in again.schema_.spec.parts] == ["number", "word", "image"]
    fixed = again.complete(None, n=3, fix={"word": "low", "number": 2.5}, seed=0)
    assert fixed[["word", "number"]].to_numpy().tolist() == [["low", 2.5]] * 3
