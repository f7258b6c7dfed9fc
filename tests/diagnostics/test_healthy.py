"""Healthy runs of every model: nothing is found, at the end of a fit or when asked."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from sfumato.diagnostics.vectors import residuals, structure
from sfumato.models.registry import shipped
from sfumato.spec import Field

RUNS: dict[str, dict[str, Any]] = {
    "beta_vae": {"beta": 0.5},
    "beta_tcvae": {"beta": 1.5},
}
"""Options of models that the short training below needs; all others have none."""

LONG = {"factor_vae", "hierarchical_vae", "m2", "td_vae", "vae_gan", "vq_vae"}
"""Models whose healthy training takes more than a few seconds; `benchmarks/doctor.py` has them."""

LOSE = ("sparse_decoder_vae", "wae")
"""Models whose samples of moons, where x1 and x2 have ρ = −0.48, have less than half of it: the doctor says no more."""


def test_runs_are_of_models_that_there_are():
    assert set(RUNS) | LONG <= set(shipped())


@pytest.mark.parametrize("name", [name for name in shipped() if name not in LONG])
def test_healthy(name, fitted):
    auto = fitted("moons", model=name, **{"rows": 800, "validate_every": 50, "steps": 400} | RUNS.get(name, {}))
    for quick in (True, False):
        found = auto.diagnose(quick=quick)
        if name in LOSE and not found[0].is_healthy:
            assert [one.name for one in found] == ["dependence_lost"], found[0].words
            continue
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
