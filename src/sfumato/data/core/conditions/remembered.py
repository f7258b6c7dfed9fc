"""Conditions of training rows that a schema keeps, to draw those from that are not named."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from sfumato.files import finite

REMEMBERED = 4096
"""How many training rows of conditions a schema keeps."""


def remember(given: Tensor | None, seed: int = 0) -> Tensor | None:
    """At most `REMEMBERED` rows of the training split's encoded conditions, chosen by `seed`, for `given_rows`."""
    if given is None or len(given) <= REMEMBERED:
        return given
    order = torch.randperm(len(given), generator=torch.Generator().manual_seed(seed))
    return given[order[:REMEMBERED].sort().values].clone()


def rows_to_json(rows: Tensor | None) -> list[list[float | None]] | None:
    """`given_rows` for `to_dict`: NaN, for which JSON has no word, becomes None.

    >>> rows_to_json(torch.tensor([[1.0, math.nan]]))
    [[1.0, None]]
    """
    return None if rows is None else finite(rows.tolist())


def rows_from_json(rows: Sequence[Sequence[float | None]] | None) -> Tensor | None:
    """Back from `rows_to_json`."""
    if rows is None:
        return None
    return torch.tensor([[math.nan if value is None else value for value in row] for row in rows])
