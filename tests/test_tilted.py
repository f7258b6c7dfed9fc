"""Densities inside cells that lean towards an end: they add up to one, and draws follow them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.stats import kstest

from sfumato.distributions import Columns, Layout
from sfumato.distributions.tilted import STEEPEST, Neighbours, draw_tilted, log_tilt
from sfumato.spec import Field

FIELDS = (Field("cells", 4, counts=(0, 0, 1, 0)), Field("category", 2), Field("cells", 3, counts=(1, 5, 2)))
SLOPES = (0.0, 0.01, -0.02, 0.5, -4.0, STEEPEST, -STEEPEST)


@pytest.mark.parametrize("slope", SLOPES)
@pytest.mark.parametrize("count", [1, 2, 7, 40])
def test_shares_of_the_numbers_in_a_cell_add_up_to_one(slope: float, count: int) -> None:
    places = (torch.arange(count, dtype=torch.double) + 0.5) / count
    share = log_tilt(places, torch.tensor(slope).double(), torch.tensor(float(count)).double()).exp() / count
    assert share.sum().item() == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("slope", SLOPES)
def test_the_density_of_real_numbers_integrates_to_one_and_draws_follow_it(slope: float) -> None:
    torch.manual_seed(0)
    places = torch.linspace(0, 1, 20_001, dtype=torch.double)
    density = log_tilt(places, torch.tensor(slope).double(), torch.tensor(0.0).double()).exp()
    below = np.append(0.0, torch.cumulative_trapezoid(density, places).numpy())
    assert below[-1] == pytest.approx(1, abs=1e-4)
    drawn = draw_tilted(torch.full((4000,), slope), torch.zeros(4000)).numpy()
    assert drawn.max() < 1
    assert kstest(drawn, lambda x: np.interp(x, places.numpy(), below)).pvalue > 1e-3


def test_whole_numbers_are_drawn_as_often_as_their_density_says() -> None:
    torch.manual_seed(0)
    drawn = draw_tilted(torch.full((20_000,), -3.0), torch.full((20_000,), 5.0))
    places = (torch.arange(5) + 0.5) / 5
    counts = torch.stack([(drawn - place).abs() < 1e-6 for place in places]).sum(1)
    assert counts.sum() == len(drawn)
    share = log_tilt(places, torch.tensor(-3.0), torch.tensor(5.0)).exp() / 5
    torch.testing.assert_close(counts / len(drawn), share, atol=0.015, rtol=0)


def test_slopes_follow_the_cells_beside_and_atoms_have_and_give_none() -> None:
    near = Neighbours.of(FIELDS)
    logits = torch.tensor([[0.0, 1.0, 50.0, -2.0, 3.0, 4.0, 9.0, 2.0, 5.0]])
    slopes = near.at(torch.arange(9)[None]).slopes(logits)
    # Above the second cell, and below the fourth and the last but one, lies an atom, which says nothing of a slope.
    torch.testing.assert_close(slopes, torch.tensor([[1.0, 1.0, 0, 0, 0, 0, 0, 3.0, 3.0]]))


def test_columns_draw_what_their_density_says() -> None:
    torch.manual_seed(0)
    logits = torch.randn(1, 9)

    def rows(count: int) -> Columns:
        none = torch.zeros(count, 0)
        return Columns(Layout.of(FIELDS), none, none[0], logits.expand(count, -1), Neighbours.of(FIELDS))

    x = rows(20_000).sample()
    quarter = torch.where(x[:, 0].long() == 2, x[:, 0] % 1, ((x[:, 0] % 1) * 4).floor() / 4 + 1 / 8)
    found, counts = torch.cat([(x[:, 0].floor() + quarter)[:, None], x[:, 1:]], 1).unique(dim=0, return_counts=True)
    volume = torch.where(found[:, 0].long() == 2, 1.0, 0.25) / torch.tensor([1.0, 5.0, 2.0])[found[:, 2].long()]
    share = rows(len(found)).log_prob(found).exp() * volume
    torch.testing.assert_close(counts / len(x), share, atol=0.006, rtol=0.05)
