"""Runs whose reports are looked at, trained for a moment each."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import sfumato.estimator
from sfumato.estimator import Autoencoder
from sfumato.report import ReportFigure, draw_figures

NASTY = "<script>alert(1)</script> $x_1^ 漢 & \"'"


Fit = Callable[..., Autoencoder]


@pytest.fixture(scope="session")
def fitted() -> Fit:
    """Train a small model for 30 steps into a run folder."""

    def fit(source, folder: Path, name: str, **options) -> Autoencoder:
        return sfumato.estimator.fit(source, run=folder / name, **{"steps": 30, "width": 16, "depth": 1, **options})

    return fit


@pytest.fixture(scope="session")
def plane_run(tmp_path_factory, fitted: Fit) -> Autoencoder:
    chooser = np.random.default_rng(0)
    labels = chooser.integers(0, 2, 300)
    x = chooser.normal(size=(300, 2)) * 0.3 + np.stack([labels * 3.0, np.zeros(300)], 1)
    folder = tmp_path_factory.mktemp("plane")
    return fitted(
        (x, np.array(["left", NASTY])[labels]), folder, "two <b> lumps", model="cvae", warmup=10, latent_dim=2
    )


@pytest.fixture(scope="session")
def picture_run(tmp_path_factory, fitted: Fit) -> Autoencoder:
    chooser = np.random.default_rng(0)
    x = chooser.integers(0, 256, (120, 6, 6, 4), np.uint8)
    return fitted((x, np.arange(120) % 3), tmp_path_factory.mktemp("figures"), "rgba", model="cvae", latent_dim=3)


@pytest.fixture(scope="session")
def plane_pictures(plane_run) -> list[ReportFigure]:
    return draw_figures(plane_run, plane_run.data_, plane_run.run_.path / "figures")
