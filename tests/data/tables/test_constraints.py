"""Rules that a user types, and what rows of a table keep of them."""

from __future__ import annotations

import datetime
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import sfumato
from sfumato.data.core.options import DataOptions
from sfumato.data.tables.rules.constraints import Constraints
from sfumato.data.tables.rules.expressions import Expression, Operand
from sfumato.data.tables.schema import TableSchema
from sfumato.errors import SfumatoError
from sfumato.estimator.rejection import constrained

ROWS = pa.table(
    {
        "start": pa.array([datetime.date(2024, 1, day) for day in (1, 5, 9, 12)]),
        "end": pa.array([datetime.date(2024, 1, 3), datetime.date(2024, 1, 4), None, datetime.date(2024, 2, 1)]),
        "flc.grp": [1, 2, 3, 3],
        "two words": [0.1, 0.25, 0.5, 7.0],
        "sex": ["m", "f", None, "f"],
        "married": [True, False, True, True],
    }
)


def schema(rows: pa.Table = ROWS) -> TableSchema:
    kinds = {"flc.grp": "integer", "start": "datetime", "end": "datetime"}
    return TableSchema.learn(rows, DataOptions(kinds={k: v for k, v in kinds.items() if k in rows.column_names}))


@pytest.mark.parametrize(
    ("rule", "broken"),
    [
        ("start <= end", [0, 1, 0, 0]),
        ("end - start >= 10", [1, 1, 0, 0]),
        ("start >= '2024-01-05'", [1, 0, 0, 0]),
        ("'2024-01-02' <= start < \"2024-01-12\"", [1, 0, 0, 1]),
        ("flc.grp != 3", [0, 0, 1, 1]),
        ("`two words` * 10 == 1", [0, 1, 1, 1]),
        ("`two words` + 0.2 == 0.3", [0, 1, 1, 1]),
        ("-flc.grp / 2 <= -1", [1, 0, 0, 0]),
        ("(flc.grp + 1) * 2 > 6", [1, 1, 0, 0]),
        ("sex == 'f'", [1, 0, 0, 0]),
        ("not (sex == 'f' and flc.grp > 2)", [0, 0, 0, 1]),
        ("sex == 'm' or start <= end", [0, 1, 0, 0]),
        ("sex == 'm' and flc.grp < 3", [0, 1, 1, 1]),
        ("married == 1", [0, 1, 0, 0]),
        ("married != 'true'", [1, 0, 1, 1]),
    ],
)
def test_rules_mean_what_they_say_and_missing_cells_break_none(rule: str, broken: list[int]) -> None:
    kept = Constraints(schema(), rules=[rule])
    assert next(iter(kept.broken(ROWS).values())).astype(int).tolist() == broken


@pytest.mark.parametrize("seed", range(3))
def test_rules_agree_with_python_on_random_numbers(seed: int) -> None:
    rng = np.random.default_rng(seed)
    names = ["a", "b", "c"]
    rows = {name: Operand(rng.integers(-4, 5, 60).astype(float)) for name in names}

    def number(depth: int) -> str:
        if depth == 0 or rng.random() < 0.3:
            return str(rng.choice([*names, "2", "3"]))
        return f"({number(depth - 1)} {rng.choice(['+', '-', '*'])} {number(depth - 1)})"

    def truth(depth: int) -> str:
        if depth == 0 or rng.random() < 0.3:
            return f"{number(2)} {rng.choice(['<', '<=', '>', '>=', '==', '!='])} {number(2)}"
        if rng.random() < 0.2:
            return f"not ({truth(depth - 1)})"
        return f"({truth(depth - 1)}) {rng.choice(['and', 'or'])} {truth(depth - 1)}"

    for _ in range(20):
        text = truth(3)
        broken = Expression(text, tuple(names)).broken(rows)
        expected = [
            not eval(text, {}, dict(zip(names, row, strict=True)))
            for row in zip(*(rows[n].values for n in names), strict=True)
        ]
        assert np.broadcast_to(broken, 60).tolist() == expected, text


@pytest.mark.parametrize(
    ("stated", "words"),
    [
        ({"rules": ["start <= "]}, "rule 'start <= ': it ends where a column or a number should stand"),
        ({"rules": ["strat <= end"]}, "did you mean start"),
        ({"rules": ["start + 1"]}, "compares nothing"),
        ({"rules": ["(start <= end"]}, "a bracket is not closed"),
        ({"rules": ["start <= end end"]}, "'end' stands where it should end"),
        ({"rules": ["__import__('os') == 1"]}, "not a column"),
        ({"rules": ["start.year == 1"]}, "not a column"),
        ({"rules": ["start; end"]}, "is no column, number, word in quotes or sign"),
        ({"ranges": {"flc": "1..2"}}, "range 'flc' is not a column; did you mean flc.grp"),
        ({"ranges": {"flc.grp": "1-2"}}, "LOW..HIGH"),
        ({"ranges": {"flc.grp": "3..2"}}, "exchange them"),
        ({"ranges": {"flc.grp": "a..2"}}, "'a' is no value of column 'flc.grp'"),
        ({"ranges": {"sex": "a..b"}}, "no order"),
        ({"unique": ["ID"]}, "unique 'ID' is not a column"),
    ],
)
def test_what_cannot_be_read_is_one_line(stated: dict[str, Any], words: str) -> None:
    with pytest.raises(SfumatoError) as caught:
        Constraints(schema(), **stated)
    assert words in str(caught.value)


