"""Distances between sets of points, at sets whose distances are known, and against published code."""

from __future__ import annotations

import contextlib
import io
import math

import numpy as np
import pytest
from prdc import compute_prdc
from scipy import linalg

from sfumato.evaluation.metrics.jackknife import jackknife
from sfumato.evaluation.metrics.set_distances import closest, frechet, frechet_error, kernel_distance, neighbourhoods


def lumps(count: int, modes: int, seed: int, spread: float = 0.05) -> np.ndarray:
    """Points in lumps on a circle of 8 places, of which the first `modes` are taken."""
    random = np.random.default_rng(seed)
    angle = 2 * math.pi * random.integers(0, modes, count) / 8
    return np.stack([np.cos(angle), np.sin(angle)], 1) + random.normal(size=(count, 2)) * spread


def test_the_same_points_are_all_found_also_where_rows_repeat():
    for points in (lumps(300, 8, 0), np.repeat(np.eye(3), 40, 0)):
        values, _ = neighbourhoods(points, points.copy())
        assert values[[0, 1, 3]].tolist() == [1.0, 1.0, 1.0]
        assert values[2] >= 1.0


def test_a_point_alone_is_near_to_itself_only():
    one = np.array([[1.0, 2.0]])
    assert neighbourhoods(one, one, error=False)[0].tolist() == [1.0, 1.0, 1.0, 1.0]
    assert neighbourhoods(one, one + 1, error=False)[0].tolist() == [0.0, 0.0, 0.0, 0.0]


def test_half_the_modes_dropped_halves_recall_and_coverage_and_leaves_precision():
    values, errors = neighbourhoods(lumps(1000, 8, 0), lumps(1000, 4, 1))
    precision, recall, density, coverage = values
    assert precision > 0.97
    assert recall == pytest.approx(0.5, abs=0.05)
    assert coverage == pytest.approx(0.5, abs=0.05)
    assert density == pytest.approx(1.0, abs=0.1), "what is made lies as thick among the real ones as they do"
    assert all(error is not None and 0 < error < 0.06 for error in errors)


@pytest.mark.parametrize("share", [0.2, 0.5])
def test_outliers_among_the_samples_cost_precision_their_share_and_no_recall(share):
    made = lumps(1000, 8, 1)
    stray = np.random.default_rng(2).random(1000) < share
    made[stray] += 10.0
    precision, recall, _, coverage = neighbourhoods(lumps(1000, 8, 0), made)[0]
    assert precision == pytest.approx(1 - stray.mean(), abs=0.03)
    assert recall > 0.95
    assert coverage > 0.85


def test_an_outlier_among_the_real_points_lifts_precision_but_hardly_density():
    real, made = lumps(500, 8, 0), np.random.default_rng(1).uniform(-3, 3, (500, 2))
    before, _ = neighbourhoods(real, made, error=False)
    after, _ = neighbourhoods(np.concatenate([real, [[30.0, 30.0]]]), made, error=False)
    assert after[0] > 1.5 * before[0]
    assert after[2] - before[2] <= 1 / 5, "one ball more around a sample, of k = 5"


@pytest.mark.parametrize("width", [2, 40])
def test_neighbourhoods_agree_with_the_published_code(width):
    random = np.random.default_rng(width)
    real, made = random.normal(size=(300, width)), random.normal(size=(250, width)) * 1.2 + 0.1
    with contextlib.redirect_stdout(io.StringIO()):
        theirs = compute_prdc(real, made, nearest_k=5)
    ours, _ = neighbourhoods(real, made, k=5)
    assert ours == pytest.approx([theirs[name] for name in ("precision", "recall", "density", "coverage")])


def test_errors_are_those_that_fresh_draws_show_or_somewhat_more():
    random = np.random.default_rng(0)
    drawn = [(random.normal(size=(200, 10)), random.normal(size=(200, 10)) * 1.2 + 0.3) for _ in range(40)]
    found = [neighbourhoods(*pair, seed=seed) for seed, pair in enumerate(drawn)]
    seen = np.std([values for values, _ in found], axis=0)
    said = np.sqrt(np.mean(np.square([errors for _, errors in found]), axis=0))
    assert np.all((said > 0.7 * seen) & (said < 2.5 * seen)), (seen, said)


def test_the_error_of_a_mean_is_the_usual_one():
    x = np.random.default_rng(0).normal(size=400)
    found = [jackknife(lambda kept: [x[kept].mean()], (400,), seed)[0] for seed in range(50)]
    assert np.mean(found) == pytest.approx(x.std() / 20, rel=0.1)


