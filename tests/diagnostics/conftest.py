"""Runs that are trained once and only looked at."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import sfumato
from sfumato import Autoencoder

Fit = Callable[..., Autoencoder]


@pytest.fixture(scope="session")
def wide() -> np.ndarray:
    """800 rows of 6 numbers, bent from 2 and blurred."""
    noise = np.random.default_rng(0)
    bent = np.tanh(noise.normal(size=(800, 2)) @ noise.normal(size=(2, 6)))
    return (bent + 0.15 * noise.normal(size=bent.shape)).astype(np.float32)


@pytest.fixture(scope="session")
def fitted() -> Fit:
    """`sfumato.fit` of a small network, each set of options once."""
    known: dict[str, Autoencoder] = {}

    def fit(source: Any, **options: Any) -> Autoencoder:
        options = {"width": 32, "depth": 1, "validate_every": 20, **options}
        if isinstance(source, str) and source == "moons":
            options.setdefault("rows", 500)
        key = repr((source, options))
        if key not in known:
            known[key] = sfumato.fit(source, **options)
        return known[key]

    return fit
