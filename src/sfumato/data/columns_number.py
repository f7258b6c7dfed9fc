"""Columns of numbers: continuous, whole, and points in time."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sfumato.data.columns_base import (
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
from sfumato.data.columns_cells import Cells, Scale, cut_from_dict
from sfumato.errors import SfumatoError
from sfumato.spec import Field

TIMES = (
    *("%Y-%m-%d", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S", "%Y/%m/%d", "%d/%m/%Y", "%m/%d/%Y", "%d.%m.%Y"),
    *("%Y-%m-%d %H:%M", "%d/%m/%Y %H:%M", "%m/%d/%Y %H:%M", "%d.%m.%Y %H:%M", "%d-%m-%Y", "%Y%m%d"),
)
"""Spellings of time that text is tried against, in this order."""

DECIMALS = 8
WIDEST = 2**50
STEPS = {
    "s": (86_400, 3_600, 60),
    "ms": (86_400_000, 3_600_000, 60_000, 1_000),
    "us": (86_400_000_000, 3_600_000_000, 60_000_000, 1_000_000, 1_000),
    "ns": (86_400 * 10**9, 3_600 * 10**9, 60 * 10**9, 10**9, 10**6, 10**3),
}


@dataclass(frozen=True)
class Ruler:
    """Between plain values and numbers: whole ones (int64), or float64.

    Times are whole numbers of `step` of their own units since `origin`, where `step` is the longest of day, hour,
    minute, second, … in which all training times lie.

    Attributes:
        whole: whether the numbers are whole.
        low, high: the range seen in training, in numbers.
        origin, step: of times; 0 and 1 for other numbers.
        decimals: digits after the point that every training value kept to; None if they had more than 8.
        spelling: how text spells a time; None if the values are not text.
    """

    whole: bool
    low: float
    high: float
    origin: int = 0
    step: int = 1
    decimals: int | None = None
    spelling: str | None = None

    @classmethod
    def learn(cls, name: str, kind: str, form: Form, values: pa.Array) -> Ruler:
        """The ruler of these training values, none missing."""
        spelling = _spelling(name, values) if is_text(values.type) else None
        ruler = cls(kind != "continuous", 0, 0, spelling=spelling)
        if kind == "datetime":
            ticks = ruler.numbers(values)
            origin = int(ticks.min())
            steps = STEPS.get(getattr(values.type, "unit", "s"), ()) if not _is_day(values.type) else ()
            step = next((step for step in steps if not ((ticks - origin) % step).any()), 1)
            ruler = replace(ruler, origin=origin, step=step)
        numbers = ruler.numbers(values)
        if kind == "continuous":
            ruler = replace(ruler, decimals=_decimals(numbers, values.type))
        low, high = numbers.min(), numbers.max()
        return replace(ruler, low=low.item(), high=high.item())

    def numbers(self, values: pa.Array) -> np.ndarray:
        """Plain values, none missing, as numbers."""
        if self.spelling is not None:
            values = pc.strptime(values, format=self.spelling, unit="s")
        if not self.whole:
            return values.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
        if pa.types.is_floating(values.type) or pa.types.is_decimal(values.type):
            return np.rint(values.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)).astype(np.int64)
        ticks = values.cast(_ticks(values.type)).cast(pa.int64()).to_numpy(zero_copy_only=False)
        return (ticks - self.origin) // self.step if self.step > 1 or self.origin else ticks

    def values(self, numbers: np.ndarray, kind: pa.DataType, mask: np.ndarray) -> pa.Array:
        """Numbers as plain values of this type, brought inside the range seen in training; null where `mask`."""
        numbers = np.clip(numbers, self.low, self.high)
        if self.whole:
            numbers = np.rint(numbers).astype(np.int64) * self.step + self.origin
        elif self.decimals is not None:
            numbers = np.round(numbers, self.decimals)
        found = pa.array(numbers, mask=mask)
        if self.spelling is not None:
            return pc.strftime(found.cast(pa.timestamp("s")), format=self.spelling)
        if pa.types.is_temporal(kind):
            return found.cast(_ticks(kind)).cast(kind)
        if pa.types.is_integer(kind) and not self.whole:
            return pc.round(found).cast(kind)
        if pa.types.is_decimal(kind):
            return pc.round(found.cast(pa.float64()), kind.scale).cast(kind, safe=False)
        return found.cast(kind, safe=False)


@dataclass(frozen=True)
class Number(Column):
    """A column of numbers, cut into cells or shifted and scaled.

    Attributes:
        ruler: between values and numbers.
        cut: between numbers and entries.
    """

    style = "number"
    ruler: Ruler
    cut: Cells | Scale

    @classmethod
    def learn(cls, name: str, kind: str, form: Form, values: pa.Array, cells: int | None) -> Number:
        """Learn the training values; `cells` None shifts and scales.

        Raises:
            SfumatoError: at a value that is not of this kind.
        """
        if kind != "datetime" and is_text(values.type):
            values = as_numbers(name, values)
        check(name, kind, values)
        values = without_nan(values)
        present = values.drop_null()
        ruler = Ruler.learn(name, kind, form, present)
        numbers = ruler.numbers(present)
        cut = Scale.learn(numbers) if cells is None else Cells.learn(numbers, cells, whole=ruler.whole)
        return cls(name, kind, form, values.null_count / max(len(values), 1), ruler, cut)

    @property
    def field(self) -> Field:
        return replace(self.cut.spec, missing=self.missing > 0)

    def fit(self, values: pa.Array) -> pa.Array:
        kind = self.form.type
        if values.type == kind or (is_text(kind) and is_text(values.type)):
            check(self.name, self.kind, values)
            return values
        if is_text(values.type) and self.kind != "datetime":
            values = as_numbers(self.name, values)
        elif is_text(values.type):
            values = _times(self.name, values, kind)
        if pa.types.is_null(values.type):
            return values.cast(pa.string() if is_text(kind) else kind)
        if pa.types.is_boolean(values.type):
            values = values.cast(pa.int8())
        if self.kind == "datetime":
            try:
                return values.cast(kind, safe=False)
            except pa.ArrowException:
                raise SfumatoError(f"column {self.name!r} holds {values.type} where times should be; mend it") from None
        if not is_number(values.type):
            raise SfumatoError(f"column {self.name!r} holds {values.type} where numbers should be; mend it")
        check(self.name, self.kind, values)
        return values

    def encode(self, values: pa.Array) -> np.ndarray:
        values = without_nan(self.fit(values))
        found = np.full(len(values), np.nan, np.float32)
        if values.null_count:
            found[pc.is_valid(values).to_numpy(zero_copy_only=False)] = self._encoded(values.drop_null())
        else:
            found[:] = self._encoded(values)
        return found

    def _encoded(self, values: pa.Array) -> np.ndarray:
        return self.cut.encode(self.ruler.numbers(values))

    def decode(self, entries: np.ndarray) -> pa.Array:
        lost = np.isnan(entries)
        numbers = self.cut.decode(np.where(lost, 0.0, entries))
        return self.ruler.values(numbers, pa.string() if is_text(self.form.type) else self.form.type, lost)

    def condition(self, values: Sequence[Any]) -> np.ndarray:
        found: dict[Any, Any] = {}
        for value in values:
            if value not in found:
                found[value] = self._one(value)
        return np.array([found[value] for value in values], np.float32)

    def _one(self, value: Any) -> float:
        if value is None or value != value:
            return np.nan
        try:
            if self.kind == "datetime" and isinstance(value, datetime.date | datetime.time | datetime.timedelta):
                one = pa.array([value])
                if is_text(self.form.type):
                    one = pc.strftime(one.cast(pa.timestamp("s")), format=self.ruler.spelling)
            else:
                one = pa.array([value])
            return float(self.encode(plain(one))[0])
        except (SfumatoError, pa.ArrowException):
            wanted = "a time, as 2024-05-31" if self.kind == "datetime" else "a number"
            raise SfumatoError(f"column {self.name!r} takes {wanted}, not {shown(value)}") from None

    def volumes(self) -> np.ndarray:
        return self.cut.volumes()

    def notes(self, values: pa.Array) -> list[str]:
        if isinstance(self.cut, Scale):
            return []
        present = without_nan(self.fit(values)).drop_null()
        numbers = self.ruler.numbers(present)
        beyond = (numbers < self.ruler.low) | (numbers > self.ruler.high)
        count = int(beyond.sum())
        if not count:
            return []
        example = present[int(np.argmax(beyond))].as_py()
        rows = "1 value lies" if count == 1 else f"{count} values lie"
        return [
            f"column {self.name!r}: {rows} beyond the range seen in training, as {shown(example)}; "
            "taken as the nearest end"
        ]

    def described(self) -> tuple[str, str]:
        ends = np.array([self.ruler.low, self.ruler.high], np.int64 if self.ruler.whole else np.float64)
        low, high = self.ruler.values(ends, self.form.type, np.zeros(2, bool)).to_pylist()
        return self.cut.described(), f"{_short(low)} to {_short(high)}"

    def learned(self) -> dict[str, Any]:
        return {"ruler": asdict(self.ruler), "cut": self.cut.to_dict()}


def check(name: str, kind: str, values: pa.Array) -> None:
    """Refuse infinity, fractions in a column of whole numbers, and numbers that 64 bits cannot hold.

    Raises:
        SfumatoError: naming column, row and value.
    """
    if kind == "datetime":
        return
    if not is_number(values.type) and not pa.types.is_boolean(values.type):
        raise SfumatoError(f"column {name!r} holds {values.type}, which is not {kind}; leave its kind out")
    if pa.types.is_floating(values.type):
        wrong = first(pc.is_inf(values))
        if wrong >= 0:
            raise SfumatoError(
                f"column {name!r}, row {wrong + 1}: the value is infinite; put a number there or leave it empty"
            )
        if kind == "integer":
            wrong = first(pc.not_equal(values, pc.round(values)))
            if wrong >= 0:
                raise SfumatoError(
                    f"column {name!r}, row {wrong + 1}: {values[wrong]} stands where a whole number should; "
                    "mend it, or train with its kind set to continuous"
                )
            values = pc.abs(without_nan(values))
            wrong = first(pc.greater(values, float(2**62)))
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


def number_from_dict(name: str, kind: str, form: Form, missing: float, rest: Mapping[str, Any]) -> Number:
    """Back from `Number.to_dict`."""
    return Number(name, kind, form, missing, Ruler(**rest["ruler"]), cut_from_dict(rest["cut"]))


def _is_day(kind: pa.DataType) -> bool:
    return pa.types.is_date(kind)


def _ticks(kind: pa.DataType) -> pa.DataType:
    return pa.int32() if pa.types.is_date32(kind) or pa.types.is_time32(kind) else pa.int64()


def _decimals(numbers: np.ndarray, kind: pa.DataType) -> int | None:
    """Fewest digits after the point that all numbers keep to."""
    some = np.unique(numbers)
    largest = np.abs(some).max(initial=1.0)
    close = 6e-8 if pa.types.is_float32(kind) or pa.types.is_float16(kind) else 1e-15
    for digits in range(DECIMALS + 1):
        if largest * 10.0**digits > WIDEST:
            return None
        if (np.abs(np.round(some, digits) - some) <= close * np.abs(some)).all():
            return digits
    return None


def _spelling(name: str, values: pa.Array) -> str:
    for spelling in TIMES:
        parsed = pc.strptime(values, format=spelling, unit="s", error_is_null=True)
        if not parsed.null_count and pc.strftime(parsed, format=spelling).equals(values):
            return spelling
    parsed = pc.strptime(values, format=TIMES[0], unit="s", error_is_null=True)
    wrong = first(pc.is_null(parsed))
    raise SfumatoError(
        f"column {name!r}: {shown(values[max(wrong, 0)].as_py())} is no time of a known spelling; "
        "write times as 2024-05-31 or 2024-05-31 18:30:00"
    )


def _times(name: str, values: pa.Array, kind: pa.DataType) -> pa.Array:
    words = pc.if_else(pc.is_in(values, pa.array(["", "NaT"])), pa.scalar(None, pa.string()), values)
    zoned = getattr(kind, "tz", None)
    try:
        return words.cast(pa.timestamp(kind.unit) if zoned is None and pa.types.is_timestamp(kind) else kind)
    except pa.ArrowException:
        pass
    for spelling in TIMES:
        parsed = pc.strptime(words, format=spelling, unit="s", error_is_null=True)
        if parsed.null_count == words.null_count:
            local = pc.assume_timezone(parsed, zoned) if zoned else parsed
            return local.cast(kind)
    for row, word in enumerate(words.to_pylist()):
        try:
            pa.array([word]).cast(kind)
        except pa.ArrowException:
            raise SfumatoError(
                f"column {name!r}, row {row + 1}: {shown(word)} stands where a time should; mend it"
            ) from None
    raise SfumatoError(f"column {name!r} holds text where times should be; write them as 2024-05-31")


def _short(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)