def test_the_error_of_a_difference_adds_both_samples_and_one_row_has_none():
    x, y = np.random.default_rng(0).normal(size=(2, 4000))
    both = [jackknife(lambda a, b: [x[a].mean() - y[b].mean()], (4000, 4000), seed)[0] for seed in range(40)]
    assert np.mean(both) == pytest.approx(math.sqrt(2 / 4000), rel=0.1)
    assert jackknife(lambda kept: [np.nan], (5,)) == [None]


def test_frechet_distance_of_known_gaussians_and_of_one_feature():
    random = np.random.default_rng(0)
    root = random.normal(size=(3, 3))
    base = random.normal(size=(100_000, 3))
    cov = root @ root.T
    exact = 1.0 + np.trace(np.eye(3) + cov - 2 * linalg.sqrtm(cov).real)
    assert frechet(base, base @ root.T + [1.0, 0.0, 0.0]) == pytest.approx(exact, rel=0.02)
    assert frechet(base, base) == pytest.approx(0.0, abs=1e-9)
    assert frechet(base[:, :1], 2 * base[:, :1]) == pytest.approx(1.0, rel=0.02)


def test_frechet_distance_where_features_do_not_vary_is_finite():
    flat = np.zeros((50, 4))
    flat[:, 0] = np.arange(50)
    assert frechet(flat, flat + 1.0) == pytest.approx(4.0)
    assert frechet_error(flat, flat + 1.0) is not None


def test_the_kernel_distance_of_equal_distributions_is_zero_on_average_within_its_error():
    found = []
    for seed in range(25):
        a, b = np.random.default_rng(seed).normal(size=(2, 100, 4))
        values, errors = kernel_distance(a, b, seed=seed)
        found.append((values[0], errors[0]))
    values, errors = np.array(found).T
    assert abs(values.mean()) < 3 * values.std() / math.sqrt(len(values))
    assert (values < 0).any()
    assert 0.5 * values.std() < np.sqrt((errors**2).mean()) < 2 * values.std()


def test_the_kernel_distance_is_the_u_statistic_written_out():
    a, b = np.random.default_rng(0).normal(size=(2, 23, 3))
    b = b[:17] + 1.0

    def kernel(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return (x @ y.T / 3 + 1) ** 3

    apart = [(kernel(x, x).sum() - np.trace(kernel(x, x))) / (len(x) * (len(x) - 1)) for x in (a, b)]
    assert kernel_distance(a, b)[0][0] == pytest.approx(sum(apart) - 2 * kernel(a, b).mean())


def test_a_copy_is_at_no_distance_at_all():
    random = np.random.default_rng(0)
    x = random.normal(size=(500, 30)) * 100 + 1e4
    near = closest(np.concatenate([x[:20], x[:20] + 0.5]), x)
    assert (near[:20] == 0).all()
    assert near[20:] == pytest.approx(0.5 * math.sqrt(30))


@pytest.mark.parametrize("far", [1e6, 1e8])
def test_a_row_far_out_changes_nothing_for_all_others(far: float):
    random = np.random.default_rng(3)
    real, made = random.normal(size=(300, 4)), random.normal(size=(250, 4))
    for one in (real, made):
        one[0] = far
        ours = neighbourhoods(real, made, error=False)[0]
        with contextlib.redirect_stdout(io.StringIO()):
            theirs = compute_prdc(real, made, nearest_k=5)
        assert ours.tolist() == pytest.approx([theirs[name] for name in ("precision", "recall", "density", "coverage")])
        one[0] = 0.0
    real[0] = far
    exact = np.sqrt(((made[:, None] - real) ** 2).sum(2)).min(1)
    np.testing.assert_allclose(closest(made, real), exact)


def test_arrays_of_any_sort_are_taken_and_single_rows_have_no_spread():
    whole = np.random.default_rng(0).integers(0, 9, size=(60, 3))
    turned = whole[::-1]
    assert neighbourhoods(whole, turned, error=False)[0][:2].tolist() == [1.0, 1.0]
    assert closest(whole, turned).tolist() == [0.0] * 60
    assert frechet(whole, turned) == pytest.approx(0.0, abs=1e-9)
    assert kernel_distance(whole.astype(np.float32), turned, error=False)[0].shape == (1,)
    assert math.isnan(frechet(whole, whole[:1]))
    assert np.isnan(kernel_distance(whole, whole[:1])[0]).all()
    assert frechet_error(whole[:2], whole) is None
