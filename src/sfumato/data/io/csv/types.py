"""What type the words of a column of a text file have: looked at piece by piece, whole columns or a stream."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field
from itertools import product

import pyarrow as pa
import pyarrow.compute as pc

from sfumato.data.columns.base import LARGEST_WHOLE, NUMBER
from sfumato.data.columns.missing import MISSING_AMONG_NUMBERS, SURELY_MISSING, WORDS_FOR_NONE, trimmed, without
from sfumato.data.columns.styles import Style
from sfumato.data.columns.times import find

WHOLE_PATTERN = r"^[-+]?\d+$"
CODE = r"^[-+]?0\d+$"
"""A whole number with a zero before it."""
DAY_PATTERN = r"^\d{4}-\d\d-\d\d$"
CLOCK = r"^\d\d:\d\d:\d\d$"
STAMP = r"^\d{4}-\d\d-\d\d[ T]\d\d:?\d\d(:?\d\d(\.\d{1,9})?)?(Z|[+-]\d\d(:?\d\d)?)?$|^\d{4}-\d\d-\d\d$"
ZONED = r"[ T].*\d(Z|[+-]\d\d(:?\d\d)?)$"

TEXT_TIMES = {(" ", 16, False), ("T", 16, False), ("T", 19, False), ("T", 17, True), ("T", 20, True)}
"""Times that come back as they are only if they stay text: those of `columns.times` that arrow spells otherwise."""

MAX_STRAY_WORDS = 20
"""Words among numbers are stray if there are at most so many, and at least so many different numbers."""


@dataclass(frozen=True)
class Missing:
    """The words that stand for missing values.

    Attributes:
        words: in columns of words.
        numbers: in all other columns.

    >>> Missing.of(["-999"]).words[-1], Missing.of(["", "-999"]).words
    ('-999', ('', '-999'))
    """

    words: tuple[str, ...] = SURELY_MISSING
    numbers: tuple[str, ...] = MISSING_AMONG_NUMBERS

    @classmethod
    def of(cls, values: Collection[str] | None) -> Missing:
        """From the user's words: added to the usual ones, or replacing them in columns of text if "" is among them."""
        if values is None:
            return cls()
        words = tuple(word.strip() for word in values)
        spelt = (f"{word}{end}" for word in words if word.lstrip("-").isdigit() for end in (".0", ".00"))
        usual = () if "" in words else SURELY_MISSING
        return cls((*usual, *words), (*MISSING_AMONG_NUMBERS, *words, *spelt))


