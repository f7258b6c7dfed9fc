"""The VQ-VAE on sequences: codes along time, gaps and padding, and the doors."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import sfumato
from sfumato.batch import Batch
from sfumato.errors import SfumatoError
from sfumato.models import build
from sfumato.models.vq_vae import VQVAE
from sfumato.networks.codes.conv1d import TimeDecoder, TimeEncoder, places
from sfumato.spec import DataSpec, Field

SPEC = DataSpec((40, 2), (Field("real", missing=True), Field("real")), examples=1000)
QUICK = {"width": 16, "prior_width": 16, "prior_depth": 1, "codebook": 16, "device": "cpu", "batch_size": 64}


def waves(n: int, steps: int = 40) -> np.ndarray:
    """Sine waves of any phase and of periods of 10 to 20 steps, (n, steps)."""
    rng = np.random.default_rng(0)
    rate, phase = rng.uniform(0.3, 0.6, (n, 1)), rng.uniform(0, 2 * np.pi, (n, 1))
    return np.sin(rate * np.arange(steps) + phase)


@pytest.mark.parametrize("steps", [1, 2, 5, 24, 33, 427])
def test_sequences_of_any_length_come_back_in_it(steps: int) -> None:
    spec = DataSpec((steps, 3), (Field("real"),))
    z = TimeEncoder(spec, 4, 8, 1)(torch.randn(2, steps, 3))
    assert z.shape == (2, places(steps), 4)
    assert places(steps) <= 32
    assert TimeDecoder(spec, 4, 8, 1)(z).sample().shape == (2, steps, 3)


def test_what_was_not_observed_is_not_seen_and_costs_nothing() -> None:
    torch.manual_seed(0)
    model = build("vq_vae", SPEC, width=16).eval()
    assert isinstance(model, VQVAE)
    x = torch.randn(4, 40, 2)
    mask = torch.ones(4, 40, 2, dtype=torch.bool)
    mask[0, 30:], mask[1, 5, 0] = False, False
    other = torch.where(mask, x, 7.0)
    assert torch.equal(model.log_weight(Batch(x, mask=mask), 1), model.log_weight(Batch(other, mask=mask), 1))
    assert not torch.equal(model.encode(Batch(x, mask=mask)).mode()[0], model.encode(Batch(x)).mode()[0])
    codes = model.encode(Batch(x, mask=mask)).mode()
    alone = [model.decode(codes).log_prob(torch.where(entry, x, 0.0), entry) for entry in (mask, ~mask)]
    torch.testing.assert_close(sum(alone), model.decode(codes).log_prob(x))


def test_a_code_says_what_lies_around_its_time() -> None:
    torch.manual_seed(0)
    encoder = TimeEncoder(DataSpec((400, 1), (Field("real"),)), 4, 8, 1)
    x = torch.randn(1, 400, 1)
    moved = x.clone()
    moved[:, :100] += 1.0
    changed = (encoder(x) - encoder(moved)).abs().amax(2)[0] > 0
    assert changed[: places(400) // 4].all()
    assert not changed[places(400) // 2 :].any()


def test_waves_are_learned_and_every_door_is_open(tmp_path: Path) -> None:
    x = waves(300)
    x[:50, 30:], x[60, 3] = np.nan, np.nan
    auto = sfumato.fit(x, model="vq_vae", sequences=True, steps=100, lr=5e-3, patience=0, **QUICK)
    whole = waves(300)[100:200]
    again = auto.reconstruct(whole)
    assert again.shape == whole.shape
    assert np.mean((again - whole) ** 2) < 0.2 * np.var(whole)
    codes = auto.encode(x)
    assert codes.shape == (300, auto.model_.code_size) == (300, places(40))
    np.testing.assert_array_equal(auto.decode(auto.encode(whole)), again)
    assert auto.sample(7).shape == (7, 40)
    scores = auto.score_samples(x)
    assert np.isfinite(scores).all()
    np.testing.assert_allclose(auto.score_samples(x[:60]), scores[:60])
    auto.save(tmp_path / "run")
    loaded = sfumato.load(tmp_path / "run", device="cpu")
    np.testing.assert_array_equal(loaded.encode(x), codes)
    np.testing.assert_array_equal(loaded.sample(5, seed=3), auto.sample(5, seed=3))


def test_a_file_of_sequences_from_the_command_line(cli, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    np.save(tmp_path / "waves.npy", waves(120)[:, :, None].repeat(2, 2))
    told = ["--model", "vq_vae", "--steps", 10, "--width", 16, "--prior-width", 16, "--codebook", 8, "--no-report"]
    source = str(tmp_path / "waves.npy")
    assert cli("fit", source, "--sequences", "--run", "w", *told).code == 0
    assert cli("sample", "w", "-n", 5, "-o", "s.npy").code == 0
    assert cli("encode", "w", "s.npy", "-o", "codes.csv").code == 0
    refused = cli("fit", source, "--sequences", "--codes", 4, *told)
    assert refused.code == 2
    assert "a sequence has codes along its time" in refused.err


def test_symbols_are_refused_in_one_line() -> None:
    symbols = DataSpec((6, 1), (Field("category", 4),), likelihood="categorical")
    with pytest.raises(SfumatoError, match="model vq_vae is not for sequences"):
        build("vq_vae", symbols)
