"""Rows of a table as symbols: the cell or category of each column, and which of the values in a cell it is."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from sfumato.data.columns.ranks import place
from sfumato.distributions import Columns, Distribution
from sfumato.distributions.tilted import log_share
from sfumato.errors import SfumatoError
from sfumato.networks.heads.autoregressive import AutoregressiveColumns
from sfumato.networks.heads.drawing import ColumnDensity
from sfumato.spec import DataSpec
from sfumato.tasks.compression import functions, masses
from sfumato.tasks.compression.steps import Step, Steps, digits, viewed

MISSING = -1
"""Cell of a missing entry."""
SHARE_TOTAL = 2.0**40
"""Mass of all places in a cell."""


class RowCode(NamedTuple):
    """What is needed to code rows beside the model.

    Attributes:
        spec: of the data.
        values: for each column, how many values each of its cells or categories holds, int64.
        exceptions: where an entry is missing though its flag says that it is there, or the other way round, (B, D).
    """

    spec: DataSpec
    values: Sequence[Tensor]
    exceptions: Tensor


def row_steps(p: Distribution, code: RowCode) -> Steps:
    """The steps that code rows with p(x | z).

    Returns:
        Cells and ranks, int64 (B, D, 2): the cell or category, `MISSING` where there is none, and the number of the
        value among those in the cell.

    Raises:
        SfumatoError: for columns with a density of their own instead of cells.
    """
    turns, columns = _turns(p), code.spec.columns
    coded = torch.zeros(*code.exceptions.shape, 2, dtype=torch.int64)
    turn = next(turns)
    for column, (field, counts) in enumerate(zip(columns, code.values, strict=True)):
        there = ~code.exceptions[:, column]
        if field.flag is not None:
            there = there ^ (coded[:, field.flag, 0] == 1)
        coded[:, column, 0] = MISSING
        coded[:, column, 1] = 0
        if bool(there.any()):
            yield from _entry(turn, column, counts, there, coded)
        cell, rank = coded[:, column].clamp_min(0).unbind(1)
        x = cell.double() if field.kind != "cells" else cell + place(rank, counts[cell])
        if column + 1 < len(columns):
            turn = turns.send((x.masked_fill(~there, 0.0), there))
    return coded


def _turns(p: Distribution) -> Generator[ColumnDensity, tuple[Tensor, Tensor], None]:
    if isinstance(p, AutoregressiveColumns):
        return p.turns()
    if isinstance(p, Columns):
        return _independent(p)
    raise SfumatoError(f"rows with the likelihood {type(p).__name__} cannot be compressed; train with the default")


def _independent(p: Columns) -> Generator[ColumnDensity, tuple[Tensor, Tensor], None]:
    """The turns of columns that are independent given z."""
    discrete, starts = p.layout.discrete.tolist(), [*p.layout.starts.tolist(), p.logits.shape[1]]
    for column in range(len(p.layout.order)):
        if column not in discrete:
            yield ColumnDensity("real", p.normal.mean)
            continue
        at = discrete.index(column)
        yield ColumnDensity(p.layout.kinds[at], p.logits[:, starts[at] : starts[at + 1]])


def _entry(
    turn: ColumnDensity, column: int, counts: Tensor, there: Tensor, coded: Tensor
) -> Generator[Step, Tensor, None]:
    """One column of the rows in which it is `there`, put into `coded`."""
    if turn.kind == "real":
        raise SfumatoError(
            "the model's likelihood (gaussian or mse) has no probability for each value of a column, only a density; "
            "train with the default likelihood of tables"
        )
    logits = turn.parameters[there]
    slopes = None if turn.neighbours is None else turn.neighbours.slopes(logits)
    limits = None if turn.inside is None else (turn.inside[0][there], turn.inside[1][there])
    weight, slip = torch.zeros(len(logits), 1, dtype=torch.float64), 0.0 if turn.limit is None else turn.limit.slip
    if limits is not None and slopes is not None:
        # p(cell) = π [(1 − s)·share/P + s], P = Σ π·share: what orders leave, see `Limits.log_factor`.
        share = functions.exp(log_share(slopes, *limits))
        inside = functions.total(functions.softmax(logits, 1) * share, (1,), keepdim=True)
        weight = (1.0 - slip) / inside.clamp_min(1e-30)
        logits = logits + functions.log(weight * share + slip)
    found = yield Step(masses.categorical(logits), lambda x: x[:, column, 0][there])
    cells = torch.full_like(coded[:, column, 0], MISSING)
    cells[there] = found
    coded[:, column, 0] = cells
    many = counts[found] > 1
    if not bool(many.any()):
        return
    rows = there.nonzero()[:, 0][many]
    chosen = found[many][:, None]
    slope = torch.zeros(len(rows), dtype=torch.float64) if slopes is None else slopes[many].gather(1, chosen)[:, 0]
    ends = None
    if limits is not None:
        low, high = (end[many].gather(1, chosen) for end in limits)
        ends = low, high, weight[many], slip
    steps = digits(_places(slope, counts[chosen[:, 0]], ends), int(counts.max()), (len(rows),), 16)
    coded[rows, column, 1] = yield from viewed(steps, lambda x: x[rows, column, 1])


def _places(
    slope: Tensor, counts: Tensor, ends: tuple[Tensor, Tensor, Tensor, float] | None
) -> Callable[[Tensor], Tensor]:
    """The distribution function of the values in a cell, whose density leans with `slope`."""
    steep, total = slope[:, None], counts[:, None].double()
    size = steep.abs().clamp_min(1e-6)
    full = functions.expm1(-size)

    def share(u: Tensor) -> Tensor:
        """∫ f from 0 to u."""
        flipped = torch.where(steep > 0, 1.0 - u, u)
        grown = functions.expm1(-size * flipped) / full
        return torch.where(steep > 0, 1.0 - grown, grown)

    if ends is not None:
        low, high, weight, slip = ends
        start = share(low)
        whole = slip + weight * (share(high) - start)

    def cumulative(k: Tensor) -> Tensor:
        u = torch.minimum(k.double() / total, torch.ones((), dtype=torch.float64))
        below = share(u)
        if ends is not None:
            within = share(torch.maximum(torch.minimum(u, high), low)) - start
            below = (slip * below + weight * within) / whole
        return torch.floor(below.clamp(0.0, 1.0) * SHARE_TOTAL)

    return cumulative
