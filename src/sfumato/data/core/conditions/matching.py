"""Training rows that go with named conditions, from which the conditions that are not named are drawn."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

DISTANCES_AT_A_TIME = 1 << 22
"""Distances held at a time, at most."""
EXPONENT = 2 / 3
"""m rows that agree in the categories give m^(2/3) neighbours: ever more of them, from an ever smaller share of the
rows, so that what is drawn has the right conditional distribution in the limit (Stone 1977)."""


def matching(rows: Tensor, wanted: Tensor, ordered: Sequence[bool], seed: int) -> Tensor:
    """For each wanted row the index of a random row of `rows` that goes with it, shape (n,).

    The candidates are the rows that agree with the wanted one in the most categories, and among these m rows the
    k = ⌈m^(2/3)⌉ nearest ones in the ordered columns, with all that are as near as the k-th. One at the distance d is
    drawn in proportion to 1 − d/h, where h is the distance of the first that is no candidate. Distances are Euclidean
    between ranks from 0 to 1, so that neither units nor long tails matter; the rank of a value between two is in
    proportion.

    Args:
        rows: (M, K) encoded conditions, NaN where missing.
        wanted: (n, K); NaN matches anything.
        ordered: which of the K columns are numbers or points in time; the others are categories.
        seed: of the draw.
    """
    generator = torch.Generator().manual_seed(seed)
    if not wanted.shape[1]:
        return torch.randint(len(rows), (len(wanted),), generator=generator)
    kinds, which = torch.unique(wanted.nan_to_num(torch.inf), dim=0, return_inverse=True)
    order = torch.argsort(which, stable=True)
    ends = torch.bincount(which, minlength=len(kinds)).cumsum(0).tolist()
    index = torch.empty(len(wanted), dtype=torch.long)
    uniform = torch.rand(len(wanted), generator=generator, dtype=torch.float64)
    is_ordered = torch.tensor(ordered, dtype=torch.bool)
    ranks, places = _ranks(rows[:, is_ordered], kinds[:, is_ordered])
    start = 0
    for part in torch.arange(len(kinds)).split(max(DISTANCES_AT_A_TIME // max(rows.numel(), 1), 1)):
        differs = _disagreements(rows[:, ~is_ordered], kinds[part][:, ~is_ordered])
        shares = _weights(differs, _distances(ranks, places[part])).cumsum(1)
        for number, share in zip(part.tolist(), shares, strict=True):
            mine = order[start : ends[number]]
            start = ends[number]
            index[mine] = torch.searchsorted(share, uniform[mine] * share[-1], right=True).clamp(max=len(rows) - 1)
    return index


def _disagreements(rows: Tensor, wanted: Tensor) -> Tensor:
    """In how many categories each row differs from each wanted one, (U, M)."""
    return ((rows != wanted[:, None]) & wanted.isfinite()[:, None]).sum(2)


def _distances(ranks: Tensor, places: Tensor) -> Tensor:
    """Between ranks, (U, M); infinite where a requested rank is missing."""
    gaps = (ranks - places[:, None]).square().nan_to_num(torch.inf)
    return torch.where(places.isnan()[:, None], 0.0, gaps).sum(2).sqrt()


def _ranks(rows: Tensor, wanted: Tensor) -> tuple[Tensor, Tensor]:
    """Mean ranks of each column, from 0 to 1, and those of wanted values among them; NaN where missing."""
    ranks, places = torch.full(rows.shape, torch.nan, dtype=torch.float64), torch.zeros(wanted.shape).double()
    for column in range(rows.shape[1]):
        present = ~rows[:, column].isnan()
        values, back, counts = np.unique(rows[present, column].numpy(), return_inverse=True, return_counts=True)
        targets = wanted[:, column].numpy()
        if len(values):
            middle = (np.cumsum(counts) - counts / 2) / counts.sum()
            ranks[present, column] = torch.from_numpy(middle[back])
            places[:, column] = torch.from_numpy(np.interp(np.nan_to_num(targets, posinf=0.0), values, middle))
        places[np.isinf(targets), column] = torch.nan
    return ranks, places


def _weights(differs: Tensor, distance: Tensor) -> Tensor:
    """How likely each row is to be drawn for each wanted one, but for a factor, (U, M)."""
    agrees = differs == differs.min(1, keepdim=True).values
    # Where no row that agrees has the requested number, all that agree are equally near.
    known = agrees & distance.isfinite()
    distance = torch.where(known.any(1, keepdim=True), distance, 0.0).masked_fill(~agrees, torch.inf)
    total = distance.isfinite().sum(1)
    k = total.double().pow(EXPONENT).ceil().long()
    last = distance.topk(int(k.max()), largest=False).values.gather(1, k[:, None] - 1)
    following = distance.where(distance > last, torch.inf).amin(1, keepdim=True)
    width = torch.where(following.isfinite(), following, 2 * last).clamp_min(1e-12)
    return torch.where(distance <= last, 1 - distance / width, 0.0)
