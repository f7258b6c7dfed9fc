"""Scores of disentanglement on codes whose answers are known."""

from __future__ import annotations

import numpy as np
import pytest

from sfumato.evaluation.disentanglement import scores
from sfumato.evaluation.disentanglement.factors import Factor, known
from sfumato.evaluation.disentanglement.intervention_scores import beta_vae_score, factor_vae_score
from sfumato.evaluation.disentanglement.measures import SCORES, score

N = 2000
COUNTS = {"kind": 3, "size": 6, "x": 16, "y": 16}


def drawn(seed: int = 0) -> tuple[list[Factor], np.ndarray]:
    """Four independent factors, the first a category, and a code that is them, with mean 0 and deviation near 1."""
    random = np.random.default_rng(seed)
    values = {name: random.integers(count, size=N) for name, count in COUNTS.items()}
    factors, rows = known({**values, "kind": np.array(["a", "b", "c"])[values["kind"]]})
    assert len(rows) == N
    z = np.stack([(values[name] / (count - 1) - 0.5) * 3.2 for name, count in COUNTS.items()], 1)
    return factors, z


def scored(z: np.ndarray, factors: list[Factor], *asked: str) -> dict[str, float]:
    found = score(z, z, factors, 0, asked or None)
    return {name: value for name, (value, _) in found.items()}


@pytest.fixture(scope="module")
def truth() -> tuple[list[Factor], np.ndarray]:
    return drawn()


@pytest.fixture(scope="module")
def perfect(truth: tuple[list[Factor], np.ndarray]) -> dict[str, float]:
    factors, z = truth
    return scored(z, factors)


def test_a_latent_for_each_factor_scores_one(perfect: dict[str, float]) -> None:
    for name, value in perfect.items():
        # A value in the middle of an ordered factor is on no side of any plane.
        assert value > (0.75 if name == "explicitness" else 0.98), name
    assert len(perfect) == len(SCORES)


def test_order_sign_and_scale_of_the_latents_do_not_matter(
    truth: tuple[list[Factor], np.ndarray], perfect: dict[str, float]
) -> None:
    factors, z = truth
    moved = scored(z[:, [2, 0, 3, 1]] * [-5.0, 1.0, 0.2, 2.0], factors)
    for name, value in moved.items():
        assert value == pytest.approx(perfect[name], abs=0.02), name


def test_a_rotation_by_45_degrees_is_found_out(
    truth: tuple[list[Factor], np.ndarray], perfect: dict[str, float]
) -> None:
    factors, z = truth
    turn = np.array([[1, 1], [-1, 1]]) / np.sqrt(2)
    tangled = np.hstack([z[:, :2] @ turn, z[:, 2:] @ turn])
    found = scored(tangled, factors)
    for name in ("MIG", "SAP"):
        assert found[name] < 0.3, name
    # Two of four factors share a latent, and two of four latents a factor: log 2 / log 4 is lost.
    for name in ("DCI disentanglement", "DCI completeness"):
        assert found[name] == pytest.approx(0.5, abs=0.05), name
    assert found["IRS"] < 0.6
    assert found["FactorVAE score"] < perfect["FactorVAE score"] - 0.1
    # All is still there, and a linear classifier finds it.
    assert found["DCI informativeness"] > 0.85
    assert found["explicitness"] == pytest.approx(perfect["explicitness"], abs=0.02)


def test_two_latents_for_one_factor_lower_mig_and_completeness_but_not_disentanglement(
    truth: tuple[list[Factor], np.ndarray],
) -> None:
    factors, z = truth
    doubled = np.hstack([z, z])
    gaps = scores.gaps(scores.shared(doubled, factors))
    assert gaps.max() == pytest.approx(0.0, abs=1e-9)
    found = scored(doubled, factors, "DCI disentanglement", "DCI completeness", "SAP", "modularity")
    assert found["DCI disentanglement"] > 0.98
    assert found["modularity"] > 0.98
    assert found["DCI completeness"] < 0.75
    assert found["SAP"] == pytest.approx(0.0, abs=1e-9)


def test_noise_lowers_and_only_noise_is_chance(
    truth: tuple[list[Factor], np.ndarray], perfect: dict[str, float]
) -> None:
    factors, z = truth
    noise = np.random.default_rng(1).normal(size=(N, 4))
    some, none = (scored(code, factors) for code in (z + 0.5 * noise, noise))
    for name, told in SCORES.items():
        if told.chance is None:
            continue  # modularity: what noise says of factors it says of any of them, by chance of one more than others
        assert none[name] < told.chance(len(factors)) + 0.12, name
        assert none[name] + 0.1 < some[name] <= perfect[name], name
    assert some["MIG"] < 0.6
    assert some["IRS"] < 0.6


