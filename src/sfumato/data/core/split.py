"""Training, validation and test parts: seeded, and stratified where there are labels."""

from __future__ import annotations

import numpy as np

from sfumato.errors import SfumatoError

Parts = tuple[np.ndarray, np.ndarray, np.ndarray]


def split(
    total: int,
    shares: tuple[float, float, float],
    *,
    labels: np.ndarray | None = None,
    seed: int = 0,
    source: str = "data",
) -> Parts:
    """Row numbers of training, validation and test, each in ascending order.

    A share above 0 is given at least one row when there are 4 or more; training has at least 2. With labels (int64,
    shape (total,)) the rows are put in order of their label, at random within it, and those set aside are taken at even
    distances, so that each part holds each label in proportion, up to one row.

    Raises:
        SfumatoError: if there are fewer than 2 rows.

    >>> [len(part) for part in split(10, (0.8, 0.1, 0.1))]
    [8, 1, 1]
    """
    if total < 2:
        rows = "no rows" if total == 0 else "one row"
        raise SfumatoError(f"{source} has {rows}; a model needs at least 2, and 3 to set some aside as a test")
    order = np.random.default_rng(seed).permutation(total)
    train, valid, test = _counts(total, shares)
    if labels is None:
        parts = np.split(order, [train, train + valid])
    else:
        parts = _dealt(order[np.argsort(labels[order], kind="stable")], valid, test)
    return np.sort(parts[0]), np.sort(parts[1]), np.sort(parts[2])


def _counts(total: int, shares: tuple[float, float, float]) -> list[int]:
    counts = [0, round(total * shares[1]), round(total * shares[2])]
    for part in (1, 2):
        if shares[part] > 0 and total >= 3:
            counts[part] = max(counts[part], 1)
    while total - sum(counts) < 2:
        counts[1 if counts[1] >= counts[2] else 2] -= 1
    counts[0] = total - sum(counts)
    return counts


def _dealt(order: np.ndarray, valid: int, test: int) -> list[np.ndarray]:
    """Cut validation and test out of `order` as evenly spaced rows, mixed as evenly as can be."""
    part = np.zeros(len(order), np.int8)
    aside = valid + test
    places = ((np.arange(aside) + 0.5) * len(order) / max(aside, 1)).astype(np.int64)
    at = np.concatenate([(np.arange(count) + 0.5) / max(count, 1) for count in (valid, test)])
    part[places] = np.repeat(np.array([1, 2], np.int8), [valid, test])[np.argsort(at, kind="stable")]
    return [order[part == number] for number in range(3)]
