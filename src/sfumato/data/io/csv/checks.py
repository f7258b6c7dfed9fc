"""Checks of a text file: an unclosed quote, and the decimal mark."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import IO

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
            quote = (CLOSE.match if opened else begin.search)(line, place)
            if quote is None:
                break
            opened, place = 0 if opened else number, quote.end()
    return opened


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
