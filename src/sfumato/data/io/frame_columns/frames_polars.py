"""Polars' frames as arrow has them, and back in the types they came in."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from sfumato.data.io.frame_columns.frames_pandas import DTYPE
from sfumato.errors import SfumatoError

WIDE = ("Int128", "UInt128")


def read(frame: Any) -> pa.Table:
    import polars as pl

    named = {name: type(kind).__name__ for name, kind in frame.schema.items()}
    for name, kind in named.items():
        if kind == "Object":
            raise SfumatoError(f"column {name!r} holds Python objects, which are no values of a table; take it out")
        if kind in WIDE:
            # Arrow has no whole numbers of 128 bits; those past 64 are text, as they are in a file.
            fits = frame[name].cast(pl.Int64, strict=False).null_count() == frame[name].null_count()
            frame = frame.with_columns(pl.col(name).cast(pl.Int64 if fits else pl.String))
    table = frame.to_arrow()
    fields = [field.with_metadata({DTYPE: named[field.name]}) for field in table.schema]
    return table.cast(pa.schema(fields)) if table.num_columns else table


def give(table: pa.Table) -> Any:
    import polars as pl

    plain = table.cast(pa.schema([_undeclared(field) for field in table.schema]))
    frame = pl.from_arrow(plain)
    assert isinstance(frame, pl.DataFrame)
    for field, column in zip(table.schema, table.columns, strict=True):
        mark = (field.metadata or {}).get(DTYPE.encode(), b"").decode()
        if mark == "Enum":
            chunk = column.chunk(0) if column.num_chunks else None
            labels = chunk.dictionary.to_pylist() if chunk is not None else []
            frame = frame.with_columns(pl.col(field.name).cast(pl.Enum(labels)))
        elif mark in ("Categorical", *WIDE):
            frame = frame.with_columns(pl.col(field.name).cast(getattr(pl, mark)))
    return frame


def _undeclared(field: pa.Field) -> pa.Field:
    kind = field.type.value_type if pa.types.is_dictionary(field.type) else field.type
    return pa.field(field.name, kind)
