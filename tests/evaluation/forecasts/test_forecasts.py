"""Forecasts: scores against closed forms and scoringrules, and a walk whose forecasts are exact."""

from __future__ import annotations

import math
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import scoringrules
import torch
from scipy.special import gamma
from scipy.stats import norm
from torch import Tensor, nn

from sfumato.batch import Batch
from sfumato.evaluation import EvaluationSettings, Measure, Subject
from sfumato.evaluation.forecasts import measures
from sfumato.evaluation.forecasts.measures import covered, crps, energy_score
from sfumato.spec import DataSpec, Field

RANDOM = np.random.default_rng


@pytest.mark.parametrize("n", [2, 99])
def test_crps_of_normal_draws_is_on_average_that_of_the_normal(n: int) -> None:
    sigma, y = 0.7, 0.4
    made = RANDOM(0).normal(0.0, sigma, (20_000, n))
    found = crps(made, np.full(20_000, y))
    at = y / sigma
    exact = sigma * (at * (2 * norm.cdf(at) - 1) + 2 * norm.pdf(at) - 1 / math.sqrt(math.pi))
    assert found.mean() == pytest.approx(exact, abs=4 * found.std() / math.sqrt(len(found)))


@pytest.mark.parametrize("n", [2, 50])
def test_energy_score_of_normal_draws_is_on_average_that_of_the_normal(n: int) -> None:
    d = 6
    made = RANDOM(1).normal(size=(4000, n, 3, 2))
    found = energy_score(made, np.zeros((4000, 3, 2)))
    length = math.sqrt(2) * gamma((d + 1) / 2) / gamma(d / 2)
    assert found.mean() == pytest.approx(length * (1 - math.sqrt(0.5)), abs=4 * found.std() / math.sqrt(len(found)))


def test_both_scores_are_those_of_scoringrules() -> None:
    made, came = RANDOM(2).normal(size=(20, 30, 4, 2)), RANDOM(3).normal(size=(20, 4, 2))
    theirs = scoringrules.crps_ensemble(came, np.moveaxis(made, 1, -1), estimator="fair")
    np.testing.assert_allclose(crps(made, came), theirs, rtol=1e-9)
    flat = scoringrules.es_ensemble(came.reshape(20, 8), made.reshape(20, 30, 8), estimator="fair")
    np.testing.assert_allclose(energy_score(made, came), flat, rtol=1e-9)


def test_of_one_step_and_channel_the_energy_score_is_the_crps_and_missing_entries_count_for_nothing() -> None:
    made, came = RANDOM(4).normal(size=(10, 9, 1, 1)), RANDOM(5).normal(size=(10, 1, 1))
    np.testing.assert_allclose(energy_score(made, came), crps(made, came)[:, 0, 0])
    wide = np.concatenate([made, RANDOM(6).normal(size=made.shape)], 2)
    gone = np.concatenate([came, np.full_like(came, np.nan)], 1)
    np.testing.assert_allclose(energy_score(wide, gone), energy_score(made, came))


@pytest.mark.parametrize("share", [0.5, 0.9])
def test_exact_forecasts_cover_what_they_promise_and_those_too_sure_less(share: float) -> None:
    came = RANDOM(7).normal(size=20_000)
    exact = covered(RANDOM(8).normal(size=(20_000, 99)), came, share)
    assert exact.mean() == pytest.approx(share, abs=4 * math.sqrt(share * (1 - share) / 20_000))
    sure = covered(RANDOM(9).normal(0, 0.5, (20_000, 99)), came, share)
    assert sure.mean() == pytest.approx(2 * norm.cdf(norm.ppf((1 + share) / 2) / 2) - 1, abs=0.02)
    assert np.isnan(covered(np.zeros((1, 99)), np.array([np.nan]), share)).all()


