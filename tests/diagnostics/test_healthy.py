"""Healthy runs of every model: nothing is found, at the end of a fit or when asked."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from sfumato import models
from sfumato.diagnostics.vectors import beside, structure
from sfumato.spec import Field

RUNS: dict[str, dict[str, Any]] = {
    "vae": {},
    "beta_vae": {"beta": 0.5},
    "cvae": {},
    "m2": {"lead": 80},
    "vq_vae": {"codebook": 16, "steps": 300},
    "hierarchical_vae": {"warmup": 60, "steps": 450},
    "vae_gan": {},
    "sparse_vae": {},
    "sparse_decoder_vae": {},
    "factor_vae": {},
    "beta_tcvae": {"beta": 1.5},
    "info_vae": {},
    "wae": {},
    "td_vae": {"source": "ring", "rows": 300, "warmup": 100, "prediction": 1.0, "steps": 400},
}


LOSE = ("sparse_decoder_vae", "wae")
"""Models whose samples of moons, where x1 and x2 have ρ = −0.48, have less than half of it: the doctor says no more."""


def test_there_is_a_healthy_run_of_every_model():
    assert set(RUNS) == set(models.names())


@pytest.mark.parametrize("name", RUNS)
def test_healthy(name, fitted):
    told = dict(RUNS[name])
    source = told.pop("source", "moons")
    told.setdefault("validate_every", 50)
    told.setdefault("rows", 800)
    auto = fitted(source, model=name, **{"steps": 400, **told})
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
    left = beside(vectors, given, [Field("category", 2)])
    assert structure(left, owner, 0).directions == 0
    assert np.abs(left[y == 1].mean(0)).max() < 1e-9
