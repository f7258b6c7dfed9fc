"""Dependence and rare classes, by samples whose fault is known: real rows that were shuffled, or left out."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor, nn

from sfumato import data
from sfumato.data.core.options import DataOptions
from sfumato.diagnostics.case import Case
from sfumato.diagnostics.dependence_checks import dependence_lost, rare_class_lost
from sfumato.diagnostics.finding import Finding, Passed
from sfumato.evaluation import Subject
from sfumato.evaluation.metrics.columns import ColumnPair
from sfumato.evaluation.metrics.dependence import pairs, share_kept, with_real_shapes


class Source(nn.Module):
    """As much of a model as draws samples: rows of a table, at random."""

    code_size = noise_size = 1

    def __init__(self, x: Tensor) -> None:
        super().__init__()
        self.weight, self.x = nn.Parameter(torch.zeros(1)), x

    def sample(self, n: int, given: Tensor | None = None, *, temperature: float = 1.0, noise: bool = True) -> Tensor:
        return self.x[torch.randint(len(self.x), (n,))]

    def encode(self, batch: object) -> None: ...

    decode = reconstruct = log_weight = log_weight_parts = encode


def rows(count: int, seed: int) -> pd.DataFrame:
    """Two numbers that hang together, one that does not, a ring, and categories with a class of one in a hundred."""
    random = np.random.default_rng(seed)
    size, angle = random.normal(size=count), random.uniform(0, 2 * np.pi, count)
    kind = np.where(random.random(count) < 0.01, "rare", np.where(size > 0, "large", "small"))
    return pd.DataFrame(
        {
            "size": size,
            "weight": np.exp(size + 0.2 * random.normal(size=count)),
            "alone": random.standard_t(2, count),
            "x": np.cos(angle) + 0.05 * random.normal(size=count),
            "y": np.sin(angle) + 0.05 * random.normal(size=count),
            "kind": kind,
        }
    )


@pytest.fixture(scope="module")
def look() -> Callable[..., Case]:
    """A case whose samples are the rows of a table; the data are other rows of the same source."""
    dataset = data.open(rows(2400, 0), options=DataOptions(likelihood="gaussian", split=(0.7, 0.1, 0.2)))

    def of(samples: pd.DataFrame, *, quick: bool = True) -> Case:
        torch.manual_seed(0)
        x = dataset.schema.encode(dataset.schema.read(samples)).x
        subject = Subject.of(Source(x), dataset.schema, dataset, 0)  # type: ignore[arg-type]
        return Case(subject, [], {"model": {"name": "vae"}}, quick=quick)

    return of


def shuffled(table: pd.DataFrame, *columns: str, seed: int = 3) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    return table.assign(**{name: random.permutation(table[name].to_numpy()) for name in columns})


def test_other_rows_of_the_same_source_are_well(look):
    for quick in (True, False):
        case = look(rows(3000, 1), quick=quick)
        found = dependence_lost(case)
        assert isinstance(found, Passed), found
        assert found.numbers["kept"] > 0.9
        assert abs(found.numbers["distinguished"] - 0.5) < 4 * found.numbers["error"]
        assert isinstance(rare_class_lost(case), Passed)


def test_one_strong_pair_that_is_shuffled_is_named(look):
    found = dependence_lost(look(shuffled(rows(3000, 1), "weight")))
    assert isinstance(found, Finding)
    assert "size and weight" in found.words
    assert found.name == "dependence_lost"
    assert found.numbers["pairs_lost"] >= 1
    assert found.number == "kept"


def test_a_ring_that_no_correlation_sees_is_lost_by_its_bins(look):
    found = dependence_lost(look(shuffled(rows(3000, 1), "x", "y"), quick=False))
    assert isinstance(found, Finding), found
    assert "1 is clearly less than half as strong in samples (x and y 0.0" in found.words
    assert found.number == "x × y"


def test_what_no_pair_shows_is_lost_by_trees():
    """Rows on the even corners of a cube: any two columns are independent, and the third follows from them."""
    random = np.random.default_rng(0)

    def cube(count, whole=True):
        corner = random.integers(0, 2, (count, 3))
        corner[:, 2] = (corner[:, 0] + corner[:, 1]) % 2 if whole else corner[:, 2]
        return pd.DataFrame(corner + 0.1 * random.normal(size=(count, 3)), columns=["a", "b", "c"])

    dataset = data.open(cube(2000), options=DataOptions(likelihood="gaussian"))
    for whole in (True, False):
        x = dataset.schema.encode(dataset.schema.read(cube(3000, whole))).x
        subject = Subject.of(Source(x), dataset.schema, dataset, 0)  # type: ignore[arg-type]
        found = dependence_lost(Case(subject, [], {"model": {"name": "vae"}}, quick=True))
        assert isinstance(found, Passed) is whole, found
    assert (found.number, found.better) == ("distinguished", "lower")
    assert found.numbers["distinguished"] > 0.7
    assert abs(found.numbers["real"] - 0.5) < 0.12


def test_columns_of_another_shape_that_hang_together_as_they_should_lose_no_dependence(look):
    bent = rows(3000, 1).assign(alone=lambda x: x["alone"] ** 3, weight=lambda x: x["weight"] ** 2)
    assert isinstance(dependence_lost(look(bent, quick=False)), Passed)


def test_a_rare_class_that_hardly_comes_up_is_named_and_a_cvae_offered(look):
    samples = rows(3000, 1)
    found = rare_class_lost(look(samples[samples["kind"] != "rare"]))
    assert isinstance(found, Finding)
    assert found.name == "rare_class_lost"
    assert found.numbers["kind=rare"] == 0
    assert found.numbers["expected"] == pytest.approx(20, abs=8)
    assert (found.model, found.cure) == ("cvae", {"given": ("kind",)})


def test_chance_alone_is_called_lost_in_no_draw():
    """Weak dependence, many categories and few rows, drawn 40 times: no pair is lost, and little of the whole."""
    for seed in range(40):
        random = np.random.default_rng(seed)

        def draw(random=random):
            a = random.normal(size=300)
            b = 0.5 * a + random.normal(size=300)
            few, many = random.integers(0, 4, 300) + (a > 0), random.integers(0, 40, 300)
            return [a, b, few.astype(float), many.astype(float)]

        names = [(), (), tuple("abcde"), tuple(map(str, range(40)))]
        real, made = draw(), draw()
        found = pairs([ColumnPair(str(at), real[at], made[at], names[at]) for at in range(4)])
        assert not [pair for pair in found if pair.is_lost(4.0)]
        assert not [pair for pair in found if pair.by_chance < 1e-4 and "3" in pair.names]
        share, error = share_kept([pair for pair in found if pair.by_chance < 1e-4])
        assert share + 3 * error > 0.5


def test_samples_with_real_shapes_have_them_and_keep_their_order():
    random = np.random.default_rng(0)
    real, made = random.lognormal(size=500), random.normal(size=300)
    made[:20] = np.nan
    shaped = with_real_shapes(ColumnPair("a", real, made))
    assert np.isnan(shaped).tolist() == np.isnan(made).tolist()
    assert ColumnPair("a", real, shaped[20:]).distance < 0.01
    assert (np.argsort(shaped[20:]) == np.argsort(made[20:])).all()
    codes = ColumnPair("c", np.repeat([0.0, 1.0, 2.0], [50, 30, 20]), np.repeat([0.0, 1.0], [80, 20]), ("x", "y", "z"))
    moved = with_real_shapes(codes)
    assert np.bincount(moved.astype(int)).tolist() == [50, 30, 20]
    assert (moved != codes.sampled).sum() == 30, "no more than must be"
