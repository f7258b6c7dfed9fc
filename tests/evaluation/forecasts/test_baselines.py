"""References of forecasts: closed forms, a process whose best forecast is linear, a season that repeats."""

from __future__ import annotations

import numpy as np
import pytest
import scoringrules
import torch

from sfumato.data.core.batching.batches import Resident
from sfumato.evaluation.forecasts.baselines import Reference, references

RANDOM = np.random.default_rng


def second_order(n: int, steps: int, seed: int) -> np.ndarray:
    """x_t = 1.6 x_(t−1) − .8 x_(t−2) + N(0, 1), (n, steps, 1), from its stationary law."""
    noise = RANDOM(seed).normal(size=(n, steps + 200))
    x = np.zeros_like(noise)
    for t in range(2, noise.shape[1]):
        x[:, t] = 1.6 * x[:, t - 1] - 0.8 * x[:, t - 2] + noise[:, t]
    return x[:, 200:, None].astype(np.float32)


def by_name(before: np.ndarray, horizon: int, train: np.ndarray | None) -> dict[str, Reference]:
    known = None if train is None else Resident(torch.from_numpy(train))
    return {one.name: one for one in references(before, horizon, before[:, -1:], known)}


def test_the_crps_of_a_reference_is_that_of_scoringrules() -> None:
    came = RANDOM(0).normal(size=(5, 3, 2))
    reference = Reference("", RANDOM(1).normal(size=(5, 3, 2)), np.array([[0.5, 2.0]] * 3))
    expected = scoringrules.crps_normal(came, reference.mean, reference.deviation)
    np.testing.assert_allclose(reference.crps(came), expected, rtol=1e-9)
    certain = Reference("", np.zeros((5, 3, 2)), np.zeros((3, 2)))
    np.testing.assert_array_equal(certain.crps(came), np.abs(came))


def test_the_regression_finds_the_best_forecast_of_a_linear_process() -> None:
    train, test = second_order(2000, 16, 0), second_order(1000, 16, 1)
    found = by_name(test[:, :8], 8, train)["linear regression on the first half"]
    weights = [1.0, 1.6]
    for _ in range(6):
        weights.append(1.6 * weights[-1] - 0.8 * weights[-2])
    exact = np.sqrt(np.cumsum(np.square(weights)))
    np.testing.assert_allclose(found.deviation[:, 0], exact, rtol=0.06)
    assert found.crps(test[:, 8:]).mean() == pytest.approx(exact.mean() / np.sqrt(np.pi), rel=0.04)


def test_a_season_is_found_and_repeated_and_noise_has_none() -> None:
    phase = RANDOM(2).uniform(0, 7, (200, 1))
    waves = np.sin(2 * np.pi * (np.arange(32) + phase) / 7)[:, :, None].astype(np.float32)
    found = by_name(waves[:, :16], 16, waves)
    np.testing.assert_allclose(found["the previous season (7 steps)"].mean, waves[:, 16:], atol=1e-5)
    noise = RANDOM(3).normal(size=(200, 32, 1)).astype(np.float32)
    assert not any("season" in name for name in by_name(noise[:, :16], 16, noise))


def test_missing_values_are_left_out_and_without_a_training_split_only_the_last_value_stays() -> None:
    x = second_order(300, 12, 4)
    holes = x.copy()
    holes[RANDOM(5).uniform(size=x.shape) < 0.1] = np.nan
    mask = torch.from_numpy(~np.isnan(holes))
    train = Resident(torch.from_numpy(holes).masked_fill(~mask, torch.nan))
    found = references(holes[:, :6], 6, x[:, 5:6], train)
    assert [one.name for one in found] == ["the last observed value", "linear regression on the first half"]
    assert all(np.isfinite(one.mean).all() and np.isfinite(one.deviation).all() for one in found)
    assert list(by_name(x[:, :6], 6, None)) == ["the last observed value"]
