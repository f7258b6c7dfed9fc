"""Values of a column as cell and rank, exactly: which of the values in its cell each is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from torch import Tensor

from sfumato.data.columns.base import Column, is_text
from sfumato.data.columns.category import Category
from sfumato.data.columns.cells import Cells
from sfumato.data.columns.number import Number

LARGEST_CELL = 2**58
"""Cells with more floating-point numbers than this hold one value, the others are exceptions."""


def place(rank: Tensor, counts: Tensor) -> Tensor:
    """Where in its cell a value lies, as a model sees it: (rank + ½)/count, below 1 also beside the cell's number."""
    return ((rank.double() + 0.5) / counts.double()).clamp_max(1.0 - 2.0**-20)


class Ranks(ABC):
    """Between plain values and cell and rank.

    Attributes:
        values: how many values each cell or category holds, int64.
    """

    values: np.ndarray

    @abstractmethod
    def encode(self, values: pa.Array) -> tuple[np.ndarray, np.ndarray]:
        """Cells and ranks of plain values, int64 (N,) each; cell −1 where missing, or not known."""

    @abstractmethod
    def decode(self, cell: np.ndarray, rank: np.ndarray) -> pa.Array:
        """Plain values of cells and ranks, null where the cell is −1."""


class CategoryRanks(Ranks):
    """Labels; the rank is that among the rare ones, which share an entry."""

    def __init__(self, column: Category) -> None:
        self.column = column
        self.values = np.ones(max(len(column.labels) + bool(column.others), 1), np.int64)
        if column.others:
            self.values[-1] = len(column.others)

    def encode(self, values: pa.Array) -> tuple[np.ndarray, np.ndarray]:
        entries = self.column.encode(values)
        rank = np.zeros(len(entries), np.int64)
        if self.column.others:
            index = pc.index_in(self.column.fit(values), value_set=self.column.rare, skip_nulls=True)
            rank = pc.fill_null(index, 0).to_numpy(zero_copy_only=False).astype(np.int64)
        return np.where(np.isnan(entries), -1, entries).astype(np.int64), rank

    def decode(self, cell: np.ndarray, rank: np.ndarray) -> pa.Array:
        all_labels = (
            pa.concat_arrays([self.column.known, self.column.rare]) if self.column.others else self.column.known
        )
        rare = cell == len(self.column.labels)
        index = np.where(rare, len(self.column.labels) + rank, cell).clip(0, max(len(all_labels) - 1, 0))
        return all_labels.take(pa.array(index, mask=cell < 0))


class NumberRanks(Ranks):
    """Numbers in cells: whole ones are counted, decimals by their last digit, others by their place among floats."""

    def __init__(self, column: Number, cut: Cells) -> None:
        self.column, self.cut = column, cut
        self._steps = None if cut.whole or column.ruler.decimals is None else 10.0**column.ruler.decimals
        single = pa.types.is_float32(column.form.type) or pa.types.is_float16(column.form.type)
        self._dtype: Any = np.float32 if single else np.float64
        ends = self._ordinal(cut.edges) if len(cut.edges) else np.zeros(0, np.int64)
        self._starts = ends[:-1]
        counts = cut.counts() if cut.whole else np.diff(ends) + (np.arange(len(ends) - 1) == len(ends) - 2)
        self._counts = np.where((counts < 1) | (counts > LARGEST_CELL), 1, counts).astype(np.int64)
        self.values = cut.per_cell(self._counts)

    def _ordinal(self, numbers: np.ndarray) -> np.ndarray:
        """Numbers as whole ones in the same order, neighbours as neighbours."""
        if self.cut.whole:
            return numbers
        if self._steps is not None:
            return np.rint(numbers * self._steps).astype(np.int64)
        kind = np.int32 if self._dtype == np.float32 else np.int64
        bits = (numbers.astype(self._dtype) + self._dtype(0)).view(kind).astype(np.int64)
        low = np.int64(np.iinfo(kind).min)
        return np.where(bits < 0, low - bits, bits)

    def _number(self, ordinal: np.ndarray) -> np.ndarray:
        if self._steps is not None:
            return ordinal / self._steps
        kind = np.int32 if self._dtype == np.float32 else np.int64
        bits = np.where(ordinal < 0, np.int64(np.iinfo(kind).min) - ordinal, ordinal)
        return bits.astype(kind).view(self._dtype).astype(np.float64)

    def encode(self, values: pa.Array) -> tuple[np.ndarray, np.ndarray]:
        entries = self.column.encode(values)
        there = ~np.isnan(entries)
        cell = np.where(there, np.floor(np.where(there, entries, 0)), -1).astype(np.int64)
        numbers = np.zeros(len(entries), self.cut.edges.dtype)
        numbers[there] = self.column.ruler.numbers(self.column.fit(values).filter(pa.array(there)))
        interval = np.where(there, self.cut.intervals(cell), -1)
        rank = np.zeros(len(entries), np.int64)
        inside = interval >= 0
        part, chosen = interval[inside], numbers[inside]
        if self.cut.whole:
            start = self.cut.edges[part]
            found = chosen - start - np.searchsorted(self.cut.atoms, chosen) + np.searchsorted(self.cut.atoms, start)
        else:
            found = self._ordinal(chosen) - self._starts[part]
        rank[inside] = np.clip(found, 0, self._counts[part] - 1)
        return cell, rank

    def decode(self, cell: np.ndarray, rank: np.ndarray) -> pa.Array:
        missing = cell < 0
        known = np.where(missing, 0, cell)
        interval = self.cut.intervals(known)
        numbers = self.cut.decode(known + (rank + 0.5) / self.values[known])
        inside = interval >= 0
        if self.cut.whole:
            numbers[inside] = self.cut.skip_atoms(self.cut.edges[interval[inside]], rank[inside])
        else:
            numbers[inside] = self._number(self._starts[interval[inside]] + rank[inside])
        form = self.column.form.type
        return self.column.ruler.values(numbers, pa.string() if is_text(form) else form, missing)


def ranks_of(column: Column) -> Ranks | None:
    """The ranks of a column; None where it is not cut into cells or categories."""
    if isinstance(column, Category):
        return CategoryRanks(column)
    if isinstance(column, Number) and isinstance(column.cut, Cells):
        return NumberRanks(column, column.cut)
    return None
