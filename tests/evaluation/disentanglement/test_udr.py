"""The ranking without factors, on models whose latents are the same, or are not."""

from __future__ import annotations

import numpy as np
import pytest

from sfumato.evaluation.disentanglement.udr import udr

Z = np.random.default_rng(0).uniform(-2, 2, size=(20_000, 4))


def test_the_same_latents_in_any_order_sign_and_monotone_scale_score_one() -> None:
    copies = [Z, -Z[:, [3, 1, 0, 2]], np.exp(Z[:, ::-1])]
    assert udr(copies) == pytest.approx([1, 1, 1], abs=0.03)


def test_a_rotation_scores_low_and_the_median_is_over_the_others() -> None:
    """Each of two turned latents correlates by 1/√2 with both of the others: ½ / (2/√2) of its share."""
    turn = np.kron(np.eye(2), np.array([[1, 1], [-1, 1]]) / np.sqrt(2))
    found = udr([Z, Z[:, ::-1], Z @ turn])
    assert found[2] == pytest.approx(0.5 / np.sqrt(2), abs=0.03)
    assert found[:2] == pytest.approx([(1 + found[2]) / 2] * 2, abs=0.02)


def test_latents_that_say_nothing_do_not_count() -> None:
    noise = np.random.default_rng(1).normal(size=(len(Z), 3))
    rates = np.array([2.0] * 4 + [0.001] * 3)
    assert udr([np.hstack([Z, noise]), Z], [rates, rates[:4]]) == pytest.approx([1, 1], abs=0.03)
    assert udr([noise, Z], [rates[4:], rates[:4]]).tolist() == [0.0, 0.0]
    assert np.isnan(udr([Z])).all()


def test_a_constant_latent_does_not_vary_whatever_rounding_leaves_of_it() -> None:
    still = [np.column_stack([one, np.full(len(Z), 0.1)]) for one in (Z, -Z)]
    assert udr(still) == pytest.approx(udr([Z, -Z]))
