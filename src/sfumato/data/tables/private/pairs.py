"""Noisy counts of pairs of columns, and rows of a tree that follows from them: where a private training begins.

Steps with noise learn little of how columns hang together from some ten thousand rows. Counts of two columns at a time
learn it at once (McKenna, Miklau and Sheldon 2021, Winning the NIST contest): a Gaussian mechanism counts every pair
in coarse parts of the two columns, the tree with the largest sum of mutual informations is kept (Chow and Liu 1968),
and rows are drawn along it. Whatever learns from these rows costs nothing more.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import combinations

import numpy as np
import torch
from scipy.special import ndtr, ndtri
from torch import Tensor

from sfumato.data.core.batching.batches import Resident
from sfumato.data.core.private.marginals import NoisyCounts, on_simplex
from sfumato.spec import Field

COARSE_PARTS = 12
"""Parts of a column in the counts of pairs, at most, besides that of missing cells."""
DRAW_SEED = 0
"""Of the rows that are drawn; nothing of the data is in it."""


class CoarseColumn:
    """The entries of a column in at most `COARSE_PARTS` parts, and entries drawn from a part.

    Args:
        field: the kind of the entries.
        shares: share of the training rows in each cell or category, as the schema has it; None of real numbers.
    """

    def __init__(self, field: Field, shares: np.ndarray | None) -> None:
        self.field = field
        self.shares = shares
        if shares is None:
            self.part_of, self.size = np.arange(0), COARSE_PARTS
        elif field.kind == "cells":
            # Neighbouring cells together, as even as can be.
            ends = np.cumsum(shares) - shares / 2
            self.part_of = np.unique(np.floor(ends / shares.sum() * COARSE_PARTS), return_inverse=True)[1]
            self.size = int(self.part_of.max()) + 1
        else:
            # The most frequent categories have a part each, all others share the last.
            rank = np.argsort(np.argsort(-shares, kind="stable"), kind="stable")
            self.part_of = np.minimum(rank, COARSE_PARTS - 1)
            self.size = int(self.part_of.max()) + 1

    def parts(self, entries: np.ndarray) -> np.ndarray:
        """The part of each entry, `size` where missing, (N,); without holes where the field has none."""
        missing = np.isnan(entries)
        assert self.field.missing or not missing.any(), "rows of a private training are filled"
        known = np.where(missing, 0.0, entries)
        if self.shares is None:
            part = np.clip(np.floor(ndtr(known) * COARSE_PARTS), 0, COARSE_PARTS - 1)
        else:
            part = self.part_of[np.clip(known, 0, len(self.part_of) - 1).astype(np.int64)]
        return np.where(missing, self.size, part).astype(np.int64)

    def entries(self, parts: np.ndarray, random: np.random.Generator) -> np.ndarray:
        """An entry of each part by the shares inside it, NaN of the part of missing cells, (N,)."""
        drawn = np.full(len(parts), np.nan)
        for part in range(self.size):
            at = np.flatnonzero(parts == part)
            if self.shares is None:
                drawn[at] = ndtri((part + random.uniform(0.0001, 0.9999, len(at))) / COARSE_PARTS)
                continue
            cells = np.flatnonzero(self.part_of == part)
            cell = random.choice(cells, len(at), p=self.shares[cells] / self.shares[cells].sum())
            inside = self._inside(cell, random) if self.field.kind == "cells" else 0.0
            drawn[at] = cell + inside
        return drawn

    def _inside(self, cell: np.ndarray, random: np.random.Generator) -> np.ndarray:
        """Positions in cells, the middle of those that are single values."""
        single = np.array([count == 1 for count in self.field.counts] or [False] * self.field.size)
        return np.where(single[cell], 0.5, random.uniform(0.0, 0.999, len(cell)))


def pair_count(columns: int) -> int:
    """How many histograms all pairs of so many columns are."""
    return columns * (columns - 1) // 2


def tree_rows(entries: Tensor, columns: Sequence[CoarseColumn], multiplier: float) -> Tensor:
    """As many rows as there are, drawn along a tree of noisy counts of pairs, (N, D) with NaN where missing.

    Args:
        entries: of the training rows.
        columns: how coarse each column is.
        multiplier: noise multiplier of the counts of all pairs together.
    """
    rows, width = entries.shape
    parts = np.stack([column.parts(values) for column, values in zip(columns, entries.double().numpy().T, strict=True)])
    sizes = [column.size + column.field.missing for column in columns]
    counts = NoisyCounts(multiplier * math.sqrt(max(pair_count(width), 1)), math.inf)
    tables = {}
    for first, second in combinations(range(width), 2):
        table = np.bincount(parts[first] * sizes[second] + parts[second], minlength=sizes[first] * sizes[second])
        noisy = on_simplex(counts(table.astype(float)), float(rows)).reshape(sizes[first], sizes[second])
        tables[first, second], tables[second, first] = noisy, noisy.T
    random = np.random.default_rng(DRAW_SEED)
    drawn = _drawn(tables, _tree(tables, width), rows, random)
    return torch.from_numpy(
        np.stack([column.entries(part, random) for column, part in zip(columns, drawn, strict=True)], 1)
    ).to(entries)


def _tree(tables: dict[tuple[int, int], np.ndarray], width: int) -> list[tuple[int, int]]:
    """(column, parent) in an order in which parents come first, of the tree with the most mutual information."""
    reached, edges = [0], []
    while len(reached) < width:
        left = [column for column in range(width) if column not in reached]
        parent, column = max(
            ((parent, column) for parent in reached for column in left), key=lambda pair: information(tables[pair])
        )
        reached.append(column)
        edges.append((column, parent))
    return edges


def information(table: np.ndarray) -> float:
    """Mutual information of two columns with these counts, in nats.

    >>> round(information(np.eye(2)), 3), information(np.ones((2, 2)))
    (0.693, 0.0)
    """
    joint = table / table.sum()
    alone = joint.sum(1, keepdims=True) * joint.sum(0, keepdims=True)
    there = joint > 0
    return float((joint[there] * np.log(joint[there] / alone[there])).sum())


def _drawn(
    tables: dict[tuple[int, int], np.ndarray], edges: list[tuple[int, int]], rows: int, random: np.random.Generator
) -> list[np.ndarray]:
    """A part of each column for each row: the first column by itself, each other given its parent."""
    parts: dict[int, np.ndarray] = {}
    first = tables[edges[0][1], edges[0][0]].sum(1) if edges else np.ones(1)
    parts[0] = random.choice(len(first), rows, p=first / first.sum())
    for column, parent in edges:
        table = tables[parent, column]
        # A part of the parent that nobody is counted in has the column by itself.
        table = np.where(table.sum(1, keepdims=True) > 0, table, table.sum(0, keepdims=True))
        ends = np.cumsum(table / table.sum(1, keepdims=True), 1)
        ends[:, -1] = 1.0
        parts[column] = (random.uniform(size=(rows, 1)) > ends[parts[parent]]).sum(1)
    return [parts[place] for place in range(len(parts))]


def tree_batches(
    train: Resident, fields: Sequence[Field], shares: Sequence[np.ndarray | None], multiplier: float
) -> Resident:
    """Rows drawn along a tree, as batches; conditions are columns as any other.

    Args:
        train: the training split.
        fields: of x, then of the conditions.
        shares: of each, as the schema has them.
        multiplier: noise multiplier of the counts of all pairs together.
    """
    everyone = train.take(slice(0, len(train)))
    x = everyone.x if everyone.mask is None else everyone.x.masked_fill(~everyone.mask, torch.nan)
    both = x if everyone.given is None else torch.cat([x, everyone.given.to(x)], 1)
    drawn = tree_rows(both, [CoarseColumn(*pair) for pair in zip(fields, shares, strict=True)], multiplier)
    return Resident(drawn[:, : x.shape[1]], None if everyone.given is None else drawn[:, x.shape[1] :])
