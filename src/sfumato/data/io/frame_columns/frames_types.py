"""Columns of arrow types that no table's column has: taken as text or times, and given back as they came."""

from __future__ import annotations

import base64
import datetime
import re
from collections.abc import Callable
from typing import Any
from uuid import NAMESPACE_OID, UUID, uuid5

import pyarrow as pa
import pyarrow.compute as pc

TYPE = "sfumato.type"
"""Mark of a field whose column came in another arrow type: that type, as arrow itself writes schemas, in base64."""

PERIOD, INTERVAL = "pandas.period", "pandas.interval"
HEX = re.compile(r"0x(?:[0-9a-f]{2})+")
BRACKETS = {"left": ("[", ")"), "right": ("(", "]"), "both": ("[", "]"), "neither": ("(", ")")}


def taken(table: pa.Table) -> pa.Table:
    """A table with each column in a type that columns have, marked with the type it came in.

    Run-end encoded columns and views are decoded. Bytes become the text they spell in UTF-8, or else `0x` and their
    hexadecimal digits; UUIDs and pandas' intervals the text that `str` makes of them; pandas' periods their first
    moment. So are the categories of a dictionary.

    >>> taken(pa.table({"a": pa.array([b"one", b"\\xff"])}))["a"].to_pylist()
    ['one', '0xff']
    """
    fields, columns = [], []
    for field, column in zip(table.schema, table.columns, strict=True):
        converted = _taken(column)
        if converted is not column:
            marks = {**(field.metadata or {}), TYPE.encode(): _named(field.type)}
            field = pa.field(field.name, converted.type, metadata=marks)
        fields.append(field)
        columns.append(converted)
    return pa.table(columns, schema=pa.schema(fields, metadata=table.schema.metadata)) if columns else table


def as_came(table: pa.Table) -> pa.Table:
    """Back from `taken`.

    >>> as_came(taken(pa.table({"a": pa.array([b"one", b"\\xff"])})))["a"].to_pylist()
    [b'one', b'\\xff']
    """
    fields, columns = [], []
    for field, column in zip(table.schema, table.columns, strict=True):
        marks = dict(field.metadata or {})
        name = marks.pop(TYPE.encode(), None)
        if name is not None:
            column = _restored(one_array(column), _type(name))
            field = pa.field(field.name, column.type, metadata=marks or None)
        fields.append(field)
        columns.append(column)
    return pa.table(columns, schema=pa.schema(fields)) if columns else table


def spelt(table: pa.Table) -> pa.Table:
    """A table whose periods are the text that pandas writes for them, as 2024-05 for a month."""
    for place, field in enumerate(table.schema):
        name = (field.metadata or {}).get(TYPE.encode())
        if name is None or getattr(kind := _type(name), "extension_name", "") != PERIOD:
            continue
        periods = _restored(one_array(table.column(place)), kind).to_pandas()
        words = pa.array(periods.astype(object).map(str, na_action="ignore"), pa.string(), from_pandas=True)
        table = table.set_column(place, pa.field(field.name, pa.string()), words)
    return table


def one_array(column: pa.ChunkedArray | pa.Array) -> pa.Array:
    """A column in one piece."""
    if not isinstance(column, pa.ChunkedArray):
        return column
    if not column.num_chunks:
        return pa.array([], column.type)
    if column.num_chunks == 1:
        return column.chunk(0)
    return pa.concat_arrays(column.unify_dictionaries().chunks)


def _named(kind: pa.DataType) -> bytes:
    fields = [pa.field("", kind)]
    if pa.types.is_dictionary(kind):
        # Arrow 26 cannot read back a dictionary of extension types.
        fields = [pa.field("", kind.value_type), pa.field("ordered" if kind.ordered else "", kind.index_type)]
    return base64.b64encode(pa.schema(fields).serialize().to_pybytes())


def _type(name: bytes) -> pa.DataType:
    if b"pandas" in (written := base64.b64decode(name)):
        _register()
    schema = pa.ipc.read_schema(pa.py_buffer(written))
    value = schema.field(0)
    if len(schema) == 1:
        return value.type
    index = schema.field(1)
    return pa.dictionary(index.type, value.type, index.name == "ordered")


def _register() -> None:
    """Make pandas' types known to arrow, which pandas itself does when it first needs them."""
    import pandas as pd

    pa.array(pd.PeriodIndex([], freq="D"))


def _taken(column: pa.ChunkedArray | pa.Array) -> Any:
    """The column itself where nothing is to be done, else an array."""
    kind = column.type
    if pa.types.is_run_end_encoded(kind):
        if _simpler(kind.value_type) is None:
            return _taken(pc.run_end_decode(one_array(column)))
        return _taken(pa.array(column.to_pylist(), kind.value_type))
    if pa.types.is_dictionary(kind):
        array = one_array(column)
        known = _taken(array.dictionary)
        if known is array.dictionary:
            return column
        return pa.DictionaryArray.from_arrays(array.indices, known, ordered=kind.ordered)
    if isinstance(kind, pa.BaseExtensionType):
        return _from_extension(one_array(column))
    if (simpler := _simpler(kind)) is not None:
        return _taken(one_array(column).cast(simpler))
    return _words(one_array(column), _text) if _is_bytes(kind) else column


