from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch
from torch import Tensor

import sfumato
from sfumato.batch import Batch
from sfumato.data.core.options import DataOptions
from sfumato.data.tables.schema import TableSchema
from sfumato.estimator.conditions.missing import filled


class Known(torch.nn.Module):
    """p(x | c) = N(x; c, 1) of a condition that is 0 or 1, times `far`: an exact bound."""

    noise_size = 1

    def __init__(self, far: float) -> None:
        super().__init__()
        self.far = far

    def log_weight(self, batch: Batch, k: int, noise: Tensor | None = None) -> Tensor:
        assert batch.given is not None
        assert batch.x.shape[0] == batch.given.shape[0]
        gap = batch.x[:, 0] - self.far * batch.given[:, 0]
        return (-gap.square() / 2)[:, None].expand(-1, k)

    def log_weight_parts(self, batch: Batch, k: int, noise: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return self.log_weight(batch, k), torch.zeros(len(batch), k)


def schema() -> TableSchema:
    """Two categories of which the second has 30%, and another condition that says nothing."""
    table = pa.table({"c": ["a"] * 70 + ["b"] * 30, "d": ["e", "f"] * 50, "x": np.arange(100.0)})
    return TableSchema.learn(table, DataOptions(given=("c", "d"), likelihood="gaussian"))


@pytest.mark.parametrize("x", [-1.0, 0.75, 2.0])
def test_conditions_that_were_left_out_are_drawn_from_their_distribution_given_the_row(x: float) -> None:
    blank = torch.full((4000, 2), torch.nan)
    torch.manual_seed(0)
    found = filled(Known(2.0), schema(), torch.full((4000, 1), x), blank, ())  # type: ignore[arg-type]
    assert found is not None
    odds = 0.3 / 0.7 * np.exp(-((x - 2.0) ** 2) / 2 + x**2 / 2)
    assert found[:, 0].mean().item() == pytest.approx(odds / (1 + odds), abs=0.03)
    assert found[:, 1].mean().item() == pytest.approx(0.5, abs=0.03)


def test_conditions_that_were_named_stay_as_they_are_missing_ones_too() -> None:
    named = torch.tensor([[torch.nan, torch.nan], [1.0, torch.nan]])
    found = filled(Known(9.0), schema(), torch.tensor([[9.0], [0.0]]), named, ("c",), likeliest=True)  # type: ignore[arg-type]
    assert found is not None
    assert found[:, 0].nan_to_num(-1).tolist() == [-1, 1]
    assert not found[:, 1].isnan().any()


def test_rows_sampled_without_their_conditions_hold_values_that_suit_them() -> None:
    rng = np.random.default_rng(0)
    side, age = rng.choice(["left", "right"], 600), rng.integers(20, 60, 600)
    frame = pd.DataFrame({"side": side, "age": age, "x": rng.normal(0, 0.3, 600) + np.where(side == "left", -4, 4)})
    auto = sfumato.fit(frame, model="cvae", given=["side", "age"], steps=400, width=32, latent_dim=2, seed=0)
    for given in ({}, {"age": 30}):
        made: Any = auto.sample(300, given=given, marginal=True, seed=0)
        assert made.notna().all().all()
        assert ((made["x"] > 0) == (made["side"] == "right")).mean() > 0.9
    assert (made["age"] == 30).all()
    assert auto.sample(2, given={"age": None}, marginal=True)["age"].isna().all()
    assert auto.decode(auto.encode(frame[:20])).notna().all().all()
