"""The parts of mixed records as numbers on one scale."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from sfumato.spec import DataSpec


def all_but(x: Tensor, mask: Tensor | None, place: slice) -> Tensor:
    """Which entries of records are known where those at `place` are not shown, (N, D)."""
    known = torch.ones_like(x, dtype=torch.bool) if mask is None else mask.clone()
    known[:, place] = False
    return known


def part_features(spec: DataSpec, sets: Sequence[tuple[Tensor, Tensor | None]]) -> list[np.ndarray]:
    """Features of several sets of records, by the first of them; every part has a variance of 1 there in all.

    Pixels and numbers are themselves, a category or a symbol is a column for each of its values; what is missing is the
    mean.

    Args:
        spec: of the records.
        sets: x (N, D) and mask of each.
    """
    columns: list[list[np.ndarray]] = [[] for _ in sets]
    for part, place in zip(spec.parts, spec.places, strict=True):
        own = [_numbers(part.spec, x[:, place], None if mask is None else mask[:, place]) for x, mask in sets]
        known = np.nan_to_num(np.nanmean(np.where(np.isnan(own[0]).all(0), 0.0, own[0]), 0))
        filled = [np.where(np.isnan(values), known, values) - known for values in own]
        scale = np.sqrt(max(filled[0].var(0).sum(), 1e-12))
        for side, values in zip(columns, filled, strict=True):
            side.append(values / scale)
    return [np.concatenate(side, 1) for side in columns]


def _numbers(spec: DataSpec, x: Tensor, mask: Tensor | None) -> np.ndarray:
    """The entries of a part as numbers, (N, F), NaN where missing."""
    values = x.detach().cpu().double()
    values = values if mask is None else values.masked_fill(~mask.cpu(), torch.nan)
    pieces = []
    for field, column in zip(spec.columns, values.unbind(1), strict=True):
        if field.kind == "category":
            hot = (column[:, None] == torch.arange(field.size)).double()
            pieces.append(hot.masked_fill(column.isnan()[:, None], torch.nan))
        else:
            pieces.append(column[:, None] / max(field.size, 1))
    return torch.cat(pieces, 1).numpy()
