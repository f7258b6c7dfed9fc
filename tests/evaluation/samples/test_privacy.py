"""Distances to records and membership attacks: blind to fresh rows, sure of rows learned by heart."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from sfumato import data
from sfumato.data.core.options import DataOptions
from sfumato.evaluation import EvaluationSettings, Measure
from sfumato.evaluation.metrics.columns import Aligned
from sfumato.evaluation.samples import privacy
from sfumato.evaluation.samples.features import features
from sfumato.evaluation.samples.records import Records, RecordSet, copied, filled, nearest

NEAR = ("closer to training rows", "membership attack by samples")


def by_name(found: list[Measure]) -> dict[str, Measure]:
    return {measure.name: measure for measure in found}


def judged(*sets: np.ndarray, asked: bool = False, levels: tuple[str, ...] = ()) -> dict[str, Measure]:
    """What is said of training rows, test rows and samples."""
    table = [Aligned(str(place), tuple(x[:, place] for x in sets), levels) for place in range(sets[0].shape[1])]
    return by_name(privacy.by_distance(Records.of_columns(table, conditional=asked), seed=0))


def nobody_is_given_away(found: dict[str, Measure]) -> None:
    for name in (*NEAR, "distance to the closest record"):
        one = found[name]
        assert one.error is not None
        assert one.reference is not None
        assert abs(one.value - one.reference) < 3 * one.error < 0.5, name


@pytest.fixture
def sets() -> list[np.ndarray]:
    """Training rows, test rows and new rows, all of one distribution."""
    random = np.random.default_rng(0)
    return [random.normal(size=(count, 4)) for count in (1000, 300, 1000)]


def test_new_rows_of_the_same_kind_give_nobody_away(sets):
    found = judged(*sets)
    for name in NEAR:
        assert abs(found[name].value - 0.5) < 3 * found[name].error < 0.2, name
    ratio = found["distance to the closest record"]
    assert abs(ratio.value - 1) < 3 * ratio.error < 0.5
    assert found["copies of training rows"].value == 0.0


def test_rows_learned_by_heart_are_found_out(sets):
    train, test, _ = sets
    found = judged(train, test, train.copy())
    assert found["membership attack by samples"].value > 0.999
    assert found["distance to the closest record"].value == 0.0
    assert found["copies of training rows"].value == 1.0
    assert found["closer to training rows"].value > 0.6, "a third of the copies is of the rows compared with"


@pytest.mark.parametrize("share", [0.1, 0.5])
def test_a_share_of_copies_is_told_as_that_share(sets, share):
    train, test, made = sets
    made = made.copy()
    made[: int(share * len(made))] = train[: int(share * len(made))]
    found = judged(train, test, made)
    assert found["copies of training rows"].value == share
    assert found["copies of training rows"].error == pytest.approx(np.sqrt(share * (1 - share) / 1000), rel=0.6)
    assert found["closer to training rows"].value > 0.5


def test_rows_that_repeat_by_nature_are_copies_among_test_rows_too():
    random = np.random.default_rng(0)
    train, test, made = (random.integers(0, 2, (count, 3)).astype(float) for count in (300, 200, 300))
    found = judged(train, test, made, levels=("a", "b"))
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
    assert privacy.measures(drawn(people(100, 0), how=EvaluationSettings(quick=True)), None) == []


def test_where_nothing_was_kept_out_the_rows_are_halved(drawn, people):
    whole = drawn(people(100, 0), split=(1.0, 0.0, 0.0))
    assert (len(whole.train), len(whole.test), len(whole.samples)) == (50, 50, 50)
    both = {row.numpy().tobytes() for row in whole.train.x} & {row.numpy().tobytes() for row in whole.test.x}
    assert not both


def test_nobody_is_known_by_their_missing_values(drawn):
    """Every row has holes of its own; the samples are new rows."""
    random = np.random.default_rng(0)
    x = random.normal(size=(600, 12))
    x[random.random(x.shape) < 0.4] = np.nan
    found = drawn(x, lambda n, given: torch.randn(n, 12), split=(0.5, 0.0, 0.5))
    records = Records.of(found)
    assert not np.isnan(records.samples.values).any()
    nobody_is_given_away(by_name(privacy.measures(found, features(found))))


def hung_together(random: np.random.Generator, rows: int) -> np.ndarray:
    """Five numbers that two others are behind."""
    z = random.normal(size=(rows, 2))
    return np.concatenate([z, z @ np.array([[1.0, 0.5, -1.0], [0.5, -1.0, 0.2]])], 1) + 0.5 * random.normal(
        size=(rows, 5)
    )


@pytest.mark.parametrize("share", [0.0, 0.2, 0.4])
def test_holes_neither_hide_copies_nor_make_them(share):
    """Against rows with holes, samples half of which are training rows are found out; new ones are not."""
    random = np.random.default_rng(1)
    whole, test, new = (hung_together(random, count) for count in (600, 400, 600))
    train, test = (np.where(random.random(x.shape) < share, np.nan, x) for x in (whole, test))
    found = judged(train, test, new)
    nobody_is_given_away(found)
    assert found["copies of training rows"].value == found["copies of training rows"].reference == 0.0
    half = np.where((np.arange(600) % 2 == 0)[:, None], whole, new)
    found = judged(train, test, half)
    assert found["copies of training rows"].value == pytest.approx(0.5, abs=0.02), "of some rows nothing is known"
    # The median of samples of which half lie at 0 is about the smallest distance of the others.
    assert found["distance to the closest record"].value < 0.7
    assert found["membership attack by samples"].value > 0.7
    assert found["closer to training rows"].value > 0.53


@pytest.mark.parametrize("share", [0.0, 0.1, 0.3])
def test_rows_that_repeat_have_a_reference_whatever_is_missing(share):
    random = np.random.default_rng(0)

    def people(rows: int) -> np.ndarray:
        first = random.integers(0, 8, rows)
        others = [np.where(random.random(rows) < 0.7, first, random.integers(0, 8, rows)) for _ in range(5)]
        return np.stack([first, *others], 1).astype(float)

    train, test, new = (people(count) for count in (800, 400, 800))
    train, test = (np.where(random.random(x.shape) < share, np.nan, x) for x in (train, test))
    found = judged(train, test, new, levels=tuple("abcdefgh"))["copies of training rows"]
    assert 0.1 < found.value < 0.99
    assert found.value == pytest.approx(found.reference, abs=0.08)


@pytest.mark.parametrize("many", [1, 3, 5])
def test_a_perfect_model_of_x_given_c_has_learned_nothing_by_heart(drawn, many):
    """x says most of c, so a sample under a training row's conditions is close to that row."""
    import pandas as pd

    random = np.random.default_rng(0)
    c = random.normal(size=(1000, many))
    weight = np.eye(many, 3) + 0.3
    x = c @ weight + 0.1 * random.normal(size=(1000, 3))
    table = pd.DataFrame({**{f"c{i}": c[:, i] for i in range(many)}, **{f"x{i}": x[:, i] for i in range(3)}})
    options = DataOptions(given=tuple(f"c{i}" for i in range(many)), split=(0.5, 0.0, 0.5), likelihood="gaussian")
    dataset = data.open(table, options=options)
    whole = dataset.train.take(slice(None))
    fitted = torch.linalg.lstsq(whole.given, whole.x).solution
    spread = (whole.x - whole.given @ fitted).std(0)

    def perfect(n, given):
        return given @ fitted + spread * torch.randn(n, whole.x.shape[1])

    found = drawn(dataset, perfect)
    nobody_is_given_away(by_name(privacy.measures(found, features(found))))

    def by_heart(n, given):
        return whole.x[torch.cdist(given, whole.given).argmin(1)]

    found = drawn(dataset, by_heart)
    sure = by_name(privacy.measures(found, features(found)))
    assert sure["copies of training rows"].value == 1.0
    assert sure["closer to training rows"].value > 0.99
    assert sure["membership attack by samples"].value > 0.99


