"""Ranges of numeric options as annotations, checked before any data are read."""

from __future__ import annotations

import math
from dataclasses import dataclass
from numbers import Integral
from typing import Annotated, Any, get_args, get_origin

from sfumato.errors import SfumatoError


@dataclass(frozen=True)
class Range:
    """The numbers from `low` to `high`.

    Attributes:
        low: the least one.
        high: the greatest one.
        open_low: whether `low` itself is left out.
        open_high: whether `high` itself is left out.

    >>> str(Range(0, 1, open_high=True)), 1 in Range(0, 1, open_high=True)
    ('from 0 up to below 1', False)
    """

    low: float = -math.inf
    high: float = math.inf
    open_low: bool = False
    open_high: bool = False

    def __contains__(self, value: float) -> bool:
        above = value > self.low if self.open_low else value >= self.low
        return above and (value < self.high if self.open_high else value <= self.high)

    def __str__(self) -> str:
        if self.high == math.inf:
            return f"above {self.low:g}" if self.open_low else f"of at least {self.low:g}"
        if self.low == -math.inf:
            return f"below {self.high:g}" if self.open_high else f"of at most {self.high:g}"
        start = f"above {self.low:g}" if self.open_low else f"from {self.low:g}"
        return f"{start} {'up to below' if self.open_high else 'up to'} {self.high:g}"

    def check(self, name: str, value: Any) -> None:
        """Refuse a number that does not lie here; None, which leaves the choice to the data, and words pass.

        >>> Range(0).check("beta", 4.0)

        Raises:
            SfumatoError: if `value` is a number outside.
        """
        if isinstance(value, int | float) and value not in self:
            kind = "whole number" if isinstance(value, int) else "number"
            raise SfumatoError(f"{name} is {value:g}: give a {kind} {self}")


def is_whole(value: object) -> bool:
    """Whether it is a whole number, of Python or NumPy, and no boolean.

    >>> is_whole(3), is_whole(3.0), is_whole(True)
    (True, False, False)
    """
    return isinstance(value, Integral) and not isinstance(value, bool)


Count = Annotated[int, Range(1)]
Two = Annotated[int, Range(2)]
Natural = Annotated[int, Range(0)]
Weight = Annotated[float, Range(0)]
Positive = Annotated[float, Range(0, open_low=True)]
Share = Annotated[float, Range(0, 1)]
Inside = Annotated[float, Range(0, 1, open_low=True, open_high=True)]
BelowOne = Annotated[float, Range(0, 1, open_high=True)]
AtMostOne = Annotated[float, Range(high=1)]

RANGE_TYPES = {name: kind for name, kind in dict(globals()).items() if get_origin(kind) is Annotated}
"""The ranges above, as annotations spell them."""


def plain(annotation: Any) -> tuple[Any, Range | None]:
    """An annotation without its range, and the range.

    >>> plain(Count | None)
    (int | None, Range(low=1, high=inf, open_low=False, open_high=False))
    >>> plain(str)
    (<class 'str'>, None)
    """
    for part in (annotation, *get_args(annotation)):
        for note in getattr(part, "__metadata__", ()):
            if isinstance(note, Range):
                base = part.__origin__
                return (base if part is annotation else base | None), note
    return annotation, None
