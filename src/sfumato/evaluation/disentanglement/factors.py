"""Known factors of variation, as the scores of disentanglement take them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

DIFFERENT, BINS = 50, 20
"""Where classes are asked for, numbers of more than 50 different values are cut into 20 cells of equal frequency."""


@dataclass(frozen=True)
class Factor:
    """One factor of variation of N examples.

    Attributes:
        name: what it is called.
        classes: (N,) whole numbers 0 … K − 1: which value, or which cell of a number with many values.
        numbers: (N,) the values themselves if they are numbers; None for categories.
    """

    name: str
    classes: np.ndarray
    numbers: np.ndarray | None = None

    @property
    def count(self) -> int:
        """K."""
        return int(self.classes.max()) + 1

    def at(self, rows: np.ndarray) -> Factor:
        """The same factor of some of the examples."""
        numbers = None if self.numbers is None else self.numbers[rows]
        return replace(self, classes=_codes(self.classes[rows]), numbers=numbers)


def known(values: Mapping[str, np.ndarray]) -> tuple[list[Factor], np.ndarray]:
    """Factors by name, and the rows on which all of them are known.

    Strings, booleans and categories have no order; numbers have. A factor that is the same everywhere is left
    out, and so are 50 names or more of which no two are alike.

    >>> factors, rows = known({"size": np.array([1.5, 2.5, np.nan, 1.5]), "kind": np.array(["a", "b", "a", "b"])})
    >>> rows.tolist(), [(one.name, one.classes.tolist(), one.numbers is None) for one in factors]
    ([0, 1, 3], [('size', [0, 1, 0], False), ('kind', [0, 1, 1], True)])
    """
    columns = {name: np.asarray(column) for name, column in values.items()}
    there = [_there(column) for column in columns.values()]
    rows = np.flatnonzero(np.logical_and.reduce(there)) if there else np.empty(0, np.int64)
    factors = [_factor(name, column[rows]) for name, column in columns.items()]
    return [factor for factor in factors if len(rows) and factor.count > 1 and _repeats(factor)], rows


def _repeats(factor: Factor) -> bool:
    """Of many examples, names that occur once each tell them apart, and not what they have in common."""
    return factor.numbers is not None or factor.count < max(len(factor.classes), DIFFERENT)


def _there(column: np.ndarray) -> np.ndarray:
    if column.dtype.kind == "f":
        return np.asarray(np.isfinite(column))
    if column.dtype.kind == "O":
        return np.array([value is not None and value == value for value in column], bool)
    return np.ones(len(column), bool)


def _factor(name: str, column: np.ndarray) -> Factor:
    if column.dtype.kind not in "iuf":
        return Factor(name, _codes(column.astype(str)))
    numbers = column.astype(np.float64)
    classes = _codes(numbers)
    if len(classes) and classes.max() >= DIFFERENT:
        edges = np.unique(np.quantile(numbers, np.linspace(0, 1, BINS + 1)[1:-1]))
        classes = _codes(np.searchsorted(edges, numbers, side="right"))
    return Factor(name, classes, numbers)


def _codes(values: np.ndarray) -> np.ndarray:
    return np.unique(values, return_inverse=True)[1].reshape(-1)
