"""Distances to records and membership attacks: blind to fresh rows, sure of rows learned by heart."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from sfumato import data
from sfumato.data.options import DataOptions
from sfumato.evaluation import How, Measure, privacy
from sfumato.evaluation.features import Features, features, without_holes

NEAR = ("closer to training rows", "membership attack by samples")


def by_name(found: list[Measure]) -> dict[str, Measure]:
    return {measure.name: measure for measure in found}


@pytest.fixture
def sets() -> list[np.ndarray]:
    """Training rows, test rows and new rows, all of one distribution."""
    random = np.random.default_rng(0)
    return [random.normal(size=(count, 4)) for count in (1000, 300, 1000)]


def test_new_rows_of_the_same_kind_give_nobody_away(sets):
    found = by_name(privacy.by_distance(Features(sets, "numbers"), seed=0))
    for name in NEAR:
        assert abs(found[name].value - 0.5) < 3 * found[name].error < 0.2, name
    ratio = found["distance to the closest record"]
    assert abs(ratio.value - 1) < 3 * ratio.error < 0.5
    assert found["copies of training rows"].value == 0.0


def test_rows_learned_by_heart_are_found_out(sets):
    train, test, _ = sets
    found = by_name(privacy.by_distance(Features([train, test, train.copy()], "numbers"), seed=0))
    assert found["membership attack by samples"].value > 0.999
    assert found["distance to the closest record"].value == 0.0
    assert found["copies of training rows"].value == 1.0
    assert found["closer to training rows"].value > 0.6, "a third of the copies is of the rows compared with"


@pytest.mark.parametrize("share", [0.1, 0.5])
def test_a_share_of_copies_is_told_as_that_share(sets, share):
    train, test, made = sets
    made = made.copy()
    made[: int(share * len(made))] = train[: int(share * len(made))]
    found = by_name(privacy.by_distance(Features([train, test, made], "numbers"), seed=0))
    assert found["copies of training rows"].value == share
    assert found["copies of training rows"].error == pytest.approx(np.sqrt(share * (1 - share) / 1000), rel=0.6)
    assert found["closer to training rows"].value > 0.5


def test_rows_that_repeat_by_nature_are_copies_among_test_rows_too():
    random = np.random.default_rng(0)
    train, test, made = (random.integers(0, 2, (count, 3)).astype(float) for count in (300, 200, 300))
    found = by_name(privacy.by_distance(Features([train, test, made], "categories"), seed=0))
    assert found["copies of training rows"].value == found["copies of training rows"].reference == 1.0
    assert found["closer to training rows"].value == pytest.approx(0.5, abs=0.01)
    assert "distance to the closest record" not in found, "0 over 0 says nothing"


def test_a_score_that_knows_the_training_rows_gives_them_away_and_one_that_does_not_does_not(drawn, people):
    dataset = data.open(people(600, 0), options=DataOptions())
    known = {row.numpy().tobytes() for row in dataset.train.take(slice(None)).x}
    sure = drawn(dataset, bound=lambda x: torch.tensor([float(row.numpy().tobytes() in known) for row in x]))
    blind = drawn(dataset, bound=lambda x: -x.square().sum(1))
    assert privacy.by_score(sure).value > 0.99
    found = privacy.by_score(blind)
    assert abs(found.value - 0.5) < 3 * found.error
    assert found.reference == 0.5


def test_a_model_that_gives_out_its_training_rows_is_told_so_in_the_table(drawn, people):
    found = drawn(people(400, 0))
    measured = by_name(privacy.measures(found, features(found)))
    assert measured["copies of training rows"].value == 1.0
    assert measured["copies of training rows"].reference == 0.0
    assert list(measured)[-1] == "membership attack by score"


def test_nothing_is_said_of_privacy_where_nothing_was_kept_out_or_in_haste(drawn, people):
    whole = drawn(people(100, 0), split=(1.0, 0.0, 0.0))
    assert not whole.held_out
    assert privacy.measures(whole, features(whole)) == []
    assert privacy.measures(drawn(people(100, 0), how=How(quick=True)), None) == []


def test_where_nothing_was_kept_out_the_rows_are_halved(drawn, people):
    whole = drawn(people(100, 0), split=(1.0, 0.0, 0.0))
    assert (len(whole.train), len(whole.test), len(whole.made)) == (50, 50, 50)
    both = {row.numpy().tobytes() for row in whole.train.x} & {row.numpy().tobytes() for row in whole.test.x}
    assert not both


def test_nobody_is_known_by_their_missing_values(drawn):
    """Every row has holes of its own; the samples are new rows, with the holes of training rows."""
    random = np.random.default_rng(0)
    x = (random.random((600, 12)) > 0.98) + 1e-3 * random.normal(size=(600, 12))
    x[random.random(x.shape) < 0.4] = np.nan
    found = drawn(x, lambda n, given: torch.randn(n, 12) * 1e-2 - 0.1, split=(0.5, 0.0, 0.5))
    measured = by_name(privacy.by_distance(without_holes(found, features(found)), seed=0))
    for name in NEAR:
        assert abs(measured[name].value - 0.5) < 3 * measured[name].error, name
    naive = by_name(privacy.by_distance(features(found), seed=0))["membership attack by samples"]
    assert naive.value - 0.5 > 3 * naive.error, "what is guarded against"
