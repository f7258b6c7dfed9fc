"""Columns of numbers: continuous, whole, and points in time."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sfumato.data.columns.base import (
    Column,
    Form,
    as_numbers,
    first,
    is_number,
    is_text,
    plain,
    shown,
    without_nan,
)
from sfumato.data.columns.cells import Cells, cut_from_dict
from sfumato.data.columns.missing import MISSING_AMONG_NUMBERS, without
from sfumato.data.columns.ruler import CLOCK_STEPS, Ruler, as_words, spelled, times
from sfumato.data.columns.scaling import Standardisation
from sfumato.data.columns.styles import Style
from sfumato.data.columns.times import COMPACT, as_moments, has_date, spell
from sfumato.errors import SfumatoError
from sfumato.spec import Field

LARGEST_FINITE = 1e300
"""Numbers beyond it count as infinite, so that differences stay finite."""


@dataclass(frozen=True)
class Number(Column):
    """A column of numbers, cut into cells or shifted and scaled.

    Attributes:
        ruler: between values and numbers.
        cut: between numbers and entries.
    """

    style = "number"
    ruler: Ruler
    cut: Cells | Standardisation

    @classmethod
    def learn(cls, name: str, kind: str, form: Form, values: pa.Array, cells: int | None) -> Number:
        """Learn the training values; `cells` None shifts and scales.

        Raises:
            SfumatoError: at a value that is not of this kind.
        """
        style = None
        if is_text(values.type):
            values = without(values, MISSING_AMONG_NUMBERS)
            if kind != "datetime":
                style = Style.find(values)
                values = as_numbers(name, values) if style is None else style.parse(values)
        check(name, kind, values)
        if kind == "datetime":
            _check_times(name, values)
        values = without_nan(values)
        present = values.drop_null()
        ruler = Ruler.learn(name, kind, form, present, style)
        numbers = ruler.numbers(present)
        cut = Standardisation.learn(numbers) if cells is None else Cells.learn(numbers, cells, whole=ruler.whole)
        return cls(name, kind, form, values.null_count / max(len(values), 1), ruler, cut)

    @property
    def field(self) -> Field:
        return replace(self.cut.spec, missing=self.missing > 0)

    def fit(self, values: pa.Array) -> pa.Array:
        kind = self.form.type
        if self.ruler.spelling is not None and not pa.types.is_null(values.type):
            return self._spelt(values)
        if values.type == kind and not is_text(kind):
            check(self.name, self.kind, values)
            return values
        if is_text(values.type) and self.kind != "datetime":
            values = self._unstyled(values)
        elif is_text(values.type):
            values = times(self.name, values, kind)
        if pa.types.is_null(values.type):
            return values.cast(pa.string() if is_text(kind) else kind)
        if pa.types.is_boolean(values.type):
            values = values.cast(pa.int8())
        if self.kind == "datetime":
            try:
                return values.cast(kind, safe=False)
            except pa.ArrowException:
                raise SfumatoError(f"column {self.name!r} holds {values.type} where times should be; fix it") from None
        if not is_number(values.type):
            raise SfumatoError(f"column {self.name!r} holds {values.type} where numbers should be; fix it")
        check(self.name, self.kind, values)
        return values

    def _spelt(self, values: pa.Array) -> pa.Array:
        """Times, in whatever form, as the words that spell them in training.

        Raises:
            SfumatoError: naming column and row, if one is no time.
        """
        spelling = self.ruler.spelling
        assert spelling is not None, "only times that are words are spelt"
        if pa.types.is_temporal(values.type) and not pa.types.is_duration(values.type):
            return spell(as_moments(values), spelling)
        if not is_text(values.type) and not is_number(values.type):
            raise SfumatoError(f"column {self.name!r} holds {values.type} where times should be; fix it")
        return self.ruler.spelt(self.name, as_words(without_nan(values)))

    def _unstyled(self, values: pa.Array) -> pa.Array:
        """Text as numbers, with the signs and separators of the training rows or without.

        Raises:
            SfumatoError: naming column and row, if one is no number.
        """
        style = self.ruler.style or Style.find(values)
        if style is None:
            return as_numbers(self.name, values)
        numbers, present = style.parse(values), without(values, MISSING_AMONG_NUMBERS)
        lost = pc.and_(pc.is_null(numbers), pc.is_valid(present))
        if not pc.any(lost).as_py():
            return numbers
        return pc.coalesce(numbers, as_numbers(self.name, pc.if_else(lost, present, pa.scalar(None, pa.string()))))

    def absent(self, values: pa.Array) -> np.ndarray:
        return super().absent(self.fit(values))

    def encode(self, values: pa.Array) -> np.ndarray:
        return self._each(values, np.full(len(values), np.nan, np.float32), self.cut.encode)

    def to_numbers(self, values: pa.Array) -> np.ndarray:
        ruler, day = self.ruler, self._ticks_a_day if self.dated else 1
        return self._each(
            values, np.full(len(values), np.nan), lambda numbers: (numbers * ruler.step + ruler.origin) / day
        )

    @property
    def dated(self) -> bool:
        kind = self.form.type
        of_day = self.ruler.spelling is not None and not has_date(self.ruler.spelling)
        return self.kind == "datetime" and not (pa.types.is_time(kind) or pa.types.is_duration(kind) or of_day)

    @property
    def _ticks_a_day(self) -> int:
        """Of dates: how many units of the column, or seconds where text spells them, are a day."""
        kind = self.form.type
        return (
            1
            if pa.types.is_date32(kind)
            else CLOCK_STEPS["ms" if pa.types.is_date64(kind) else getattr(kind, "unit", "s")][0]
        )

    def out_of_range_penalty(self, values: pa.Array, seen: int) -> np.ndarray:
        return self._each(values, np.zeros(len(values)), lambda numbers: self.cut.out_of_range_penalty(numbers, seen))

    def _each(self, values: pa.Array, result: np.ndarray, of: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
        """`result` with what `of` makes of the numbers that are not missing."""
        values = without_nan(self.fit(values))
        if values.null_count:
            result[pc.is_valid(values).to_numpy(zero_copy_only=False)] = of(self.ruler.numbers(values.drop_null()))
        else:
            result[:] = of(self.ruler.numbers(values))
        return result

    def decode(self, entries: np.ndarray) -> pa.Array:
        lost = np.isnan(entries)
        numbers = self.cut.decode(np.where(lost, 0.0, entries))
        return self.ruler.values(numbers, pa.string() if is_text(self.form.type) else self.form.type, lost)

    def condition(self, values: Sequence[Any]) -> np.ndarray:
        entries: dict[Any, Any] = {}
        for value in values:
            if value not in entries:
                entries[value] = self._one(value)
        return np.array([entries[value] for value in values], np.float32)

    def within(self, entries: np.ndarray) -> np.ndarray:
        return np.clip(entries, *self.cut.encode(self._ends))

    @property
    def _ends(self) -> np.ndarray:
        """The least and the greatest number seen in training."""
        return np.array([self.ruler.low, self.ruler.high], np.int64 if self.ruler.whole else np.float64)

    def _one(self, value: Any) -> float:
        if value is None or value != value:
            return np.nan
        try:
            if self.kind == "datetime" and isinstance(value, datetime.date | datetime.time | datetime.timedelta):
                column = pa.array([value])
                if self.ruler.spelling is not None:
                    column = spell(as_moments(column), self.ruler.spelling)
            else:
                column = pa.array([value])
            return float(self.encode(plain(column))[0])
        except (SfumatoError, pa.ArrowException):
            wanted = {"datetime": "a time, as 2024-05-31", "integer": "a whole number"}.get(self.kind, "a number")
            raise SfumatoError(f"column {self.name!r} takes {wanted}, not {shown(value)}") from None

    def volumes(self) -> np.ndarray:
        return self.cut.volumes()

    def references(self) -> np.ndarray:
        return self.cut.references()

    def frequencies(self) -> np.ndarray | None:
        return np.log(self.cut.shares) if isinstance(self.cut, Cells) else None

    def usual(self, most: int) -> pa.Array:
        return self.decode(self.cut.quantiles((np.arange(most) + 0.5) / most)).unique()

    def notes(self, values: pa.Array) -> list[str]:
        return [] if isinstance(self.cut, Standardisation) else self.condition_notes(values)

    def condition_notes(self, values: pa.Array) -> list[str]:
        present = without_nan(self.fit(values)).drop_null()
        numbers = self.ruler.numbers(present)
        beyond = (numbers < self.ruler.low) | (numbers > self.ruler.high)
        count = int(beyond.sum())
        if not count:
            return []
        example = present[int(np.argmax(beyond))].as_py()
        if self.ruler.whole and isinstance(example, float):
            example = round(example)
        return [self.beyond_range(count, example)]

    @property
    def range(self) -> str:
        low, high = self.ruler.values(self._ends, self.form.type, np.zeros(2, bool)).to_pylist()
        return f"{_short(low)} to {_short(high)}"

    def described(self) -> tuple[str, str]:
        return self.cut.described(), self.range

    def learned(self) -> dict[str, Any]:
        return {"ruler": asdict(self.ruler), "cut": self.cut.to_dict()}


def check(name: str, kind: str, values: pa.Array) -> None:
    """Refuse infinity, fractions in a column of whole numbers, and numbers that 64 bits cannot hold.

    Raises:
        SfumatoError: naming column, row and value.
    """
    if kind == "datetime":
        return
    values = without_nan(values)
    if not is_number(values.type) and not pa.types.is_boolean(values.type):
        raise SfumatoError(f"column {name!r} holds {values.type}, which is not {kind}; leave its kind out")
    if pa.types.is_floating(values.type):
        wrong = first(pc.greater(pc.abs(values), LARGEST_FINITE))
        if wrong >= 0:
            raise SfumatoError(
                f"column {name!r}, row {wrong + 1}: the value is infinite or nearly; put a number there or leave it out"
            )
        if kind == "integer":
            wrong = first(pc.not_equal(values, pc.round(values)))
            if wrong >= 0:
                raise SfumatoError(
                    f"column {name!r}, row {wrong + 1}: {values[wrong]} stands where a whole number should; "
                    "fix it, or train with its kind set to continuous"
                )
            wrong = first(pc.greater(pc.abs(values), float(2**62)))
    elif pa.types.is_uint64(values.type):
        wrong = first(pc.greater(values, pa.scalar(2**62, pa.uint64())))
    elif pa.types.is_int64(values.type):
        wrong = first(pc.or_(pc.greater(values, 2**62), pc.less(values, -(2**62))))
    else:
        return
    if wrong >= 0:
        raise SfumatoError(
            f"column {name!r}, row {wrong + 1}: {values[wrong]} is too large for a whole number to model; "
            "set its kind to identifier or continuous, or drop it"
        )


def _check_times(name: str, values: pa.Array) -> None:
    """Refuse what is neither a type of time nor text that may spell one.

    Raises:
        SfumatoError: naming the column, what it holds, and how dates are written.
    """
    if pa.types.is_temporal(values.type) or is_text(values.type):
        return
    if is_number(values.type) and spelled(as_words(without_nan(values).drop_null())) in COMPACT:
        return
    raise SfumatoError(
        f"column {name!r} holds {_held(values.type)}, where kind datetime needs dates or times; leave its kind out, or "
        "save it as dates, as 2024-05-31"
    )


def _held(kind: pa.DataType) -> str:
    if pa.types.is_boolean(kind):
        return "booleans"
    return f"{'whole numbers' if pa.types.is_integer(kind) else 'numbers'} ({kind})"


def number_from_dict(name: str, kind: str, form: Form, missing: float, rest: Mapping[str, Any]) -> Number:
    """Back from `Number.to_dict`."""
    ruler = dict(rest["ruler"])
    style = ruler.pop("style")
    ruler["style"] = None if style is None else Style.from_dict(style)
    return Number(name, kind, form, missing, Ruler(**ruler), cut_from_dict(rest["cut"]))


def _short(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)
