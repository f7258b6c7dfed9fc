"""How many rows each class gets when a data set is augmented."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

import numpy as np

from sfumato.errors import SfumatoError

Class = TypeVar("Class")


def rows_to_add(counts: Mapping[Class, int], balance: bool | int, rows: int | None = None) -> dict[Class, int]:
    """Rows to generate for each class.

    Args:
        counts: real rows of each class.
        balance: True brings every class to the size of the largest, a number N to N rows at least, which leaves larger
            classes as they are; False keeps the shares of the classes.
        rows: rows to generate in all; None generates what `balance` needs. With `balance` they are divided in
            proportion to what each class lacks, otherwise to its size.

    Returns:
        Rows of each class that gets any, in the order of `counts`.

    Raises:
        SfumatoError: if neither says how many rows, a number is too small, or no class lacks any.

    >>> rows_to_add({"a": 100, "b": 20}, balance=True)
    {'b': 80}
    >>> rows_to_add({"a": 100, "b": 20, "c": 60}, balance=True, rows=60)
    {'b': 40, 'c': 20}
    >>> rows_to_add({"a": 75, "b": 25}, balance=False, rows=10)
    {'a': 8, 'b': 2}
    """
    if rows is not None and rows < 1:
        raise SfumatoError(f"rows is {rows}: give at least 1")
    if balance is False:
        if rows is None:
            raise SfumatoError("say how many rows to generate: balance the classes, or give rows")
        wanted = dict(counts)
    else:
        if balance is not True and balance < 1:
            raise SfumatoError(f"balance is {balance}: give the number of rows that each class is brought to")
        level = max(counts.values()) if balance is True else int(balance)
        wanted = {label: max(level - count, 0) for label, count in counts.items()}
        if not sum(wanted.values()):
            raise SfumatoError(
                f"every class has {level} rows or more already, so there is nothing to balance; give rows without "
                "balance, or a larger number"
            )
    if rows is None:
        return {label: count for label, count in wanted.items() if count}
    shared = _in_proportion(np.array(list(wanted.values()), float), rows)
    return {label: int(count) for label, count in zip(wanted, shared, strict=True) if count}


def _in_proportion(weights: np.ndarray, total: int) -> np.ndarray:
    """Whole numbers that sum to `total`, in proportion to weights: the largest remainders are rounded up."""
    exact = weights * total / weights.sum()
    whole = np.floor(exact).astype(int)
    order = np.argsort(whole - exact, kind="stable")
    whole[order[: total - whole.sum()]] += 1
    return whole
