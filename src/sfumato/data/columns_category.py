"""Columns of labels, and columns that are not modelled: constants and identifiers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sfumato.data.columns_base import Column, Form, is_number, is_text, plain, shown, without_nan
from sfumato.errors import SfumatoError, did_you_mean
from sfumato.spec import Field


@dataclass(frozen=True)
class Category(Column):
    """Labels, of which every one seen in training is kept, however rare.

    An entry is the label's index in `labels`; a label not seen in training counts as missing.

    Attributes:
        labels: as JSON-ready values, in order; times are whole numbers of their unit.
        rarest: rows of the rarest label.
    """

    style = "category"
    labels: tuple[Any, ...] = ()
    rarest: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "labels", tuple(self.labels))

    @cached_property
    def known(self) -> pa.Array:
        """The labels as plain values."""
        return pa.array(self.labels, _stored(self.form.type)).cast(_worked(self.form.type))

    @classmethod
    def learn(cls, name: str, kind: str, form: Form, values: pa.Array) -> Category:
        """The labels of the training rows."""
        values = without_nan(plain(values))
        seen = pc.value_counts(values.drop_null())
        order = pc.sort_indices(seen.field("values"))
        labels = seen.field("values").take(order).cast(_stored(form.type))
        least = pc.min(seen.field("counts")).as_py() if len(seen) else 0
        return cls(name, kind, form, values.null_count / max(len(values), 1), tuple(labels.to_pylist()), least)

    @property
    def field(self) -> Field:
        return Field("category", max(len(self.labels), 1), missing=self.missing > 0)

    def fit(self, values: pa.Array) -> pa.Array:
        values = without_nan(values)
        if values.type == self.known.type:
            return values
        try:
            if pa.types.is_floating(values.type) and is_text(self.known.type):
                whole = values.cast(pa.int64())
                return whole.cast(self.known.type)
            return values.cast(self.known.type)
        except pa.ArrowException:
            return pa.array([None] * len(values), self.known.type)

    def encode(self, values: pa.Array) -> np.ndarray:
        index = pc.index_in(self.fit(values), value_set=self.known, skip_nulls=True)
        return index.cast(pa.float32()).to_numpy(zero_copy_only=False)

    def decode(self, entries: np.ndarray) -> pa.Array:
        lost = ~np.isfinite(entries)
        index = np.clip(np.where(lost, 0, entries), 0, len(self.labels) - 1).astype(np.int64)
        return self.known.take(pa.array(index, mask=lost))

    def condition(self, values: Sequence[Any]) -> np.ndarray:
        known = {_word(label): index for index, label in enumerate(self.known.to_pylist())}
        found: dict[str, float] = {}
        for value in values:
            word = _word(value)
            if word not in found:
                found[word] = self._index(value, word, known)
        return np.array([found[_word(value)] for value in values], np.float32)

    def _index(self, value: Any, word: str, known: dict[str, int]) -> float:
        if value is None or value != value:
            return np.nan
        if word in known:
            return known[word]
        lower = [index for label, index in known.items() if label.lower() == word.lower()]
        if len(lower) == 1 and self.kind == "boolean":
            return lower[0]
        raise SfumatoError(f"column {self.name!r} has no category {shown(value)}; {did_you_mean(word, known)}")

    def notes(self, values: pa.Array) -> list[str]:
        fitted = self.fit(values)
        new = pc.and_(pc.is_valid(values), pc.is_null(pc.index_in(fitted, value_set=self.known)))
        count = pc.sum(new).as_py() or 0
        if not count:
            return []
        example = values[int(pc.index(new, True).as_py())].as_py()
        rows = "1 row has" if count == 1 else f"{count} rows have"
        return [
            f"column {self.name!r}: {rows} a category never seen in training, as {shown(example)}; taken as missing"
        ]

    def described(self) -> tuple[str, str]:
        count = len(self.labels)
        if count > 6:
            return f"{count} categories", f"the rarest has {self.rarest} row{'s' * (self.rarest != 1)}"
        return f"{count} categories", ", ".join(str(label) for label in self.known.to_pylist())

    def learned(self) -> dict[str, Any]:
        return {"labels": list(self.labels), "rarest": self.rarest}


@dataclass(frozen=True)
class Constant(Column):
    """One value in every row: not modelled, comes back as it was."""

    style = "constant"
    value: Any = None

    @classmethod
    def learn(cls, name: str, kind: str, form: Form, values: pa.Array) -> Constant:
        """The most frequent value of the training rows."""
        seen = pc.mode(values) if is_number(values.type) else pc.value_counts(values.drop_null())
        names = ("mode", "count") if is_number(values.type) else ("values", "counts")
        best = seen.field(names[0])[int(np.argmax(seen.field(names[1]).to_numpy()))] if len(seen) else None
        stored = None if best is None else pa.array([best.as_py()], values.type).cast(_stored(form.type))[0]
        missing = values.null_count / max(len(values), 1)
        return cls(name, kind, form, missing, None if stored is None else stored.as_py())

    def encode(self, values: pa.Array) -> np.ndarray:
        return np.zeros(len(values), np.float32)

    def decode(self, entries: np.ndarray) -> pa.Array:
        one = pa.array([self.value], _stored(self.form.type)).cast(_worked(self.form.type))
        return one.take(pa.array(np.zeros(len(entries), np.int64)))

    def described(self) -> tuple[str, str]:
        return "not modelled", f"always {shown(self.value)}"

    def learned(self) -> dict[str, Any]:
        return {"value": self.value}


@dataclass(frozen=True)
class Identifier(Column):
    """A name or number of the row: not modelled. Whole numbers go on after the largest seen; text comes back empty."""

    style = "identifier"
    following: int | None = None

    @classmethod
    def learn(cls, name: str, kind: str, form: Form, values: pa.Array) -> Identifier:
        """The number after the largest of the training rows."""
        following = None
        if pa.types.is_integer(values.type) and len(values) > values.null_count:
            following = pc.max(values).as_py() + 1
        return cls(name, kind, form, values.null_count / max(len(values), 1), following)

    def encode(self, values: pa.Array) -> np.ndarray:
        return np.zeros(len(values), np.float32)

    def decode(self, entries: np.ndarray) -> pa.Array:
        if self.following is None:
            return pa.nulls(len(entries), _worked(self.form.type))
        return pa.array(np.arange(self.following, self.following + len(entries)))

    def described(self) -> tuple[str, str]:
        after = "comes back empty" if self.following is None else f"new rows go on from {self.following}"
        return "not modelled", after

    def learned(self) -> dict[str, Any]:
        return {"following": self.following}


def _worked(kind: pa.DataType) -> pa.DataType:
    return pa.string() if is_text(kind) else kind


def _stored(kind: pa.DataType) -> pa.DataType:
    """The type whose Python values JSON can hold."""
    if is_text(kind) or pa.types.is_decimal(kind):
        return pa.string()
    if pa.types.is_date32(kind) or pa.types.is_time32(kind):
        return pa.int32()
    if pa.types.is_temporal(kind):
        return pa.int64()
    return kind


def _word(value: Any) -> str:
    if isinstance(value, float | np.floating) and float(value).is_integer():
        return str(int(value))
    return str(value)
