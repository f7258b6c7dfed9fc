"""A line of numbers cut into atoms and quantile cells."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import numpy as np

from sfumato.data.columns.reference import ordered_reference
from sfumato.data.columns.scaling import Standardisation, line_cost
from sfumato.spec import Field

ATOM = 0.005
"""A value in more than this share of the training rows has a cell of its own…"""
FULL = 20
"""… if at least this many rows have it; quantile cells hold as many. In tables of less than 280 rows it is a fourteenth
of them, 5 at least: cells too empty to learn from cost a small table the dependence between its columns."""
SPIKE_FACTOR = 10
"""A value that so many times more rows have than is usual has a cell of its own as well, if `FULL` rows have it: a zero
among amounts, a limit that many reach."""
MIN_TAIL_ROWS = 5
"""Rows in the outermost cell of a tail, where there are rows enough for all requested cells."""


@dataclass(frozen=True, eq=False)
class Cells:
    """Numbers as cell index + position in the cell, cells in ascending order.

    A value with a cell of its own (an atom) has mass: its volume is 1. A value is one if it is frequent (`ATOM`), or if
    among the others it would fill a quantile cell alone. Between the atoms, numbers lie in half-open cells
    between quantiles, with uniform density inside: the volume of a cell is its width, or for whole numbers how many
    of them it holds that are not atoms, so that exp(log p − log volume) integrates, or sums, to one over
    atoms and cells. Towards both ends cells are cut by halving shares, so that long tails keep their shape.

    Attributes:
        atoms: values with cells of their own, ascending.
        edges: edges of the other cells, ascending; one more than there are such cells, or none.
        whole: whether the numbers are whole; `edges[-1]` is then the largest number plus one.
        shares: of the training rows in each atom and cell, in ascending order.

    >>> cells = Cells.learn(np.array([0] * 50 + list(range(10, 60))), 4, whole=True)
    >>> cells.encode(np.array([0, 10, 59])).astype(int).tolist(), np.exp(cells.volumes()).round().tolist()
    ([0, 1, 4], [1.0, 12.0, 12.0, 13.0, 13.0])
    """

    style: ClassVar[str] = "cells"
    atoms: np.ndarray
    edges: np.ndarray
    whole: bool
    shares: np.ndarray
    _is_atom: np.ndarray = field(init=False, repr=False)
    _part: np.ndarray = field(init=False, repr=False)
    _place: np.ndarray = field(init=False, repr=False)

    def __post_init__(self) -> None:
        kind = np.int64 if self.whole else np.float64
        atoms, edges = np.asarray(self.atoms, kind), np.asarray(self.edges, kind)
        middle = (edges[:-1].astype(np.float64) + edges[1:]) / 2
        order = np.argsort(np.concatenate([atoms.astype(np.float64), middle]), kind="stable")
        object.__setattr__(self, "atoms", atoms)
        object.__setattr__(self, "edges", edges)
        object.__setattr__(self, "_is_atom", order < len(atoms))
        object.__setattr__(self, "_part", np.where(order < len(atoms), order, order - len(atoms)))
        object.__setattr__(self, "_place", np.argsort(order))

    @classmethod
    def learn(cls, numbers: np.ndarray, cells: int, *, whole: bool) -> Cells:
        """Cut the line for these training numbers, into at most `cells` cells besides the atoms."""
        values, counts = np.unique(numbers, return_counts=True)
        fewest = min(max(len(numbers) // 14, 5), FULL)
        frequent = (counts > ATOM * len(numbers)) & (counts >= fewest)
        filling = ~frequent & (counts >= max(counts[~frequent].sum() / cells, fewest))
        frequent |= filling
        frequent |= _spikes(np.where(frequent, 0, counts), cells)
        if (~frequent).sum() < 2 or len(values) <= 3:
            return cls._counted(values, np.array([]), whole, numbers)
        others = np.repeat(values[~frequent], counts[~frequent])
        left = max(cells - int(filling.sum()), 1)
        filled = max(1, len(others) // fewest)
        shares = _shares(min(left, filled), len(others), MIN_TAIL_ROWS if filled >= left else fewest)
        edges = np.unique(others[np.clip(np.ceil(shares * len(others)).astype(np.int64) - 1, 0, None)])
        if whole:
            edges[-1] += 1
        return cls._counted(values[frequent], edges, whole, numbers)

    @classmethod
    def _counted(cls, atoms: np.ndarray, edges: np.ndarray, whole: bool, numbers: np.ndarray) -> Cells:
        """Such cells with the shares that `numbers` have in them."""
        empty = cls(atoms, edges, whole, np.ones(len(atoms) + max(len(edges) - 1, 0)))
        counts = np.bincount(empty.encode(numbers).astype(np.int64), minlength=len(empty))
        return replace(empty, shares=np.maximum(counts, 0.5) / np.maximum(counts, 0.5).sum())

    def __len__(self) -> int:
        return len(self._part)

    @property
    def spec(self) -> Field:
        """The kind of entry."""
        counts = np.ones(len(self), np.int64)
        counts[~self._is_atom] = self.counts()[self._part[~self._is_atom]] if self.whole else 0
        return Field("cells", len(self), counts=tuple(counts.tolist()))

    def encode(self, numbers: np.ndarray) -> np.ndarray:
        """float32 entries; a number outside all cells counts as the nearest one inside."""
        numbers = self._inside(numbers)
        cell, position = np.zeros(len(numbers), np.int64), np.full(len(numbers), 0.5)
        if len(self.edges):
            part = np.clip(np.searchsorted(self.edges, numbers, "right") - 1, 0, len(self.edges) - 2)
            position = self._position(numbers, part)
            cell = self._place[part + len(self.atoms)]
        if len(self.atoms):
            at = np.minimum(np.searchsorted(self.atoms, numbers), len(self.atoms) - 1)
            hit = self.atoms[at] == numbers
            cell[hit], position[hit] = self._place[at[hit]], 0.5
        entry = (cell + position).astype(np.float32)
        over = entry >= cell + 1
        entry[over] = np.nextafter(entry[over], np.float32(0))
        return entry

    def _inside(self, numbers: np.ndarray) -> np.ndarray:
        """Each number, or if it is outside the edges and no atom, the nearest that is inside or an atom."""
        low, high = (self.edges[0], self.edges[-1] - self.whole) if len(self.edges) else (1, 0)
        outside = np.flatnonzero((numbers < low) | (numbers > high))
        if not len(outside):
            return numbers
        ends = np.union1d(self.atoms, [low, high]) if len(self.edges) else self.atoms
        lost = numbers[outside]
        after = np.clip(np.searchsorted(ends, lost), min(1, len(ends) - 1), len(ends) - 1)
        below, above = ends[np.maximum(after - 1, 0)], ends[after]
        nearer = lost.astype(np.float64) - below <= above.astype(np.float64) - lost
        inside = numbers.copy()
        inside[outside] = np.where(nearer, below, above)
        return inside

    def out_of_range_penalty(self, numbers: np.ndarray, seen: int) -> np.ndarray:
        """Penalty in nats of numbers outside all cells, added to that of the nearest number inside: d/s; 0 inside.

        So densities go on as exp(−d/s) where the cells end, d away from the nearest number inside. s is the width of
        the outermost cell on that side, or where there are atoms alone the mean distance between them. If the nearest
        is an atom, whose probability is not a density, log(`seen` + 1) is added: the share of one in as many values.
        """
        inside = self._inside(numbers)
        real, nearest = numbers.astype(np.float64), inside.astype(np.float64)
        distance = np.abs(real - nearest)
        if not self.whole:  # what is lost in single precision is no distance
            distance[distance <= 1e-6 * np.abs(real)] = 0.0
        if len(self.edges):
            widths = np.diff(self.edges.astype(np.float64))
            scale = np.where(real < self.edges[0], widths[0], widths[-1])
        else:
            gaps = np.diff(self.atoms.astype(np.float64))
            scale = np.full(len(real), gaps.mean() if len(gaps) else 1.0)
        cost = line_cost(distance, scale)
        return np.where(np.isin(inside, self.atoms) & (distance > 0), cost + np.log1p(seen), cost)

    def _position(self, numbers: np.ndarray, part: np.ndarray) -> np.ndarray:
        start = self.edges[part]
        if not self.whole:
            return np.clip((numbers - start) / (self.edges[part + 1] - start), 0.0, None)
        before = np.searchsorted(self.atoms, numbers) - np.searchsorted(self.atoms, start)
        return (numbers - start - before + 0.5) / self.counts()[part]

    def counts(self) -> np.ndarray:
        """How many numbers that are not atoms each cell between edges holds (whole numbers only)."""
        atoms_below = np.searchsorted(self.atoms, self.edges)
        return np.diff(self.edges) - np.diff(atoms_below)

    def decode(self, entries: np.ndarray) -> np.ndarray:
        """Numbers, int64 if whole, else float64."""
        entries = np.asarray(entries, np.float64)
        cell = np.clip(np.floor(entries), 0, len(self) - 1).astype(np.int64)
        position = np.clip(entries - cell, 0.0, np.nextafter(1.0, 0.0))
        is_atom, part = self._is_atom[cell], self._part[cell]
        numbers = np.zeros(len(entries), self.edges.dtype)
        numbers[is_atom] = self.atoms[part[is_atom]]
        rest, where = part[~is_atom], position[~is_atom]
        if len(rest):
            start, end = self.edges[rest], self.edges[rest + 1]
            if self.whole:
                rank = np.floor(where * self.counts()[rest]).astype(np.int64)
                numbers[~is_atom] = self.skip_atoms(start, rank)
            else:
                numbers[~is_atom] = np.minimum(start + where * (end - start), np.nextafter(end, start))
        return numbers

    def skip_atoms(self, start: np.ndarray, rank: np.ndarray) -> np.ndarray:
        """The number that has `rank` numbers which are not atoms between it and `start`."""
        gaps = self.atoms - np.arange(len(self.atoms))
        free = start - np.searchsorted(self.atoms, start) + rank
        return free + np.searchsorted(gaps, free, "right")

    def per_cell(self, of_edges: np.ndarray) -> np.ndarray:
        """A whole number for each cell: 1 for an atom, for others what there is for each interval between edges."""
        numbers = np.ones(len(self), np.int64)
        numbers[~self._is_atom] = of_edges[self._part[~self._is_atom]]
        return numbers

    def intervals(self, cell: np.ndarray) -> np.ndarray:
        """Which interval between edges each cell is, from 0; −1 of an atom."""
        return np.where(self._is_atom[cell], -1, self._part[cell])

    def line(self) -> tuple[np.ndarray, np.ndarray]:
        """Where each cell begins, or the number that an atom is, and how far it reaches, as `spec.Field` has them."""
        starts, widths = np.zeros(len(self)), np.zeros(len(self))
        starts[self._is_atom] = self.atoms[self._part[self._is_atom]]
        others = self._part[~self._is_atom]
        starts[~self._is_atom] = self.edges[others]
        widths[~self._is_atom] = (self.counts() if self.whole else np.diff(self.edges))[others]
        return starts, widths

    def between(self, low: float | None, high: float | None) -> tuple[np.ndarray, np.ndarray]:
        """The places in each cell between which numbers from `low` to `high` lie, each (K,); None for no end.

        >>> cells = Cells(np.array([0]), np.array([1, 11, 21]), True, np.ones(3) / 3)
        >>> [ends.tolist() for ends in cells.between(6, None)]
        [[1.0, 0.5, 0.0], [1.0, 1.0, 1.0]]
        """
        least = np.zeros(len(self)) if low is None else self._below(low, itself=False)
        return least, np.ones(len(self)) if high is None else self._below(high, itself=True)

    def _below(self, number: float, *, itself: bool) -> np.ndarray:
        """How much of each cell lies below a number, or up to the number itself, from 0 to 1, (K,)."""
        starts, widths = self.line()
        skipped = np.zeros(len(self))
        if self.whole:
            number, itself = number + itself, False
            skipped += np.searchsorted(self.atoms, number) - np.searchsorted(self.atoms, starts)
        inside = np.clip((number - starts - skipped) / np.where(self._is_atom, 1.0, widths), 0.0, 1.0)
        return np.where(self._is_atom, (number >= starts) if itself else (number > starts), inside)

    def volumes(self) -> np.ndarray:
        """log volume of each cell."""
        widths = self.counts() if self.whole else np.diff(self.edges)
        log_widths = np.zeros(len(self))
        log_widths[~self._is_atom] = np.log(widths.astype(np.float64))[self._part[~self._is_atom]]
        return log_widths

    def references(self) -> np.ndarray:
        """log reference density of each cell, per unit of position; see `ordered_reference`."""
        return ordered_reference(self.shares)

    def quantiles(self, levels: np.ndarray) -> np.ndarray:
        """Entries of the numbers that have these shares of the training numbers below them."""
        ends = np.cumsum(self.shares)
        cell = np.minimum(np.searchsorted(ends, levels * ends[-1], "right"), len(self) - 1)
        place = (levels * ends[-1] - (ends - self.shares)[cell]) / self.shares[cell]
        entries: np.ndarray = cell + np.clip(place, 0.0, 0.999)
        return entries

    def described(self) -> str:
        """In words."""
        atoms, others = len(self.atoms), len(self) - len(self.atoms)
        words = [f"{atoms} value{'s' * (atoms != 1)}"] * bool(atoms) + [f"{others} cell{'s' * (others != 1)}"] * bool(
            others
        )
        return " + ".join(words)

    def to_dict(self) -> dict[str, Any]:
        """As JSON-ready values."""
        return {
            "style": self.style,
            "atoms": self.atoms.tolist(),
            "edges": self.edges.tolist(),
            "whole": self.whole,
            "shares": self.shares.tolist(),
        }


def cut_from_dict(values: dict[str, Any]) -> Cells | Standardisation:
    """Back from `to_dict`."""
    if values["style"] == "cells":
        return Cells(np.array(values["atoms"]), np.array(values["edges"]), values["whole"], np.array(values["shares"]))
    return Standardisation(values["mean"], values["scale"])


def _spikes(counts: np.ndarray, most: int) -> np.ndarray:
    """Which values stand out by how many rows have them, `most` at most.

    >>> _spikes(np.array([1, 2, 40, 1, 19]), 4).tolist()
    [False, False, True, False, False]
    """
    least = max(SPIKE_FACTOR * float(np.median(counts[counts > 0])) if (counts > 0).any() else 0.0, FULL)
    if (counts >= least).sum() > most:
        least = np.sort(counts)[-most]
    return np.asarray(counts >= least)


def _shares(cells: int, rows: int, fewest: int) -> np.ndarray:
    """Quantile levels of the edges: even in the middle, halving towards both ends while `fewest` rows remain."""
    ends = 0
    while ends < 5 and cells - 2 * ends > 8 and rows / (cells - 2 * ends) / 2 ** (ends + 1) >= fewest:
        ends += 1
    even = np.linspace(0.0, 1.0, cells - 2 * ends + 1)
    tail = even[1] * 0.5 ** np.arange(ends, 0, -1)
    return np.concatenate([[0.0], tail, even[1:-1], 1 - tail[::-1], [1.0]])
