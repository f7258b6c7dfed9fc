"""Rows with blanks, and the rows with their blanks filled in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from sfumato.data.columns.base import is_text, plain, without_nan
from sfumato.data.columns.cells import Cells
from sfumato.data.columns.fixed import Identifier
from sfumato.data.columns.flags import Flag
from sfumato.data.columns.number import Number
from sfumato.data.core.batching.encoded import Encoded
from sfumato.data.core.blanks import Sets
from sfumato.data.io import frames
from sfumato.data.tables.table_columns import TableColumns
from sfumato.data.tables.wishes import NO_VALUE, coalesced, sets_from_dependences, wanted_missing, with_fixed
from sfumato.errors import SfumatoError


class TableWithBlanks(TableColumns):
    """What the schema of a table makes of rows with blanks."""

    def read_with_blanks(self, source: Any) -> tuple[pa.Table, None]:
        return read_with_blanks(self, source), None

    def all_blank(self, n: int) -> pa.Table:
        return pa.table({column.name: pa.nulls(n) for column in self.columns})

    @property
    def numbers(self) -> list[str]:
        """Names of the modelled columns of numbers and times."""
        return [entry.name for entry in self.entries if isinstance(entry, Number)]

    def blank_cells(self, raw: pa.Table) -> dict[str, np.ndarray]:
        """Name of each column that can be filled → which of its cells are blank, (N,) booleans."""
        here = [c for c in self.columns if c.name in raw.column_names and not isinstance(c, Identifier)]
        return {column.name: column.absent(plain(raw[column.name])) for column in here}

    def encode_known(self, raw: pa.Table) -> Encoded:
        encoded = self.encode(raw)
        stay_missing = self.staying_missing(raw)
        for place, flag in enumerate(self.entries):
            if isinstance(flag, Flag):
                encoded.x[:, place] = torch.from_numpy(stay_missing[flag.columns[0].name]).to(encoded.x)
        return encoded

    def staying_missing(self, raw: pa.Table) -> dict[str, np.ndarray]:
        """Name of each column that has a flag → which of its cells are to stay missing, (N,) booleans."""
        wanted = wanted_missing(raw)
        flags = [entry for entry in self.entries if isinstance(entry, Flag)]
        blank = {column.name: column.absent(plain(raw[column.name])) for flag in flags for column in flag.columns}
        cells = {}
        for flag in flags:
            names = [column.name for column in flag.columns]
            stays = np.any([blank[name] for name in names if name in wanted], axis=0) & np.ones(len(raw), bool)
            for name in names:
                if (row := np.flatnonzero(stays & ~blank[name])).size:
                    other = next(one for one in names if one in wanted)
                    raise SfumatoError(
                        f"fix {other}={NO_VALUE}: wherever {other} was missing in training, so was {name}, which row "
                        f"{row[0] + 1} has; leave it blank there"
                    )
            cells.update(dict.fromkeys(names, stays))
        return cells

    def with_fixed(self, raw: pa.Table, fix: Mapping[str, Any]) -> tuple[pa.Table, Sets]:
        return with_fixed(self, raw, fix)

    def sets_of(self, raw: pa.Table, sets: Sets) -> Sets:
        return sets_from_dependences(self, raw, sets)

    def blank_like(self, blank: Any, raw: pa.Table) -> np.ndarray:
        raise SfumatoError("blank is for arrays and images; leave cells of a table empty that are to be filled")

    def centre(self, x: Tensor, weights: Tensor) -> Tensor:
        return centre(self, x, weights)

    def filled(
        self, raw: pa.Table, x: Tensor, given: Tensor | None, source: Any = None, hidden: np.ndarray | None = None
    ) -> Any:
        frame = frames.give(filled(self, raw, x, given), self.frame_kind)
        index: Any = getattr(source, "index", None)
        if self.frame_kind == "pandas" and hasattr(index, "repeat") and len(frame) % len(index) == 0:
            frame.index = index.repeat(len(frame) // len(index))
        return frame


def read_with_blanks(schema: TableWithBlanks, source: Any) -> pa.Table:
    """A table as `TableSchema.read` gives it, with columns that are not there as blanks.

    Raises:
        SfumatoError: if no column of it is one of the schema, or a value cannot be taken.
    """
    texts = {c.name: pa.string() for c in schema.columns if is_text(c.form.type)}
    names = [column.name for column in schema.columns]
    table, _ = frames.read(schema.named_array(source), types=texts, keep=names, reading=schema.reading)
    if not set(names) & set(table.column_names):
        raise SfumatoError(f"no column is one of this model, which has {', '.join(names[:12])}; name them so")
    for name in names:
        if name not in table.column_names:
            table = table.append_column(name, pa.nulls(table.num_rows))
    return schema.read(table)


def filled(schema: TableWithBlanks, raw: pa.Table, x: Tensor, given: Tensor | None) -> pa.Table:
    """Rows with what x says in the place of their blanks, and everything else as it is there.

    Args:
        schema: of the table.
        raw: rows as `read_with_blanks` gives them.
        x: their entries with all blanks drawn, (N, D).
        given: their conditions, (N, G), or None.
    """
    drawn = schema.decode_table(x, given, schema.staying_missing(raw))
    arrays, fields = [], []
    for column in schema.columns:
        own, field = plain(raw[column.name]), column.form.field(column.name)
        values = own
        if not isinstance(column, Identifier) and column.absent(own).any():
            values = coalesced(without_nan(own), plain(drawn[column.name]))
        elif isinstance(column, Identifier) and pa.types.is_null(own.type):
            values = plain(drawn[column.name])
        dressed = column.form.dress(values)
        if dressed.null_count > values.null_count:  # a value that a declared list of categories does not have
            dressed, field = values, pa.field(column.name, values.type)
        arrays.append(dressed)
        fields.append(field.with_type(dressed.type))
    return pa.table(arrays, schema=pa.schema(fields))


def centre(schema: TableWithBlanks, x: Tensor, weights: Tensor) -> Tensor:
    """The best single value of each entry: of numbers the mean, as they are in the table, of categories the mode.

    Args:
        schema: of the table.
        x: weighted draws, (B, k, D).
        weights: of each, adding up to 1, (B, k).

    Returns:
        (B, D).
    """
    values = np.empty((len(x), x.shape[2]), np.float32)
    draws, w = x.detach().cpu().double().numpy(), weights.cpu().double().numpy()
    for place, entry in enumerate(schema.entries):
        column = draws[:, :, place]
        if not isinstance(entry, Number):
            field = entry.field
            assert field is not None, "what is not modelled has no entry"
            votes = np.zeros((len(column), field.size))
            np.add.at(votes, (np.arange(len(column))[:, None], column.astype(np.int64)), w)
            values[:, place] = votes.argmax(1)
            continue
        numbers = entry.cut.decode(column.ravel()).reshape(column.shape)
        mean = (numbers.astype(np.float64) * w).sum(1)
        whole = isinstance(entry.cut, Cells) and entry.cut.whole
        values[:, place] = entry.cut.encode(np.rint(mean).astype(np.int64) if whole else mean)
    return torch.from_numpy(values).to(x)
