"""Sounds as lists of codes: what comes back is what the decoder makes of them, at the size the prior promises."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from sfumato import Autoencoder, SfumatoError
from sfumato.tasks.compression import functions
from sfumato.tasks.compression.reproducible import reproducible

pytest.importorskip("constriction", reason="compression needs the extra compress")
SMALL = {"width": 8, "depth": 1, "latent_dim": 4, "codebook": 8, "levels": 2, "prior_width": 8, "prior_depth": 1}


@pytest.fixture(scope="module")
def sounds() -> np.ndarray:
    random = np.random.default_rng(0)
    x = np.sin(np.arange(700) * random.uniform(0.1, 0.6, (12, 1))) * random.uniform(0.1, 0.3, (12, 1))
    x[::3, 500:] = np.nan
    return x


@pytest.fixture(scope="module")
def fitted(sounds: np.ndarray) -> Autoencoder:
    return Autoencoder("vq_vae", steps=4, batch_size=8, random_state=0, rate=8000, **SMALL).fit(sounds)


def test_what_comes_back_is_the_reconstruction(fitted: Autoencoder, sounds: np.ndarray) -> None:
    compressed = fitted.compress(sounds)
    again = fitted.decompress(compressed.data)
    assert np.array_equal(again, fitted.reconstruct(sounds), equal_nan=True)
    assert np.array_equal(np.isnan(again), np.isnan(sounds))
    # Masses are of 22 bits, and the stack has words of 32.
    assert compressed.coded == pytest.approx(compressed.bound, abs=0.01 * compressed.bound + 96 / 12)
    assert compressed.seconds == pytest.approx(np.isfinite(sounds).sum() / 8000)


def test_windows_of_a_file_are_joined_again(fitted: Autoencoder, tmp_path: Path) -> None:
    soundfile = pytest.importorskip("soundfile", reason="reading sound needs the extra audio")
    soundfile.write(tmp_path / "a.wav", np.sin(np.arange(1500) * 0.3) * 0.2, 8000)
    compressed = fitted.compress(tmp_path / "a.wav", tmp_path / "a.sfz")
    assert compressed.examples == 3
    fitted.decompress(tmp_path / "a.sfz", tmp_path / "b.wav")
    fitted.schema_.write_beside(
        fitted.reconstruct(tmp_path / "a.wav"), tmp_path / "c.wav", fitted.read(tmp_path / "a.wav"), tmp_path / "a.wav"
    )
    assert (tmp_path / "b.wav").read_bytes() == (tmp_path / "c.wav").read_bytes()
    with pytest.raises(SfumatoError, match="sounds are written as"):
        fitted.decompress(tmp_path / "a.sfz", tmp_path / "b.csv")


def test_models_without_codes_are_refused_in_one_line(sounds: np.ndarray) -> None:
    model = Autoencoder("vae", steps=2, width=8, depth=1, rate=8000).fit(sounds)
    with pytest.raises(SfumatoError, match="vae has none; use vq_vae"):
        model.compress(sounds)


def test_damage_is_found(fitted: Autoencoder, sounds: np.ndarray) -> None:
    data = bytearray(fitted.compress(sounds).data)
    data[-40] ^= 1
    with pytest.raises(SfumatoError, match="damaged"):
        fitted.decompress(bytes(data))


def test_gelu_is_reproduced() -> None:
    x = torch.linspace(-5, 5, 101).double()
    with torch.no_grad(), reproducible():
        found = torch.nn.functional.gelu(x)
    assert torch.allclose(found, torch.nn.functional.gelu(x), atol=1e-6)
    assert torch.allclose(functions.erf(x), torch.erf(x), atol=2e-7)
