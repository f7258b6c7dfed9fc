"""How alike two sets of points are: by nearest neighbours, by Gaussians, by a kernel. Numbers only."""

from __future__ import annotations

import numpy as np
import torch
from scipy import linalg
from torch import Tensor

from sfumato.evaluation.metrics.jackknife import jackknife

NEAREST = 5
"""k: a point's neighbourhood reaches to its k-th nearest neighbour."""
DISTANCE_ROWS = 500
SPARE = 25
"""Neighbours kept beyond the k-th, to take its place when a tenth of the points is left out."""

Scores = tuple[np.ndarray, list[float | None]]
"""Numbers and their standard errors."""


def neighbourhoods(
    real: np.ndarray, sampled: np.ndarray, *, k: int = NEAREST, seed: int = 0, error: bool = True
) -> Scores:
    """Precision, recall, density and coverage of `sampled` (M, F) against `real` (N, F), and their standard errors.

    With B(x) the ball around x that reaches to its k-th nearest neighbour in its own set:

        precision = 1/M Σ_j 1[made_j in some B(real_i)]          recall = 1/N Σ_i 1[real_i in some B(made_j)]
        density = 1/(kM) Σ_j Σ_i 1[made_j in B(real_i)]          coverage = 1/N Σ_i 1[some made_j in B(real_i)]

    Precision and recall are Kynkäänniemi et al. 2019 (improved precision and recall, eq. 1); density and coverage are
    Naeem et al. 2020 (reliable fidelity and diversity metrics, eq. 3 and 5), who take k = 5. A ball includes its edge,
    so that rows that repeat count as found. The standard errors are on the safe side: of shares close to 0 or 1 up to
    twice what fresh draws show.

    >>> x = np.random.default_rng(0).normal(size=(200, 3))
    >>> precision, recall, density, coverage = neighbourhoods(x, x)[0]
    >>> precision, recall, coverage
    (np.float64(1.0), np.float64(1.0), np.float64(1.0))
    """
    real, sampled = _numbers(real), _numbers(sampled)
    a, b = torch.from_numpy(real), torch.from_numpy(sampled)
    across = _distances(a, b)
    near_a, near_b = _nearest(a, k), _nearest(b, k)
    every = np.arange(len(real)), np.arange(len(sampled))

    def around_real(rows: np.ndarray) -> np.ndarray:
        return np.asarray((across <= _radii(near_a, rows, k)[:, None]).numpy())

    def around_made(columns: np.ndarray) -> np.ndarray:
        return np.asarray((across <= _radii(near_b, columns, k)).numpy())

    whole = around_real(every[0]), around_made(every[1])

    def scores(rows: np.ndarray, columns: np.ndarray) -> list[float]:
        inside = whole[0] if len(rows) == len(real) else around_real(rows)
        reached = whole[1] if len(columns) == len(sampled) else around_made(columns)
        inside = inside if len(columns) == len(sampled) else inside[:, columns]
        reached = reached if len(rows) == len(real) else reached[rows]
        density = np.count_nonzero(inside) / (max(min(k, len(rows) - 1), 1) * len(columns))
        covered = inside.any(1).sum() / len(rows)
        return [float(inside.any(0).mean()), float(reached.any(1).mean()), float(density), float(covered)]

    values = np.array(scores(*every))
    return values, jackknife(scores, (len(real), len(sampled)), seed) if error else [None] * 4


def closest(a: np.ndarray, b: np.ndarray, at_a_time: int = 1000) -> np.ndarray:
    """The distance of each row of a (N, F) to the closest row of b (M, F), shape (N,).

    >>> closest(np.array([[0.0, 0.0], [3.0, 4.0]]), np.array([[0.0, 0.0]]))
    array([0., 5.])
    """
    a, b = _numbers(a), _numbers(b)
    centre = np.median(b, 0)
    rows, others = (torch.from_numpy(x - centre).float() for x in (a, b))
    candidates = min(3, len(b))
    near = torch.cat(
        [torch.cdist(part, others).topk(candidates, largest=False).indices for part in rows.split(at_a_time)]
    )
    # Single precision finds who is near, double says how near: a copy is at 0.
    gaps = ((a[:, None] - b[near.numpy()]) ** 2).sum(2)
    return np.asarray(np.sqrt(gaps.min(1)))


def _distances(a: Tensor, b: Tensor) -> Tensor:
    """|a_i − b_j|, exactly 0 for equal rows: what rounding leaves of them is not told from 0.

    Rounding goes with the lengths of the two rows, and a few far out must not make those of all others long.
    """
    centre = a.median(0).values
    a, b = a - centre, b - centre
    distances = torch.cdist(a, b)
    longest = 1e-6 * b.norm(dim=1)
    for part, own in zip(distances.split(DISTANCE_ROWS), a.norm(dim=1).split(DISTANCE_ROWS), strict=True):
        part.masked_fill_(part < longest + 1e-6 * own[:, None], 0.0)
    return distances


