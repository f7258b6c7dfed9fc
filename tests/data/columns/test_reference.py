"""The measure that scores are told against."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pyarrow as pa
import pytest
import torch
from scipy import integrate, stats

from sfumato.data.columns.reference import NORMAL_REFERENCE, normal_reference, ordered_reference, unordered_reference
from sfumato.data.core.options import DataOptions
from sfumato.data.registry import load_schema
from sfumato.data.tables.schema import TableSchema

SHARES = np.array([0.3, 0.02, 0.08, 0.4, 0.2])


def test_how_far_out_a_cell_lies_is_the_mean_over_its_quantiles() -> None:
    ends = np.concatenate([[0.0], np.cumsum(SHARES)])
    for cell, (low, high) in enumerate(itertools.pairwise(ends)):
        mean = integrate.quad(lambda share: 0.5 * (stats.norm.ppf(share) ** 2 - 1), low, high)[0] / (high - low)
        assert ordered_reference(SHARES)[cell] - math.log(SHARES[cell]) == pytest.approx(mean, abs=1e-6)


def test_a_category_lies_as_far_out_as_all_that_are_no_more_frequent() -> None:
    # In ascending order the tail shares of |y| are 0 to .02, to .1, to .3, to .6, to 1.
    tails = {0.02: (0.0, 0.02), 0.08: (0.02, 0.1), 0.2: (0.1, 0.3), 0.3: (0.3, 0.6), 0.4: (0.6, 1.0)}
    for share, reference in zip(SHARES, unordered_reference(SHARES), strict=True):
        low, high = tails[share]
        mean = integrate.quad(lambda tail: 0.5 * (stats.norm.isf(tail / 2) ** 2 - 1), low, high)[0] / (high - low)
        assert reference - math.log(share) == pytest.approx(mean, abs=1e-6)


@pytest.mark.parametrize("reference", [ordered_reference, unordered_reference])
def test_a_column_by_itself_scores_nothing_in_the_mean(reference) -> None:
    for shares in (SHARES, np.full(4, 0.25), np.array([1.0]), np.random.default_rng(0).dirichlet(np.ones(70))):
        assert (shares * (reference(shares) - np.log(shares))).sum() == pytest.approx(0.0, abs=1e-12)
    normal = np.random.default_rng(0).normal(size=200_000)
    assert (stats.norm.logpdf(normal) - NORMAL_REFERENCE).mean() == pytest.approx(0.0, abs=0.01)


def test_of_equally_frequent_categories_none_lies_farther_out() -> None:
    assert unordered_reference(np.full(5, 0.2)) == pytest.approx(math.log(0.2))


def test_missing_entries_add_nothing() -> None:
    x = torch.tensor([[0.0, math.nan], [1.0, 1.0]])
    assert normal_reference(x).tolist() == pytest.approx([NORMAL_REFERENCE, 2 * NORMAL_REFERENCE])
    rows = pa.table({"a": [1.5, 2.5, 3.5, 4.5] * 40, "b": ["x", "y"] * 80})
    schema = TableSchema.learn(rows, DataOptions(dependences=False))
    known = schema.encode(rows).x[:1]
    lost = known.clone()
    lost[0, 1] = math.nan
    assert (schema.log_reference(known) - schema.log_reference(lost)).item() == pytest.approx(math.log(0.5))


def test_references_are_those_of_the_shares_in_training_also_when_read_back() -> None:
    generator = np.random.default_rng(0)
    paid = np.where(generator.random(2000) < 0.7, 0.0, generator.lognormal(size=2000))
    rows = pa.table({"paid": paid, "by": generator.choice(["card", "cash"], 2000, p=[0.9, 0.1])})
    schema = TableSchema.learn(rows, DataOptions(dependences=False))
    x = schema.encode(rows).x
    cell = np.floor(x[:, 0].numpy()).astype(int)
    shares = np.bincount(cell) / 2000
    assert schema.columns[0].references()[cell] == pytest.approx(ordered_reference(shares)[cell])
    again = load_schema(schema.to_dict())
    assert torch.equal(again.log_reference(x), schema.log_reference(x))
