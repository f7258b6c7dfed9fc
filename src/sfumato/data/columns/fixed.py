"""Columns that are not modelled: constants and identifiers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sfumato.data.columns.base import NUMBER, Column, Form, is_text, shown, stored, worked
from sfumato.errors import SfumatoError

FEWEST_IDS = 20
"""In fewer rows than this, values that all differ are not taken for identifiers."""
MISREAD = (
    (
        r"^\s*[-+]?[$€£¥]?\s?\d[\d,']*(\.\d+)?\s?[%$€£¥]?\s*$",
        r"[,'$€£¥%]",
        "numbers, if written without signs and separators (1234.5)",
    ),
    (r"^\s*\d{1,4}[/.-]\d{1,2}[/.-]\d{1,4}(\s.*)?$", r"[/.-]", "dates, if written as 2020-12-31"),
)
"""Numbers and dates that are read as text: their pattern, a sign of them, and how they would be read."""


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
        constant = pa.array([self.value], stored(self.form.type)).cast(worked(self.form.type))
        return constant.take(pa.array(np.zeros(len(entries), np.int64)))

    def described(self) -> tuple[str, str]:
        return "not modelled", "no value; comes back empty" if self.value is None else f"always {shown(self.value)}"

    def learned(self) -> dict[str, Any]:
        return {"value": self.value}


@dataclass(frozen=True)
class Identifier(Column):
    """A name, a number or a text of the row's own: not modelled, and not repeated in samples.

    Whole numbers go on after the largest seen, text becomes a placeholder (`name 1`, `name 2`, …), all else comes back
    empty. Numbers that outgrow the type they came in (uint8) come back as int64, see `Form.dress`.

    Attributes:
        following: the number after the largest seen; None if they are no whole numbers.
        hint: what the user may want to fix, shown before training.
        distinct: different values in the training rows.
        rows: training rows in which it is not missing.
    """

    style = "identifier"
    following: int | None = None
    hint: str = ""
    distinct: int = 0
    rows: int = 0

    @classmethod
    def learn(cls, name: str, kind: str, form: Form, values: pa.Array) -> Identifier:
        """The number after the largest of the training rows."""
        present = values.drop_null()
        following = pc.max(present).as_py() + 1 if pa.types.is_integer(values.type) and len(present) else None
        missing, different = values.null_count / max(len(values), 1), present.unique()
        return cls(name, kind, form, missing, following, misread(different), len(different), len(present))

    def encode(self, values: pa.Array) -> np.ndarray:
        return np.zeros(len(values), np.float32)

    def decode(self, entries: np.ndarray) -> pa.Array:
        if self._is_replaced:
            return pa.array([self._placeholder(row) for row in range(1, len(entries) + 1)], pa.string())
        if self.following is None:
            return pa.nulls(len(entries), worked(self.form.type))
        if self.following + len(entries) > 2**63:
            raise SfumatoError(
                f"column {self.name!r}: identifiers after {self.following - 1} do not fit in 64 bits; "
                f"leave it out of the training (--drop {self.name})"
            )
        return pa.array(np.arange(self.following, self.following + len(entries)))

    @property
    def _is_replaced(self) -> bool:
        """Whether placeholders stand for its values: those of a declared list cannot hold them."""
        return is_text(self.form.type) and self.form.index is None

    def _placeholder(self, row: int) -> str:
        return f"{self.name or 'value'} {row}"

    def caution(self) -> str:
        if not is_text(self.form.type):
            return ""
        fate = f"new rows hold {self._placeholder(1)!r}, …" if self._is_replaced else "it comes back empty"
        what = self.hint or f"{self.distinct:,} different values in {self.rows:,} rows"
        return (
            f"column {self.name!r}: {what}; not modelled, and {fate}; --kind {self.name}=categorical repeats values of "
            "the training rows word for word"
        )

    def described(self) -> tuple[str, str]:
        if self._is_replaced:
            return "not modelled", self.hint or f"new rows hold {self._placeholder(1)!r}, …"
        after = "comes back empty" if self.following is None else f"new rows go on from {self.following}"
        return "not modelled", self.hint or after

    def learned(self) -> dict[str, Any]:
        return {"following": self.following, "hint": self.hint, "distinct": self.distinct, "rows": self.rows}


def near_unique(distinct: int, rows: int) -> bool:
    """Whether values are so many, a different one for at most two rows, that they name or describe the rows."""
    return rows >= FEWEST_IDS and distinct >= max(rows / 2, FEWEST_IDS)


def misread(words: pa.Array) -> str:
    """What to do with text that a person would read as numbers or dates; "" if it is neither.

    Args:
        words: different values of a column.
    """
    if not is_text(words.type) or not len(words):
        return ""
    other = words.filter(pc.invert(pc.match_substring_regex(words, NUMBER)))
    if 0 < len(other) <= len(words) / 10:
        return f"all numbers but {len(other)}, as {shown(other[0].as_py())}: fix them, or they are taken as text"
    for pattern, sign, reading in MISREAD:
        signed = pc.match_substring_regex(words, sign)
        if pc.any(signed).as_py() and pc.all(pc.match_substring_regex(words, pattern)).as_py():
            return f"text such as {shown(words.filter(signed)[0].as_py())}: {reading}"
    return ""
