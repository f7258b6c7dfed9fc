"""Columns of labels, and columns that are not modelled: constants and identifiers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sfumato.data.columns_base import (
    NUMBER,
    Column,
    Form,
    is_number,
    is_text,
    plain,
    shown,
    stored,
    without_nan,
    worked,
)
from sfumato.data.reference import unordered_reference
from sfumato.errors import SfumatoError, did_you_mean
from sfumato.spec import Field

MISREAD = (
    (
        r"^\s*[-+]?[$€£¥]?\s?\d[\d,']*(\.\d+)?\s?[%$€£¥]?\s*$",
        r"[,'$€£¥%]",
        "numbers, if written without signs and separators (1234.5)",
    ),
    (r"^\s*\d{1,4}[/.-]\d{1,2}[/.-]\d{1,4}(\s.*)?$", r"[/.-]", "dates, if written as 2020-12-31"),
)
"""What numbers and dates look like that are read as text, a sign that tells them, and how they would be read."""


OTHER = {"1": "True", "0": "False", "true": "1", "false": "0"}
"""A condition that is a boolean, spelt as columns spell it otherwise."""


@dataclass(frozen=True)
class Category(Column):
    """Labels, of which every one seen in training is kept, however rare.

    An entry is the label's index in `labels`; a label not seen in training counts as missing.

    Attributes:
        labels: as JSON-ready values, in order; times are whole numbers of their unit.
        shares: of the training rows that have each of them.
        rarest: rows of the rarest label.
        hint: what a person may want to mend, shown before training.
    """

    style = "category"
    labels: tuple[Any, ...] = ()
    shares: tuple[float, ...] = ()
    rarest: int = 0
    hint: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "labels", tuple(self.labels))
        object.__setattr__(self, "shares", tuple(self.shares))

    @cached_property
    def known(self) -> pa.Array:
        """The labels as plain values."""
        return pa.array(self.labels, stored(self.form.type)).cast(worked(self.form.type))

    @classmethod
    def learn(cls, name: str, kind: str, form: Form, values: pa.Array) -> Category:
        """The labels of the training rows."""
        values = without_nan(plain(values))
        seen = pc.value_counts(values.drop_null())
        order = pc.sort_indices(seen.field("values"))
        labels = seen.field("values").take(order).cast(stored(form.type))
        counts = seen.field("counts").take(order).to_numpy()
        shares, least = counts / max(counts.sum(), 1), int(counts.min(initial=len(values)))
        missing, hint = values.null_count / max(len(values), 1), _hint(name, values, labels)
        return cls(name, kind, form, missing, tuple(labels.to_pylist()), tuple(shares.tolist()), least, hint)

    @property
    def field(self) -> Field:
        return Field("category", max(len(self.labels), 1), missing=self.missing > 0)

    def fit(self, values: pa.Array) -> pa.Array:
        values, kind = without_nan(values), self.known.type
        if values.type == kind:
            return values
        if is_text(values.type) and is_number(kind):
            number = pc.match_substring_regex(values, NUMBER)
            values = pc.if_else(number, values, pa.scalar(None, pa.string())).cast(pa.float64())
        try:
            if pa.types.is_floating(values.type) and is_text(kind):
                # 1.0 is the label "1"; a fraction is a label nobody has seen.
                whole = pc.equal(values, pc.round(values))
                return pc.if_else(whole, values, pa.scalar(None, values.type)).cast(pa.int64()).cast(kind)
            return values.cast(kind)
        except pa.ArrowException:
            return pa.nulls(len(values), kind)

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
        if self.kind == "boolean" and (other := OTHER.get(word.lower())) in known:
            return known[str(other)]
        lower = [index for label, index in known.items() if label.lower() == word.lower()]
        if len(lower) == 1 and self.kind == "boolean":
            return lower[0]
        raise SfumatoError(f"column {self.name!r} has no category {shown(value)}; {did_you_mean(word, known)}")

    def references(self) -> np.ndarray:
        return unordered_reference(np.array(self.shares)) if self.shares else np.zeros(1)

    def beyond(self, values: pa.Array, seen: int) -> np.ndarray:
        """log(`seen` + 1) for a label not seen in training: the share of one in as many values."""
        return np.where(self._new(values).to_numpy(zero_copy_only=False), np.log1p(seen), 0.0)

    def usual(self, most: int) -> pa.Array:
        frequent = np.argsort(-np.array(self.shares), kind="stable")[:most]
        return self.decode(frequent.astype(np.float64))

    def _new(self, values: pa.Array) -> pa.Array:
        """Which values are labels not seen in training."""
        values = without_nan(values)
        return pc.and_(pc.is_valid(values), pc.is_null(pc.index_in(self.fit(values), value_set=self.known)))

    def notes(self, values: pa.Array) -> list[str]:
        new = self._new(values)
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
        if self.hint:
            return f"{count} categories", self.hint
        if count > 6:
            return f"{count} categories", f"the rarest has {self.rarest} row{'s' * (self.rarest != 1)}"
        return f"{count} categories", ", ".join(str(label) for label in self.known.to_pylist())

    def learned(self) -> dict[str, Any]:
        return {"labels": list(self.labels), "shares": list(self.shares), "rarest": self.rarest, "hint": self.hint}


@dataclass(frozen=True)
class Constant(Column):
    """One value in every row, or none in any: not modelled, comes back as it was."""

    style = "constant"
    value: Any = None

    @classmethod
    def learn(cls, name: str, kind: str, form: Form, values: pa.Array) -> Constant:
        """The most frequent value of the training rows."""
        seen = pc.value_counts(values.drop_null())
        best = seen.field("values").take([int(np.argmax(seen.field("counts").to_numpy()))])
        value = best.cast(stored(form.type))[0].as_py()
        missing = values.null_count / max(len(values), 1)
        return cls(name, kind, form, missing, value)

    def encode(self, values: pa.Array) -> np.ndarray:
        return np.zeros(len(values), np.float32)

    def decode(self, entries: np.ndarray) -> pa.Array:
        one = pa.array([self.value], stored(self.form.type)).cast(worked(self.form.type))
        return one.take(pa.array(np.zeros(len(entries), np.int64)))

    def described(self) -> tuple[str, str]:
        return "not modelled", "no value; comes back empty" if self.value is None else f"always {shown(self.value)}"

    def learned(self) -> dict[str, Any]:
        return {"value": self.value}


@dataclass(frozen=True)
class Identifier(Column):
    """A name or number of the row: not modelled. Whole numbers go on after the largest seen; text comes back empty.

    Numbers that outgrow the type they came in (uint8) come back as int64, see `Form.dress`.
    """

    style = "identifier"
    following: int | None = None
    hint: str = ""

    @classmethod
    def learn(cls, name: str, kind: str, form: Form, values: pa.Array) -> Identifier:
        """The number after the largest of the training rows."""
        following = None
        if pa.types.is_integer(values.type) and len(values) > values.null_count:
            following = pc.max(values).as_py() + 1
        hint = _misread(values.drop_null())
        return cls(name, kind, form, values.null_count / max(len(values), 1), following, hint)

    def encode(self, values: pa.Array) -> np.ndarray:
        return np.zeros(len(values), np.float32)

    def decode(self, entries: np.ndarray) -> pa.Array:
        if self.following is None:
            return pa.nulls(len(entries), worked(self.form.type))
        if self.following + len(entries) > 2**63:
            raise SfumatoError(
                f"column {self.name!r}: identifiers after {self.following - 1} do not fit in 64 bits; "
                f"leave it out of the training (--drop {self.name})"
            )
        return pa.array(np.arange(self.following, self.following + len(entries)))

    def described(self) -> tuple[str, str]:
        after = "comes back empty" if self.following is None else f"new rows go on from {self.following}"
        return "not modelled", self.hint or after

    def learned(self) -> dict[str, Any]:
        return {"following": self.following, "hint": self.hint}


def _word(value: Any) -> str:
    if isinstance(value, float | np.floating) and float(value).is_integer():
        return str(int(value))
    return str(value)


def _hint(name: str, values: pa.Array, labels: pa.Array) -> str:
    if not is_text(values.type) or len(labels) < 20:
        return ""
    other = labels.filter(pc.invert(pc.match_substring_regex(labels, NUMBER)))
    if 0 < len(other) <= len(labels) / 10:
        return f"all numbers but {len(other)}, as {shown(other[0].as_py())}: mend them, or its labels are the numbers"
    if found := _misread(labels):
        return found
    if len(labels) > (len(values) - values.null_count) / 2:
        return f"most rows differ: --kind {name}=identifier leaves it out"
    return ""


def _misread(words: pa.Array) -> str:
    """What to do with text that a person would read as numbers or dates; nothing if it is neither."""
    if not is_text(words.type) or not len(words):
        return ""
    for pattern, sign, reading in MISREAD:
        signed = pc.match_substring_regex(words, sign)
        if pc.any(signed).as_py() and pc.all(pc.match_substring_regex(words, pattern)).as_py():
            return f"text such as {shown(words.filter(signed)[0].as_py())}: {reading}"
    return ""
