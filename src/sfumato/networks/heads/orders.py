"""Numbers that are never above others of their row: the likelihood cut off where an order would be broken."""

from __future__ import annotations

import math
from typing import cast

import torch
from torch import Tensor, nn

from sfumato.distributions import noise
from sfumato.distributions.discrete import draw
from sfumato.distributions.tilted import Neighbours, draw_tilted, log_share
from sfumato.spec import DataSpec, Field, Order

TOLERANCE = 1e-5
"""Places in a cell that are so close are the same: what single precision leaves of a place on a line of many cells."""


class NumberLine(nn.Module):
    """Between entries of a column and its numbers, each cell with its place.

    Arguments:
        field: of the column; its cells have `starts` and `widths`.
    """

    starts: Tensor
    widths: Tensor
    atom: Tensor
    counts: Tensor
    atoms: Tensor

    def __init__(self, field: Field) -> None:
        super().__init__()
        starts, widths = torch.tensor(field.starts), torch.tensor(field.widths)
        atoms = starts[widths == 0].sort().values
        self.whole = any(field.counts[cell] > 0 for cell in range(field.size) if field.widths[cell])
        self.whole = self.whole or not (widths > 0).any().item()
        self.register_buffer("starts", starts, persistent=False)
        self.register_buffer("widths", widths.clamp(min=1e-30), persistent=False)
        self.register_buffer("atom", widths == 0, persistent=False)
        self.register_buffer("counts", torch.tensor(field.counts, dtype=torch.float32), persistent=False)
        self.register_buffer("atoms", atoms, persistent=False)

    def numbers(self, x: Tensor) -> Tensor:
        """Entries (B,) as numbers, (B,)."""
        cell = x.long().clamp(0, len(self.starts) - 1)
        start, place = self.starts[cell], x - cell
        if not self.whole:
            return torch.where(self.atom[cell], start, start + place * self.widths[cell])
        free = start - torch.searchsorted(self.atoms, start) + torch.floor(place * self.counts[cell])
        gaps = self.atoms - torch.arange(len(self.atoms), device=x.device)
        return torch.where(self.atom[cell], start, free + torch.searchsorted(gaps, free, right=True))

    def places(self, numbers: Tensor, *, after: bool) -> Tensor:
        """How much of each cell lies below numbers (B,), of 0 to 1, (B, K).

        Args:
            numbers: of which the part below is sought.
            after: whether the numbers themselves count as below.
        """
        if self.whole:
            numbers, after = numbers + after, False
        beyond = numbers[:, None] - self.starts
        skipped = beyond.new_zeros(())
        if self.whole and len(self.atoms):
            skipped = torch.searchsorted(self.atoms, numbers)[:, None] - torch.searchsorted(self.atoms, self.starts)
        inside = ((beyond - skipped) / self.widths).clamp(0, 1)
        return torch.where(self.atom, (beyond >= 0 if after else beyond > 0).to(inside), inside)


class Limits(nn.Module):
    """What the columns before a column leave of each of its cells.

    Arguments:
        orders: those in which the column comes second.
        lines: of the columns that orders are about, by the place of their entry.
    """

    def __init__(self, orders: list[Order], lines: dict[int, NumberLine]) -> None:
        super().__init__()
        self.orders = orders
        self.slip = min(sum(order.slip for order in orders), 0.5)
        self.line = lines[orders[0].later]
        self.lines = nn.ModuleDict({str(order.earlier): lines[order.earlier] for order in orders})

    def forward(self, x: Tensor, there: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Lower and upper place in each cell between which orders hold, each (B, K).

        Args:
            x: entries, (B, D), of which those of earlier columns are looked at.
            there: which of them are known, (B, D); None if all are.
        """
        low, high = x.new_zeros(len(x), len(self.line.starts)), x.new_ones(len(x), len(self.line.starts))
        for order in self.orders:
            line = cast(NumberLine, self.lines[str(order.earlier)])
            numbers = line.numbers(x[:, order.earlier])
            edge = self.line.places(numbers, after=order.strict == order.above)
            known = torch.ones_like(numbers, dtype=torch.bool) if there is None else there[:, order.earlier]
            if order.above:
                low = torch.where(known[:, None], torch.maximum(low, edge), low)
            else:
                high = torch.where(known[:, None], torch.minimum(high, edge), high)
        empty = (high <= low).all(1, keepdim=True)
        return torch.where(empty, 0.0, low), torch.where(empty, 1.0, high)

    def log_factor(self, x: Tensor, logits: Tensor, neighbours: Neighbours, low: Tensor, high: Tensor) -> Tensor:
        """What limits add to the log-density of entries x (B,) of the column: log[(1 − s)·1(inside)/P + s], (B,).

        P is the probability that an entry without limits lies inside, and s how often orders are broken all the same.
        """
        share = log_share(neighbours.slopes(logits), low, high)
        log_inside = torch.logsumexp(logits + share, 1) - torch.logsumexp(logits, 1)
        cell = x.long().clamp(0, logits.shape[1] - 1)[:, None]
        place = x[:, None] - cell
        inside = (place >= low.gather(1, cell) - TOLERANCE) & (place <= high.gather(1, cell) + TOLERANCE)
        kept = math.log1p(-self.slip) - log_inside
        slipped = torch.full_like(kept, math.log(self.slip))
        return torch.where(inside[:, 0], torch.logaddexp(kept, slipped), slipped)

    def draw(self, logits: Tensor, neighbours: Neighbours, low: Tensor, high: Tensor) -> Tensor:
        """Draws of the column's entry within the limits, but for slips, (B,)."""
        slips = noise.uniform(logits[:, :1]) < self.slip
        low, high = torch.where(slips, 0.0, low), torch.where(slips, 1.0, high)
        share = log_share(neighbours.slopes(logits), low, high)
        cell = draw(logits + share)[:, None]
        near = neighbours.at(cell)
        return (cell + draw_tilted(near.slopes(logits), near.counts, low.gather(1, cell), high.gather(1, cell)))[:, 0]


def limits(spec: DataSpec) -> nn.ModuleDict:
    """`Limits` of each column that has some, under the place of its entry."""
    about = sorted({place for order in spec.orders for place in (order.earlier, order.later)})
    lines = {place: NumberLine(spec.columns[place]) for place in about}
    by_column: dict[int, list[Order]] = {}
    for order in spec.orders:
        by_column.setdefault(order.later, []).append(order)
    return nn.ModuleDict({str(place): Limits(orders, lines) for place, orders in by_column.items()})
