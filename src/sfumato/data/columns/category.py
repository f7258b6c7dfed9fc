"""Columns of labels."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sfumato.data.columns.base import (
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
from sfumato.data.columns.fixed import FEWEST_IDS, misread, near_unique
from sfumato.data.columns.reference import unordered_reference
from sfumato.errors import SfumatoError, did_you_mean
from sfumato.spec import Field

MAX_LABELS_KEPT = 100
"""Columns of at most so many labels have an entry for each, however rare."""
MIN_LABEL_ROWS = 5
"""Of more labels, those in at least so many training rows have one…"""
MANY = 500
"""… and of these at most so many, the most frequent ones: no column makes a model much slower than all others do."""


OTHER = {"1": "True", "0": "False", "true": "1", "false": "0"}
"""A condition that is a boolean, spelt as columns spell it otherwise."""


@dataclass(frozen=True)
class Category(Column):
    """Labels seen in training. Of many labels the rare ones share one entry.

    An entry is the label's index in `labels`, or `len(labels)` for one in `others`, of which one is drawn, by how often
    each was seen, when it is decoded. A label not seen in training counts as missing.

    Attributes:
        labels: as JSON-ready values, in order; times are whole numbers of their unit.
        shares: of the training rows that have each entry.
        rarest: rows of the rarest label.
        hint: what the user may want to fix, shown before training.
        others: rare labels without an entry of their own, as `labels`.
        counts: training rows of each of them.
        copied: whether most labels are those of one row, so that samples repeat what identifies somebody.
    """

    style = "category"
    labels: tuple[Any, ...] = ()
    shares: tuple[float, ...] = ()
    rarest: int = 0
    hint: str = ""
    others: tuple[Any, ...] = ()
    counts: tuple[int, ...] = ()
    copied: bool = False

    def __post_init__(self) -> None:
        for name in ("labels", "shares", "others", "counts"):
            object.__setattr__(self, name, tuple(getattr(self, name)))

    @cached_property
    def known(self) -> pa.Array:
        """The labels that have entries of their own, as plain values."""
        return self._plain(self.labels)

    @cached_property
    def rare(self) -> pa.Array:
        """The labels that have not."""
        return self._plain(self.others)

    def _plain(self, labels: tuple[Any, ...]) -> pa.Array:
        return pa.array(labels, stored(self.form.type)).cast(worked(self.form.type))

    @classmethod
    def learn(cls, name: str, kind: str, form: Form, values: pa.Array, *, whole: bool = True) -> Category:
        """The labels of the training rows; unless all are to be `whole`, the rare ones among many share an entry."""
        values = without_nan(plain(values))
        seen = pc.value_counts(values.drop_null())
        seen = seen.take(pc.sort_indices(seen.field("values")))
        labels, counts = seen.field("values").cast(stored(form.type)), seen.field("counts").to_numpy()
        own = np.ones(len(labels), bool) if whole else _own(counts)
        entries = np.append(counts[own], counts[~own].sum()) if not own.all() else counts
        return cls(
            name,
            kind,
            form,
            values.null_count / max(len(values), 1),
            tuple(labels.filter(pa.array(own)).to_pylist()),
            tuple((entries / max(counts.sum(), 1)).tolist()),
            int(counts.min()) if len(counts) else 0,
            misread(labels) if len(labels) >= FEWEST_IDS else "",
            tuple(labels.filter(pa.array(~own)).to_pylist()),
            tuple(counts[~own].tolist()),
            is_text(values.type) and near_unique(len(labels), len(values) - values.null_count),
        )

    @property
    def field(self) -> Field:
        return Field("category", max(len(self.labels) + bool(self.others), 1), missing=self.missing > 0)

    def fit(self, values: pa.Array) -> pa.Array:
        values, kind = without_nan(values), self.known.type
        if values.type == kind:
            return values
        if is_text(values.type) and is_number(kind):
            number = pc.match_substring_regex(values, NUMBER)
            values = pc.if_else(number, values, pa.scalar(None, pa.string())).cast(pa.float64())
        try:
            if pa.types.is_floating(values.type) and is_text(kind):
                # 1.0 is the label "1"; a fraction is an unknown label.
                whole = pc.equal(values, pc.round(values))
                return pc.if_else(whole, values, pa.scalar(None, values.type)).cast(pa.int64()).cast(kind)
            return values.cast(kind)
        except pa.ArrowException:
            return pa.nulls(len(values), kind)

    def encode(self, values: pa.Array) -> np.ndarray:
        values = self.fit(values)
        index = pc.index_in(values, value_set=self.known, skip_nulls=True)
        if self.others:
            rare = pc.is_in(values, value_set=self.rare, skip_nulls=True)
            index = pc.if_else(rare, pa.scalar(len(self.labels), pa.int32()), index)
        return index.cast(pa.float32()).to_numpy(zero_copy_only=False)

    def decode(self, entries: np.ndarray) -> pa.Array:
        lost = ~np.isfinite(entries)
        index = np.clip(np.where(lost, 0, entries), 0, self.field.size - 1).astype(np.int64)
        rare = np.flatnonzero(~lost & (index == len(self.labels)))
        if not self.others or not len(rare):
            return self.known.take(pa.array(index, mask=lost))
        # The same entries give the same labels, as everywhere.
        random = np.random.default_rng(zlib.crc32(np.ascontiguousarray(index).tobytes()))
        shares = np.cumsum(self.counts)
        index[rare] += np.searchsorted(shares, random.integers(shares[-1], size=len(rare)), side="right")
        return pa.concat_arrays([self.known, self.rare]).take(pa.array(index, mask=lost))

    def volumes(self) -> np.ndarray:
        """0, and for the entry that rare labels share the log of how many they are."""
        return np.append(np.zeros(len(self.labels)), np.log(len(self.others))) if self.others else np.zeros(1)

    def condition(self, values: Sequence[Any]) -> np.ndarray:
        known = {_word(label): index for index, label in enumerate(self.known.to_pylist())}
        indices: dict[str, float] = {}
        for value in values:
            word = _word(value)
            if word not in indices:
                indices[word] = self._index(value, word, known)
        return np.array([indices[_word(value)] for value in values], np.float32)

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

    def frequencies(self) -> np.ndarray | None:
        return np.log(self.shares) if self.shares else np.zeros(1)

    def out_of_range_penalty(self, values: pa.Array, seen: int) -> np.ndarray:
        """log(`seen` + 1) for a label not seen in training: the share of one in as many values."""
        return np.where(self._new(values).to_numpy(zero_copy_only=False), np.log1p(seen), 0.0)

    def usual(self, most: int) -> pa.Array:
        frequent = np.argsort(-np.array(self.shares[: len(self.labels)]), kind="stable")[:most]
        return self.decode(frequent.astype(np.float64))

    def _new(self, values: pa.Array) -> pa.Array:
        """Which values are labels not seen in training."""
        values = without_nan(values)
        fitted = self.fit(values)
        seen = pc.or_(pc.is_in(fitted, value_set=self.known), pc.is_in(fitted, value_set=self.rare))
        return pc.and_(pc.is_valid(values), pc.invert(seen))

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

    def caution(self) -> str:
        option = f"--kind {self.name}="
        if self.others:
            rare = f"{len(self.others):,} of {len(self.labels) + len(self.others):,} categories are rare"
            fate = "they are one group, drawn by how often they occur"
            return f"column {self.name!r}: {rare}; {fate}; {option}categorical models each"
        if self.copied:
            what = f"{len(self.labels):,} different values, those of single rows among them"
            return (
                f"column {self.name!r}: {what}; samples repeat them word for word; {option}identifier leaves them out"
            )
        return ""

    def described(self) -> tuple[str, str]:
        count = len(self.labels)
        if self.others:
            return f"{count} categories + rare ones", self.hint or f"{len(self.others):,} rare ones are one group"
        if self.hint or self.copied:
            return f"{count} categories", self.hint or "samples repeat the values of single rows"
        if count > 6:
            return f"{count} categories", f"the rarest has {self.rarest} row{'s' * (self.rarest != 1)}"
        return f"{count} categories", ", ".join(str(label) for label in self.known.to_pylist())

    def learned(self) -> dict[str, Any]:
        return {
            "labels": list(self.labels),
            "shares": list(self.shares),
            "rarest": self.rarest,
            "hint": self.hint,
            "others": list(self.others),
            "counts": list(self.counts),
            "copied": self.copied,
        }


def _own(counts: np.ndarray) -> np.ndarray:
    """Which labels, seen in so many rows each, have an entry of their own."""
    if len(counts) <= MAX_LABELS_KEPT:
        return np.ones(len(counts), bool)
    own = counts >= MIN_LABEL_ROWS
    own[np.argsort(-counts, kind="stable")[MANY:]] = False
    return own if (~own).sum() > 1 else np.ones(len(counts), bool)


def _word(value: Any) -> str:
    if isinstance(value, float | np.floating) and float(value).is_integer():
        return str(int(value))
    return str(value)
