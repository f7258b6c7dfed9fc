"""Healthy runs: nothing is found, at the end of a fit or when asked; `benchmarks/doctor.py` has every model."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from sfumato.diagnostics.vectors import residuals, structure
from sfumato.spec import Field


@pytest.mark.parametrize("name", ["vae", "cvae"])
def test_healthy(name, fitted):
    auto = fitted("moons", model=name, rows=800, validate_every=50, steps=400)
    for quick in (True, False):
        found = auto.diagnose(quick=quick)
        assert [one.name for one in found] == ["healthy"], found[0].words
        assert found[0].is_healthy
        assert "\n" not in found[0].words
        assert not found[0].command


def test_what_the_condition_says_does_not_hang_together_a_second_time():
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 400)
    vectors = rng.normal(size=(400, 2)) + 4.0 * y[:, None]
    given, owner = torch.from_numpy(y).float()[:, None], np.arange(2)
    assert structure(vectors, owner, 0).directions == 1
    left = residuals(vectors, given, [Field("category", 2)])
    assert structure(left, owner, 0).directions == 0
    assert np.abs(left[y == 1].mean(0)).max() < 1e-9