def test_half_of_the_samples_are_asked_for_the_conditions_of_rows_held_out(drawn, people):
    records = Records.of(drawn(people(300, 0), given=("kind",), split=(0.6, 0.0, 0.4)))
    assert records.conditional
    assert len(records.samples) == 2 * len(records.test) == 240
    assert records.samples.values.shape[1] == 3, "the condition is no column to be close in"


def test_copies_are_equal_in_the_columns_themselves_however_rare_a_category_is():
    random = np.random.default_rng(0)
    sets = [np.stack([random.integers(0, 400, 1000), random.integers(0, 2, 1000)], 1).astype(float) for _ in range(3)]
    found = judged(*sets, levels=tuple(map(str, range(400))))["copies of training rows"]
    known = set(map(tuple, sets[0]))
    assert found.value == np.mean([tuple(row) in known for row in sets[2]])
    assert found.reference == np.mean([tuple(row) in known for row in sets[1]])
    assert 0.6 < found.value < 0.8


def test_copies_are_rows_equal_in_what_is_known():
    random = np.random.default_rng(0)
    rows, train = (random.integers(0, 3, (count, 4)).astype(float) for count in (200, 30))
    train[random.random(train.shape) < 0.3] = np.nan
    train[0] = np.nan
    by_hand = [
        any(all(a == b or np.isnan(b) for a, b in zip(row, one, strict=True)) for one in train[1:]) for row in rows
    ]
    assert 0 < np.mean(by_hand) < 1
    assert copied(rows, train).tolist() == by_hand


