"""The autoregressive head of tables: exact densities, who sees whom, what learns from what, dependence kept."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor

import sfumato
from sfumato.batch import Batch
from sfumato.data.core.options import DataOptions
from sfumato.data.tables.schema import TableSchema
from sfumato.distributions import Columns
from sfumato.models import build
from sfumato.networks.heads import autoregressive
from sfumato.networks.heads.autoregressive import AutoregressiveColumns, AutoregressiveHead
from sfumato.spec import DataSpec, Field

FIELDS = (Field("category", 2, missing=True), Field("cells", 2, counts=(4, 4)), Field("real"), Field("cells", 3))
SPEC = DataSpec((4,), FIELDS, likelihood="autoregressive")


def head_of(spec: DataSpec = SPEC, spread: float = 0.7) -> tuple[AutoregressiveHead, Tensor]:
    """A head whose weights are all random, in double precision, and raw outputs of one example."""
    torch.manual_seed(0)
    head = AutoregressiveHead(spec).double().eval()
    with torch.no_grad():
        for parameter in head.parameters():
            parameter.normal_(std=spread)
    return head, torch.randn(1, *head.raw, dtype=torch.double)


def test_probabilities_add_up_to_one() -> None:
    head, raw = head_of(spread=0.2)
    line, places = torch.linspace(-60, 60, 1201, dtype=torch.double), (torch.arange(4) + 0.5) / 4
    total = 0.0
    for category, cell, place, last in itertools.product(range(2), range(2), places.tolist(), range(3)):
        x = torch.tensor([category, cell + place, 0.0, last + 0.3], dtype=torch.double).repeat(len(line), 1)
        x[:, 2] = line
        density = head(raw.expand(len(line), -1)).log_prob(x).exp()
        total += torch.trapezoid(density, line).item() / len(places)
    assert total == pytest.approx(1.0, abs=1e-6)


def test_densities_in_the_units_of_whole_numbers_add_up_to_one() -> None:
    rng = np.random.default_rng(0)
    first = np.where(rng.random(300) < 0.4, 7, rng.integers(0, 30, 300))
    frame = pd.DataFrame({"first": first, "second": first + rng.integers(1, 9, 300)})
    schema = TableSchema.learn(sfumato.data.io.frames.read(frame)[0], DataOptions(cells=6))
    head, raw = head_of(schema.spec)
    grid = pd.DataFrame(list(itertools.product(range(31), range(40))), columns=["first", "second"])
    inside = (grid["first"] <= first.max()) & grid["second"].between(frame["second"].min(), frame["second"].max())
    x = schema.encode(schema.read(grid[inside])).x.double()
    log_prob = head(raw.expand(len(x), -1)).log_prob(x).detach().numpy()
    volumes = sum(column.volumes()[x[:, i].long().numpy()] for i, column in enumerate(schema.columns))
    # Places in cells are in single precision, and slopes are up to 30.
    assert np.exp(log_prob - volumes).sum() == pytest.approx(1.0, abs=1e-5)


def test_draws_follow_the_probabilities() -> None:
    head, raw = head_of()
    with torch.no_grad():
        drawn = head(raw.expand(20_000, -1)).sample()
        pairs = torch.tensor(list(itertools.product(range(2), range(2), range(4))), dtype=torch.double)
        x = torch.cat([pairs[:, :1], pairs[:, 1:2] + (pairs[:, 2:] + 0.5) / 4, torch.zeros(16, 2)], 1)
        mask = torch.tensor([True, True, False, False]).expand(16, -1)
        expected = head(raw.expand(16, -1)).log_prob(x, mask).exp().view(4, 4).mean(1)
    counts = torch.bincount(drawn[:, 0].long() * 2 + drawn[:, 1].long(), minlength=4) / len(drawn)
    # The chances of the second column hang on no place inside a cell of the first, which is a category.
    torch.testing.assert_close(counts.double(), expected, atol=0.01, rtol=0)
    assert (drawn[:, 3] < 3).all()


@pytest.mark.parametrize("column", range(4))
def test_a_column_sees_those_before_it_and_no_other(column: int) -> None:
    head, raw = head_of(spread=0.2)
    x = torch.tensor([[1.0, 1.5, 0.3, 0.5]], dtype=torch.double)
    moved = x.clone()
    moved[0, column] = 1.5 if column == 2 else 0.0 if column < 2 else 2.5
    before, after = (head(raw).log_density(value)[0] for value in (x, moved))
    changed = (before - after).abs() > 1e-9
    assert changed.tolist() == [False] * column + [True] * (4 - column)


def test_what_stands_at_a_missing_entry_does_not_matter() -> None:
    head, raw = head_of()
    mask = torch.tensor([[False, True, True, True]])
    first, second = (
        head(raw).log_prob(torch.tensor([[value, 1.5, 0.3, 0.5]], dtype=torch.double), mask) for value in (0.0, 1.0)
    )
    assert first == second
    assert first != head(raw).log_prob(torch.tensor([[0.0, 1.5, 0.3, 0.5]], dtype=torch.double), ~mask | mask)


def test_latents_learn_from_columns_taken_apart_and_masked_layers_from_the_rest(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(autoregressive, "COLUMN_DROPOUT", 0.0)
    head, raw = head_of()
    raw = raw.requires_grad_()
    x = torch.tensor([[1.0, 1.5, 0.3, 0.5]], dtype=torch.double)
    exact, training = AutoregressiveColumns(head, raw), AutoregressiveColumns(head, raw, apart=True)
    assert isinstance(exact.independent(), Columns)
    torch.testing.assert_close(training.log_prob(x), exact.log_prob(x))

    def slope(p: AutoregressiveColumns | Columns, of: Tensor) -> Tensor:
        return torch.autograd.grad(p.log_prob(x).sum(), of, retain_graph=True)[0]

    outputs = head.outputs
    torch.testing.assert_close(slope(training, raw)[:, :outputs], slope(exact.independent(), raw)[:, :outputs])
    torch.testing.assert_close(slope(training, head.write), slope(exact, head.write))
    torch.testing.assert_close(slope(training, head.read), slope(exact, head.read))


def test_the_point_is_of_each_column_given_the_latents() -> None:
    head, raw = head_of()
    torch.testing.assert_close(head(raw).mode(), head.columns(raw).mode())


def test_a_vae_of_one_column_trains() -> None:
    model = build("vae", DataSpec((1,), (Field("cells", 5),), likelihood="autoregressive"))
    losses = model.losses(Batch(5 * torch.rand(8, 1)), 0)["model"]
    losses.total.backward()
    assert losses.total.isfinite()
    assert model.eval().sample(3).shape == (3, 1)


def test_numbers_that_go_together_are_sampled_together() -> None:
    rng = np.random.default_rng(0)
    weight = rng.normal(70, 12, 1200).round(1)
    opened = rng.integers(0, 200, 1200)
    frame = pd.DataFrame(
        {
            "opened": opened,
            "kg": weight,
            "closed": opened + rng.integers(1, 60, 1200),
            "lb": weight * 2.2 + rng.normal(0, 3, 1200),
        }
    )
    drawn = sfumato.fit(frame, steps=300, width=64, seed=0).sample(1200, seed=0)
    assert drawn["kg"].corr(drawn["lb"]) > 0.93  # .99 in the data, and 0 after as many steps where columns are apart
    assert (drawn["closed"] <= drawn["opened"]).mean() < 0.15  # never in the data, 43% where columns are apart
