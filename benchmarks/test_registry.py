"""Bands hold their own edges, and the median is what is judged."""

from __future__ import annotations

import pytest

from registry import Measure, System, rows


def test_a_median_on_the_edge_of_its_band_holds_and_one_outside_is_missed() -> None:
    measure = Measure("NLL", low=90.5, high=93.0)
    assert [measure.verdict(value) for value in (90.5, 93.0, 93.1, 90.4)] == ["held", "held", "missed", "missed"]
    assert Measure("share", low=0.98).band == "≥ 0.98"
    assert Measure("told").verdict(3.0) == ""


def test_rows_tell_every_seed_and_judge_the_median() -> None:
    entry = System("toy", (Measure("score", "paper 2", low=1.5),), lambda setting: {})
    (line,) = rows(entry, [{"score": 1.0}, {"score": 2.0}, {"score": 9.0}], [3.0, 5.0, 4.0])
    assert line == "| toy | score | paper 2 | 1, 2, 9 | 2 | ≥ 1.5 | held | 4 |"


def test_values_are_named_in_the_order_of_the_measures_and_none_is_left_over() -> None:
    entry = System("toy", (Measure("first"), Measure("second")), lambda setting: {})
    assert entry.named([1.0, 2.0]) == {"first": 1.0, "second": 2.0}
    for values in ([1.0], [1.0, 2.0, 3.0]):
        with pytest.raises(ValueError, match="zip"):
            entry.named(values)
