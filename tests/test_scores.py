"""Scores of examples: finite and in order however far out, the same from call to call and in any company."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

import sfumato
from sfumato.errors import SfumatoError
from sfumato.estimator import Autoencoder

QUICK: dict[str, Any] = {"steps": 10, "latent_dim": 2, "width": 16, "depth": 1, "seed": 0}
OUT = [50.0, 1e5, 1e8, 1e30, 1e37]
FARTHER = [*OUT, 1e39, 1e150, 1e299]


def numbers(kind: str) -> tuple[Any, dict[str, Any]]:
    """Training examples of a kind of data and the options that it needs."""
    x = np.random.default_rng(0).normal(3.0, 2.0, size=(300, 3))
    if kind == "array":
        return x, {}
    if kind == "single precision":
        return x.astype(np.float32), {}
    if kind.startswith("frame"):
        return pd.DataFrame(x, columns=list("abc")), {"likelihood": kind.split()[1]}
    if kind == "series, td_vae":
        return x.reshape(50, 6, 3), {"model": "td_vae", "sequences": True}
    return x.reshape(50, 6, 3), {"model": "vq_vae", "sequences": True}


def with_value(examples: Any, value: float) -> Any:
    """The first example with one of its numbers changed."""
    if isinstance(examples, pd.DataFrame):
        return examples.iloc[:1].assign(b=value)
    changed = examples[:1].copy()
    changed[0, ..., 1].flat[0] = value
    return changed


KINDS = ["array", "single precision", "frame cells", "frame gaussian", "frame mse", "series, td_vae", "series, vq_vae"]


@pytest.mark.parametrize("kind", KINDS)
def test_the_farther_out_the_lower_the_score_and_always_finite(kind: str) -> None:
    examples, options = numbers(kind)
    quick = QUICK if options.get("model") != "vq_vae" else {"steps": 10, "width": 16, "seed": 0}
    auto = sfumato.fit(examples, **quick, **options)
    values = OUT if kind == "single precision" else FARTHER
    for sign in (1, -1):
        scores = [auto.score_samples(with_value(examples, sign * value))[0] for value in values]
        assert np.isfinite(np.square(scores)).all()
        assert (np.diff(scores) < 0).all(), scores
        assert scores[0] < auto.score_samples(examples).min()
    assert np.isfinite(auto.transform(with_value(examples, values[-1]))).all()
    with pytest.raises((SfumatoError, ValueError), match="infini"):
        auto.score_samples(with_value(examples, np.inf))


@pytest.mark.parametrize("model", ["factor_vae", "vq_vae", "hierarchical_vae", "wae", "sparse_vae"])
def test_no_model_loses_a_row_that_lies_far_out(model: str) -> None:
    examples, _ = numbers("array")
    auto = Autoencoder(model=model, steps=10, seed=0).fit(examples)
    odd = np.concatenate([examples[:4], with_value(examples, 1e39), with_value(examples, 1e6)])
    scores = auto.score_samples(odd)
    assert np.isfinite(scores).all()
    assert np.argsort(scores)[:2].tolist() == [4, 5]
    assert np.isfinite(auto.transform(odd)).all()


def payments(unit: float = 1.0, monotone: Any = None) -> pd.DataFrame:
    """Amounts that are mostly 0, a skewed duration that goes with them, and a category."""
    generator = np.random.default_rng(1)
    paying = generator.random(1500) < 0.2
    amount = np.where(paying, generator.lognormal(3.0, 1.0, 1500).round(2), 0.0)
    hours = generator.lognormal(paying * 1.0, 0.5)
    hours = hours if monotone is None else monotone(hours)
    return pd.DataFrame({"amount": amount * unit, "hours": hours, "by": np.where(paying, "card", "none")})


@pytest.fixture(scope="module")
def paid() -> Autoencoder:
    return sfumato.fit(payments(), **QUICK | {"steps": 100})


@pytest.mark.parametrize(
    ("changed", "most"),
    # Where in its cell a number lies follows a monotone change a little.
    [(payments(1e-6), 1e-3), (payments(monotone=np.log), 0.1)],
    ids=["millions", "log"],
)
def test_no_unit_nor_monotone_change_of_a_column_moves_scores(
    paid: Autoencoder, changed: pd.DataFrame, most: float
) -> None:
    other = sfumato.fit(changed, **QUICK | {"steps": 100})
    scores, moved = paid.score_samples(payments()), other.score_samples(changed)
    np.testing.assert_allclose(moved, scores, rtol=0, atol=most)


def test_log_densities_follow_the_unit_of_values_that_have_a_density(paid: Autoencoder) -> None:
    cents = sfumato.fit(payments(100.0), **QUICK | {"steps": 100})
    gap = paid.log_density(payments()) - cents.log_density(payments(100.0))
    has_density = payments()["amount"] > 0
    np.testing.assert_allclose(gap, np.where(has_density, np.log(100.0), 0.0), atol=1e-3)
    low = np.argsort(paid.score_samples(payments()))[:150]
    assert 0.1 < has_density.to_numpy()[low].mean() < 0.9, "neither all nor none of the least likely tenth have paid"


def test_a_score_is_the_same_from_call_to_call_and_in_any_company(paid: Autoencoder) -> None:
    rows = payments().iloc[:40]
    together = paid.score_samples(rows)
    np.testing.assert_array_equal(paid.score_samples(rows), together)
    np.testing.assert_allclose([paid.score_samples(rows.iloc[[i]])[0] for i in range(40)], together, rtol=1e-9)
    np.testing.assert_allclose(paid.score_samples(rows.iloc[::-1])[::-1], together, rtol=1e-9)
    scores, densities = paid.scores_and_densities(rows)
    np.testing.assert_array_equal(scores, together)
    np.testing.assert_array_equal(densities, paid.log_density(rows))


def test_the_column_that_is_out_of_place_is_named_first_with_what_it_costs(paid: Autoencoder) -> None:
    odd = payments().iloc[:4].reset_index(drop=True)
    odd.loc[0, "hours"] = 1e4
    odd.loc[1, "by"] = "barter"
    odd.loc[2, "amount"] = np.nan
    reasons = paid.explain_scores(odd)
    assert [reasons[0][0].column, reasons[1][0].column] == ["hours", "by"]
    assert (reasons[0][0].value, reasons[1][0].value) == (1e4, "barter")
    assert "amount" not in {reason.column for reason in reasons[2]}
    mended = odd.assign(hours=[reasons[0][0].usual, *odd["hours"][1:]])
    assert (paid.score_samples(mended) - paid.score_samples(odd))[0] == pytest.approx(reasons[0][0].nats)
    assert [one[0] for one in paid.explain_scores(odd, [1])] == [reasons[1][0]]


def test_columns_of_an_array_are_named_by_number_and_other_examples_not_at_all() -> None:
    examples, _ = numbers("array")
    auto = sfumato.fit(examples, **QUICK)
    (reasons,) = auto.explain_scores(with_value(examples, 40.0))
    assert (reasons[0].column, reasons[0].value) == ("1", 40.0)
    series, options = numbers("series, td_vae")
    with pytest.raises(SfumatoError, match="no columns"):
        sfumato.fit(series, **QUICK, **options).explain_scores(series)
