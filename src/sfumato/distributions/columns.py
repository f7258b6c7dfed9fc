"""The distribution of a table's row: normal, categorical or cells for each column."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from sfumato.distributions import noise
from sfumato.distributions.base import Distribution, observed, sum_event
from sfumato.distributions.discrete import draw, median
from sfumato.distributions.normal import Normal
from sfumato.distributions.restricted import Allowed, restricted_entry, restricted_normal
from sfumato.distributions.tilted import Neighbours, draw_tilted, log_tilt
from sfumato.spec import Field


class Layout(NamedTuple):
    """Which columns are real and which are not, as index tensors made once per model and device.

    Attributes:
        kinds: the kinds of the columns that are not real.
        sizes: their numbers of categories or cells.
        real: positions of the real columns, shape (R,).
        discrete: positions of the others, shape (D − R,).
        starts: where each of the others begins among the logits, shape (D − R,).
        order: puts [real columns, other columns] back into the table's order, shape (D,).
    """

    kinds: tuple[str, ...]
    sizes: tuple[int, ...]
    real: Tensor
    discrete: Tensor
    starts: Tensor
    order: Tensor

    @classmethod
    def of(cls, fields: Sequence[Field]) -> Layout:
        """The layout of a table with these columns."""
        real = [i for i, field in enumerate(fields) if field.kind == "real"]
        discrete = [i for i, field in enumerate(fields) if field.kind != "real"]
        sizes = tuple(fields[i].size for i in discrete)
        return cls(
            kinds=tuple(fields[i].kind for i in discrete),
            sizes=sizes,
            real=torch.tensor(real, dtype=torch.long),
            discrete=torch.tensor(discrete, dtype=torch.long),
            starts=torch.tensor([0, *sizes[:-1]], dtype=torch.long).cumsum(0)[: len(sizes)],
            order=torch.argsort(torch.tensor(real + discrete, dtype=torch.long)),
        )


class Columns(Distribution):
    """Independent columns given z: normal for `real` fields, categorical for `category`, cells for `cells`.

        log p(x) = Σ_real log N(x_d; μ_d, σ_d²) + Σ_category log π_d[x_d] + Σ_cells log π_d[⌊x_d⌋]

    The density inside a cell is one per unit of position, so the last term is a density in the space of `Batch.x`. With
    `neighbours` it follows the adjacent cells: half the difference of their logits is its slope, plus an offset
    (`distributions.tilted`).

    Args:
        layout: the kinds of the columns.
        means: μ of the real columns, shape (B, R).
        log_scales: log σ of the real columns, broadcastable to `means`.
        logits: all other columns' log-probabilities side by side in column order, shape (B, Σ sizes).
        neighbours: the adjacent cells of each logit; None for a uniform density in each cell.
    """

    def __init__(
        self,
        layout: Layout,
        means: Tensor,
        log_scales: Tensor,
        logits: Tensor,
        neighbours: Neighbours | None = None,
    ) -> None:
        self.layout, self._neighbours = layout, neighbours
        self.normal = Normal(means, log_scales)
        self.logits = logits
        self._parts = logits.split(layout.sizes, 1) if layout.sizes else ()

    def log_density(self, x: Tensor) -> Tensor:
        """log p of each column, shape (B, D), in the table's order."""
        layout = self.layout
        parts: list[Tensor] = []
        if len(layout.real):
            parts.append(self.normal.log_density(x[:, layout.real]))
        if layout.sizes:
            entries = x[:, layout.discrete]
            cells = entries.long() + layout.starts
            log_p = self.logits.gather(1, cells) - torch.stack([part.logsumexp(1) for part in self._parts], 1)
            if self._neighbours is not None:
                near = self._neighbours.at(cells)
                log_p = log_p + log_tilt(entries - entries.floor(), near.slopes(self.logits), near.counts)
            parts.append(log_p)
        return torch.cat(parts, 1)[:, layout.order]

    def log_prob(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        return sum_event(self.log_density(observed(x, mask)), mask)

    def sample(self) -> Tensor:
        drawn, start = [], 0
        for kind, part in zip(self.layout.kinds, self._parts, strict=True):
            end = start + part.shape[1]
            near = None if self._neighbours is None else self._neighbours.between(start, end)
            drawn.append(draw_entry(kind, part, near))
            start = end
        return self._join(self.normal.sample(), drawn)

    def restricted(self, place: int, allowed: Allowed) -> tuple[Tensor, Tensor]:
        low, high = allowed.low.to(self.logits), allowed.high.to(self.logits)
        column = int(self.layout.order[place])
        if column < len(self.layout.real):
            scale = self.normal.scale.expand_as(self.normal.mean)[:, column]
            return restricted_normal(self.normal.mean[:, column], scale, low, high)
        column -= len(self.layout.real)
        start = int(self.layout.starts[column])
        near = None if self._neighbours is None else self._neighbours.between(start, start + self.layout.sizes[column])
        return restricted_entry(self.layout.kinds[column], self._parts[column], near, low, high)

    def mode(self) -> Tensor:
        shown = [
            median(part) if kind == "cells" else part.argmax(1).to(part.dtype)
            for kind, part in zip(self.layout.kinds, self._parts, strict=True)
        ]
        return self._join(self.normal.mean, shown)

    def features(self) -> Tensor:
        """Real columns by their means, cells by the mean normal score of their places, categories by π."""
        parts = [self.normal.mean]
        for kind, part in zip(self.layout.kinds, self._parts, strict=True):
            probability = torch.softmax(part, 1)
            if kind == "cells":
                middles = (torch.arange(part.shape[1]).to(part) + 0.5) / part.shape[1]
                probability = probability @ torch.special.ndtri(middles)[:, None]
            parts.append(probability)
        return torch.cat(parts, 1)

    def _join(self, real: Tensor, discrete: list[Tensor]) -> Tensor:
        joined = torch.cat([real, torch.stack(discrete, 1)], 1) if discrete else real
        return joined[:, self.layout.order]


def draw_entry(kind: str, logits: Tensor, neighbours: Neighbours | None = None) -> Tensor:
    """Draws of one column that is not real, from its logits (B, K): an index, of cells with a position; shape (B,).

    Args:
        kind: of the column.
        logits: of its categories or cells.
        neighbours: its own; None for a uniform density in each cell.
    """
    index = draw(logits)
    if kind != "cells":
        return index.to(logits.dtype)
    if neighbours is None:
        return index.to(logits.dtype) + 0.999 * noise.uniform(index.to(logits.dtype))
    cell = index[:, None]
    near = neighbours.at(cell)
    return (cell + draw_tilted(near.slopes(logits), near.counts))[:, 0]
