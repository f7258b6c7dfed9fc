"""Sums of a step's terms, kept on the device until a line is printed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from sfumato.batch import Loss


class BatchTerms(NamedTuple):
    """The terms of one batch: row k of `values`, shape (K, B), is the term `names[k]` of each example."""

    names: tuple[str, ...]
    values: Tensor


def rows(losses: Mapping[str, Loss], totals: Mapping[str, Tensor]) -> BatchTerms:
    """Totals of the players first, then their terms, then what is only measured.

    The first player's total is `total`, another's `<player>_total`. A term's name that an earlier player has used
    becomes `<player>_<name>`.

    Args:
        losses: the players' losses.
        totals: each player's loss by example, shape (B,).
    """
    names: dict[str, Tensor] = {}
    for player, total in totals.items():
        names[f"{player}_total" if names else "total"] = total
    for player, loss in losses.items():
        for part in (loss.terms, loss.metrics):
            for name, values in part.items():
                names[f"{player}_{name}" if name in names else name] = values
    with torch.no_grad():
        return BatchTerms(tuple(names), torch.stack(list(names.values())).float())


class Meter:
    """Means over examples of whatever terms the batches had; steps may differ in the terms they have."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._dtype = torch.float32 if device.type == "mps" else torch.float64
        self.sums: dict[tuple[str, ...], Tensor] = {}
        self.counts: dict[tuple[str, ...], Tensor | int] = {}

    def add(self, names: tuple[str, ...], sums: Tensor, count: Tensor | int) -> None:
        """Add the sums over `count` examples of the terms `names`; nothing waits for the device."""
        total = self.sums.get(names)
        if total is None:
            self.sums[names] = sums.to(self._dtype)
            self.counts[names] = count
        else:
            total.add_(sums)
            self.counts[names] = self.counts[names] + count

    def means(self) -> dict[str, float]:
        """The mean of each term over the examples that had it."""
        sums: dict[str, float] = {}
        counts: dict[str, int] = {}
        for names, values in self.sums.items():
            examples = int(self.counts[names])
            for name, value in zip(names, values.tolist(), strict=True):
                sums[name] = sums.get(name, 0.0) + value
                counts[name] = counts.get(name, 0) + examples
        return {name: value / counts[name] for name, value in sums.items() if counts[name]}

    def clear(self) -> None:
        """Begin again."""
        self.sums.clear()
        self.counts.clear()

    def state(self) -> list[tuple[list[str], list[float], int]]:
        """As JSON-ready values: names, sums, count. A float keeps all its digits in JSON."""
        return [(list(names), values.tolist(), int(self.counts[names])) for names, values in self.sums.items()]

    def restore(self, state: list[tuple[list[str], list[float], int]]) -> None:
        """Back from `state`."""
        self.clear()
        for names, values, count in state:
            self.sums[tuple(names)] = torch.tensor(values, dtype=self._dtype, device=self._device)
            self.counts[tuple(names)] = count
