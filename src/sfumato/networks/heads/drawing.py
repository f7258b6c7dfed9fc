"""Rows of a table drawn column by column, each given the latents and the columns before it."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional as F

from sfumato.distributions import Allowed, Normal
from sfumato.distributions.columns import draw_entry
from sfumato.distributions.restricted import restricted_entry, restricted_normal
from sfumato.distributions.tilted import Neighbours, log_tilt
from sfumato.networks.heads.orders import Limits

if TYPE_CHECKING:
    from sfumato.networks.heads.autoregressive import AutoregressiveHead


class ColumnDensity:
    """p(x_d | x_<d, z) of one column, for each of B examples.

    Args:
        kind: of the column: real, category, level or cells.
        parameters: μ of a real column, (B, 1), or the logits of all others, (B, K).
        neighbours: of the cells.
        log_scale: log σ of a real column.
        limit: orders in which the column comes second.
        inside: the places in each cell between which these hold, each (B, K).
    """

    def __init__(
        self,
        kind: str,
        parameters: Tensor,
        neighbours: Neighbours | None = None,
        *,
        log_scale: Tensor | None = None,
        limit: Limits | None = None,
        inside: tuple[Tensor, Tensor] | None = None,
    ) -> None:
        self.kind, self.parameters, self.neighbours, self.limit, self.inside = (
            kind,
            parameters,
            neighbours,
            limit,
            inside,
        )
        self.normal = None if log_scale is None else Normal(parameters[:, 0], log_scale)

    def sample(self) -> Tensor:
        """A draw for each example, (B,)."""
        if self.normal is not None:
            return self.normal.sample()
        if self.limit is not None and self.inside is not None and self.neighbours is not None:
            return self.limit.draw(self.parameters, self.neighbours, *self.inside)
        return draw_entry(self.kind, self.parameters, self.neighbours)

    def log_density(self, x: Tensor) -> Tensor:
        """log p(x), (B,)."""
        if self.normal is not None:
            return self.normal.log_density(x)
        cell = x.long()[:, None]
        log_p = (self.parameters.gather(1, cell) - self.parameters.logsumexp(1, keepdim=True))[:, 0]
        if self.neighbours is None:
            return log_p
        near = self.neighbours.at(cell)
        log_p = log_p + log_tilt(x[:, None] - cell, near.slopes(self.parameters), near.counts)[:, 0]
        if self.limit is not None and self.inside is not None:
            log_p = log_p + self.limit.log_factor(x, self.parameters, self.neighbours, *self.inside)
        return log_p

    def restricted(self, allowed: Allowed) -> tuple[Tensor, Tensor]:
        """A draw from what is allowed, (B,), and the log of its weight, (B,): without orders that of being allowed.

        With orders, draws keep both wherever that is possible; their weight is p over the density they are drawn from.
        """
        low, high = allowed.low.to(self.parameters), allowed.high.to(self.parameters)
        if self.normal is not None:
            return restricted_normal(self.normal.mean, self.normal.scale, low, high)
        if self.limit is None or self.inside is None:
            return restricted_entry(self.kind, self.parameters, self.neighbours, low, high)
        least, most = torch.maximum(self.inside[0], low), torch.minimum(self.inside[1], high)
        nowhere = (most <= least).all(1, keepdim=True)
        least, most = torch.where(nowhere, low, least), torch.where(nowhere, high, most)
        x, log_share = restricted_entry(self.kind, self.parameters, self.neighbours, least, most)
        assert self.neighbours is not None, "orders are about cells"
        return x, log_share + self.limit.log_factor(x, self.parameters, self.neighbours, *self.inside)


class RowsSoFar:
    """Rows that are drawn column by column: what is there so far, and what it adds to the parameters of the rest."""

    def __init__(self, head: AutoregressiveHead, raw: Tensor) -> None:
        entries, outputs = len(head.order), head.line.OUTPUTS
        self.line = head.line
        self._read = (head.read * head.reads).view(entries, outputs, -1)
        self._write = head.written()
        self._before, self._scores = raw[:, head.outputs :], raw.new_zeros(len(raw), entries)
        self.x = raw.new_zeros(len(raw), entries)
        self.there = torch.ones_like(self.x, dtype=torch.bool)

    def shift(self, places: list[int]) -> Tensor:
        """What is added to the parameters at `places`."""
        return torch.cat([F.leaky_relu(self._before), self._scores], 1) @ self._write[:, places]

    def put(self, column: int, x: Tensor, there: Tensor | None = None) -> None:
        """Set a column of all rows; where it is not `there`, those after it see that it is missing."""
        self.x[:, column] = x
        mask = None if there is None else there[:, None]
        if there is not None:
            self.there[:, column] = there
        features = self.line(x[:, None], mask, at=slice(column, column + 1))[:, 0]
        self._scores[:, column] = features[:, 0]
        self._before = self._before + features @ self._read[column]


def sample(head: AutoregressiveHead, raw: Tensor) -> Tensor:
    """One draw for each example, (B, D).

    Columns after a missing one see that it is missing. Where there are flags, rows are drawn a second time beside
    the first, in which nothing is missing and all that is not missing in the first is the same: from there come the
    values that stand where the first have none.
    """
    parameters, flags = head.parameters_of(raw), head.flags
    rows = [RowsSoFar(head, raw) for _ in range(1 + bool(flags))]
    of_others = set(flags.values())
    for column, places in enumerate(head.places_of):
        x = _density(head, column, parameters, places, rows[0]).sample()
        there = None
        if column in flags:
            there = rows[0].x[:, flags[column]] < 0.5
            x = torch.where(there, x, _density(head, column, parameters, places, rows[1]).sample())
        rows[0].put(column, x, there)
        for full in rows[1:]:
            full.put(column, torch.zeros_like(x) if column in of_others else x)
    return rows[0].x


def turns(head: AutoregressiveHead, raw: Tensor) -> Generator[ColumnDensity, tuple[Tensor, Tensor], None]:
    """The columns in their order, each given those before it; see `AutoregressiveColumns.turns`."""
    parameters, rows = head.parameters_of(raw), RowsSoFar(head, raw)
    for column, places in enumerate(head.places_of):
        x, there = yield _density(head, column, parameters, places, rows)
        rows.put(column, x, there)


def complete(
    head: AutoregressiveHead, raw: Tensor, x: Tensor, mask: Tensor, allowed: Mapping[int, Allowed]
) -> tuple[Tensor, Tensor]:
    """Unknown entries drawn in their order, each given all before it; see `Distribution.complete`.

    Known entries d contribute p(x_d | x_<d, z), with the unknown ones before them as they were drawn, to the weight:
    likelihood weighting (Fung and Chang 1990) in the order of the columns.
    """
    parameters, rows = head.parameters_of(raw), RowsSoFar(head, raw)
    log_weight = raw.new_zeros(len(raw))
    for column, places in enumerate(head.places_of):
        density, known = _density(head, column, parameters, places, rows), mask[:, column]
        values = x[:, column].masked_fill(~known, 0.0)
        if not known.all():
            if column in allowed:
                drawn, weight = density.restricted(allowed[column])
                log_weight = log_weight + weight.masked_fill(known, 0.0)
            else:
                drawn = density.sample()
            values = torch.where(known, values, drawn)
        if known.any():
            log_weight = log_weight + density.log_density(values).where(known, 0.0)
        rows.put(column, values)
    return rows.x, log_weight


def _density(
    head: AutoregressiveHead, column: int, parameters: list[Tensor], places: list[int], rows: RowsSoFar
) -> ColumnDensity:
    return head.column(column, parameters[column] + rows.shift(places), rows.x, rows.there)
