"""Which words stand for missing values."""

from __future__ import annotations

from collections.abc import Collection

import pyarrow as pa
import pyarrow.compute as pc

SURELY_MISSING = (
    *("", "?", "NA", "N/A", "n/a", "NaN", "nan", "-nan", "-NaN", "null", "NULL"),
    *("<NA>", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "1.#IND", "1.#QNAN", "NaT"),
)
"""What stands for a missing value in every column of a text file, unless a person says otherwise."""

WORDS_FOR_NONE = ("None", "none", "NONE", "Null")
"""What stands for a missing value among numbers, dates and booleans; among other words it is a category of its own."""

MISSING_AMONG_NUMBERS = (*SURELY_MISSING, *WORDS_FOR_NONE)


def trimmed(words: pa.Array | pa.ChunkedArray) -> pa.Array | pa.ChunkedArray:
    """Words without blanks at their ends."""
    return pc.utf8_trim_whitespace(words)


def without(words: pa.Array | pa.ChunkedArray, missing: Collection[str]) -> pa.Array | pa.ChunkedArray:
    """Text with null for each of the `missing` words, blanks around them left aside, and for what is blank.

    >>> without(pa.array(["a", " NA", "  "]), ["NA"]).to_pylist()
    ['a', None, None]
    """
    gone = pc.is_in(trimmed(words), value_set=pa.array({"", *missing}, pa.string()))
    return pc.if_else(gone, pa.scalar(None, pa.string()), words)