def _simpler(kind: pa.DataType) -> pa.DataType | None:
    """The type of the same values with which arrow can do more, if there is one."""
    if pa.types.is_string_view(kind):
        return pa.string()
    if pa.types.is_binary_view(kind):
        return pa.binary()
    if pa.types.is_decimal32(kind) or pa.types.is_decimal64(kind):
        return pa.decimal128(kind.precision, kind.scale)
    return pa.date32() if pa.types.is_date64(kind) else None


def _is_bytes(kind: pa.DataType) -> bool:
    return pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind)


def _from_extension(array: pa.Array) -> pa.Array:
    kind = array.type
    if kind.extension_name == "arrow.uuid":
        return _words(array.storage, lambda value: str(UUID(bytes=value)))
    if kind.extension_name == PERIOD:
        return pa.array(array.to_pandas().dt.to_timestamp(), from_pandas=True)
    if kind.extension_name == INTERVAL:
        first, last = BRACKETS[kind.closed]
        return _words(array.storage, lambda value: f"{first}{value['left']}, {value['right']}{last}")
    return _taken(array.storage)


def _text(value: bytes) -> str:
    try:
        text = value.decode()
    except UnicodeDecodeError:
        return f"0x{value.hex()}"
    return f"0x{value.hex()}" if HEX.fullmatch(text) else text


def _bytes(text: str) -> bytes:
    return bytes.fromhex(text[2:]) if HEX.fullmatch(text) else text.encode()


def _words(array: pa.Array, spell: Callable[[Any], str]) -> pa.Array:
    """Each distinct value spelt once."""
    if pa.types.is_struct(array.type):
        return pa.array([None if value is None else spell(value) for value in array.to_pylist()], pa.string())
    coded = array.dictionary_encode()
    return pa.array([spell(value) for value in coded.dictionary.to_pylist()], pa.string()).take(coded.indices)


def _restored(array: pa.Array, kind: pa.DataType) -> pa.Array:
    """An array that `_taken` made of one of type `kind`, or one like it, in that type again."""
    if pa.types.is_run_end_encoded(kind):
        known = _simpler(kind.value_type) or kind.value_type
        runs = pc.run_end_encode(_restored(array, known), run_end_type=kind.run_end_type)
        return pa.RunEndEncodedArray.from_arrays(runs.run_ends, runs.values.cast(kind.value_type))
    if pa.types.is_dictionary(kind):
        known = _restored(array.dictionary, kind.value_type)
        return pa.DictionaryArray.from_arrays(array.indices.cast(kind.index_type), known, ordered=kind.ordered)
    if isinstance(kind, pa.BaseExtensionType):
        return pa.ExtensionArray.from_storage(kind, _storage(array, kind))
    if (simpler := _simpler(kind)) is not None:
        return _restored(array, simpler).cast(kind)
    if _is_bytes(kind):
        coded = array.dictionary_encode()
        return pa.array(list(map(_bytes, coded.dictionary.to_pylist())), kind).take(coded.indices)
    return array if array.type == kind else array.cast(kind, safe=False)


def _storage(array: pa.Array, kind: Any) -> pa.Array:
    if kind.extension_name == "arrow.uuid":
        raw_bytes = [None if word is None else _uuid(word).bytes for word in array.to_pylist()]
        return pa.array(raw_bytes, kind.storage_type)
    if kind.extension_name == PERIOD:
        return pa.array(array.to_pandas().dt.to_period(kind.freq), from_pandas=True).storage
    if kind.extension_name == INTERVAL:
        return _ends(array, kind.storage_type)
    return _restored(array, kind.storage_type)


def _uuid(word: str) -> UUID:
    """The UUID a word spells; of a made-up identifier one that is new."""
    try:
        return UUID(word)
    except ValueError:
        return uuid5(NAMESPACE_OID, word)


def _ends(words: pa.Array, kind: pa.StructType) -> pa.Array:
    """Both ends of intervals, as `kind`, from the text of `_from_extension`."""
    inner = pc.utf8_slice_codeunits(words, 1, -1)
    halves = pc.extract_regex(inner, r"^(?P<left>(?:-?\d+ days?, )?[^,]*), (?P<right>.*)$")
    ends = []
    for place, name in enumerate(("left", "right")):
        half, wanted = pc.struct_field(halves, name), kind.field(place).type
        if pa.types.is_duration(wanted):
            ends.append(pa.array([None if word is None else _span(word) for word in half.to_pylist()], wanted))
        else:
            ends.append(half.cast(wanted))
    return pa.StructArray.from_arrays(ends, fields=list(kind), mask=pc.is_null(words))


def _span(word: str) -> datetime.timedelta:
    """A length of time as Python spells it: `2 days, 3:04:05.5` or `3:04:05`."""
    days, _, clock = word.rpartition(" day")
    hours, minutes, seconds = clock.removeprefix("s").removeprefix(", ").split(":")
    return datetime.timedelta(days=int(days or 0), hours=int(hours), minutes=int(minutes), seconds=float(seconds))
