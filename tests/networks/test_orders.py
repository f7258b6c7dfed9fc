"""Orders between numbers of a row: kept in samples, and probabilities still sum to one."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch

import sfumato
from sfumato.data.core.options import DataOptions
from sfumato.data.tables.schema import TableSchema
from sfumato.distributions.tilted import log_share
from sfumato.networks import heads

RNG = np.random.default_rng(0)
COUNT = 1500


def _whole():
    start = RNG.choice([3, 7, *range(40)], COUNT, p=[0.2, 0.1, *([0.7 / 40] * 40)])
    return {"start": start, "end": start + 1 + RNG.integers(0, 12, COUNT)}


def _equal_at_times():
    low = RNG.integers(0, 30, COUNT)
    return {"high": low + RNG.integers(0, 9, COUNT), "low": low}


def _real():
    total = RNG.exponential(10, COUNT)
    part = total * RNG.random(COUNT)
    part[RNG.random(COUNT) < 0.1] = 0.0
    return {"total": total, "part": part}


def _learned(columns, **options):
    return TableSchema.learn(pa.table(columns), DataOptions(cells=8, **options))


def _decoder(schema, rows=6):
    """A head with weights at random, and outputs for so many rows."""
    torch.manual_seed(0)
    head = heads.for_likelihood(schema.spec).eval()
    for weight in head.parameters():
        torch.nn.init.normal_(weight, std=0.05)
    return head(torch.randn(rows, *head.raw) / 2)


@pytest.mark.parametrize(
    ("columns", "earlier", "strict", "above"),
    [(_whole(), "start", True, True), (_equal_at_times(), "high", False, False), (_real(), "total", True, False)],
)
def test_orders_are_found_and_described(columns, earlier, strict, above):
    schema = _learned(columns)
    (order,) = schema.spec.orders
    assert (schema.names[order.earlier], order.strict, order.above) == (earlier, strict, above)
    note = schema.describe()[1]["note"]
    words = {(True, True): "always above", (False, False): "never above", (True, False): "always below"}[strict, above]
    assert f"{words} {earlier}" in note
    assert TableSchema.from_dict(schema.to_dict()).spec == schema.spec
    assert not _learned(columns, orders=False).spec.orders


def test_no_order_where_chance_would_keep_it_or_rows_break_it():
    low, high = RNG.normal(0, 1, COUNT), RNG.normal(100, 1, COUNT)
    assert not _learned({"low": low, "high": high}).spec.orders
    columns = _whole()
    columns["end"][:5] = columns["start"][:5] - 1
    assert not _learned(columns).spec.orders
    columns["end"][1:5] = columns["start"][1:5] + 1
    (order,) = _learned(columns).spec.orders
    assert order.slip == pytest.approx(1.5 / (COUNT + 1))


def test_orders_that_follow_from_others_are_left_out():
    a = RNG.integers(0, 50, COUNT)
    b = a + RNG.integers(0, 9, COUNT)
    schema = _learned({"a": a, "b": b, "c": b + RNG.integers(0, 9, COUNT)})
    assert [(order.earlier, order.later) for order in schema.spec.orders] == [(0, 1), (1, 2)]


@pytest.mark.parametrize("columns", [_whole(), _equal_at_times()])
def test_probabilities_of_whole_numbers_sum_to_one_and_nearly_all_are_in_order(columns):
    schema = _learned(columns)
    first, second = schema.columns
    numbers = [np.arange(column.ruler.low, column.ruler.high + 1) for column in (first, second)]
    p = _decoder(schema, 1)
    one = int(np.median(columns[first.name]))
    rows = pa.table({first.name: np.full(len(numbers[1]), one), second.name: numbers[1]})
    x = schema.encode(rows).x
    many = type(p)(p.head, p.raw.expand(len(x), -1))
    log_mass = (
        many.log_density(x)[:, 1].double()
        - schema.log_jacobian(x).double()
        + schema.columns[0].volumes()[x[0, 0].long()]
    )
    mass = log_mass.exp().detach().numpy()
    assert mass.sum() == pytest.approx(1, abs=1e-4)
    low, high = (first.name, second.name) if schema.spec.orders[0].above else (second.name, first.name)
    table = rows.to_pandas()
    broken = table[low] >= table[high] if schema.spec.orders[0].strict else table[low] > table[high]
    assert 0 < mass[broken].sum() <= schema.spec.orders[0].slip + 1e-6


def test_density_of_real_numbers_integrates_to_one():
    schema = _learned(_real())
    p = _decoder(schema, 1)
    size = schema.spec.fields[1].size
    places = (torch.arange(size * 2000) + 0.5) / 2000
    atoms = [cell for cell, width in enumerate(schema.spec.fields[1].widths) if not width]
    inside = torch.tensor([int(place) not in atoms for place in places])
    x = torch.stack([torch.full((len(places),), 3.7), places], 1)
    density = type(p)(p.head, p.raw.expand(len(x), -1)).log_density(x)[:, 1].exp().detach()
    at_atoms = torch.tensor([[3.7, cell + 0.5] for cell in atoms])
    mass = type(p)(p.head, p.raw.expand(len(at_atoms), -1)).log_density(at_atoms)[:, 1].exp().detach()
    assert float(density[inside].sum() / 2000 + mass.sum()) == pytest.approx(1, abs=2e-3)


@pytest.mark.parametrize("columns", [_whole(), _equal_at_times(), _real()])
def test_samples_are_of_the_cells_they_should_be_and_keep_the_order(columns):
    schema = _learned(columns)
    one = _decoder(schema, 1)
    p = type(one)(one.head, one.raw.expand(20000, -1))
    x = p.sample()
    frame = schema.decode_table(x).to_pandas()
    (order,) = schema.spec.orders
    low, high = (0, 1) if order.above else (1, 0)
    broken = frame.iloc[:, low] >= frame.iloc[:, high] if order.strict else frame.iloc[:, low] > frame.iloc[:, high]
    assert broken.mean() < order.slip + 4 * (order.slip / len(x)) ** 0.5 + 1e-3
    start, end = p.head._span(1)
    logits = p.head.columns(p.raw, p.head.shifts(p.raw, x)).logits[:, start:end]
    slopes = p.head.neighbours.between(start, end).slopes(logits)
    expected = torch.softmax(logits + log_share(slopes, *p.head.limits["1"](x)), 1).mean(0)
    drawn = torch.bincount(x[:, 1].long(), minlength=end - start) / len(x)
    assert torch.allclose(drawn, expected.detach(), atol=0.012)


def test_a_fit_keeps_ends_after_their_starts():
    start = RNG.integers(0, 300, 400)
    table = pd.DataFrame({"start": start, "end": start + RNG.integers(1, 40, 400), "kind": RNG.choice([*"pq"], 400)})
    auto = sfumato.fit(table, steps=60, seed=0)
    drawn = auto.sample(1000, seed=1)
    assert (drawn["end"] <= drawn["start"]).mean() < 0.01
    free = sfumato.fit(table, steps=60, seed=0, orders=False).sample(1000, seed=1)
    assert (free["end"] <= free["start"]).mean() > 0.03
