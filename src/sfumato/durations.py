"""Lengths of time, as they are written: 90s, 5m, 1.5h, 7d."""

from __future__ import annotations

UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}


def duration(time: str | float) -> float:
    """A length of time in seconds, above 0; a bare number is in seconds.

    >>> duration("90s"), duration("5m"), duration("1.5h"), duration("7d"), duration(20)
    (90.0, 300.0, 5400.0, 604800.0, 20.0)

    Raises:
        ValueError: if it is none.
    """
    text = str(time).strip().lower()
    unit = UNITS.get(text[-1:])
    value = float(text) if unit is None else float(text[:-1]) * unit
    if not value > 0:  # nor NaN
        raise ValueError(f"{time} is no length of time")
    return value


def written(seconds: float) -> str:
    """A length of time in the largest unit of which it is a whole number; in seconds if it is of none.

    >>> written(604800), written(86400), written(5400), written(0.5)
    ('1w', '1d', '90m', '0.5s')
    """
    unit = next((unit for unit, size in reversed(UNITS.items()) if not seconds % size), "s")
    return f"{seconds / UNITS[unit]:g}{unit}"
