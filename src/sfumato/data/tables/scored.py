"""What the values of a table's rows weigh in scores: widths of cells, how frequent values are, and those never seen."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
from torch import Tensor

from sfumato.data.columns.base import Column, plain
from sfumato.data.columns.flags import Flag
from sfumato.data.core.schema import TRIED, Varied
from sfumato.data.tables.table_columns import TableColumns


class ScoredTable(TableColumns):
    """What the schema of a table gives to scores."""

    _x: list[Column]
    _flags: dict[str, int]

    def log_jacobian(self, x: Tensor) -> Tensor:
        """(B,): Σ log of cell widths (numbers), counts (whole numbers) and scales (real fields).

        Atoms and categories have volume 1, entries that are NaN add nothing.
        """
        return self._looked_up(x, [entry.volumes() for entry in self.entries])

    def log_reference(self, x: Tensor) -> Tensor:
        """(B,): Σ log of how dense each value is by itself, but for how far out it lies; see `data.reference`.

        Entries that are NaN add nothing.
        """
        return self._looked_up(x, [entry.references() for entry in self.entries])

    def log_marginal(self, x: Tensor) -> Tensor | None:
        tables = [each for entry in self.entries if (each := entry.frequencies()) is not None]
        return self._looked_up(x, tables) if len(tables) == len(self.entries) else None

    @staticmethod
    def _looked_up(x: Tensor, tables: Sequence[np.ndarray]) -> Tensor:
        """(B,): Σ over columns of what their tables have for the cells of x; 0 where NaN."""
        total = x.new_zeros(len(x))
        for place, each in enumerate(tables):
            values = torch.from_numpy(each).to(x)
            cell = x[:, place].nan_to_num(0.0).long().clamp(0, len(values) - 1)
            total = total + values[cell].where(~x[:, place].isnan(), 0.0)
        return total

    def out_of_range_penalty(self, raw: Any) -> np.ndarray:
        """(N,): Σ over columns of what values cost that no training row had the like of, see `Column.beyond`."""
        total = np.zeros(len(raw))
        for column in self._x:
            seen = max(round(self.spec.examples * (1 - column.missing)), 1)
            total += column.out_of_range_penalty(plain(raw[column.name]), seen)
        for entry in self.entries:
            if isinstance(entry, Flag):
                total += entry.out_of_range_penalty(raw, self.spec.examples)
        for one in self.dependences:
            total += one.penalty(raw, self.spec.examples)
        return total

    def varied(self, raw: pa.Table, rows: Sequence[int]) -> Iterator[Varied]:
        for column in self._x:
            values = column.usual(TRIED)
            before = raw.take(np.repeat(rows, 1 + len(values)))
            place = before.column_names.index(column.name)
            stood = plain(before[column.name])
            own = stood if stood.type == values.type else column.fit(stood).cast(values.type)
            tried = pa.concat_arrays([pa.nulls(1, values.type), values] * len(rows))
            stays = pc.is_null(tried)
            if column.name not in self._flags:
                stays = pc.or_(stays, pc.is_null(own))
            both = pc.if_else(stays, own, tried)
            listed = stood.to_pylist()[:: 1 + len(values)]
            changed = before.set_column(place, column.name, both)
            for one in self.dependences:
                if one.determinant is column:
                    changed = one.followed(changed, before)
            yield Varied(column.name, changed, listed, values.to_pylist())