def test_distances_with_holes_are_those_over_what_both_rows_have():
    random = np.random.default_rng(0)
    a, b = (random.normal(size=(count, 5)) for count in (40, 30))
    a[random.random(a.shape) < 0.3], b[random.random(b.shape) < 0.3] = np.nan, np.nan
    b[0] = np.nan
    one, other = (RecordSet(x, np.nan_to_num(x), np.arange(5)) for x in (a, b))
    with np.errstate(invalid="ignore"):
        gap = (a[:, None] - b[None]) ** 2
        mean = np.nansum(gap, 2) / (~np.isnan(gap)).sum(2)
    assert nearest(one, other) == pytest.approx(np.sqrt(5 * np.nanmin(mean, 1)))
    assert nearest(one, one[np.arange(40)]).max() == 0.0


def test_holes_are_filled_from_the_closest_row_that_has_the_value():
    values = np.array([[0.0, np.nan], [0.1, np.nan], [0.2, 7.0], [5.0, 8.0]])
    found = filled(RecordSet(values, np.nan_to_num(values), np.arange(2)))
    assert found[:, 1].tolist() == [7.0, 7.0, 7.0, 8.0]


def test_words_of_single_rows_are_found_in_samples_whatever_the_rest_of_the_row():
    random = np.random.default_rng(0)
    names = np.arange(2000)  # 600 of training rows, 300 of test rows, the others of nobody
    town = [random.integers(0, 5, count).astype(float) for count in (600, 300, 900)]
    levels = tuple(map(str, names))

    def held(*values: np.ndarray) -> list[Measure]:
        return privacy.of_single_rows([Aligned("name", values, levels), Aligned("town", tuple(town), levels[:5])])

    train, test = names[:600].astype(float), names[600:900].astype(float)
    (verbatim,) = held(train, test, random.choice(train, 900))
    assert verbatim.value == 1.0
    assert verbatim.reference == 0.0
    (new,) = held(train, test, np.where(np.arange(900) % 9, names[900:1800], np.nan))
    assert new.value == 0.0
    # A made set of the same long-tailed distribution holds as many as the test rows do.
    long = [random.geometric(0.01, count).astype(float) for count in (600, 3000, 900)]
    shares = privacy.of_single_rows([Aligned("word", tuple(long), levels)])[0]
    assert shares.error is not None
    assert abs(shares.value - shares.reference) < 4 * shares.error
    assert privacy.of_single_rows([Aligned("town", tuple(town), levels[:5])]) == []
    assert privacy.of_single_rows([Aligned("x", tuple(x[:, 0] for x in (random.normal(size=(9, 1)),) * 3))]) == []