def _numbers(x: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(x, np.float64)


def _nearest(points: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The distances of each point to its nearest neighbours in order, and who they are."""
    distances = _distances(points, points).fill_diagonal_(torch.inf)
    nearest = distances.topk(min(k + SPARE, len(points) - 1), largest=False)
    return nearest.values, nearest.indices


def _radii(near: tuple[Tensor, Tensor], kept: np.ndarray, k: int) -> Tensor:
    """The distance of each point to its k-th nearest neighbour among the kept; −1 for a point that is not kept.

    A point that is alone has none, and its ball is itself.
    """
    distance, who = near
    if not distance.shape[1]:
        return torch.zeros(len(distance))
    if len(kept) == len(distance):
        return distance[:, min(k, distance.shape[1]) - 1]
    here = torch.zeros(len(distance), dtype=torch.bool)
    here[kept] = True
    place = (here[who].cumsum(1) < k).sum(1).clamp(max=distance.shape[1] - 1)
    return distance.gather(1, place[:, None]).squeeze(1).where(here, -1.0)


def frechet(real: np.ndarray, sampled: np.ndarray) -> float:
    """The Fréchet distance of Gaussians fitted to two sets of features (N, F) and (M, F).

        d² = |μ_r − μ_m|² + tr(Σ_r + Σ_m − 2 (Σ_r Σ_m)^½)

    Dowson and Landau 1982; as a measure of samples Heusel et al. 2017 (two time-scale update rule, eq. 6).

    NaN where a set has a single row, which has no spread.

    >>> x = np.random.default_rng(0).normal(size=(100, 3))
    >>> round(frechet(x, x + 2.0), 6)
    12.0
    """
    real, sampled = _numbers(real), _numbers(sampled)
    return _frechet(*_moments(real, np.arange(len(real))), *_moments(sampled, np.arange(len(sampled))))


def frechet_error(real: np.ndarray, sampled: np.ndarray, seed: int = 0) -> float | None:
    """The standard error of `frechet`; None where it cannot be told."""

    def distance_of(rows: np.ndarray, columns: np.ndarray) -> list[float]:
        return [_frechet(*_moments(real, rows), *_moments(sampled, columns))]

    return jackknife(distance_of, (len(real), len(sampled)), seed)[0]


def _moments(x: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    part = x if len(rows) == len(x) else x[rows]
    if len(part) < 2:
        return part.mean(0), np.full((x.shape[1], x.shape[1]), np.nan)
    return part.mean(0), np.atleast_2d(np.cov(part, rowvar=False))


def _frechet(mean_a: np.ndarray, first: np.ndarray, mean_b: np.ndarray, second: np.ndarray) -> float:
    if np.isnan(first).any() or np.isnan(second).any():
        return float("nan")
    # tr (AB)^½ = tr (A^½ B A^½)^½, which is symmetric, so that no eigenvalue strays from the line.
    values, axes = linalg.eigh(first)
    root = axes * np.sqrt(np.clip(values, 0, None))
    shared = np.sqrt(np.clip(linalg.eigvalsh(root.T @ second @ root), 0, None)).sum()
    gap = mean_a - mean_b
    return max(float(gap @ gap + np.trace(first) + np.trace(second) - 2 * shared), 0.0)


def kernel_distance(real: np.ndarray, sampled: np.ndarray, *, seed: int = 0, error: bool = True) -> Scores:
    """MMD² of two sets of features (N, F) and (M, F) with a cubic kernel, unbiased, and its standard error.

        k(u, v) = (u·v/F + 1)³
        KID = Σ_{i≠j} k(r_i, r_j)/N(N−1) + Σ_{i≠j} k(m_i, m_j)/M(M−1) − 2 Σ_ij k(r_i, m_j)/NM

    Bińkowski et al. 2018 (demystifying MMD GANs, section 4). Of equal distributions it is 0 on average, so it may be
    negative. The sums are kept by blocks of rows, and the error is that of leaving out one block at a time. NaN where
    a set has a single row.
    """
    if min(len(real), len(sampled)) < 2:
        return np.array([np.nan]), [None]
    sets = (_numbers(real), _numbers(sampled))
    cuts = [np.array_split(np.random.default_rng(seed).permutation(len(x)), min(10, len(x))) for x in sets]
    blocks = [[torch.from_numpy(x[rows]) for rows in cut] for x, cut in zip(sets, cuts, strict=True)]

    def sums(first: int, second: int) -> np.ndarray:
        totals = np.empty((len(blocks[first]), len(blocks[second])))
        for i, u in enumerate(blocks[first]):
            for j, v in enumerate(blocks[second]):
                kernel = (u @ v.T / real.shape[1] + 1) ** 3
                same = first == second and i == j
                totals[i, j] = float(kernel.sum() - (kernel.diagonal().sum() if same else 0.0))
        return totals

    among_real, among_made, across = sums(0, 0), sums(1, 1), sums(0, 1)
    sizes = [np.array([len(rows) for rows in cut]) for cut in cuts]

    def distance(rows: np.ndarray, columns: np.ndarray) -> list[float]:
        n, m = sizes[0][rows].sum(), sizes[1][columns].sum()
        total = among_real[np.ix_(rows, rows)].sum() / (n * (n - 1)) + among_made[np.ix_(columns, columns)].sum() / (
            m * (m - 1)
        )
        return [total - 2 * across[np.ix_(rows, columns)].sum() / (n * m)]

    count = [len(cut) for cut in cuts]
    value = np.array(distance(*(np.arange(blocks_) for blocks_ in count)))
    return value, jackknife(distance, count, seed) if error else [None]
