"""What the user may want to fix in a column, seen in all its rows and shown before training."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sfumato.data.columns.base import is_number, is_text, plain, without_nan
from sfumato.data.columns.missing import MISSING_AMONG_NUMBERS, without
from sfumato.data.columns.times import MONTHS, find, parse

MIN_REPEAT_SHARE = 0.002
"""Share of the rows that hold a value which stands far off, at least…"""
MIN_REPEATS, MIN_OTHER_VALUES = 5, 10
"""… and so many rows, besides so many different other values."""


def of_frame(frame: pa.Table, kinds: Mapping[str, str], but: Collection[str] = ()) -> dict[str, str]:
    """Hints for the columns of a whole table of which there is something to say.

    Args:
        frame: the table.
        kinds: of its columns.
        but: columns that have a hint already.
    """
    hints = {}
    for name, kind in kinds.items():
        type_ = frame.schema.field(name).type
        if name in but:
            continue
        numeric = kind in ("continuous", "integer") and is_number(type_)
        dated = kind == "datetime" and is_text(type_)
        hint = of_far_value(frame[name]) if numeric else of_order(frame[name]) if dated else ""
        if hint:
            hints[name] = hint
    return hints


def of_far_value(values: pa.ChunkedArray | pa.Array) -> str:
    """What to do about a number that stands far off and often, as −999 for a missing value does.

    It is further from its neighbour than all others are from each other.

    >>> of_far_value(pa.array([*range(40), *[-999] * 5]))
    '5 × -999, far from all others (0 to 39): if it stands for a missing value, --missing-values -999'
    >>> of_far_value(pa.array([*range(40), 999]))
    ''
    """
    seen = pc.value_counts(without_nan(plain(values)).drop_null())
    numbers = seen.field("values").cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    order = np.argsort(numbers)
    counts, ordered = seen.field("counts").to_numpy(zero_copy_only=False)[order], numbers[order]
    if len(ordered) <= MIN_OTHER_VALUES:
        return ""
    fewest = max(MIN_REPEATS, MIN_REPEAT_SHARE * counts.sum())
    for end, next_to, rest in ((0, 1, ordered[1:]), (-1, -2, ordered[:-1])):
        gap = abs(ordered[end] - ordered[next_to])
        if counts[end] >= fewest and gap > rest[-1] - rest[0]:
            value = _short(ordered[end])
            others = f"{_short(rest[0])} to {_short(rest[-1])}"
            return (
                f"{counts[end]:,} × {value}, far from all others ({others}): if it stands for a missing value, "
                f"--missing-values {value}"
            )
    return ""


def of_order(values: pa.ChunkedArray | pa.Array) -> str:
    """Which order of day and month was taken, where both fit all dates.

    >>> of_order(pa.array(["03/02/2024", "01/03/2024", "02/01/2024"]))
    "day before month ('03/02/2024' is 3 February); the other order fits as well: write 2024-03-02 if it is meant"
    """
    spelling = find(without(plain(values), MISSING_AMONG_NUMBERS))
    if spelling is None or not spelling.other:
        return ""
    words = plain(values).drop_null()[:1]
    taken, other = (parse(words, order)[0].as_py() for order in (spelling.spelling, spelling.other))
    pieces = spelling.spelling.replace("-", "")
    first = "day before month" if pieces.index("%d") < pieces.index("%m") else "month before day"
    return (
        f"{first} ({words[0].as_py()!r} is {taken.day} {MONTHS[taken.month - 1]}); the other order fits as well: "
        f"write {other:%Y-%m-%d} if it is meant"
    )


def _short(number: float) -> str:
    return str(int(number)) if number == int(number) and abs(number) < 1e15 else repr(float(number))
