"""Columns that follow from another: which are found, that samples keep them, and what rows cost that do not."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch

import sfumato
from sfumato.data.core.options import DataOptions
from sfumato.data.io import frames
from sfumato.data.registry import load_schema
from sfumato.data.tables.schema import TableSchema

SCHOOLS = {"none": 1, "school": 9, "college": 13, "doctor": 16}


def people(n: int = 400) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    school = rng.choice(list(SCHOOLS), n)
    return pd.DataFrame(
        {
            "school": school,
            "age": rng.integers(18, 80, n),
            "years": [SCHOOLS[one] for one in school],
            "degree": np.where(np.isin(school, ["college", "doctor"]), "yes", None),
            "nearly": [SCHOOLS[one] for one in school[:-1]] + [1 if school[-1] != "none" else 16],
            "by chance": rng.choice(["x", "y"], n),
        }
    )


def learn(frame: pd.DataFrame, **options) -> TableSchema:
    table, kind = frames.read(frame)
    schema = TableSchema.learn(table, DataOptions(**options), frame_kind=kind)
    again = load_schema(json.loads(json.dumps(schema.to_dict())))
    assert again.to_dict() == schema.to_dict()
    return again


def test_exact_dependences_are_found_and_shown_and_what_is_nearly_one_is_not() -> None:
    schema = learn(people())
    follows = {one.column.name: one.determinant.name for one in schema.dependences}
    assert follows == {"years": "school"}  # degree is a constant where it is there: its missing cells are modelled
    described = {row["column"]: row["modelled"] for row in schema.describe()}
    assert described["years"] == "follows from school"
    assert "years" not in schema.names


def test_options_and_conditions_keep_columns_in_the_model() -> None:
    assert not learn(people(), dependences=False).dependences
    assert [one.column.name for one in learn(people(), label="years").dependences] == ["school"]
    given = learn(people(), given=("school",))
    assert [one.determinant.name for one in given.dependences] == ["school"]
    rows = given.decode(torch.zeros(4, given.spec.entries), torch.arange(4.0)[:, None])
    assert rows["years"].tolist() == [SCHOOLS[one] for one in rows["school"]]


@pytest.mark.parametrize("rows", [6, 400])
def test_few_rows_are_no_evidence(rows: int) -> None:
    """y is 1 for two of three values of x, at random: in 6 rows that says nothing, in 400 it is so."""
    x = np.resize(["a", "b", "c"], rows)
    frame = pd.DataFrame({"x": x, "y": np.where(x == "a", 0, 1), "z": np.random.default_rng(0).normal(size=rows)})
    assert bool(learn(frame).dependences) == (rows == 400)


def test_of_columns_that_follow_from_each_other_the_first_is_modelled() -> None:
    frame = people().assign(code=lambda rows: rows["school"].str[:2], word=lambda rows: rows["school"].str.upper())
    follows = {one.column.name: one.determinant.name for one in learn(frame).dependences}
    assert follows == {"years": "school", "code": "school", "word": "school"}


def test_missing_values_follow_too_or_it_is_no_dependence() -> None:
    frame = people()
    frame.loc[frame["school"] == "none", "years"] = None
    schema = learn(frame)
    assert [one.column.name for one in schema.dependences] == ["years"]
    drawn = schema.decode(schema.encode(frames.read(frame)[0]).x)
    assert drawn["years"].isna().equals(drawn["school"] == "none")
    frame.loc[3, "years"] = None
    assert not learn(frame).dependences or frame.loc[3, "school"] == "none"


def test_samples_agree_and_rows_that_do_not_are_the_oddest() -> None:
    frame = people()[["school", "age", "years", "by chance"]]
    auto = sfumato.fit(frame, steps=20, seed=0)
    drawn = auto.sample(500, seed=0)
    assert drawn["years"].tolist() == [SCHOOLS[one] for one in drawn["school"]]
    again = auto.reconstruct(frame)
    assert again["years"].tolist() == [SCHOOLS[one] for one in again["school"]]
    wrong = frame.copy()
    wrong.loc[0, "years"] = 13 if wrong.loc[0, "years"] != 13 else 1
    fall = auto.score_samples(frame) - auto.score_samples(wrong)
    assert fall[0] == pytest.approx(np.log1p(auto.schema_.spec.examples))
    assert fall[1:] == pytest.approx(0)
    right, odd = (auto.explain_scores(rows, [0])[0] for rows in (frame, wrong))
    assert odd[0].column == "school"
    assert odd[0].nats > max([reason.nats for reason in right], default=0.0)
    # A row of a school that nobody had costs for the school alone.
    new = pa.table({"school": ["tutor"], "age": [40], "years": [3], "by chance": ["x"]})
    assert auto.schema_.dependences[0].penalty(new, 10).tolist() == [0.0]
