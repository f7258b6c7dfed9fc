"""A second look at a text file: a quote nobody closed, and columns whose words say more than their first type."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import product
from typing import IO

import pyarrow as pa
import pyarrow.compute as pc

from sfumato.data.columns_base import is_number

SHAPES = {(" ", 16, False), ("T", 16, False), ("T", 19, False), ("T", 17, True), ("T", 20, True)}
"""Times that come back as they are only if they stay text: those of `columns_ruler` that arrow spells otherwise."""

THOUSANDS = re.compile(r"[-+]?\d{1,3}(,\d{3})+").fullmatch
"""A whole number with commas between its thousands."""

CLOSE = re.compile(rb'(?:[^"]|"")*+"')
"""The rest of a quoted value, in which a doubled quote is one of its letters."""


def open_quote(file: IO[bytes], delimiter: str) -> int:
    """The line of the quote that is still open where the file ends, 0 if none is.

    A quote opens only where a value begins: the one in `5" pipe` is a letter.

    >>> import io
    >>> [open_quote(io.BytesIO(text), ",") for text in (b'a,b\\n5" pipe,"two\\nlines"\\n', b'a,b\\nx,"u\\ny,v\\n')]
    [0, 2]
    """
    begin = re.compile(rb"(?:\A(?:\xef\xbb\xbf)?|[\r" + re.escape(delimiter.encode()) + rb'])"')
    opened = 0
    for number, line in enumerate(file, 1):
        place = 0
        while line.find(b'"', place) >= 0:
            found = (CLOSE.match if opened else begin.search)(line, place)
            if found is None:
                break
            opened, place = 0 if opened else number, found.end()
    return opened


def needs(kind: pa.DataType, *, long: bool) -> bool:
    """Whether a column of this guessed type needs a `Look`: times always, numbers if the file is `long`."""
    return pa.types.is_timestamp(kind) or (long and is_number(kind))


@dataclass
class Look:
    """What the words of one column have in common, piece by piece.

    Attributes:
        kind: the type that was guessed.
        shapes: (mark between day and hour, letters, whether Z ends it) of the times.
        digits: most digits of a fraction of a second.
        codes: whether a whole number has a zero before it.
    """

    kind: pa.DataType
    shapes: set[tuple[str, int, bool]] = field(default_factory=set)
    digits: int = 0
    codes: bool = False

    def see(self, words: pa.Array) -> None:
        """Look at a piece of the column, as text."""
        present = words.drop_null()
        if not len(present):
            return
        if pa.types.is_timestamp(self.kind):
            self._see_times(present)
        elif not self.codes:
            zeros = present.filter(pc.and_(pc.starts_with(present, "0"), pc.greater(pc.binary_length(present), 1)))
            self.codes = bool(pc.any(pc.match_substring_regex(zeros, r"^0\d+$")).as_py())

    def _see_times(self, words: pa.Array) -> None:
        lengths = pc.unique(pc.binary_length(words)).to_pylist()
        marks = pc.unique(pc.utf8_slice_codeunits(words, 10, 11)).to_pylist()
        zones = pc.unique(pc.ends_with(words, "Z")).to_pylist()
        self.shapes.update(product(marks, lengths, zones))
        if self.kind.unit != "s":
            digits = pc.struct_field(pc.extract_regex(words, r"\.(?P<digits>\d+)"), "digits")
            self.digits = max(self.digits, pc.max(pc.binary_length(digits)).as_py() or 0)

    def better(self) -> pa.DataType | None:
        """The type with which nothing of the words is lost; None if the guess is as good."""
        # +02 may be as long as seconds; only Z comes back.
        shape = next(iter(self.shapes)) if len(self.shapes) == 1 else None
        if self.codes or (shape in SHAPES and shape[2] == (self.kind.tz is not None)):
            return pa.string()
        if self.digits:
            unit = ("ms", "us", "ns")[(min(self.digits, 9) - 1) // 3]
            return pa.timestamp(unit, self.kind.tz) if unit != self.kind.unit else None
        return None


def decimal_mark(columns: Iterable[Iterable[str]]) -> str:
    """The mark that more columns have that are otherwise all numbers: a comma or a point.

    If as many have either, it is the comma, unless with it they would all be of thousands.

    >>> decimal_mark([["1,5", "2"], ["x, 1", "0.5"]]), decimal_mark([["0.52", "1"], ["no", "1,5"]])
    (',', '.')
    >>> decimal_mark([["12,34", "5"], ["1.2", "1.3"]]), decimal_mark([["1,500", "12,000"], ["1.2", "1.3"]])
    (',', '.')
    """
    numbers = {mark: re.compile(rf"[-+]?\d*{re.escape(mark)}?\d+([eE][-+]?\d+)?").fullmatch for mark in ",."}
    counts, thousands = dict.fromkeys(numbers, 0), True
    for column in map(list, columns):
        for mark, number in numbers.items():
            if any(mark in word for word in column) and all(number(word.strip()) for word in column):
                counts[mark] += 1
                thousands &= mark == "." or all(THOUSANDS(word.strip()) for word in column if mark in word)
    even = counts[","] == counts["."] > 0 and not thousands
    return "," if counts[","] > counts["."] or even else "."
