"""Numbers and lengths of time as people read and write them."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from itertools import chain
from itertools import count as counter

UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}


def figure(value: float) -> str:
    """With as many digits as a person reads.

    >>> figure(16.398), figure(0.0213), figure(123456.0)
    ('16.4', '0.021', '123,456')
    """
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.2g}" if abs(value) < 1 else f"{value:.3g}"


def percent(share: float) -> str:
    """A share.

    >>> percent(0.105), percent(0.0004)
    ('10%', '0.04%')
    """
    return f"{100 * share:.0f}%" if share >= 0.01 or share == 0 else f"{100 * share:.1g}%"


def count(number: int, what: str) -> str:
    """A number of things.

    >>> count(1, "latent"), count(1200, "step")
    ('1 latent', '1,200 steps')
    """
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def any_of(names: Sequence[str]) -> str:
    """Names as a choice in a sentence.

    >>> any_of(["gaussian", "mse", "bernoulli"]), any_of(["categorical"])
    ('gaussian, mse or bernoulli', 'categorical')
    """
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} or {names[-1]}"


def listed(names: Sequence[str], most: int = 8) -> str:
    """Names in a sentence.

    >>> listed(["a", "b", "c"])
    'a, b and c'
    """
    if len(names) > most:
        return f"{', '.join(names[:most])} and {len(names) - most} more"
    return " and ".join(filter(None, [", ".join(names[:-1]), *names[-1:]]))


def free_name(name: str, taken: Collection[str]) -> str:
    """A name, with a number where it is taken.

    >>> free_name("generated", ["a"]), free_name("generated", ["generated", "generated_2"])
    ('generated', 'generated_3')
    """
    numbered = chain([name], (f"{name}_{number}" for number in counter(2)))
    return next(each for each in numbered if each not in taken)


def rounded(value: float, error: float | None) -> tuple[str, str] | None:
    """A number and its standard error, rounded for display; None where there is no error.

    The error has two digits, and the number as many places as the error. An error that is 0 but for rounding is none.

    >>> rounded(1077.3, 815.2), rounded(-38.5612, 1.58), rounded(0.73124, 0.0123)
    (('1080', '820'), ('-38.6', '1.6'), ('0.731', '0.012'))
    >>> rounded(1.378, 9.4e-16) is rounded(1.378, None) is None
    True
    """
    if error is None or not math.isfinite(value) or not math.isfinite(error) or error <= 1e-9 * abs(value):
        return None
    places = 1 - math.floor(math.log10(float(f"{error:.1e}")))
    first, second = (f"{round(number, places):.{max(places, 0)}f}" for number in (value, error))
    return first, second


def number(value: float | None, digits: int = 4) -> str:
    """A number with as many digits as a person reads.

    >>> number(1234.5678), number(0.123456), number(None)
    ('1235', '0.1235', '–')
    """
    return (
        "–"
        if value is None
        else f"{value:.{max(digits, len(str(int(abs(value)))) if math.isfinite(value) else digits)}g}"
    )


def with_error(value: float, error: float | None) -> str:
    """A number with its standard error, if it has one.

    >>> with_error(1077.3, 815.2), with_error(1.378, 9.4e-16)
    ('1080 ± 820', '1.378')
    """
    return " ± ".join(rounded(value, error) or (number(value),))


def time_taken(seconds: float) -> str:
    """A length of time in words.

    >>> time_taken(3.21), time_taken(75), time_taken(7300)
    ('3.2 seconds', '1 min 15 s', '2 h 1 min')
    """
    if seconds < 60:
        return f"{seconds:.1f} seconds"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


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


def written_duration(seconds: float) -> str:
    """A length of time in the largest unit of which it is a whole number; in seconds if it is of none.

    >>> written_duration(604800), written_duration(86400), written_duration(5400), written_duration(0.5)
    ('1w', '1d', '90m', '0.5s')
    """
    unit = next((unit for unit, size in reversed(UNITS.items()) if not seconds % size), "s")
    return f"{seconds / UNITS[unit]:g}{unit}"
