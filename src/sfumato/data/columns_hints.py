"""What a person may want to mend in a column, seen in all its rows and shown before training."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sfumato.data.columns_base import is_number, plain, without_nan

OFTEN = 0.002
"""Share of the rows that hold a value which stands far off, at least…"""
FEWEST, OTHERS = 5, 10
"""… and so many rows, beside so many different other values."""


def of_frame(frame: pa.Table, kinds: Mapping[str, str], but: Collection[str] = ()) -> dict[str, str]:
    """Hints for the columns of a whole table of which there is something to say.

    Args:
        frame: the table.
        kinds: of its columns.
        but: columns of which something is said already.
    """
    found = {}
    for name, kind in kinds.items():
        if name in but or kind not in ("continuous", "integer"):
            continue
        if is_number(frame.schema.field(name).type) and (hint := of_far_value(frame[name])):
            found[name] = hint
    return found


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
    if len(ordered) <= OTHERS:
        return ""
    fewest = max(FEWEST, OFTEN * counts.sum())
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


def _short(number: float) -> str:
    return str(int(number)) if number == int(number) and abs(number) < 1e15 else repr(float(number))
