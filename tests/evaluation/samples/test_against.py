"""Samples that somebody else made: judged as those of a model, and refused in one line where they do not fit."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import sfumato
from sfumato.data.core.options import DataOptions
from sfumato.errors import SfumatoError


def table(count: int, seed: int, *, apart: bool = False) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    a = random.normal(size=count)
    b = random.permutation(a) if apart else a
    day = pd.Timestamp("2024-01-01") + pd.to_timedelta(np.abs(100 * a).astype(int), "D")
    return pd.DataFrame(
        {
            "a": a,
            "b": b + 0.3 * random.normal(size=count),
            "day": day.strftime("%Y-%m-%d"),
            "kind": np.where(a > 0, "x", "y"),
            "id": [f"{seed}-{row}" for row in range(count)],
        }
    )


def by_name(found):
    return {one.name: one for one in found}


def test_like_real_rows_and_shuffled_ones_from_files(tmp_path):
    for name, rows in {"real": table(500, 0), "same": table(300, 1), "lost": table(300, 2, apart=True)}.items():
        rows.to_csv(tmp_path / f"{name}.csv", index=False)
    same, lost = (
        by_name(sfumato.evaluate(tmp_path / "real.csv", tmp_path / f"{name}.csv", target="b"))
        for name in ("same", "lost")
    )
    assert same["column shapes"].parts.keys() == {"a", "b", "day", "kind"}
    assert same["column shapes"].parts["day"] > 0.85, "dates are numbers"
    assert abs(same["classifier two-sample test"].value - 0.5) < 4 * same["classifier two-sample test"].error
    assert lost["classifier two-sample test"].value > 0.8
    assert lost["column shapes"].value > 0.9
    assert lost["train on samples, test on real"].unit == "R² of b, as requested"
    assert lost["train on samples, test on real"].value < 0.2 < same["train on samples, test on real"].value
    assert not [name for name in same if "attack" in name or "record" in name]


def test_rows_that_were_copied_are_found_where_others_were_held_out():
    real, holdout = table(200, 0), table(200, 1)
    copied = by_name(sfumato.evaluate(real, real.sample(200, random_state=0), holdout=holdout))
    new = by_name(sfumato.evaluate(real, table(200, 2), holdout=holdout))
    assert copied["copies of training rows"].value == 1.0
    assert new["copies of training rows"].value == 0.0
    assert copied["membership attack by samples"].value > 0.95
    assert abs(new["membership attack by samples"].value - 0.5) < 0.15
    assert "membership attack by score" not in copied


def test_arrays_pictures_and_series():
    random = np.random.default_rng(0)
    pictures = random.integers(0, 256, (2, 60, 8, 8)).astype(np.uint8)
    found = by_name(sfumato.evaluate(*pictures, quick=True, extractor=lambda x: x.flatten(1).float() / 255))
    assert found["precision"].reference is not None
    waves = np.sin(np.linspace(0, 9, 30) + random.uniform(0, 6, (2, 120, 1)))
    series = by_name(sfumato.evaluate(*waves, options=DataOptions(sequences=True), quick=True))
    assert series["autocorrelation distance"].value < 0.1


@pytest.mark.parametrize(
    ("made", "words"),
    [
        (lambda real: real.drop(columns="b"), "column 'b' is missing"),
        (lambda real: real.head(3), "3 sampled examples; at least 10 are needed"),
        (lambda real: real.assign(day="soon"), "column 'day', row 1"),
    ],
)
def test_what_does_not_fit_is_refused(made, words):
    real = table(100, 0)
    with pytest.raises(SfumatoError, match=words):
        sfumato.evaluate(real, made(real))