def test_gaps_are_those_of_counted_information() -> None:
    """One latent is the factor, one tells half of its values apart: log 4 less log 2, over log 4."""
    value = np.tile(np.arange(4), 100)
    factors, _ = known({"value": value})
    found = scores.shared(np.stack([value, value // 2], 1).astype(float), factors)
    assert found.information[:, 0] == pytest.approx([np.log(4), np.log(2)])
    assert scores.gaps(found) == pytest.approx([0.5])


def test_importance_is_of_the_latent_that_tells_and_informativeness_of_what_is_told() -> None:
    random = np.random.default_rng(0)
    z = random.normal(size=(N, 3))
    factors, _ = known({"sum": z[:, 0] + z[:, 1] + random.normal(size=N), "side": z[:, 2] > 0})
    found = scores.dci(z, factors)
    assert found.importance.sum(0) == pytest.approx([1, 1])
    assert found.importance[:2, 0] == pytest.approx([0.5, 0.5], abs=0.1)
    assert found.importance[2, 1] > 0.98
    # Two thirds of the variance can be told; halves of importance have an entropy of log 2 / log 3.
    assert found.informativeness == pytest.approx([2 / 3, 1.0], abs=0.06)
    assert found.completeness == pytest.approx([1 - np.log(2) / np.log(3), 1.0], abs=0.12)


def test_votes_group_by_value_where_factors_were_only_observed() -> None:
    """Two factors that always go together cannot be told apart, however good the code is."""
    factors, z = drawn()
    same = Factor("again", factors[2].classes, factors[2].numbers)
    assert beta_vae_score(z, [factors[2], same], votes=500, test_votes=500) == pytest.approx(0.5, abs=0.08)
    assert factor_vae_score(z, [factors[2], same], votes=500, test_votes=500) == pytest.approx(0.5, abs=0.08)


def test_latents_that_stand_still_have_no_vote() -> None:
    factors, z = drawn()
    still = 1e-3 * np.random.default_rng(0).normal(size=(N, 3))
    assert factor_vae_score(np.hstack([still, z]), factors, votes=500, test_votes=500) == 1.0
    assert factor_vae_score(still, factors) == 0.25


def test_factors_of_all_kinds_are_read_and_unknown_rows_left_out() -> None:
    values = {
        "price": np.array([1.0, np.nan, 3.0, 4.0]),
        "sort": np.array(["b", "a", None, "b"], object),
        "new": np.array([True, False, True, False]),
        "same": np.zeros(4),
    }
    factors, rows = known(values)
    assert rows.tolist() == [0, 3]
    assert [factor.name for factor in factors] == ["price", "new"]
    assert factors[0].numbers is not None
    assert factors[1].numbers is None
    many, _ = known({"many": np.random.default_rng(0).normal(size=4000)})
    assert np.bincount(many[0].classes).tolist() == [200] * 20


def test_a_code_that_does_not_move_or_tells_nothing_is_complete_in_nothing() -> None:
    random = np.random.default_rng(0)
    factors, _ = known({"a": random.integers(4, size=N), "b": random.integers(3, size=N)})
    still = 1e-3 * random.normal(size=(N, 10))
    assert scored(still, factors, "DCI completeness")["DCI completeness"] == 0
    one = still.copy()
    one[:, 3] = random.normal(size=N)
    told = scores.dci(one[:, [3]], factors, latents=10)
    assert (told.completeness[told.informativeness == 0] == 0).all()


def test_completeness_counts_the_latents_that_do_not_move_too() -> None:
    random = np.random.default_rng(0)
    z = random.normal(size=(N, 2))
    factors, _ = known({"sum": z[:, 0] + z[:, 1]})
    for latents in (2, 8):
        found = scores.dci(z, factors, latents=latents)
        assert found.completeness == pytest.approx([1 - np.log(2) / np.log(latents)], abs=0.05)


def test_values_with_few_examples_are_left_out_and_say_nothing_where_there_are_no_others() -> None:
    random = np.random.default_rng(0)
    z = random.normal(size=(100, 3))
    values = {"age": np.arange(100) % 45, "kind": random.integers(0, 2, 100), "name": np.arange(100).astype(str)}
    factors, _ = known(values)
    assert [factor.name for factor in factors] == ["age", "kind"], "names tell examples apart"
    told = scores.explicitness(z, factors)
    assert np.isnan(told[0])
    assert 0.3 < told[1] < 0.7
    assert scored(z, factors, "explicitness")["explicitness"] == told[1]
    alone = Factor("each", np.arange(100))
    for by_votes in (beta_vae_score, factor_vae_score):
        assert np.isnan(by_votes(z, [factors[1], alone]))
        assert by_votes(z, [*factors, alone], votes=200, test_votes=100) <= 1.0
    robust, _ = scores.irs(z, [alone, alone])
    assert robust.tolist() == [0.0] * 3, "a single example is always where its mean is"
