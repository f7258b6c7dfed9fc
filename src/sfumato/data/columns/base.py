"""What every kind of column can do, and the form in which its values came."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sfumato.data.columns.missing import MISSING_AMONG_NUMBERS, trimmed, without
from sfumato.errors import SfumatoError
from sfumato.spec import Field

NUMBER = r"^\s*[-+]?((\d+\.?\d*|\.\d+)([eE][-+]?\d+)?|[iI][nN][fF]|[iI]nfinity)\s*$"

LARGEST_WHOLE = 2**62
"""Whole numbers beyond it are text, whose digits are kept."""


def plain(values: pa.ChunkedArray | pa.Array) -> pa.Array:
    """One array without dictionary; text of any Arrow type as `string`; half floats as floats.

    >>> plain(pa.chunked_array([pa.array(["a", "b", "a"]).dictionary_encode()])).type
    DataType(string)
    """
    if isinstance(values, pa.ChunkedArray):
        values = values.combine_chunks()
        if isinstance(values, pa.ChunkedArray):
            values = pa.concat_arrays(values.chunks) if values.num_chunks else pa.array([], values.type)
    if pa.types.is_dictionary(values.type):
        values = values.dictionary_decode()
    if is_text(values.type) and not pa.types.is_string(values.type):
        values = values.cast(pa.string())
    if pa.types.is_float16(values.type):
        values = values.cast(pa.float32())
    return values


def is_text(kind: pa.DataType) -> bool:
    """Whether it is a type of text."""
    return pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)


def is_number(kind: pa.DataType) -> bool:
    """Whether it is a type of number (a boolean is not)."""
    return pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)


def worked(kind: pa.DataType) -> pa.DataType:
    """The type of `plain` values of this type."""
    if pa.types.is_float16(kind):
        return pa.float32()
    return pa.string() if is_text(kind) else kind


def stored(kind: pa.DataType) -> pa.DataType:
    """The type whose Python values JSON can hold."""
    if pa.types.is_float16(kind):
        return pa.float32()
    if is_text(kind) or pa.types.is_decimal(kind):
        return pa.string()
    if pa.types.is_date32(kind) or pa.types.is_time32(kind):
        return pa.int32()
    if pa.types.is_temporal(kind):
        return pa.int64()
    return kind


def without_nan(values: pa.Array) -> pa.Array:
    """NaN as null."""
    if not pa.types.is_floating(values.type):
        return values
    return pc.if_else(pc.fill_null(pc.is_nan(values), False), pa.scalar(None, values.type), values)


def first(flags: pa.Array) -> int:
    """Index of the first true entry, −1 if there is none."""
    return int(pc.index(flags, True).as_py())


def type_from_name(name: str) -> pa.DataType:
    """The arrow type that `str` gave this name.

    >>> type_from_name("timestamp[us, tz=Europe/Berlin]")
    TimestampType(timestamp[us, tz=Europe/Berlin])
    """
    zoned = re.fullmatch(r"timestamp\[(\w+), tz=(.+)\]", name)
    if zoned:
        return pa.timestamp(zoned[1], tz=zoned[2])
    decimal = re.fullmatch(r"decimal(\d+)\((\d+), (-?\d+)\)", name)
    if decimal:
        make = {"32": pa.decimal32, "64": pa.decimal64, "128": pa.decimal128, "256": pa.decimal256}
        return make[decimal[1]](int(decimal[2]), int(decimal[3]))
    return pa.type_for_alias(name)


@dataclass(frozen=True)
class Form:
    """How a column's values are dressed where they came from, so that they go back as they came.

    Attributes:
        type: arrow type of a value.
        index: arrow type of the codes, for a dictionary-encoded column (pandas or polars categories); else None.
        categories: its declared categories, as JSON-ready values.
        ordered: whether those are in order.
        marks: field metadata: the frame's own dtype, how a text file spells a boolean.
    """

    type: pa.DataType
    index: pa.DataType | None = None
    categories: tuple[Any, ...] | None = None
    ordered: bool = False
    marks: tuple[tuple[str, str], ...] = ()

    @classmethod
    def of(cls, field: pa.Field, values: pa.ChunkedArray) -> Form:
        """The form of one column of a table."""
        marks = tuple(sorted((k.decode(), v.decode()) for k, v in (field.metadata or {}).items()))
        if not pa.types.is_dictionary(field.type):
            return cls(field.type, marks=marks)
        form = cls(field.type.value_type, field.type.index_type, ordered=bool(field.type.ordered), marks=marks)
        declared = values.unify_dictionaries()
        labels = plain(declared.chunk(0).dictionary).cast(stored(form.type)) if declared.num_chunks else []
        return replace(form, categories=tuple(pa.array(labels).to_pylist()))

    def field(self, name: str) -> pa.Field:
        """The column's arrow field."""
        kind = self.type if self.index is None else pa.dictionary(self.index, self.type, self.ordered)
        return pa.field(name, kind, metadata=dict(self.marks) or None)

    def dress(self, values: pa.Array) -> pa.Array:
        """Plain values as they came; identifiers that have outgrown a narrow type as int64."""
        if values.type != self.type and not self._outgrown(values):
            values = values.cast(self.type, safe=False)
        if self.index is None:
            return values
        known = pa.array(self.categories, stored(self.type)).cast(worked(self.type))
        codes = pc.index_in(plain(values), value_set=known, skip_nulls=True).cast(self.index)
        return pa.DictionaryArray.from_arrays(codes, known.cast(self.type), ordered=self.ordered)

    def _outgrown(self, values: pa.Array) -> bool:
        """Whether whole numbers do not fit this type of whole numbers."""
        if not (self.index is None and pa.types.is_integer(self.type) and pa.types.is_integer(values.type)):
            return False
        try:
            values.cast(self.type)
        except pa.ArrowInvalid:
            return True
        return False

    def to_dict(self) -> dict[str, Any]:
        """As JSON-ready values."""
        return {
            "type": str(self.type),
            "index": None if self.index is None else str(self.index),
            "categories": None if self.categories is None else list(self.categories),
            "ordered": self.ordered,
            "marks": dict(self.marks),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Form:
        """Back from `to_dict`."""
        return cls(
            type=type_from_name(values["type"]),
            index=None if values["index"] is None else type_from_name(values["index"]),
            categories=None if values["categories"] is None else tuple(values["categories"]),
            ordered=values["ordered"],
            marks=tuple(sorted(values["marks"].items())),
        )


@dataclass(frozen=True)
class Column(ABC):
    """One column: statistics learned on the training split, and the transform to numbers and back.

    Attributes:
        name: its name.
        kind: one of `options.KINDS`.
        form: how its values are dressed.
        missing: share of the training rows in which it is missing.
    """

    style: ClassVar[str]
    name: str
    kind: str
    form: Form
    missing: float

    @property
    def field(self) -> Field | None:
        """What a model may know of it; None if it is not modelled."""
        return None

    @property
    def dated(self) -> bool:
        """Whether the values are dates, and not times of day or lengths of time."""
        return False

    @abstractmethod
    def encode(self, values: pa.Array) -> np.ndarray:
        """Plain values as float32 entries of `Batch.x`, NaN where missing; shape (N,)."""

    @abstractmethod
    def decode(self, entries: np.ndarray) -> pa.Array:
        """Entries back to plain values, null where NaN."""

    def fit(self, values: pa.Array) -> pa.Array:
        """Plain values as ones that `encode` takes.

        Raises:
            SfumatoError: naming column, row and value, if one cannot be taken.
        """
        return values

    def absent(self, values: pa.Array) -> np.ndarray:
        """Which plain values are missing, as booleans, shape (N,); one that training never had is not.

        Raises:
            SfumatoError: naming column, row and value, if one cannot be taken.
        """
        return np.asarray(without_nan(values).is_null().to_numpy(zero_copy_only=False))

    def condition(self, values: Sequence[Any]) -> np.ndarray:
        """Values a person typed or passed as a condition, as float32 entries; NaN where None.

        Raises:
            SfumatoError: if one cannot be taken.
        """
        raise SfumatoError(f"column {self.name!r} is not modelled and cannot be a condition")

    def within(self, entries: np.ndarray) -> np.ndarray:
        """Entries of a condition brought inside the range seen in training."""
        return entries

    @property
    def range(self) -> str:
        """The range of numbers and times seen in training, in words."""
        return ""

    def beyond_range(self, count: int, example: Any) -> str:
        """What a person should know of `count` values beyond the range seen in training."""
        values = "1 value lies" if count == 1 else f"{count} values lie"
        return (
            f"column {self.name!r}: {values} beyond the range seen in training ({self.range}), as {shown(example)}; "
            "taken as the nearest end"
        )

    def condition_notes(self, values: pa.Array) -> list[str]:
        """What a person should know before `values` are encoded as conditions."""
        return self.notes(values)

    def volumes(self) -> np.ndarray:
        """log of the raw volume of each cell, or one number for all entries."""
        return np.zeros(1)

    def references(self) -> np.ndarray:
        """log of the density, of entries, that scores compare with (`data.reference`): of each cell, or one for all."""
        return np.zeros(1)

    def frequencies(self) -> np.ndarray | None:
        """log of the share of the training values in each cell; None where it is not kept."""
        return None

    def out_of_range_penalty(self, values: pa.Array, seen: int) -> np.ndarray:
        """What each of these values costs, in nats, for being unlike any of the `seen` training values; shape (N,).

        0 for values the model has a probability or a density for, and for missing ones.
        """
        return np.zeros(len(values))

    def to_numbers(self, values: pa.Array) -> np.ndarray | None:
        """Values as numbers, NaN where missing, shape (N,); None if the column is one of categories.

        As they are and not as the model sees them: nothing is brought inside the range seen in training. Dates are days
        since 1970, times of day and lengths of time are in the column's own unit.

        Raises:
            SfumatoError: naming column, row and value, if one cannot be taken.
        """
        return None

    def usual(self, most: int) -> pa.Array:
        """At most so many plain values that are usual in training: of numbers, spread evenly over its rows."""
        return pa.nulls(0)

    def notes(self, values: pa.Array) -> list[str]:
        """What a person should know before `values` are encoded."""
        return []

    def caution(self) -> str:
        """What a person should know of the way this column is taken before a model is trained; "" if nothing."""
        return ""

    @abstractmethod
    def described(self) -> tuple[str, str]:
        """(how it is modelled, a note), for the table shown before training."""

    def to_dict(self) -> dict[str, Any]:
        """As JSON-ready values."""
        return {
            "style": self.style,
            "name": self.name,
            "kind": self.kind,
            "form": self.form.to_dict(),
            "missing": self.missing,
            **self.learned(),
        }

    @abstractmethod
    def learned(self) -> dict[str, Any]:
        """The JSON-ready rest of `to_dict`; also the keyword arguments that make it again."""


def shown(value: Any) -> str:
    """A value as it stands in a message.

    >>> shown("a b"), shown(1.5)
    ("'a b'", '1.5')
    """
    text = repr(value) if isinstance(value, str) else str(value)
    return text if len(text) <= 60 else text[:57] + "…"


def as_numbers(name: str, values: pa.Array) -> pa.Array:
    """Text as float64.

    Raises:
        SfumatoError: at the first entry that is no number, naming column and row.
    """
    words = trimmed(without(values, MISSING_AMONG_NUMBERS))
    wrong = first(pc.invert(pc.match_substring_regex(words, NUMBER)))
    if wrong >= 0:
        raise SfumatoError(
            f"column {name!r}, row {wrong + 1}: {shown(values[wrong].as_py())} stands where a number should; "
            "fix it or leave it empty"
        )
    return pc.replace_substring(words, "+", "").cast(pa.float64())
