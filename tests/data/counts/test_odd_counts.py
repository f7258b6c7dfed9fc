"""Odd cells: none without counts, of one gene, of huge counts, ends in a number that is not finite."""

from __future__ import annotations

import numpy as np
import pytest

import sfumato

RANDOM = np.random.default_rng(0)
ODD = {
    "no counts at all": np.zeros((6, 3), int),
    "one gene": RANDOM.poisson(2.0, (12, 1)),
    "two cells": RANDOM.poisson(1.0, (2, 4)),
    "half the cells empty": RANDOM.poisson(3.0, (20, 4)) * (np.arange(20)[:, None] % 2),
    "huge": RANDOM.poisson(2.0, (12, 3)) * 10**8,
    "one huge count": np.where(np.arange(36).reshape(12, 3) == 5, 10**9, RANDOM.poisson(1.0, (12, 3))),
}


@pytest.mark.parametrize("likelihood", ["negative_binomial", "zero_inflated_negative_binomial", "poisson"])
def test_nothing_ends_in_a_number_that_is_not_finite(likelihood: str) -> None:
    for name, x in ODD.items():
        how = {"steps": 4, "width": 8, "depth": 1, "latent_dim": 2, "counts": True}
        fitted = sfumato.fit(x, likelihood=likelihood, **how)
        numbers = [fitted.encode(x), fitted.score_samples(x), fitted.sample(4, seed=0), fitted.reconstruct(x)]
        numbers += [[value for line in fitted.history_.lines for value in line.values() if isinstance(value, float)]]
        assert all(np.isfinite(each).all() for each in numbers), name
        assert not fitted.history_.skipped, name
        if likelihood != "zero_inflated_negative_binomial":
            np.testing.assert_allclose(numbers[3].sum(1), x.sum(1), rtol=1e-4, atol=1e-4, err_msg=name)
