"""Waveforms through vq_vae: filters, ends, causality, and the prior over stacks of codes."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor

from sfumato.batch import Batch
from sfumato.models import build
from sfumato.models.vq_vae import VQVAE
from sfumato.networks.codes.stacked_prior import StackedPrior
from sfumato.networks.codes.waveform import WaveformDecoder, WaveformEncoder, cosines, hop_of
from sfumato.spec import DataSpec, Field
from sfumato.spectra import MelScale, griffin_lim, mel_filters, spectrum, to_mel

RATE = 8000
HOP = hop_of(RATE)


def waves(steps: int = 1000, channels: int = 1, *, ends: bool = True) -> DataSpec:
    return DataSpec((steps, channels), (Field("real", missing=ends),) * channels, ends=ends, rate=RATE, examples=8)


def small(spec: DataSpec, **options: object) -> VQVAE:
    torch.manual_seed(0)
    model = build("vq_vae", spec, latent_dim=8, width=8, depth=1, codebook=8, levels=2, prior_width=8, **options)
    assert isinstance(model, VQVAE)
    return model


def test_filters_give_back_what_they_saw() -> None:
    """The cosines overlap to the identity: analysis and synthesis alone reconstruct, but for half a hop at the ends."""
    x = torch.randn(1, 1, 20 * HOP)
    filters = cosines(HOP)[:, None]
    seen = torch.nn.functional.conv1d(torch.nn.functional.pad(x, (HOP, HOP)), filters, stride=HOP)
    again = torch.nn.functional.conv_transpose1d(seen, filters, stride=HOP)[..., HOP:-HOP]
    assert torch.allclose(again, x, atol=1e-4)


@pytest.mark.parametrize("channels", [1, 2])
def test_shapes_there_and_back(channels: int) -> None:
    spec = waves(1001, channels)
    encoder, decoder = (kind(spec, 8, 8, 1) for kind in (WaveformEncoder, WaveformDecoder))
    z = encoder(torch.randn(3, 1001, channels))
    assert z.shape == (3, -(-1001 // HOP), 8)
    assert decoder(z).mode().shape == (3, 1001, channels)


def test_causal_networks_do_not_see_ahead() -> None:
    spec = waves(10 * HOP)
    torch.manual_seed(0)
    encoder = WaveformEncoder(spec, 8, 8, 2, causal=True)
    decoder = WaveformDecoder(spec, 8, 8, 2, causal=True)
    x = torch.randn(1, 10 * HOP, 1)
    other = x.clone()
    other[:, 5 * HOP :] += 1
    first, second = encoder(x), encoder(other)
    assert torch.equal(first[:, :5], second[:, :5])
    assert not torch.equal(first[:, 5], second[:, 5])
    assert torch.equal(decoder(first).mode()[:, : 4 * HOP], decoder(second).mode()[:, : 4 * HOP])
    usual = WaveformEncoder(spec, 8, 8, 2)
    assert not torch.allclose(usual(x)[:, 4], usual(other)[:, 4])


def _batch(spec: DataSpec, behind: float = 0.0) -> Batch:
    torch.manual_seed(1)
    x = torch.randn(4, *spec.shape)
    mask = torch.ones_like(x, dtype=torch.bool)
    for row, end in enumerate((1000, 700, 129, 128)):
        mask[row, end:] = False
    return Batch(x.where(mask, behind), None, mask)


def test_nothing_is_learned_of_what_is_behind_an_end() -> None:
    spec = waves()
    results = []
    for behind in (0.0, 50.0):
        model = small(spec).train()
        losses = model.losses(_batch(spec, behind), 0)
        (losses["model"].total + losses["prior"].total).backward()
        results.append([*(p.grad for p in model.parameters() if p.grad is not None), model.quantizer.vectors])
    assert all(torch.equal(first, second) for first, second in zip(*results, strict=True))


def test_codes_end_where_sounds_do_and_come_back() -> None:
    spec = waves()
    model = small(spec).train()
    batch = _batch(spec)
    model.losses(batch, 0)
    model.eval()
    codes = model.encode(batch).mode()
    counts = (codes.unflatten(1, (2, -1))[:, 0] < 8).sum(1)
    assert counts.tolist() == [8, 6, 2, 1]
    ends = (~model.decode(codes).mode().isnan()).any(2).sum(1)
    assert ends.tolist() == [1000, 768, 256, 128]
    assert not bool(model.losses(batch, 0)["model"].terms["distortion"].isnan().any())
    assert model.code_shape == (2, 8)
    drawn = model.sample(5)
    assert drawn.shape == (5, 1000, 1)
    again = model.encode(Batch(drawn.nan_to_num(0.0), None, ~drawn.isnan())).mode()
    assert torch.equal((again == 8).sum(1) // 2, HOP_COUNT - (~drawn.isnan()).any(2).sum(1).div(HOP).ceil().long())


HOP_COUNT = -(-1000 // HOP)


def test_spectral_term_is_beside_the_bound() -> None:
    spec, batch = waves(), _batch(waves())
    bounds = []
    for spectral in (0.0, 5.0):
        model = small(spec, spectral=spectral).eval()
        assert ("spectral" in model.losses(batch, 0)["model"].terms) is (spectral > 0)
        bounds.append(model.log_weight(batch, 1))
    assert torch.equal(*bounds)


def _prior(*, ends: bool) -> StackedPrior:
    torch.manual_seed(0)
    prior = StackedPrior(2, 2, 3, 4, None, ends=ends, width=8).double().eval()
    for head in prior.heads:
        torch.nn.init.normal_(head.weight, std=0.7)  # type: ignore[arg-type]
    prior.follow(torch.randn(2, 3, 4).double())
    return prior


def _lists(ends: bool) -> Tensor:
    """All lists of 2 places with 2 levels of 3 codes: (first level, second level)."""
    stacks = list(itertools.product(range(3), repeat=2))
    over = [(3, 3)] if ends else []
    pairs = [(first, second) for first in stacks for second in [*stacks, *over]] + [(e, e) for e in over]
    return torch.tensor([[a[0], b[0], a[1], b[1]] for a, b in pairs])


@pytest.mark.parametrize("ends", [False, True])
def test_prior_is_a_distribution_and_draws_from_it(ends: bool) -> None:
    prior, lists = _prior(ends=ends), _lists(ends)
    with torch.no_grad():
        p = prior.log_prob(lists).exp()
        assert float(p.sum()) == pytest.approx(1, abs=1e-9)
        drawn = prior.sample(4000)
    found = (drawn[:, None] == lists).all(2).double().mean(0)
    assert float(found.sum()) == pytest.approx(1)
    assert float((found - p).abs().max()) < 0.03


def test_prior_step_by_step_is_the_prior_at_once() -> None:
    prior, lists = _prior(ends=True), _lists(True)
    stacks = lists.unflatten(1, (2, 2)).transpose(1, 2).flatten(1)
    total, walk = torch.zeros(len(lists), dtype=torch.float64), prior.walk(len(lists))
    with torch.no_grad():
        step = next(walk)
        for code in stacks.T:
            log_p = step.logits.log_softmax(1).gather(1, code.clamp_max(step.logits.shape[1] - 1)[:, None])[:, 0]
            total += log_p.where(step.going, 0.0)
            try:
                step = walk.send(code)
            except StopIteration as end:
                walked = end.value
        assert torch.equal(walked, lists)
        assert torch.allclose(total, prior.log_prob(lists))


def test_mel_filters_are_triangles() -> None:
    """Each corner, by the definition of the scale; a second implementation at a single frequency."""
    filters = mel_filters(16000, 512, 30)
    corners = torch.linspace(0, float(to_mel(torch.tensor(8000.0))), 32)
    hertz = 700 * (10 ** (corners / 2595) - 1)
    for band in (0, 7, 29):
        expected = [max(0.0, min((f - hertz[band]) / (hertz[band + 1] - hertz[band]),
                                 (hertz[band + 2] - f) / (hertz[band + 2] - hertz[band + 1])))
                    for f in torch.arange(257) * 31.25]  # fmt: skip
        assert torch.allclose(filters[band], torch.tensor([float(value) for value in expected]), atol=1e-3)


def test_level_of_noise_is_one_and_doubles_with_it() -> None:
    torch.manual_seed(0)
    scale = MelScale.of(RATE)
    noise = torch.randn(8 * RATE)
    bands = scale.log_mel(noise)
    assert float(bands.exp().square().mean()) == pytest.approx(1, abs=0.25)
    assert torch.allclose(scale.log_mel(2 * noise) - bands, torch.tensor(2.0).log(), atol=1e-4)


def test_griffin_lim_finds_a_waveform_of_these_magnitudes() -> None:
    n = torch.arange(4000.0)
    x = torch.sin(0.3 * n) + 0.5 * torch.sin(0.7 * n)
    wanted = spectrum(x, 256, 64).abs()
    found = spectrum(griffin_lim(wanted, 64, 4000), 256, 64).abs()
    assert float((found - wanted).square().sum() / wanted.square().sum()) < 0.02
