"""Tokens: the codes of a VQ-VAE in their places, the file of them, and the way back."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from sfumato import Autoencoder, SfumatoError
from sfumato.artifacts import TokenFile

QUICK = {"model": "vq_vae", "codebook": 16, "width": 8, "steps": 3, "device": "cpu"}


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (40, 8, 12), dtype=np.uint8)


@pytest.fixture(scope="module")
def run(images: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> Autoencoder:
    """Saved, with two levels."""
    auto = Autoencoder(**QUICK, levels=2).fit(images)
    auto.save(tmp_path_factory.mktemp("tokens") / "run")
    return auto


def test_tokens_are_the_codes_in_their_places(run: Autoencoder, images: np.ndarray) -> None:
    tokens = run.tokenize(images)
    assert tokens.dtype == np.int32
    assert tokens.shape == (40, 2, 4, 6)
    assert np.array_equal(tokens.reshape(40, -1), run.encode(images))
    # A corner is of more consequence there than in the opposite one.
    changed = images.copy()
    changed[:, -2:, -2:] = 255 - changed[:, -2:, -2:]
    differ = (run.tokenize(changed) != tokens).mean((0, 1))
    assert differ[-1, -1] > 0.5
    assert differ[0, 0] < 0.2


def test_tokens_become_the_reconstructions(run: Autoencoder, images: np.ndarray) -> None:
    tokens = run.tokenize(images)
    expected = run.reconstruct(images)
    assert np.array_equal(run.detokenize(tokens), expected)
    assert np.array_equal(run.detokenize(tokens.reshape(40, -1)), expected)


def test_the_vectors_of_a_code_add_up_over_levels(run: Autoencoder, images: np.ndarray, tmp_path) -> None:
    run.tokenize(images, tmp_path / "t.safetensors")
    file = load_file(tmp_path / "t.safetensors")
    vectors = sum(file["codebook"][level][file["tokens"][:, level]] for level in range(2))
    decoded = run.model_.decoder(torch.from_numpy(vectors.reshape(40, 24, -1))).mode()
    assert np.array_equal(run.schema_.decode(decoded), run.detokenize(file["tokens"]))


def test_the_file_says_what_its_numbers_mean(run: Autoencoder, images: np.ndarray, tmp_path) -> None:
    tokens = run.tokenize(images, tmp_path / "t.safetensors")
    about = json.loads((tmp_path / "t.json").read_text())
    shares = [len(np.unique(tokens[:, level])) / 16 for level in range(2)]
    assert {key: about[key] for key in ("vocabulary", "levels", "places", "kind", "rows", "used")} == {
        "vocabulary": 16,
        "levels": 2,
        "places": [4, 6],
        "kind": "image",
        "rows": 40,
        "used": shares,
    }
    read = TokenFile.read(tmp_path / "t.safetensors")
    assert np.array_equal(read.tokens, tokens)
    assert np.array_equal(run.detokenize(tmp_path / "t.safetensors"), run.detokenize(tokens))


def test_series_end_where_they_ended(tmp_path) -> None:
    series = np.random.default_rng(1).normal(size=(30, 16, 1)).cumsum(1)
    series[:10, 9:] = np.nan
    auto = Autoencoder(**QUICK, sequences=True).fit(series)
    auto.tokenize(series, tmp_path / "t.safetensors")
    assert np.array_equal(TokenFile.read(tmp_path / "t.safetensors").lengths, [9] * 10 + [16] * 20)
    back = auto.detokenize(tmp_path / "t.safetensors")
    assert np.array_equal(np.isnan(back), np.isnan(series))
    assert np.allclose(back, auto.reconstruct(series), equal_nan=True)


def test_finite_scalars_have_tokens_too(images: np.ndarray) -> None:
    auto = Autoencoder(**QUICK, quantizer="fsq").fit(images)
    tokens = auto.tokenize(images)
    assert tokens.shape == (40, 1, 4, 6)
    assert np.array_equal(auto.detokenize(tokens), auto.reconstruct(images))


@pytest.mark.parametrize(
    ("tokens", "said"),
    [
        (np.zeros((3, 2, 4, 5)), r"tokens have the shape \(3, 2, 4, 5\)"),
        (np.zeros((0, 48)), r"tokens have the shape \(0, 48\)"),
        (np.full((3, 48), 16), "a code is a whole number from 0 to 15"),
        (np.full((3, 48), 0.5), "a code is a whole number"),
    ],
)
def test_other_tokens_are_refused(run: Autoencoder, tokens: np.ndarray, said: str) -> None:
    with pytest.raises(SfumatoError, match=said):
        run.detokenize(tokens)


def test_continuous_codes_are_no_tokens(images: np.ndarray) -> None:
    auto = Autoencoder(latent_dim=2, width=8, steps=1, device="cpu").fit(images)
    with pytest.raises(SfumatoError, match="vq_vae"):
        auto.tokenize(images)


def test_from_a_file_to_tokens_and_back(cli, images: np.ndarray, tmp_path) -> None:
    np.save(tmp_path / "images.npy", images)
    quick = ["--codebook", 16, "--width", 8, "--steps", 3]
    done = cli("tokenize", "images.npy", "-o", "t.safetensors", *quick, "--json")
    assert done.code == 0, done.err
    result = json.loads(done.out)
    assert (result["examples"], result["vocabulary"], result["places"]) == (40, 16, [4, 6])
    assert result["bits"] == 24 * 4
    assert 'quantizer = "fsq"' in Path("runs", result["run"], "config.toml").read_text()
    assert cli("detokenize", "t.safetensors", "-o", "back.npy").code == 0
    assert np.load(tmp_path / "back.npy").shape == images.shape
    again = cli("tokenize", "images.npy", "-o", "u.safetensors", "--run", result["run"])
    assert again.code == 0, again.err
    assert "4 × 6 tokens each" in again.out
    first, second = (load_file(tmp_path / f"{name}.safetensors") for name in "tu")
    assert np.array_equal(first["tokens"], second["tokens"])
    for words, said in (
        (["tokenize", "images.npy"], "-o NAME.safetensors"),
        (["tokenize", "images.npy", "-o", "t.npy"], "t.npy: tokens are written as .safetensors"),
        (["tokenize", "images.npy", "-o", "u.safetensors"], "u.safetensors: exists already"),
        (["tokenize", "images.npy", "-o", "v.safetensors", "--run", result["run"], "--levels", 2], "--levels is for"),
        (["detokenize", "images.npy", "-o", "x.npy"], "images.npy: damaged"),
        (["detokenize", tmp_path / "runs" / result["run"] / "model.safetensors", "-o", "x.npy"], "no file of tokens"),
    ):
        refused = cli(*words)
        assert refused.code == 2
        assert said in refused.err
