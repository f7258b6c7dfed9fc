"""The scores of tables at tables whose scores are known."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import fidelity


@pytest.fixture
def rows() -> pd.DataFrame:
    noise = np.random.default_rng(0)
    number = noise.uniform(-1, 1, size=4000)
    return pd.DataFrame(
        {
            "number": number,
            "twice": 2 * number + noise.normal(size=4000) * 1e-3,
            "word": np.where(number > 0, "up", "down"),
        }
    )


def test_a_table_matches_itself(rows: pd.DataFrame) -> None:
    assert set(fidelity.column_shapes(rows, rows).values()) == {1.0}
    assert min(fidelity.pair_trends(rows, rows).values()) == 1.0


def test_a_lost_category_costs_its_share() -> None:
    real = pd.DataFrame({"word": ["a"] * 75 + ["b"] * 25})
    made = pd.DataFrame({"word": ["a"] * 100})
    assert fidelity.column_shapes(real, made)["word"] == pytest.approx(0.75)


def test_a_shifted_uniform_is_told_by_its_shift() -> None:
    grid = np.arange(1000) / 1000
    score = fidelity.column_shapes(pd.DataFrame({"u": grid}), pd.DataFrame({"u": grid + 0.2}))["u"]
    assert score == pytest.approx(0.8, abs=2e-3)


def test_shuffled_columns_keep_their_shapes_and_lose_their_trends(rows: pd.DataFrame) -> None:
    shuffled = pd.DataFrame(
        {name: rows[name].sample(frac=1, random_state=seed).to_numpy() for seed, name in enumerate(rows)}
    )
    assert min(fidelity.column_shapes(rows, shuffled).values()) == 1.0
    trends = fidelity.pair_trends(rows, shuffled)
    assert trends["number", "twice"] == pytest.approx(0.5, abs=0.03)  # correlation 1 against 0
    assert trends["number", "word"] == pytest.approx(
        0.5,
        abs=0.05,  # half of the joint mass is in the wrong place
    )


def test_a_classifier_of_separable_rows_is_sure_and_of_one_class_knows_nothing(rows: pd.DataFrame) -> None:
    table = rows[["number", "word"]]
    assert fidelity.classifier_auc(table, table, "word", "up") > 0.999
    assert fidelity.classifier_auc(table[table["word"] == "up"], table, "word", "up") == 0.5
