"""Runs to compare, trained for a moment each."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
import torch

import sfumato.estimator
from sfumato.estimator import Autoencoder
from sfumato.files import read_tensors, write_tensors

Fit = Callable[..., Autoencoder]
Twin = Callable[..., str]


@pytest.fixture(scope="session")
def points(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of 120 vectors."""
    path = tmp_path_factory.mktemp("data") / "points.npy"
    x = np.random.default_rng(0).normal(size=(120, 3))
    x[:, 1] += 2 * x[:, 0]
    np.save(path, x.astype(np.float32))
    return path


@pytest.fixture(scope="session")
def fitted() -> Fit:
    """Train a small model for 20 steps into a run folder."""

    def fit(source: object, run: Path, **options: object) -> Autoencoder:
        return sfumato.estimator.fit(source, run=run, **{"steps": 20, "width": 8, "depth": 1, **options})

    return fit


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory, points: Path, fitted: Fit) -> dict[str, str]:
    """A VAE of two seeds and a β-VAE of one, by name."""
    folder = tmp_path_factory.mktemp("runs")
    fitted(points, folder / "vae0")
    fitted(points, folder / "vae1", seed=1)
    fitted(points, folder / "beta", model="beta_vae", beta=50)
    return {name: str(folder / name) for name in ("vae0", "vae1", "beta")}


@pytest.fixture(scope="session")
def twin() -> Twin:
    """Copy a run, with words of its config replaced and its weights moved a little by a seed."""

    def copy(run: str, to: Path, words: Mapping[str, str], moved: int | None = None) -> str:
        shutil.copytree(run, to)
        (to / "manifest.json").unlink()
        text = (to / "config.toml").read_text()
        for old, new in words.items():
            assert old in text
            text = text.replace(old, new)
        (to / "config.toml").write_text(text)
        if moved is not None:
            chooser = torch.Generator().manual_seed(moved)
            weights, _ = read_tensors(to / "model.safetensors")
            moved_weights = {
                name: one + 0.3 * torch.randn(one.shape, generator=chooser) for name, one in weights.items()
            }
            write_tensors(to / "model.safetensors", moved_weights)
        return str(to)

    return copy