class Walk(nn.Module):
    """A random walk with steps of deviation 1 a unit of time: its forecasts are exact."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[list[float]] = []

    def forecast(
        self, batch: Batch, jumps: Sequence[float], n: int = 1, *, noise: bool = True, chained: bool = True
    ) -> Tensor:
        self.asked.append(list(jumps))
        seen = batch.mask.flatten(2).any(2)  # type: ignore[union-attr]
        at = (torch.arange(1, seen.shape[1] + 1) * seen).amax(1) - 1
        last = batch.x[torch.arange(len(batch)), at][:, None, None]
        steps = torch.randn(len(batch), n, len(jumps), batch.x.shape[2]) * torch.tensor(jumps).sqrt()[:, None]
        return last + steps.cumsum(2)


def judged(batch: Batch) -> tuple[dict[str, Measure], Walk]:
    model = Walk()
    spec = DataSpec(tuple(batch.x.shape[1:]), (Field("real"),))
    schema = cast(Any, SimpleNamespace(spec=spec))
    of = Subject(cast(Any, model), schema, cast(Any, None), "test split", batch, None, 0, np.arange(len(batch)))
    torch.manual_seed(0)
    return {one.name: one for one in measures.measures(of, EvaluationSettings())}, model


def walks(n: int = 800, steps: int = 8) -> Tensor:
    return torch.randn(n, steps, 2, generator=torch.Generator().manual_seed(0)).cumsum(1)


def test_a_walk_foretold_exactly_scores_what_it_should_at_every_horizon() -> None:
    found, _ = judged(Batch(walks()))
    for step in (1, 2, 4):
        sigma = math.sqrt(step)
        assert found["CRPS"].parts[f"step {step}"] == pytest.approx(sigma / math.sqrt(math.pi), rel=0.06)
        assert found["root mean squared error"].parts[f"step {step}"] == pytest.approx(sigma, rel=0.06)
        wanted = sigma * math.sqrt(2 / math.pi)
        assert found["mean absolute error"].parts[f"step {step}"] == pytest.approx(wanted, rel=0.06)
    for share in (0.5, 0.9):
        coverage = found[f"coverage of {share:.0%} intervals"]
        assert coverage.error is not None
        assert coverage.value == pytest.approx(share, abs=4 * coverage.error)
        assert coverage.reference == share
    # The last value is the best single guess there is, so that the median can be no better, but futures can.
    assert found["mean absolute error"].value == pytest.approx(found["mean absolute error"].reference, rel=0.03)
    assert found["CRPS"].value < 0.8 * cast(float, found["CRPS"].reference)
    assert found["energy score"].value < 0.8 * cast(float, found["energy score"].reference)


def test_what_is_missing_is_left_out_and_forecasts_start_where_a_sequence_was_last_seen() -> None:
    x = walks(40, 6)
    mask = torch.ones_like(x, dtype=torch.bool)
    mask[:20, 2] = False
    mask[:, 5] = False
    mask[0, 3:] = False
    found, model = judged(Batch(x.masked_fill(~mask, 99.0), None, mask))
    assert sorted(model.asked) == 2 * [[1.0, 1.0, 1.0]] + 2 * [[2.0, 1.0, 1.0]], "steps alone, and whole futures"
    assert set(found["CRPS"].parts) == {"step 1", "step 2"}
    assert all(one.value < 10 for one in found.values())


def test_uneven_times_are_jumped_as_they_are() -> None:
    time = torch.tensor([0.0, 1.0, 1.5, 4.0]).expand(5, -1)
    found, model = judged(Batch(walks(5, 4), time=time))
    assert model.asked == 2 * [[0.5, 2.5]]
    assert math.isfinite(found["CRPS"].value)


def test_other_models_and_haste_make_no_forecasts() -> None:
    spec = DataSpec((4, 2), (Field("real"),))
    schema = cast(Any, SimpleNamespace(spec=spec))
    plain = Subject(cast(Any, nn.Linear(1, 1)), schema, cast(Any, None), "", Batch(walks(5, 4)), None, 0, np.arange(5))
    assert measures.measures(plain, EvaluationSettings()) == []


def test_of_a_single_future_both_scores_are_its_distance() -> None:
    made, came = np.zeros((2, 1, 3, 1)), np.full((2, 3, 1), 2.0)
    assert crps(made, came).tolist() == came.tolist()
    assert energy_score(made, came) == pytest.approx([math.sqrt(12)] * 2)
