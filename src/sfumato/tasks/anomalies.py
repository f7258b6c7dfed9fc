"""What anomalies are told by: distances to neighbours, and the entries of an example that cost the most nats."""

from __future__ import annotations

import numpy as np
import torch
from sklearn.neighbors import NearestNeighbors
from torch import Tensor

from sfumato.batch import Batch
from sfumato.models.protocols import Encodes
from sfumato.spec import DataSpec, Field

SPARE_NEIGHBOURS = 5
"""Candidates for neighbours beyond those asked for, as fast distances are not exact."""
DIFFERENCES_AT_A_TIME = 1 << 22
LEAST_SPREAD, RIDGE = 0.05, 1e-6
"""Standard deviation of a latent below which it carries nothing, and what is added to variances."""


def neighbour_distances(
    rows: np.ndarray, among: np.ndarray, k: int, *, own: np.ndarray | None = None, apart: int = 1
) -> np.ndarray:
    """The Euclidean distance of each row to its k-th nearest row of others, shape (N,); NaN where there is none.

    Distances are computed from differences, so that the result for a row does not depend on those it comes with.

    Args:
        rows: (N, D).
        among: (M, D).
        k: which neighbour, counted from 1; the last one if there are fewer.
        own: which of `among` each row itself is, (N,); None where it is none of them.
        apart: those of `among` less than this far from `own`, in order, are no neighbours: 1 leaves out the row itself,
            the length of a window all that overlap it.

    >>> x = np.array([[0.0], [1.0], [3.0]])
    >>> neighbour_distances(x, x, 1, own=np.arange(3))
    array([1., 1., 2.])
    >>> neighbour_distances(x, x, 1, own=np.arange(3), apart=2)
    array([ 3., nan,  3.])
    """
    left_out = 0 if own is None else 2 * apart - 1
    candidates = min(k + left_out + SPARE_NEIGHBOURS, len(among))
    nearest = NearestNeighbors(n_neighbors=candidates).fit(among).kneighbors(rows, return_distance=False)
    allowed = np.ones(nearest.shape, bool)
    if own is not None:
        allowed = np.abs(nearest - own[:, None]) >= apart
        # Those that are no neighbours go last, all else stays in order.
        order = np.argsort(~allowed, axis=1, kind="stable")[:, : k + SPARE_NEIGHBOURS]
        nearest, allowed = np.take_along_axis(nearest, order, 1), np.take_along_axis(allowed, order, 1)
    kth = np.empty(len(rows))
    size = max(DIFFERENCES_AT_A_TIME // (nearest.shape[1] * rows.shape[1]), 1)
    for start in range(0, len(rows), size):
        part = slice(start, start + size)
        distances = np.sqrt(np.square(rows[part, None] - among[nearest[part]]).sum(2))
        distances[~allowed[part]] = np.nan
        distances.sort(1)  # NaN last
        last = np.minimum(k, allowed[part].sum(1)) - 1
        kth[part] = np.where(last < 0, np.nan, distances[np.arange(len(distances)), last])
    return kth


def code_distances(codes: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Mahalanobis distance of each code to the mean of known ones, squared, shape (N,).

    Latents that carry nothing, whose known codes hardly differ, do not count.

    Args:
        codes: (N, L).
        known: (M, L).

    >>> code_distances(np.array([[2.0]]), np.array([[-1.0], [0.0], [1.0]])).round(2)
    array([4.])
    """
    active = known.std(0) > LEAST_SPREAD
    if not active.any():
        return np.zeros(len(codes))
    covariance = np.atleast_2d(np.cov(known[:, active], rowvar=False)) + RIDGE * np.eye(int(active.sum()))
    gaps = codes[:, active] - known[:, active].mean(0)
    return np.asarray(np.einsum("nl,lm,nm->n", gaps, np.linalg.inv(covariance), gaps))


def example_features(x: Tensor, spec: DataSpec) -> np.ndarray:
    """Encoded examples on scales that distances can be measured on, (N, F), as `Distribution.features` has them.

    Numbers standardised, levels from 0 to 1, a category as a column of 0 and 1 for each value, a cell by the normal
    score of its place; 0 where missing.

    >>> from sfumato.spec import Field
    >>> example_features(torch.tensor([[1.5, 1.0]]), DataSpec((2,), (Field("real"), Field("category", 2))))
    array([[1.5, 0. , 1. ]])
    """
    flat = x.detach().cpu().flatten(1).double()
    fields = spec.fields
    if len(fields) == 1 or spec.is_sequence:
        return _features(flat, fields[0]).numpy()
    columns = [_features(flat[:, place : place + 1], field) for place, field in enumerate(fields)]
    return torch.cat(columns, 1).numpy()


def _features(values: Tensor, field: Field) -> Tensor:
    """Those of entries of one kind, (N, D)."""
    if field.kind == "category":
        return _one_hot(values, field.size).flatten(1)
    if field.kind == "cells":
        share = (values / field.size).clamp(0.5 / field.size, 1 - 0.5 / field.size)
        return torch.special.ndtri(share).nan_to_num(0.0)
    return values.nan_to_num(0.0) / (max(field.size - 1, 1) if field.kind == "level" else 1)


def _one_hot(values: Tensor, size: int) -> Tensor:
    """(N, D) numbers of categories as (N, D, size) of 0 and 1; all 0 where missing."""
    return (values[..., None] == torch.arange(size)).double()


def entry_costs(model: Encodes, batch: Batch) -> Tensor:
    """Nats that each entry of an example loses against what the decoder expects there, shape of x.

        cost_d = log p(x̂_d | z) − log p(x_d | z),    z the code of x, x̂ the mode of p(x | z)

    Of images the costs of a pixel's channels are together. Missing entries cost nothing.

    Args:
        model: of any data but symbols; columns that see each other are taken given the code alone.
        batch: a few examples; each entry takes one pass over all of them.
    """
    decoded = model.decode(model.encode(batch).mode(), batch.given).independent()
    expected = decoded.mode()
    costs = torch.zeros_like(expected)
    mask = torch.zeros_like(batch.x, dtype=torch.bool)
    image = batch.x.dim() == 4
    places = mask[0, :1].numel() if image else mask[0].numel()
    for place in range(places):
        mask.zero_()
        entry = mask.flatten(2)[:, :, place] if image else mask.flatten(1)[:, place]
        entry.fill_(True)
        there = mask if batch.mask is None else mask & batch.mask
        cost = decoded.log_prob(expected, there) - decoded.log_prob(batch.x, there)
        target = costs.flatten(2)[:, :1, place] if image else costs.flatten(1)[:, place : place + 1]
        target += cost[:, None]
    return costs