@pytest.mark.parametrize("rule", ["sex > 1", "sex + 1 > 2", "start == 'soon'"])
def test_words_are_no_numbers(rule: str) -> None:
    with pytest.raises(SfumatoError, match="rule"):
        Constraints(schema(), rules=[rule]).broken(ROWS)


def test_ranges_of_numbers_and_times_have_either_end() -> None:
    kept = Constraints(
        schema(), {"start": "2024-01-05..", "flc.grp": (None, 2), "end": (datetime.date(2024, 1, 4), None)}
    )
    broken = {name: rows.astype(int).tolist() for name, rows in kept.broken(ROWS).items()}
    assert list(broken.values()) == [[1, 0, 0, 0], [0, 0, 1, 1], [1, 0, 0, 0]]


@pytest.fixture(scope="module")
def spans() -> sfumato.Autoencoder:
    rng = np.random.default_rng(0)
    start = rng.integers(0, 60, 400)
    frame = pd.DataFrame(
        {
            "id": np.arange(1, 401),
            "start": start,
            "end": start + rng.integers(-5, 30, 400),
            "kind": rng.choice(["a", "b"], 400),
            "note": np.where(rng.random(400) < 0.2, None, rng.choice(["x", "y"], 400)),
        }
    )
    return sfumato.fit(frame, model="cvae", given=["kind"], steps=30, width=32, seed=0)


def test_samples_keep_what_is_stated_and_the_share_rejected_is_said(spans, caplog) -> None:
    stated: dict[str, Any] = {"ranges": {"start": "10..50"}, "rules": ["start <= end"], "unique": ["id"]}
    made = spans.sample(150, {"kind": ["a", "b"] * 75}, seed=1, **stated)
    assert made["start"].between(10, 50).all()
    assert (made["start"] <= made["end"]).all()
    assert made["id"].is_unique
    assert made["kind"].tolist() == ["a", "b"] * 75
    assert "drawn rows were rejected (" in caplog.text
    free = spans.sample(150, {"kind": ["a", "b"] * 75}, seed=1)
    good = free["start"].between(10, 50) & (free["start"] <= free["end"])
    pd.testing.assert_frame_equal(made[good].drop(columns="id"), free[good].drop(columns="id"))
    assert spans.sample(40, seed=2, complete=True, rules=["note == 'x'"])["note"].tolist() == ["x"] * 40


def test_rows_that_are_drawn_again_have_the_distribution_of_those_that_are_kept(spans) -> None:
    free = spans.sample(4000, seed=3)
    kept = free[free["start"] < 15]["end"]
    made = spans.sample(1200, seed=4, rules=["start < 15"])["end"]
    assert abs(made.mean() - kept.mean()) < 4 * (kept.var() / len(kept) + made.var() / len(made)) ** 0.5


@pytest.mark.parametrize(
    ("stated", "words"),
    [
        ({"rules": ["start < 0", "end < 900"]}, r"rule 'start < 0': 0\.00% of .* drawn keep it"),
        ({"unique": ["kind"]}, "unique kind: 2 different values for 20 rows"),
    ],
)
def test_what_too_few_rows_keep_is_an_error_that_names_it(spans, stated, words, monkeypatch) -> None:
    monkeypatch.setattr("sfumato.estimator.rejection.EXTRA_DRAWS", 500)
    with pytest.raises(SfumatoError, match=words):
        spans.sample(20, seed=0, **stated)


def test_a_draw_that_never_keeps_a_rule_ends(monkeypatch) -> None:
    monkeypatch.setattr("sfumato.estimator.rejection.EXTRA_DRAWS", 100)
    rows = pa.table({"a": [1.5, 2.5, 3.5]})
    found = TableSchema.learn(rows, DataOptions())
    x, drawn = found.encode(rows).x, []

    def draw(index: np.ndarray, _: int) -> tuple[Any, None]:
        drawn.append(len(index))
        return x[:1].repeat(len(index), 1), None

    with pytest.raises(SfumatoError, match=r"rule 'a > 2'"):
        constrained(draw, lambda x, _: found.decode_table(x), Constraints(found, rules=["a > 2"]), 3)
    assert sum(drawn) < 500


def test_other_data_than_tables_take_no_rules() -> None:
    auto = sfumato.fit(np.random.default_rng(0).normal(size=(50, 2)), steps=3)
    with pytest.raises(SfumatoError, match="columns of tables"):
        auto.sample(3, rules=["a < b"])
