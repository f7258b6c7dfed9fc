"""Spellings of time: found from the words of a column, read and written, a column at a time.

A spelling is written as `strftime` writes it, with these pieces: %Y %y, %m %d %H %I (two digits) or %-m %-d %-H %-I (no
zero before them), %M %S, %b %B %a %A (Jan, January, Mon, Monday; %^b JAN, %~b jan), %p AM, %~p am. All else is letters.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

MONTHS = (
    *("January", "February", "March", "April", "May", "June", "July"),
    *("August", "September", "October", "November", "December"),
)
DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
DAY_HALVES = ("AM", "PM")
CASES: dict[str, Callable[[str], str]] = {"": str, "^": str.upper, "~": str.lower}

PIECE_WORDS = {
    f"%{mark}{piece}": tuple(case(word) for word in words)
    for mark, case in CASES.items()
    for piece, words in (
        ("B", MONTHS),
        ("b", [word[:3] for word in MONTHS]),
        ("A", DAYS),
        ("a", [word[:3] for word in DAYS]),
        ("p", DAY_HALVES),
    )
    if (mark, piece) != ("^", "p")
}
"""The words that a piece stands for, in their order."""

DIGIT_PATTERNS = {
    "Y": r"\d{4}",
    "y": r"\d\d",
    "m": r"\d\d",
    "d": r"\d\d",
    "H": r"\d\d",
    "I": r"\d\d",
    "M": r"\d\d",
    "S": r"\d\d",
}
UNPADDED = {"m": r"[1-9]\d?", "d": r"[1-9]\d?", "H": r"0|[1-9]\d?", "I": r"[1-9]\d?"}
FORMAT_PIECE = re.compile(r"%[-^~]?[A-Za-z]|[^%]+")
ZONE = re.compile(r" ?(?:UTC|GMT|Z|[+-]\d\d:?\d\d)$")
EARLIEST, LATEST = 1900, 2100
"""Years of whole numbers that are dates."""
COMPACT = ("%Y%m%d", "%Y%m", "%Y%m%d%H%M%S", "%Y%m%d%H%M")
MIN_DATES = 3
"""So many different whole numbers, all of them dates, are dates."""


@dataclass(frozen=True)
class TimeSpelling:
    """The spelling of a column.

    Attributes:
        spelling: how all words are spelt.
        other: another order of day, month and year that fits them all as well; "" if there is none.
    """

    spelling: str
    other: str = ""


def find(words: pa.Array) -> TimeSpelling | None:
    """The spelling of time that all of these words have, if there is one.

    Where several orders of day and month fit, it is the one in which the column ascends or descends, or else in which
    all are first days of months; or else the day comes first, unless hours are spelt with AM and PM.

    >>> find(pa.array(["1/31/2024", "2/5/2024"])).spelling, find(pa.array(["5 Jan 2024", "24 Jun 2023"])).spelling
    ('%-m/%-d/%Y', '%-d %b %Y')
    >>> find(pa.array(["03:00 PM", "11:16 AM"])).spelling, find(pa.array(["a", "b"]))
    ('%I:%M %p', None)
    """
    words = words.drop_null() if words.null_count else words
    if not len(words):
        return None
    some = words.unique()
    fitting = [spelling for spelling in _candidates(some[:100].to_pylist()) if _fits(some, spelling)]
    if not fitting:
        return None
    by_order = {_order(spelling): spelling for spelling in reversed(fitting)}
    orders = [by_order[order] for order in dict.fromkeys(map(_order, fitting))]
    if len(orders) == 1:
        return TimeSpelling(orders[0])
    best = max(
        orders,
        key=lambda candidate: (
            _ascends(words, candidate),
            _first_days(some, candidate),
            "%p" in candidate and _order(candidate)[0] == "m",
        ),
    )
    swapped = _order(best).translate(str.maketrans("dm", "md"))
    return TimeSpelling(best, by_order.get(swapped, "") if swapped != _order(best) else "")


def find_whole(numbers: pa.Array) -> str | None:
    """The spelling of dates that all whole numbers have, as 20240131, if they are dates.

    >>> find_whole(pa.array([20240131, 20240201, 20231224])), find_whole(pa.array([20240131, 20240132, 20231224]))
    ('%Y%m%d', None)
    """
    some = numbers.unique().drop_null().cast(pa.string())
    if len(some) < MIN_DATES:
        return None
    lengths = pc.unique(pc.binary_length(some)).to_pylist()
    spelling = next((compact for compact in COMPACT if lengths == [len(re.sub("%.", "00", compact)) + 2]), None)
    if spelling is None or (spelling == "%Y%m" and len(some) < 4 * MIN_DATES):
        return None
    moments = parse(some, spelling)
    if moments.null_count:
        return None
    years = pc.min_max(pc.year(moments)).as_py()
    return spelling if years["min"] >= EARLIEST and years["max"] <= LATEST else None


def parse(words: pa.Array, spelling: str, *, strict: bool = True) -> pa.Array:
    """Words as `timestamp[s]`, null for those that are not spelt so; times of day lie on the first day of 1970.

    Args:
        words: text.
        spelling: the spelling.
        strict: whether zeros before a number, and capitals, must be as the spelling has them.

    >>> parse(pa.array(["5 jan 2024"]), "%-d %b %Y").null_count
    1
    >>> str(parse(pa.array(["5 jan 2024"]), "%-d %b %Y", strict=False)[0])
    '2024-01-05 00:00:00'
    """
    coded = words.dictionary_encode()
    parts = pc.extract_regex(coded.dictionary, pattern=_pattern(spelling, strict=strict))
    pieces = {name: pc.struct_field(parts, name) for name in (field.name for field in parts.type)}
    right = pc.is_valid(parts).to_numpy(zero_copy_only=False)
    numbers = {name: _number(name, column, right) for name, column in pieces.items()}
    moments, good = _moments(numbers, right)
    if "a" in numbers:
        weekday = (moments.astype("datetime64[D]").astype(np.int64) + 3) % 7
        good &= weekday == numbers["a"]
    return pa.array(moments, pa.timestamp("s"), mask=~good).take(coded.indices)


def spell(moments: pa.Array, spelling: str) -> pa.Array:
    """`timestamp[s]` as words.

    >>> spell(pa.array([86_400 * 31 + 54_000], pa.timestamp("s")), "%A, %-d %B %Y %-I:%M %p").to_pylist()
    ['Sunday, 1 February 1970 3:00 PM']
    """
    valid = pc.is_valid(moments)
    seconds = moments.cast(pa.timestamp("s"), safe=False).fill_null(0).to_numpy(zero_copy_only=False)
    days, months = seconds.astype("datetime64[D]"), seconds.astype("datetime64[M]")
    clock = (seconds - days.astype("datetime64[s]")).astype(np.int64)
    year, month = months.astype("datetime64[Y]").astype(np.int64) + 1970, months.astype(np.int64) % 12
    values = {
        "Y": year,
        "y": year % 100,
        "m": month + 1,
        "d": (days - months.astype("datetime64[D]")).astype(np.int64) + 1,
        "H": clock // 3600,
        "I": (clock // 3600 + 11) % 12 + 1,
        "M": clock // 60 % 60,
        "S": clock % 60,
    }
    names = {"b": month, "a": (days.astype(np.int64) + 3) % 7, "p": clock // 43_200}
    parts: list[pa.Array | str] = []
    for piece in FORMAT_PIECE.findall(spelling):
        if piece in PIECE_WORDS:
            parts.append(pa.array(PIECE_WORDS[piece]).take(pa.array(names[piece[-1].lower()])))
        elif piece.startswith("%"):
            width = 1 if piece[1] == "-" else 4 if piece == "%Y" else 2
            parts.append(pc.utf8_lpad(pa.array(values[piece[-1]]).cast(pa.string()), width, "0"))
        else:
            parts.append(piece)
    if all(isinstance(part, str) for part in parts):
        return pa.array([spelling] * len(moments))
    words = pc.binary_join_element_wise(*parts, "")
    return pc.if_else(valid, words, pa.scalar(None, pa.string()))


def as_moments(values: pa.Array) -> pa.Array:
    """Dates and times as `timestamp[s]`, times of day on the first day of 1970.

    >>> str(as_moments(pa.array([40_560], pa.time32("s")))[0])
    '1970-01-01 11:16:00'
    """
    if pa.types.is_time(values.type):
        values = values.cast(pa.time64("us")).cast(pa.int64()).cast(pa.timestamp("us"))
    return values.cast(pa.timestamp("s"), safe=False)


def has_date(spelling: str) -> bool:
    """Whether a spelling names a day or month, and not a time of day alone."""
    return re.search(r"%[yY]", spelling) is not None


def _pattern(spelling: str, *, strict: bool) -> str:
    pattern = "^" if strict else r"(?i)^\s*"
    for piece in FORMAT_PIECE.findall(spelling):
        name = piece[-1].lower() if piece in PIECE_WORDS else piece[-1]
        if piece in PIECE_WORDS:
            pattern += f"(?P<{name}>{'|'.join(PIECE_WORDS[piece])})"
        elif piece.startswith("%"):
            loose = rf"0?(?:{UNPADDED[name]})" if name in UNPADDED and not strict and len(spelling) > 6 else ""
            pattern += f"(?P<{name}>{loose or (UNPADDED[name] if piece[1] == '-' else DIGIT_PATTERNS[name])})"
        else:
            pattern += re.escape(piece).replace("\\ ", " ")
    return pattern + ("$" if strict else r"\s*$")


def _number(name: str, column: pa.Array, right: np.ndarray) -> np.ndarray:
    """What each word of a piece stands for; 0 where the words are not `right`."""
    if name in ("b", "a", "p"):
        short = pc.utf8_slice_codeunits(pc.utf8_lower(column), 0, 3)
        words = {"b": MONTHS, "a": DAYS, "p": DAY_HALVES}[name]
        column = pc.index_in(short, value_set=pa.array([word[:3].lower() for word in words]))
    numbers = column.cast(pa.int64()).fill_null(0).to_numpy(zero_copy_only=False)
    return np.where(right, numbers, 0)


def _moments(numbers: dict[str, np.ndarray], right: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The moments that year, month, day, hour, minute and second are, and which of them there are."""
    zero = np.zeros(len(right), np.int64)
    year = numbers.get("Y", 1970 + zero)
    if "y" in numbers:
        year = numbers["y"] + np.where(numbers["y"] < 69, 2000, 1900)
    month = numbers["b"] + 1 if "b" in numbers else numbers.get("m", 1 + zero)
    day, hour = numbers.get("d", 1 + zero), numbers.get("H", zero)
    good = right & (month >= 1) & (month <= 12) & (hour < 24)
    if "I" in numbers:
        good &= (numbers["I"] >= 1) & (numbers["I"] <= 12)
        hour = numbers["I"] % 12 + 12 * numbers.get("p", zero)
    months = ((year - 1970) * 12 + np.clip(month, 1, 12) - 1).astype("datetime64[M]")
    longest = ((months + 1).astype("datetime64[D]") - months.astype("datetime64[D]")).astype(np.int64)
    minute, second = numbers.get("M", zero), numbers.get("S", zero)
    good &= (day >= 1) & (day <= longest) & (minute < 60) & (second < 60)
    clock = (day - 1) * 86_400 + hour * 3600 + minute * 60 + second
    return months.astype("datetime64[s]") + clock.astype("timedelta64[s]"), good


