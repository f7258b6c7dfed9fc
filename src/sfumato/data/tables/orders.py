"""Numbers of a row that are never above others: starts and ends, parts and totals, lows and highs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations

import numpy as np
import pyarrow as pa

from sfumato.data.columns.base import Column, plain
from sfumato.data.columns.cells import Cells
from sfumato.data.columns.flags import Flag
from sfumato.data.columns.number import Number
from sfumato.spec import Field, Order

LARGEST_SLIP = 1e-3
"""An order may be broken in at most this share of the training rows."""
LEAST_BY_CHANCE = 0.005, 20
"""Were the two columns independent, the order would be broken in at least this share of rows, and this many of them:
else it needs no help to be kept."""
LOOKED_AT = 2000
"""Rows from which is told how often independent columns would break an order."""
MOST_ORDERS = 200


def find(entries: Sequence[Column | Flag], table: pa.Table) -> list[Order]:
    """Which numbers of the training rows are never above others, those left out that follow from two others.

    Numbers are compared with numbers, whole ones with whole ones, and times with times of the same unit.

    Args:
        entries: of x, in order.
        table: the training rows.

    >>> from sfumato.data.columns import learn
    >>> start = np.arange(400) % 30
    >>> rows = pa.table({"start": start, "end": start + 1 + np.arange(400) % 7})
    >>> columns = [learn(name, "integer", rows.field(name), rows[name], 16) for name in rows.column_names]
    >>> order, = find(columns, rows)
    >>> order.earlier, order.later, order.above, order.strict
    (0, 1, True, True)
    """
    numbers = {
        place: (column, column.to_numbers(plain(table[column.name])))
        for place, column in enumerate(entries)
        if isinstance(column, Number) and isinstance(column.cut, Cells)
    }
    kept: list[tuple[float, Order]] = []
    for (first, (a, x)), (second, (b, y)) in combinations(numbers.items(), 2):
        if not _comparable(a, b):
            continue
        for above, low, high in ((True, x, y), (False, y, x)):
            if (order := _order(first, second, above, low, high)) is not None:
                kept.append(order)
    kept.sort(key=lambda candidate: -candidate[0])
    return sorted(_needed([order for _, order in kept[:MOST_ORDERS]]), key=lambda order: (order.later, order.earlier))


def _comparable(a: Number, b: Number) -> bool:
    return (
        a.ruler.whole == b.ruler.whole
        and (a.kind == "datetime") == (b.kind == "datetime")
        and (a.kind != "datetime" or _unit(a) == _unit(b))
        and (a.ruler.origin - b.ruler.origin) % a.ruler.step == 0
    )


def _unit(column: Number) -> tuple[str, int]:
    return "s" if column.ruler.spelling is not None else str(column.form.type), column.ruler.step


def _order(earlier: int, later: int, above: bool, low: np.ndarray, high: np.ndarray) -> tuple[float, Order] | None:
    """The order that `low` is never above `high`, if there is one, and how often chance would break it."""
    both = ~(np.isnan(low) | np.isnan(high))
    low, high = low[both], high[both]
    broken = int((low > high).sum())
    if len(low) < 2 or broken > LARGEST_SLIP * len(low):
        return None
    step = max(len(low) // LOOKED_AT, 1)
    share = float(np.mean(np.searchsorted(np.sort(high[::step]), low[::step], "left")) / len(high[::step]))
    least, rows = LEAST_BY_CHANCE
    if share < least or share * len(low) < rows:
        return None
    slip = (broken + 0.5) / (len(low) + 1)
    return share, Order(earlier, later, above, not (low == high).any(), slip)


def _needed(orders: Sequence[Order]) -> list[Order]:
    """Those that do not follow from two others: a ≤ c from a ≤ b and b ≤ c."""
    pairs = {(order.earlier, order.later) if order.above else (order.later, order.earlier): order for order in orders}
    middle = {place for pair in pairs for place in pair}
    return [
        order
        for (low, high), order in pairs.items()
        if not any((low, via) in pairs and (via, high) in pairs for via in middle - {low, high})
    ]


def on_lines(fields: Sequence[Field], entries: Sequence[Column | Flag], orders: Sequence[Order]) -> tuple[Field, ...]:
    """The fields, those of columns with orders with `starts` and `widths` on the lines that the columns share."""
    columns = {place: column for place, column in enumerate(entries) if isinstance(column, Number)}
    placed = list(fields)
    for group in _groups(orders):
        lines = {place: _line(columns[place]) for place in group}
        origin = min(starts.min() for starts, _ in lines.values())
        whole = columns[group[0]].ruler.whole
        scale = 1.0 if whole else max((starts + widths).max() for starts, widths in lines.values()) - origin
        for place, (starts, widths) in lines.items():
            values = ((starts - origin) / scale).tolist(), (widths / scale).tolist()
            placed[place] = replace(fields[place], starts=tuple(values[0]), widths=tuple(values[1]))
    return tuple(placed)


def _groups(orders: Sequence[Order]) -> list[list[int]]:
    """Places that orders connect with each other."""
    groups: list[set[int]] = []
    for order in orders:
        pair = {order.earlier, order.later}
        joined = pair.union(*(group for group in groups if group & pair))
        groups = [group for group in groups if not group & pair] + [joined]
    return [sorted(group) for group in groups]


def _line(column: Number) -> tuple[np.ndarray, np.ndarray]:
    """Where cells begin and how far they reach, in numbers; see `spec.Field`."""
    assert isinstance(column.cut, Cells), "orders are about cells"
    starts, widths = column.cut.line()
    return starts + column.ruler.origin / column.ruler.step, widths


def described(orders: Sequence[Order], entries: Sequence[Column | Flag]) -> dict[str, str]:
    """Name of the later column of each order → what a person should know of it.

    >>> from sfumato.data.columns import learn
    >>> rows = pa.table({"low": [1, 2, 3], "high": [4, 5, 6]})
    >>> columns = [learn(name, "integer", rows.field(name), rows[name], 4) for name in rows.column_names]
    >>> described([Order(0, 1, True, True, 0.0)], columns)
    {'high': 'always above low'}
    """
    words = {(True, True): "always above", (True, False): "never below", (False, True): "always below"}
    lines: dict[str, str] = {}
    for order in orders:
        earlier, later = entries[order.earlier], entries[order.later]
        assert isinstance(earlier, Column), "orders are about columns"
        assert isinstance(later, Column), "orders are about columns"
        words_of = f"{words.get((order.above, order.strict), 'never above')} {earlier.name}"
        lines[later.name] = f"{lines[later.name]}, {words_of}" if later.name in lines else words_of
    return lines
