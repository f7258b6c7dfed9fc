"""Between values and numbers: whole numbers, decimals, and points in time in all their spellings."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sfumato.data.columns.base import Form, first, is_number, is_text, shown, worked
from sfumato.data.columns.missing import MISSING_AMONG_NUMBERS, without
from sfumato.data.columns.styles import Style
from sfumato.data.columns.times import find, parse, spell
from sfumato.errors import SfumatoError

DECIMALS, SLIPS = 8, 1e-3
MAX_SPAN = 2**50
CLOCK_STEPS = {
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
        decimals: digits after the point that training values kept to; None if they had more than 8.
        spelling: how text, or whole numbers as 20240131, spell a time; None if the values are not such.
        style: how text spells numbers with signs and separators; None if it does not.
    """

    whole: bool
    low: float
    high: float
    origin: int = 0
    step: int = 1
    decimals: int | None = None
    spelling: str | None = None
    style: Style | None = None

    @classmethod
    def learn(cls, name: str, kind: str, form: Form, values: pa.Array, style: Style | None = None) -> Ruler:
        """The ruler of these training values, none missing."""
        spelling = _spelling(name, values) if kind == "datetime" and _is_spelt(values.type) else None
        ruler = cls(kind != "continuous", 0, 0, spelling=spelling, style=style)
        if kind == "datetime":
            ticks = ruler.numbers(values)
            origin = int(ticks.min())
            steps = CLOCK_STEPS.get(getattr(values.type, "unit", "s"), ()) if not _is_day(values.type) else ()
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
            values = parse(as_words(values), self.spelling)
        if not self.whole:
            return values.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
        if pa.types.is_floating(values.type) or pa.types.is_decimal(values.type):
            return np.rint(values.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)).astype(np.int64)
        ticks = values.cast(_ticks(values.type)).cast(pa.int64()).to_numpy(zero_copy_only=False)
        return (ticks - self.origin) // self.step if self.step > 1 or self.origin else ticks

    def spelt(self, name: str, values: pa.Array) -> pa.Array:
        """Text that spells times as in training; what stands there as ISO 8601 has it is spelt anew.

        Raises:
            SfumatoError: at the first entry that is spelt otherwise, naming column and row.
        """
        assert self.spelling is not None, "only times that are text are spelt"
        values = without(values, MISSING_AMONG_NUMBERS)
        parsed = parse(values, self.spelling)
        if parsed.null_count == values.null_count:
            return values
        loose = pc.coalesce(parsed, parse(values, self.spelling, strict=False))
        others = np.flatnonzero(pc.and_(pc.is_null(loose), pc.is_valid(values)).to_numpy(zero_copy_only=False))
        if not len(others):
            return spell(loose, self.spelling)
        if (moments := _iso(values)) is not None:
            return spell(moments, self.spelling)
        wrong = next((row for row in others.tolist() if _iso(values[row : row + 1]) is None), int(others[0]))
        raise SfumatoError(
            f"column {name!r}, row {wrong + 1}: {shown(values[wrong].as_py())} is not spelt as the times in "
            f"training were ({self.spelling}); fix it or leave it empty"
        )

    def values(self, numbers: np.ndarray, kind: pa.DataType, mask: np.ndarray) -> pa.Array:
        """Numbers as plain values of this type, brought inside the range seen in training; null where `mask`."""
        if self.decimals is not None:
            numbers = np.round(numbers, self.decimals)
        numbers = np.clip(numbers, self.low, self.high)
        if self.whole:
            numbers = np.rint(numbers).astype(np.int64) * self.step + self.origin
        column = pa.array(numbers, mask=mask)
        if self.spelling is not None:
            words = spell(column.cast(pa.timestamp("s")), self.spelling)
            return words if is_text(kind) else words.cast(pa.int64()).cast(worked(kind))
        if self.style is not None and is_text(kind):
            return pa.array(self.style.spell(np.where(mask, 0, numbers)), pa.string(), mask=mask)
        if pa.types.is_temporal(kind):
            return column.cast(_ticks(kind)).cast(kind)
        if pa.types.is_integer(kind) and not self.whole:
            return pc.round(column).cast(kind)
        if pa.types.is_decimal(kind):
            return pc.round(column.cast(pa.float64()), kind.scale).cast(kind, safe=False)
        return column.cast(worked(kind), safe=False)