def _fits(words: pa.Array, spelling: str) -> bool:
    return all(parse(few, spelling).null_count == 0 for few in (words[:8], words))


def _order(spelling: str) -> str:
    return "".join(
        piece[-1] for piece in FORMAT_PIECE.findall(spelling) if piece[-1] in "Yymdb" and piece[0] == "%"
    ).lower()


def _ascends(words: pa.Array, spelling: str) -> bool:
    steps = np.diff(parse(words, spelling).to_numpy(zero_copy_only=False).astype(np.int64))
    return bool((steps >= 0).all() or (steps <= 0).all()) and bool(steps.any())


def _first_days(words: pa.Array, spelling: str) -> bool:
    """Whether all dates are on the first day of a month, as those of monthly figures are."""
    return len(words) > 1 and bool(pc.all(pc.equal(pc.day(parse(words, spelling)), 1)).as_py())


def _candidates(words: Sequence[str]) -> Iterator[str]:
    """Spellings that the first of these words may have, the likelier ones first."""
    word = words[0].strip()
    if not re.search(r"\d", word) or len(word) > 40 or words[0] != word:
        return
    zone = ZONE.search(word) if ":" in word or "T" in word else None
    tail = zone[0] if zone else ""
    pieces = re.findall(r"\d+|[^\W\d_]+|[\W_]", word.removesuffix(tail))
    slots: list[int] = []
    parts: list[tuple[str, ...]] = []
    place = 0
    while place < len(pieces):
        piece, rest = pieces[place], pieces[place + 1 :]
        if piece.isdigit() and (clock := _clock(piece, rest)) is not None:
            taken, forms = clock
            parts.append(forms)
            place += taken
            continue
        if piece.isdigit():
            slots.append(len(parts))
            parts.append((piece,))
        elif piece.isalpha() and piece not in ("T", "at"):
            forms = _named(piece, words)
            if not forms:
                return
            parts.append(forms)
        elif piece == "%":
            return
        else:
            parts.append((piece,))
        place += 1
    for choices in _dates(parts, slots):
        for chosen in product(*choices):
            yield "".join(chosen) + tail


