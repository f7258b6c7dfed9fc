"""Missing cells as data: exact probabilities of small models, samples like the data, and ways to fill them."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor

import sfumato
from sfumato.batch import flagged_mask
from sfumato.networks.heads import for_likelihood
from sfumato.spec import DataSpec, Field

FIELDS = (
    Field("category", 2),
    Field("category", 3, missing=True, flag=0),
    Field("category", 2, missing=True, flag=0),
    Field("category", 2),
    Field("category", 2, missing=True, flag=3),
)
"""A flag of two columns, these, another flag, and its column."""


def rows() -> tuple[Tensor, Tensor]:
    """Every row there can be, and its mask."""
    found = []
    for first, second in itertools.product(range(2), repeat=2):
        left = [(0, 0)] if first else list(itertools.product(range(3), range(2)))
        for (a, b), c in itertools.product(left, [0] if second else range(2)):
            found.append([first, a, b, second, c])
    x = torch.tensor(found, dtype=torch.double)
    mask = flagged_mask(x, DataSpec((5,), FIELDS))
    assert mask is not None
    return x, mask


@pytest.mark.parametrize("likelihood", ["autoregressive", "cells"])
def test_probabilities_of_values_and_of_what_is_missing_add_up_to_one(likelihood: str) -> None:
    torch.manual_seed(0)
    head = for_likelihood(DataSpec((5,), FIELDS, likelihood=likelihood)).double().eval()
    with torch.no_grad():
        for parameter in head.parameters():
            parameter.normal_(std=0.7)
    x, mask = rows()
    raw = torch.randn(1, *head.raw, dtype=torch.double).expand(len(x), -1)
    log_p = head(raw).log_prob(x, mask)
    assert log_p.exp().sum().item() == pytest.approx(1.0)
    with torch.no_grad():
        drawn = head(raw[:1].expand(40_000, -1)).sample()
    seen = flagged_mask(drawn, DataSpec((5,), FIELDS))
    assert seen is not None
    drawn = drawn.masked_fill(~seen, 0)
    shares = [(drawn == row).all(1).double().mean().item() for row in x]
    assert shares == pytest.approx(log_p.exp().tolist(), abs=0.012)


def test_the_likelihood_of_a_row_is_what_a_hand_computes() -> None:
    head = for_likelihood(DataSpec((5,), FIELDS, likelihood="cells")).double().eval()
    raw = torch.log(torch.tensor([[0.9, 0.1, 0.2, 0.3, 0.5, 0.4, 0.6, 0.75, 0.25, 0.5, 0.5]], dtype=torch.double))
    x, mask = torch.tensor([[1.0, 0, 0, 0, 1]]).double(), torch.tensor([[True, False, False, True, True]])
    assert head(raw).log_prob(x, mask).item() == pytest.approx(np.log(0.1 * 0.75 * 0.5))
    x, mask = torch.tensor([[0.0, 2, 1, 1, 0]]).double(), torch.tensor([[True, True, True, True, False]])
    assert head(raw).log_prob(x, mask).item() == pytest.approx(np.log(0.9 * 0.5 * 0.6 * 0.25))


def clinic(n: int = 1500) -> pd.DataFrame:
    """A visit or a phone call; height and weight are measured together, on visits mostly; notes are on their own."""
    rng = np.random.default_rng(0)
    visit = rng.random(n) < 0.7
    height = rng.normal(170, 10, n).round(1)
    weight = (height - 100 + rng.normal(0, 5, n)).round(1)
    unmeasured = rng.random(n) < np.where(visit, 0.05, 0.8)
    note = pd.Series(rng.choice(["well", "ill"], n)).where(rng.random(n) < 0.75)
    return pd.DataFrame(
        {
            "kind": np.where(visit, "visit", "call"),
            "height": pd.Series(height).mask(unmeasured),
            "weight": pd.Series(weight).mask(unmeasured),
            "note": note,
        }
    )


@pytest.fixture(scope="module")
def fitted() -> tuple[pd.DataFrame, sfumato.Autoencoder]:
    frame = clinic()
    return frame, sfumato.fit(frame, steps=200, width=64, lr=0.005, weight_decay=0.0, seed=1)


def test_samples_are_missing_where_the_data_are(fitted) -> None:
    frame, auto = fitted
    assert auto.schema_.missing_together == (("height", "weight"), ("note",))
    made = auto.sample(4000, seed=0)
    for column in frame:
        assert made[column].isna().mean() == pytest.approx(frame[column].isna().mean(), abs=0.05)
    assert made["height"].isna().equals(made["weight"].isna())
    for kind in ("visit", "call"):
        rates = [table[table["kind"] == kind]["height"].isna().mean() for table in (frame, made)]
        assert rates[1] == pytest.approx(rates[0], abs=0.1)


def test_cells_are_filled_when_asked_and_the_others_stay(fitted) -> None:
    frame, auto = fitted
    made, full = auto.sample(1000, seed=1), auto.sample(1000, seed=1, complete=True)
    assert made.isna().any().any()
    assert not full.isna().any().any()
    pd.testing.assert_frame_equal(made, full.where(made.notna()), check_dtype=False)
    # What is filled in goes together as what is there does.
    filled = full[made["height"].isna()]
    assert filled["height"].corr(filled["weight"]) > 0.6
    again = auto.reconstruct(frame[:200])
    assert again.isna().equals(frame[:200].isna())
    assert not auto.reconstruct(frame[:200], complete=True).isna().any().any()


def test_scores_see_what_is_missing_and_say_so(fitted) -> None:
    _, auto = fitted
    usual = pd.DataFrame({"kind": ["visit"], "height": [170.0], "weight": [70.0], "note": ["well"]})
    gone = usual.assign(height=[None], weight=[None]).astype({"height": float, "weight": float})
    half = usual.assign(weight=[None]).astype({"weight": float})
    good, odd, never = (auto.score_samples(rows)[0] for rows in (usual, gone, half))
    assert odd < good
    assert never < odd  # one without the other, as in no training row
    assert auto.explain_scores(gone)[0][0].column == "kind"  # what calls lack, a visit has
    call = gone.assign(kind=["call"])
    assert auto.score_samples(call)[0] > odd


def test_files_spell_missing_cells_as_they_were_read(tmp_path) -> None:
    frame = clinic(300)
    path = tmp_path / "clinic.csv"
    frame.assign(height=frame["height"].astype(object).fillna("?"), note=frame["note"].fillna("NA")).to_csv(
        path, index=False
    )
    auto = sfumato.fit(path, steps=20, width=16, seed=0)
    auto.schema_.write(auto.sample(400, seed=0), tmp_path / "new.csv")
    written = pd.read_csv(tmp_path / "new.csv", keep_default_na=False, dtype=str)
    assert ((written["height"] == "?") == (written["weight"] == "")).all()
    assert {"?"} < set(written["height"])
    assert set(written["note"]) == {"well", "ill", "NA"}


def test_it_can_be_left_out() -> None:
    auto = sfumato.fit(clinic(200), steps=5, missing_cells=False)
    assert not auto.schema_.spec.flags
    assert not auto.sample(300, seed=0).isna().any().any()