def times(name: str, values: pa.Array, kind: pa.DataType) -> pa.Array:
    """Text as times of this type.

    Raises:
        SfumatoError: at the first entry that is no time, naming column and row.
    """
    words = pc.if_else(pc.is_in(values, pa.array(["", "NaT"])), pa.scalar(None, pa.string()), values)
    zoned = getattr(kind, "tz", None)
    try:
        return words.cast(pa.timestamp(kind.unit) if zoned is None and pa.types.is_timestamp(kind) else kind)
    except pa.ArrowException:
        pass
    spelling = find(words)
    if spelling is not None:
        parsed = parse(words, spelling.spelling)
        local = pc.assume_timezone(parsed, zoned) if zoned else parsed
        return local.cast(kind)
    if not zoned and (pa.types.is_timestamp(kind) or _is_day(kind)) and (moments := _iso(words)) is not None:
        return moments.cast(kind, safe=False)
    for row, word in enumerate(words.to_pylist()):
        try:
            pa.array([word]).cast(kind)
        except pa.ArrowException:
            raise SfumatoError(
                f"column {name!r}, row {row + 1}: {shown(word)} stands where a time should; fix it"
            ) from None
    raise SfumatoError(f"column {name!r} holds text where times should be; write them as 2024-05-31")


def _iso(words: pa.Array) -> pa.Array | None:
    """Dates and times as ISO 8601 has them, each with or without T, seconds, fractions and the Z of UTC, else None.

    >>> _iso(pa.array(["2024-05-31", "2024-05-31T18:30Z"])).to_pylist()[1].isoformat()
    '2024-05-31T18:30:00'
    """
    spaced = pc.replace_substring_regex(words, r"^(\d{4}-\d\d-\d\d)T", r"\1 ")
    try:
        return pc.replace_substring_regex(spaced, r"Z$", "").cast(pa.timestamp("us"))
    except pa.ArrowException:
        return None


def _is_day(kind: pa.DataType) -> bool:
    return pa.types.is_date(kind)


def _ticks(kind: pa.DataType) -> pa.DataType:
    return pa.int32() if pa.types.is_date32(kind) or pa.types.is_time32(kind) else pa.int64()


def _decimals(numbers: np.ndarray, kind: pa.DataType) -> int | None:
    """Fewest digits after the point that all numbers keep to, but for one in a thousand: a slip is no precision."""
    some, counts = np.unique(numbers, return_counts=True)
    largest = np.abs(some).max(initial=1.0)
    close = 6e-8 if pa.types.is_float32(kind) or pa.types.is_float16(kind) else 1e-15

    def kept(few: np.ndarray, digits: int, weights: np.ndarray) -> bool:
        return float(weights @ (np.abs(np.round(few, digits) - few) > close * np.abs(few))) <= SLIPS * len(numbers)

    for digits in range(DECIMALS + 1):
        if largest * 10.0**digits > MAX_SPAN:
            return None
        if kept(some[:100], digits, counts[:100]) and kept(some, digits, counts):
            return digits
    return None


def spelled(values: pa.Array) -> str | None:
    """The spelling of time that all of these words have, if there is one, words for missing values left aside.

    >>> spelled(pa.array(["31/01/2024", "05/02/2024"])), spelled(pa.array(["a"]))
    ('%d/%m/%Y', None)
    """
    spelling = find(without(values, MISSING_AMONG_NUMBERS))
    return None if spelling is None else spelling.spelling


def as_words(values: pa.Array) -> pa.Array:
    """Values as text; whole numbers of any type by their digits."""
    if is_text(values.type):
        return values
    whole = values if pa.types.is_integer(values.type) else pc.round(values.cast(pa.float64())).cast(pa.int64())
    return whole.cast(pa.string())


def _is_spelt(kind: pa.DataType) -> bool:
    return is_text(kind) or is_number(kind)


def _spelling(name: str, values: pa.Array) -> str:
    words = as_words(values)
    if (spelling := spelled(words)) is not None:
        return spelling
    likely = find(words[:1])
    wrong = 0 if likely is None else first(pc.is_null(parse(words, likely.spelling)))
    raise SfumatoError(
        f"column {name!r}: {shown(values[max(wrong, 0)].as_py())} is no time of a known spelling; "
        "write times as 2024-05-31 or 2024-05-31 18:30:00"
    )