@dataclass
class ColumnTokens:
    """What the words of one column have in common.

    Attributes:
        missing: words that stand for missing values.
        point: the decimal mark.
        known: the type, if it is not to be found out.
        counts: rows of each word that stands for a missing value.
        stray: words that are no numbers, at most a few, and the row of the first.
    """

    missing: Missing
    point: str = "."
    known: pa.DataType | None = None
    rows: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    stray: Counter[str] = field(default_factory=Counter)
    stray_row: int = -1
    _alive: set[str] = field(default_factory=lambda: {"whole", "real", "day", "clock", "stamp", "zoned"})
    _some: bool = False
    _codes: bool = False
    _numbers: set[str] = field(default_factory=set)
    _strays: int = 0
    _few: set[str] = field(default_factory=set)
    _shapes: set[tuple[str, int, bool]] = field(default_factory=set)
    _digits: int = 0

    def see(self, words: pa.Array) -> None:
        """Look at a piece of the column, as text."""
        seen = pc.value_counts(words)
        clean = trimmed(seen.field("values"))
        gone = pc.is_in(clean, value_set=pa.array({"", *self.missing.numbers}, pa.string()))
        counts = seen.field("counts").filter(gone).to_pylist()
        for word, count in zip(clean.filter(gone).to_pylist(), counts, strict=True):
            self.counts[word] += count
        some = clean.filter(pc.invert(gone)).unique()
        if len(some):
            self._some = True
            self._see(some, words)
        self.rows += len(words)

    def _see(self, some: pa.Array, words: pa.Array) -> None:
        if len(self._few) <= 2:
            self._few.update(some[:3].to_pylist())
        number = self._is_number(some)
        whole = pc.match_substring_regex(some, WHOLE_PATTERN)
        self._codes |= _any(pc.match_substring_regex(some, CODE))
        self._keep("real", _all(number) and not self._codes)
        self._keep("whole", "real" in self._alive and _all(whole) and _fits(some))
        if "real" in self._alive and _all(whole) and not _fits(some):
            self._codes = True
            self._keep("real", False)
        for name, pattern, kind in (("day", DAY_PATTERN, pa.date32()), ("clock", CLOCK, pa.time32("s"))):
            if name in self._alive:
                self._keep(name, _all(pc.match_substring_regex(some, pattern)) and _casts(some, kind))
        if self._alive & {"stamp", "zoned"}:
            self._see_times(some)
        if not self._codes:
            self._see_strays(some, number, words)

    def _keep(self, name: str, right: bool) -> None:
        if not right:
            self._alive.discard(name)

    def _is_number(self, words: pa.Array) -> pa.Array:
        return pc.match_substring_regex(words if self.point == "." else _pointed(words), NUMBER)

    def _see_times(self, words: pa.Array) -> None:
        zones = pc.match_substring_regex(words, ZONED)
        right = _all(pc.match_substring_regex(words, STAMP))
        self._keep("zoned", right and _all(zones) and _casts(words, pa.timestamp("ns", "UTC")))
        self._keep("stamp", right and not _any(zones) and _casts(words, pa.timestamp("ns")))
        if not self._alive & {"stamp", "zoned"}:
            return
        lengths = pc.unique(pc.binary_length(words)).to_pylist()
        marks = pc.unique(pc.utf8_slice_codeunits(words, 10, 11)).to_pylist()
        ends = pc.unique(pc.ends_with(words, "Z")).to_pylist()
        self._shapes.update(product(marks, lengths, ends))
        digits = pc.struct_field(pc.extract_regex(words, r"\.(?P<digits>\d+)"), "digits")
        self._digits = max(self._digits, pc.max(pc.binary_length(digits)).as_py() or 0)

    def _see_strays(self, some: pa.Array, number: pa.Array, words: pa.Array) -> None:
        if len(self._numbers) < MAX_STRAY_WORDS:
            self._numbers.update(some.filter(number)[: 2 * MAX_STRAY_WORDS].to_pylist())
        others = some.filter(pc.invert(number))
        if not len(others):
            return
        self._strays += len(others)
        here = trimmed(words)
        if self.stray_row < 0:
            self.stray_row = self.rows + int(pc.index(pc.is_in(here, value_set=others), True).as_py()) + 1
        if len(self.stray) <= MAX_STRAY_WORDS:
            for word in others[:MAX_STRAY_WORDS].to_pylist():
                self.stray[word] += pc.sum(pc.equal(here, word)).as_py()

    def type(self) -> pa.DataType:
        """The type that all words have which do not stand for missing values."""
        if self.known is not None:
            return self.known
        if not self._some:
            return pa.string() if any(self.counts[word] for word in WORDS_FOR_NONE) else pa.null()
        kinds = {"whole": pa.int64(), "real": pa.float64(), "day": pa.date32(), "clock": pa.time32("s")}
        for name, kind in kinds.items():
            if name in self._alive:
                return kind
        if not self._alive:
            return pa.string()
        # +02 may be as long as seconds; only Z comes back.
        zone = "UTC" if "zoned" in self._alive else None
        shape = next(iter(self._shapes)) if len(self._shapes) == 1 else None
        if shape in TEXT_TIMES and shape[2] == (zone is not None):
            return pa.string()
        unit = ("ms", "us", "ns")[(min(self._digits, 9) - 1) // 3] if self._digits else "s"
        return pa.timestamp(unit, zone)

    def spelling(self, pairs: Collection[tuple[str, str]]) -> tuple[str, str] | None:
        """The pair of words for false and true that the column spells, if it does."""
        if self.known is not None or not self._few or len(self._few) > 2:
            return None
        return next((pair for pair in pairs if self._few <= set(pair)), None)

    def read_as_missing(self, kind: pa.DataType) -> dict[str, int]:
        """The words, "" too, that stand for missing values in a column of this type, and how many rows have each."""
        words = self.missing.words if pa.types.is_string(kind) else self.missing.numbers
        return {word: count for word, count in self.counts.items() if not word or word in words}

    def kept_as_words(self) -> dict[str, int]:
        """The words that are missing values elsewhere, and are none in this column of words."""
        few = pa.array(sorted(self._few), pa.string())
        if len(few) and (find(few) is not None or Style.find(few) is not None):
            return {}
        return {word: count for word, count in self.counts.items() if word and word not in self.missing.words}

    def stray_words(self) -> dict[str, int]:
        """The words that stand among numbers: a tenth of the different words at most."""
        some = len(self._numbers) >= MAX_STRAY_WORDS and 0 < self._strays <= MAX_STRAY_WORDS
        return dict(self.stray) if some and not self._codes else {}


def converted(words: pa.Array | pa.ChunkedArray, kind: pa.DataType, missing: Missing, point: str = ".") -> pa.Array:
    """Text as values of a type that `Look.type` says.

    >>> converted(pa.array(["+1", "None", " 20 "]), pa.int64(), Missing()).to_pylist()
    [1, None, 20]
    """
    if pa.types.is_string(kind):
        return without(words, missing.words)
    if pa.types.is_null(kind):
        return pa.nulls(len(words))
    clean = trimmed(without(words, missing.numbers))
    if pa.types.is_integer(kind) or pa.types.is_floating(kind):
        clean = pc.replace_substring_regex(clean if point == "." else _pointed(clean), r"^\+", "")
    return clean.cast(kind)


def _pointed(words: pa.Array) -> pa.Array:
    """Numbers with a decimal comma with a point instead; what has a point already is no number any more."""
    return pc.replace_substring(pc.replace_substring(words, ".", "_"), ",", ".")


def _fits(words: pa.Array) -> bool:
    """Whether whole numbers, as text, can be modelled as such."""
    if (pc.max(pc.binary_length(words)).as_py() or 0) <= 18:
        return True
    try:
        numbers = pc.replace_substring_regex(words, r"^\+", "").cast(pa.int64())
    except pa.ArrowInvalid:
        return False
    return bool(pc.all(pc.less_equal(pc.abs(pc.cast(numbers, pa.float64())), float(LARGEST_WHOLE))).as_py())


def _casts(words: pa.Array, kind: pa.DataType) -> bool:
    try:
        words.cast(kind)
    except pa.ArrowException:
        return False
    return True


def _all(flags: pa.Array) -> bool:
    return bool(pc.all(flags).as_py())


def _any(flags: pa.Array) -> bool:
    return bool(pc.any(flags).as_py())