def _clock(piece: str, rest: Sequence[str]) -> tuple[int, tuple[str, ...]] | None:
    """How many pieces a time of day takes from here on, and how it may be spelt; None if there is none."""
    taken, minutes = 1, ""
    while len(rest) >= taken + 1 and rest[taken - 1] == ":" and len(rest[taken]) == 2 and rest[taken].isdigit():
        minutes += ":%S" if minutes else ":%M"
        taken += 2
    blank = 1 if len(rest) > taken - 1 and rest[taken - 1] in (" ", "\u202f", "\u00a0") else 0
    half = rest[taken - 1 + blank] if len(rest) > taken - 1 + blank else ""
    if half.upper() in DAY_HALVES and len(piece) <= 2:
        end = (rest[taken - 1] if blank else "") + ("%p" if half.isupper() else "%~p")
        return taken + blank + 1, (f"%I{minutes}{end}", f"%-I{minutes}{end}")
    if not minutes or len(minutes) > 6 or len(piece) > 2:
        return None
    return taken, (f"%H{minutes}", f"%-H{minutes}")


def _named(piece: str, words: Sequence[str]) -> tuple[str, ...]:
    """The pieces of a spelling that a name of a month or day may be."""
    forms = [form for form, names in PIECE_WORDS.items() if piece in names and form[-1] != "p"]
    # May is long and short: the other words say which.
    return tuple(
        sorted(forms, key=lambda form: -sum(any(name in word for name in PIECE_WORDS[form]) for word in words))
    )


