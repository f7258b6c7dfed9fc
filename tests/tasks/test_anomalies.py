"""p-values, false discoveries, neighbours, costs of entries and windows against known truths."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats
from torch import nn

from sfumato.batch import Batch
from sfumato.distributions import Normal
from sfumato.models import build
from sfumato.spec import DataSpec, Field
from sfumato.tasks import (
    apart_from_each_other,
    bulk_p_values,
    code_distances,
    conformal_p_values,
    entry_costs,
    example_features,
    false_discovery_rates,
    neighbour_distances,
    scores_by_step,
    season_length,
    surprise,
    window_length,
    window_starts,
)

NOISE = np.random.default_rng(0)


def test_conformal_p_values_of_normal_rows_are_uniform() -> None:
    """Over reference and row together, whatever the scores are distributed as, P(p ≤ k / (n + 1)) = k / (n + 1)."""
    scores = NOISE.standard_cauchy((4000, 20))
    p = np.array([conformal_p_values(row[:1], row[1:])[0] for row in scores])
    shares = np.bincount(np.round(20 * p).astype(int), minlength=21)[1:] / len(p)
    assert shares == pytest.approx(np.full(20, 0.05), abs=4 * np.sqrt(0.05 * 0.95 / len(p)))


def test_the_share_of_false_discoveries_is_the_stated_one() -> None:
    """80% normal: Benjamini and Hochberg with conformal p-values have a rate of at most 0.8 · 10%, and near to it."""
    shares = []
    for _ in range(400):
        rows = np.concatenate([NOISE.normal(size=160), NOISE.normal(4, 1, size=40)])
        called = false_discovery_rates(conformal_p_values(rows, NOISE.normal(size=1000))) <= 0.1
        shares.append(called[:160].sum() / max(called.sum(), 1))
    assert np.mean(shares) == pytest.approx(0.08, abs=4 * np.std(shares) / 20 + 0.004)


def test_surprise_of_exponential_scores_is_the_score() -> None:
    reference = -np.log(1 - (np.arange(5000) + 0.5) / 5000)
    assert surprise(np.array([0.1, 1.0, 3.0, 12.0]), reference) == pytest.approx([0.1, 1.0, 3.0, 12.0], rel=0.02)
    rising = surprise(np.linspace(-1, 20, 500), NOISE.normal(size=300))
    assert (np.diff(rising) >= 0).all()
    assert np.isfinite(surprise(np.array([0.0, 1.0]), np.zeros(30))).all()


def test_p_values_of_the_bulk_are_those_of_its_tail() -> None:
    shape = 0.5
    reference = (np.power(1 - (np.arange(10_000) + 0.5) / 10_000, -shape) - 1) / shape
    far = np.array([3.0, 10.0, 100.0])
    assert bulk_p_values(far, reference) == pytest.approx(stats.genpareto(shape).sf(far), rel=0.05)


def test_a_few_anomalies_in_the_reference_hide_nothing() -> None:
    normal = NOISE.normal(size=1000)
    mixed = np.concatenate([normal, np.full(30, 40.0)])
    called = false_discovery_rates(bulk_p_values(mixed, mixed)) <= 0.05
    assert called[1000:].all()
    assert called[:1000].sum() <= 2
    assert not (false_discovery_rates(conformal_p_values(mixed, mixed)) <= 0.05).any()


def test_nothing_is_called_among_normal_rows() -> None:
    rejected = [(false_discovery_rates(bulk_p_values(x, x)) <= 0.05).any() for x in NOISE.exponential(size=(200, 500))]
    assert np.mean(rejected) <= 0.05


def test_neighbour_distances_are_those_of_all_pairs() -> None:
    x = NOISE.normal(size=(40, 3))
    table = np.sqrt(((x[:, None] - x[None]) ** 2).sum(2))
    np.fill_diagonal(table, np.inf)
    assert neighbour_distances(x, x, 4, own=np.arange(40)) == pytest.approx(np.sort(table, 1)[:, 3])
    near = np.abs(np.subtract.outer(np.arange(40), np.arange(40))) < 5
    table[near] = np.inf
    assert neighbour_distances(x, x, 2, own=np.arange(40), apart=5) == pytest.approx(np.sort(table, 1)[:, 1])
    alone = [neighbour_distances(x[row : row + 1], x, 4, own=np.array([row]))[0] for row in range(40)]
    assert np.array_equal(alone, neighbour_distances(x, x, 4, own=np.arange(40)))


def test_code_distances_are_those_of_whitened_codes() -> None:
    known = NOISE.normal(size=(500, 2)) @ np.array([[2.0, 1.0], [0.0, 0.5]])
    whitened = (known - known.mean(0)) @ np.linalg.cholesky(np.linalg.inv(np.cov(known.T)))
    idle = np.full((500, 1), 0.001)
    assert code_distances(np.hstack([known, idle]), np.hstack([known, idle])) == pytest.approx(
        (whitened**2).sum(1), rel=1e-3
    )


def test_features_of_every_kind_of_entry() -> None:
    alone = example_features(torch.tensor([[2.0], [3.0]]), DataSpec((1,), (Field("cells", 4),)))
    assert alone[:, 0] == pytest.approx([0.0, 0.6745], abs=1e-4)
    fields = (Field("real"), Field("cells", 4), Field("category", 3), Field("level", 11))
    features = example_features(torch.tensor([[0.5, 2.0, 1.0, 5.0], [torch.nan] * 4]), DataSpec((4,), fields))
    assert features[0] == pytest.approx([0.5, 0.0, 0.0, 1.0, 0.0, 0.5])
    assert not features[1].any()


class Constant(nn.Module):
    """Encodes to nothing, and decodes to N(0, 2²) in every entry."""

    code_size = 1

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.shape = shape

    def encode(self, batch: Batch) -> Normal:
        return Normal(torch.zeros(len(batch), 1), torch.zeros(()))

    def decode(self, z: torch.Tensor, given: torch.Tensor | None = None) -> Normal:
        return Normal(torch.zeros(len(z), *self.shape), torch.log(torch.tensor(2.0)))


def test_costs_of_entries_are_half_their_squares() -> None:
    x = torch.tensor([[0.0, 2.0, -4.0]])
    mask = torch.tensor([[True, True, False]])
    assert entry_costs(Constant((3,)), Batch(x))[0].tolist() == pytest.approx([0.0, 0.5, 2.0])
    assert entry_costs(Constant((3,)), Batch(x, mask=mask))[0].tolist() == pytest.approx([0.0, 0.5, 0.0])
    image = torch.zeros(1, 2, 2, 2)
    image[0, :, 1, 0] = 2.0
    costs = entry_costs(Constant((2, 2, 2)), Batch(image))
    assert costs[0, 0].tolist() == [[0.0, 0.0], [pytest.approx(1.0), 0.0]]


def test_costs_of_columns_that_see_each_other_are_those_given_the_code_alone() -> None:
    torch.manual_seed(0)
    fields = (Field("cells", 4), Field("category", 3), Field("real"))
    model = build("vae", DataSpec((3,), fields, likelihood="autoregressive"), latent_dim=2, width=8).eval()
    with torch.no_grad():
        for parameter in model.decoder.head.parameters():
            parameter.normal_(std=0.3)
        batch = Batch(torch.tensor([[1.5, 2.0, 0.3], [3.2, 0.0, -1.0]]))
        alone = model.decode(model.encode(batch).mode()).independent()
        expected = alone.log_density(alone.mode()) - alone.log_density(batch.x)
        torch.testing.assert_close(entry_costs(model, batch), expected)


def test_windows_of_a_series() -> None:
    steps = np.arange(900)
    seasonal = (np.sin(2 * np.pi * steps / 30) + 0.01 * steps)[:, None]
    assert season_length(seasonal + NOISE.normal(0, 0.3, (900, 1))) == 30
    assert season_length(NOISE.normal(size=(900, 1))) is None
    assert window_length(NOISE.normal(size=(100, 1))) == 25
    starts = window_starts(25_000, 100)
    assert starts[0] == 0
    assert starts[-1] == 24_900
    assert len(starts) <= 10_000
    by_step = scores_by_step(np.arange(8.0), np.arange(8), 3, 10)
    assert by_step == pytest.approx([0, 0.5, 1, 2, 3, 4, 5, 6, 6.5, 7])
    assert apart_from_each_other(np.array([4, 5, 0]), np.arange(10), 3, 5) == [4, 0]
