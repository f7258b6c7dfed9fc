"""What looks like a sickness and is none: names that each row has for itself, next to no rows, and many letters."""

from __future__ import annotations

from string import ascii_letters

import numpy as np
import pandas as pd
import pytest

import sfumato
from sfumato.diagnostics.split_checks import MAX_FREQUENT_CATEGORIES


def names_of(findings: list) -> set[str]:
    return {finding.name for finding in findings}


def people(n: int, shift: float = 0.0) -> pd.DataFrame:
    random = np.random.default_rng(n)
    age = random.normal(40, 9, n) + shift
    said = [f"{word} {random.integers(10**6)}" for word in random.choice(["call", "bill", "shoes"], n)]
    return pd.DataFrame({"said": said, "age": age, "pay": 30 * age + random.normal(0, 90, n)})


def test_words_that_each_row_has_for_itself_do_not_set_the_test_part_apart() -> None:
    auto = sfumato.fit(people(400), kinds={"said": "categorical"}, steps=60, width=16, depth=1, latent_dim=2)
    assert "shifted_parts" not in names_of(auto.diagnose(quick=True))
    # Rows that are shifted are told all the same.
    assert "shifted_parts" in names_of(auto.diagnose(people(200, shift=30.0), quick=True))


@pytest.mark.parametrize("rows", [6, 10])
def test_nothing_explodes_in_a_handful_of_rows(rows: int) -> None:
    number = np.random.default_rng(rows).normal(size=rows)
    frame = pd.DataFrame({"a": number, "b": number * 2, "c": np.where(number > 0, "p", "q")})
    auto = sfumato.fit(frame, steps=300, seed=rows, width=16, depth=1)
    assert "exploding_steps" not in names_of(auto.diagnose(quick=True))


def test_lines_of_more_letters_than_a_column_has_frequent_categories_are_compared() -> None:
    random = np.random.default_rng(0)
    lines = ["".join(random.choice(list(ascii_letters), random.integers(1, 9))) for _ in range(300)]
    auto = sfumato.fit(lines, steps=2, width=16, depth=1, latent_dim=2)
    assert auto.schema_.spec.fields[0].size > MAX_FREQUENT_CATEGORIES
    assert "shifted_parts" not in names_of(auto.diagnose(quick=True))
