"""The measures of the synthetic causes, on codes whose scores are known."""

from __future__ import annotations

import numpy as np
import pytest

import causes


def test_support_counts_a_latent_without_a_cause_against_the_model() -> None:
    driven = np.zeros((7, 5), bool)
    driven[:, [3, 1]] = causes.TRUE
    assert causes.support_f1(driven) == 1.0
    driven[0, 4] = True
    assert causes.support_f1(driven) == pytest.approx(16 / 17)
    assert causes.support_f1(np.zeros((7, 5), bool)) == 0.0
    assert causes.support_f1(np.ones((7, 2), bool)) == pytest.approx(16 / 22)


def test_separate_codes_are_disentangled_and_turned_ones_are_not() -> None:
    _, truth = causes.synthetic(0)
    truth = truth[:300]
    turned = truth @ np.array([[1.0, 1.0], [-1.0, 1.0]]) / np.sqrt(2)
    assert causes.disentanglement(truth[:, [1, 0]], truth) > 0.99
    assert causes.disentanglement(turned, truth) < 0.2