def _dates(parts: Sequence[tuple[str, ...]], slots: Sequence[int]) -> Iterator[list[tuple[str, ...]]]:
    """The parts with what each run of digits may be: year, month or day."""
    runs = [parts[slot][0] for slot in slots]
    lengths = [len(run) for run in runs]
    month = any(form[-1] in "bB" for part in parts for form in part if form[:1] == "%")
    orders: list[list[str]] = []
    if not slots and not month:
        orders = [[]] if any(part[0].startswith(("%H", "%I")) for part in parts) else []
    elif len(slots) == 1 and not month and lengths[0] in (6, 8, 12, 14):
        orders = [[compact] for compact in COMPACT if len(re.sub("%.", "00", compact)) + 2 == lengths[0]]
    elif len(slots) == 2 and not month and lengths[0] == 8 and lengths[1] in (4, 6):
        orders = [["%Y%m%d", "%H%M%S"[: lengths[1]]]]
    elif len(slots) == 1 and month:
        short = lengths[0] == 2 and slots == [2] and parts[1][0] in ("-", "'", "’")  # Jan-24, and not 24 Jan
        orders = [["%Y"]] if lengths[0] == 4 else [["%y"]] if short else []
    else:
        whole = ["Ymd", "dmY", "mdY", "dmy", "mdy", "ymd"]
        known = {(True, 2): ["Yd", "dY", "dy"], (False, 2): ["Ym", "mY"], (False, 3): whole}
        orders = [[f"%{letter}" for letter in order] for order in known.get((month, len(slots)), [])]
    for order in orders:
        if any(len(form) == 2 and not _may_be(form[1], run) for form, run in zip(order, runs, strict=True)):
            continue
        forms = list(parts)
        for slot, form in zip(slots, order, strict=True):
            forms[slot] = (form, f"%-{form[1]}") if form in ("%m", "%d") else (form,)
        yield forms


def _may_be(letter: str, run: str) -> bool:
    return len(run) == 4 if letter == "Y" else len(run) == 2 if letter == "y" else len(run) <= 2
