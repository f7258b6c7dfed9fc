"""Tables taken apart into cells and ranks, and what these leave out."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
from torch import Tensor

from sfumato.data.columns.base import is_text, plain
from sfumato.data.columns.flags import Flag
from sfumato.data.columns.ranks import Ranks, place, ranks_of
from sfumato.data.core.lossless import Lossless, Parts, pack, unpack
from sfumato.data.io import frames, frames_stream
from sfumato.data.tables.schema import TableSchema
from sfumato.errors import SfumatoError

MOST_EXCEPTIONS = 0.3
"""Share of the rows above which a column is kept whole instead of those that differ."""


class LosslessTable(Lossless[TableSchema]):
    """The cell and the rank of each value are coded.

    Columns that are not modelled, and values that cells do not hold (beyond the range of the training rows, categories
    never seen in it), are aside.

    All columns come back in their order, with their types and every value. Text files come back with numbers spelled
    as pandas and Arrow spell them.
    """

    def __init__(self, schema: TableSchema, header: Any = None) -> None:
        super().__init__(schema, header)
        self._entries: list[Ranks | None] = []
        self.values: list[Tensor] = []
        for entry in schema.entries:
            ranks = None if isinstance(entry, Flag) else ranks_of(entry)
            if ranks is None and not isinstance(entry, Flag):
                raise SfumatoError(
                    f"column {entry.name!r} is modelled by a density (likelihood {schema.spec.likelihood}), which has "
                    "no probability for a value; train with the default likelihood of tables"
                )
            self._entries.append(ranks)
            self.values.append(torch.from_numpy(np.ones(2, np.int64) if ranks is None else ranks.values))

    def blocks(self, source: Any, size: int) -> Iterator[pa.Table]:
        texts = {c.name: pa.string() for c in self.schema.columns if is_text(c.form.type)}
        reading = self.schema.reading
        if isinstance(source, str | Path):
            known = {**frames_stream.look(source, reading=reading).types}
            known |= {name: kind for name, kind in texts.items() if name in known}
            pieces, kind = frames_stream.batches(source, size, known=known, reading=reading), "file"
        else:
            table, kind = frames.read(self.schema.named_array(source), types=texts, reading=reading)
            pieces = (table.slice(start, size) for start in range(0, len(table), size))
        for piece in pieces:
            if not self.header:
                fields = base64.b64encode(piece.schema.serialize().to_pybytes()).decode()
                self.header = {"frame": kind, "fields": fields}
            yield piece

    @property
    def _fields(self) -> pa.Schema:
        return pa.ipc.read_schema(pa.BufferReader(base64.b64decode(self.header["fields"])))

    def split(self, raw: pa.Table) -> Parts:
        names = [column.name for column in self.schema.columns if column.name in raw.column_names]
        table = self.schema.read(raw.select(names))
        cells = np.zeros((raw.num_rows, len(self._entries), 2), np.int64)
        for column, (entry, ranks) in enumerate(zip(self.schema.entries, self._entries, strict=True)):
            if isinstance(entry, Flag):
                cells[:, column, 0] = np.nan_to_num(entry.encode(table)).astype(np.int64)
            elif ranks is not None:
                cells[:, column, 0], cells[:, column, 1] = ranks.encode(entry.fit(plain(table[entry.name])))
        coded = torch.from_numpy(cells)
        given = self.schema.encode_given(raw)
        odd = self._unexpected(coded)
        aside = {"missing": np.packbits(odd.numpy()).tobytes() if bool(odd.any()) else b""}
        aside |= self._exceptions(raw, coded)
        return Parts(coded, pack(aside), given)

    def _unexpected(self, coded: Tensor) -> Tensor:
        """Where an entry is missing and its flag says that it is there, or the other way round, (N, D)."""
        odd = coded[:, :, 0] < 0
        for column, flag in self.schema.spec.flags.items():
            odd[:, column] ^= coded[:, flag, 0] == 1
        return odd

    def _exceptions(self, raw: pa.Table, coded: Tensor) -> dict[str, bytes]:
        """Columns that are not coded, whole, and of the others the rows that would come back as something else."""
        decoded, aside = self._decoded(coded), {}
        whole: dict[str, pa.ChunkedArray] = {}
        for number, field in enumerate(raw.schema):
            other = decoded.get(field.name)
            differs = None if other is None else _differs(plain(raw[field.name]), plain(other))
            if differs is None or differs.mean() > MOST_EXCEPTIONS:
                whole[str(number)] = raw[field.name].combine_chunks()
            elif differs.any():
                rows = np.flatnonzero(differs)
                kept = raw[field.name].take(pa.array(rows)).combine_chunks()
                aside[f"rows {number}"] = _stream({"row": pa.array(rows.astype(np.int32)), "value": kept})
        if whole:
            aside["columns"] = _stream(whole)
        return aside

    def columns(self, aside: bytes, count: int) -> tuple[list[Tensor], Tensor]:
        return self.values, self._kept(aside, count)

    def _kept(self, aside: bytes, count: int) -> Tensor:
        """`_unexpected` as it was kept, (N, D)."""
        bits = unpack(aside).get("missing", b"")
        shape = (count, len(self._entries))
        if not bits:
            return torch.zeros(shape, dtype=torch.bool)
        flat = np.unpackbits(np.frombuffer(bits, np.uint8), count=count * shape[1])
        return torch.from_numpy(flat.astype(bool).reshape(shape))

    def given(self, aside: bytes, count: int) -> Tensor | None:
        if not self.schema.given_names:
            return None
        columns = _table(unpack(aside).get("columns"))
        names = self._fields.names
        return self.schema.encode_given(columns.rename_columns([names[int(name)] for name in columns.column_names]))

    def join(self, coded: Tensor, aside: bytes) -> pa.Table:
        parts, decoded = unpack(aside), self._decoded(coded)
        whole = _table(parts.get("columns"))
        columns = []
        for number, field in enumerate(self._fields):
            if str(number) in whole.column_names:
                columns.append(whole[str(number)].cast(field.type))
                continue
            values = decoded[field.name]
            if f"rows {number}" in parts:
                values = _replaced(values, _table(parts[f"rows {number}"]))
            columns.append(values)
        return pa.table(columns, schema=self._fields)

    def _decoded(self, coded: Tensor) -> dict[str, pa.Array]:
        """The columns that come back without help, in the types they came in."""
        cells = coded.numpy()
        values: dict[str, pa.Array] = {}
        for column, (entry, ranks) in enumerate(zip(self.schema.entries, self._entries, strict=True)):
            if ranks is not None and not isinstance(entry, Flag):
                values[entry.name] = ranks.decode(cells[:, column, 0], cells[:, column, 1])
        for one in self.schema.dependences:
            if one.determinant.name in values:
                values[one.column.name] = one.look_up(values[one.determinant.name])
        dressed = {c.name: c.form.dress(values[c.name]) for c in self.schema.columns if c.name in values}
        return {
            field.name: cast
            for field in self._fields
            if field.name in dressed and (cast := _cast(dressed[field.name], field.type)) is not None
        }

    def seen(self, coded: Tensor) -> Tensor:
        """Category indices, and cells with the place of the value in them; NaN where missing."""
        x = torch.empty(coded.shape[:2], dtype=torch.float64)
        for column, (field, counts) in enumerate(zip(self.schema.spec.columns, self.values, strict=True)):
            cell, rank = coded[:, column].unbind(1)
            there = cell.clamp_min(0)
            entry = there + place(rank, counts[there]) if field.kind == "cells" else there.double()
            x[:, column] = torch.where(cell < 0, torch.nan, entry)
        return x

    def log_values(self, coded: Tensor) -> Tensor:
        total = torch.zeros(len(coded), dtype=torch.float64)
        for column, counts in enumerate(self.values):
            cell = coded[:, column, 0]
            total += torch.where(cell < 0, 0.0, counts[cell.clamp_min(0)].double().log())
        return total

    def plain(self, raw: pa.Table) -> bytes:
        return frames.text(raw)

    def collect(self, blocks: Iterable[pa.Table]) -> Any:
        table, kind = pa.concat_tables(blocks), self.header["frame"]
        return frames.give(table, self.schema.frame_kind if kind == "file" else kind)

    def check_output(self, path: Path) -> None:
        frames.suffix(path)

    def write(self, blocks: Iterable[pa.Table], path: Path) -> None:
        frames.write(pa.concat_tables(blocks), path)


def _differs(first: pa.Array, second: pa.Array) -> np.ndarray:
    """Which values are not the same to the last bit, booleans (N,)."""
    if first.type != second.type:
        return np.ones(len(first), bool)
    missing = [array.is_null().to_numpy(zero_copy_only=False) for array in (first, second)]
    if pa.types.is_floating(first.type):
        kind = np.int32 if pa.types.is_float32(first.type) else np.int64
        one, two = (pc.fill_null(array, 0.0).to_numpy(zero_copy_only=False).view(kind) for array in (first, second))
        unequal = one != two
    else:
        unequal = pc.fill_null(pc.not_equal(first, second), False).to_numpy(zero_copy_only=False)
    return (missing[0] != missing[1]) | (unequal & ~missing[0] & ~missing[1])


def _cast(values: pa.Array, kind: pa.DataType) -> pa.Array | None:
    if values.type == kind:
        return values
    try:
        return values.cast(kind, safe=False)
    except pa.ArrowException:
        return None


def _replaced(values: pa.Array, rows: pa.Table) -> pa.Array:
    """Values with others in some rows."""
    both = pa.concat_arrays([plain(values), plain(rows["value"])])
    index = np.arange(len(values))
    index[rows["row"].to_numpy()] = len(values) + np.arange(rows.num_rows)
    replaced = both.take(pa.array(index))
    return replaced if replaced.type == values.type else replaced.cast(values.type)


def _stream(columns: dict[str, Any]) -> bytes:
    table, sink = pa.table(columns), pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue())


def _table(data: bytes | None) -> pa.Table:
    return pa.table({}) if not data else pa.ipc.open_stream(pa.py_buffer(data)).read_all()
