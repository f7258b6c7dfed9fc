"""Numbers that are spelt with signs and separators: money, percent, thousands. Found, read and written."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sfumato.data.columns.missing import MISSING_AMONG_NUMBERS, trimmed, without

BLANKS = " \u00a0\u202f"
CODES = "USD|EUR|GBP|CHF|JPY|CNY|INR|CAD|AUD|SEK|NOK|DKK|PLN|CZK|BRL"
CURRENCY = rf"(?:[A-Z]{{1,2}}\$|[$€£¥₹₽₩₺₫₴₦฿₱]|(?:{CODES})|Rs\.?|kr\.?|zł|Fr\.)"
MARK = rf"{CURRENCY}[{BLANKS}]?"
UNIT_PATTERN = rf"[{BLANKS}]?(?:%|‰|{CURRENCY})"
BODY = rf"\d(?:[\d.,'’{BLANKS}]*\d)?|\.\d+"
WORD = re.compile(
    rf"(?P<open>\(?)(?P<first>[-−+]?)(?P<prefix>(?:{MARK})?)(?P<second>[-−+]?)(?P<body>{BODY})(?P<suffix>(?:{UNIT_PATTERN})?)"
    r"(?P<last>-?)(?P<close>\)?)"
).fullmatch
DIGIT_GROUPS = re.compile(rf"\d{{1,3}}(?:[.,'’{BLANKS}]\d{{3}})+").fullmatch


JSON_TRIED = 50
"""Different values of a column of text that are read as JSON."""


def flattening(name: str, values: pa.ChunkedArray | pa.Array) -> str | None:
    """How to make a column of lists, of records, or of JSON text a column or several; None if it is none of these.

    >>> flattening("tags", pa.array([["a", "b"], []]))[:26]
    "column 'tags' holds lists:"
    """
    kind, drop = values.type, f"or leave it out with --drop {name}"
    if pa.types.is_fixed_size_list(kind):
        return f"column {name!r} holds {kind.list_size} values in each row: make a column of each, {drop}"
    if pa.types.is_map(kind) or pa.types.is_struct(kind):
        return (
            f"column {name!r} holds records: make a column of each field, as with pandas.json_normalize(frame["
            f"{name!r}]), {drop}"
        )
    lists = (pa.types.is_list, pa.types.is_large_list, pa.types.is_list_view, pa.types.is_large_list_view)
    if any(test(kind) for test in lists):
        return (
            f"column {name!r} holds lists: make a column of 0 and 1 for each value that lists have, as with pandas "
            f"frame[{name!r}].str.join('|').str.get_dummies(), or a row for each, as with frame.explode({name!r}), "
            f"{drop}"
        )
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind)):
        return None
    words = values.drop_null().unique().slice(0, JSON_TRIED).to_pylist()
    if not words or not all(map(_is_nested, words)) or all(map(_is_interval, words)):
        return None
    return (
        f"column {name!r} holds JSON, as {words[0]!r:.60}: make a column of each value in it, as with "
        f"pandas.json_normalize(frame[{name!r}].map(json.loads)), {drop}; --kind {name}=categorical takes it as words"
    )


def _is_interval(word: str) -> bool:
    """Whether text is a list of two numbers, as intervals are written."""
    values = json.loads(word)
    return isinstance(values, list) and len(values) == 2 and all(isinstance(value, int | float) for value in values)


def _is_nested(word: str) -> bool:
    """Whether text is a list or an object of JSON."""
    if word.strip()[:1] not in ("[", "{"):
        return False
    try:
        return isinstance(json.loads(word), list | dict)
    except ValueError:
        return False


@dataclass(frozen=True)
class Style:
    """How the numbers of a column are spelt.

    Attributes:
        prefix: what stands before the number, as "$".
        suffix: what stands behind it, as "%".
        thousands: what separates thousands; "" if nothing does.
        point: the decimal mark.
        digits: after the point, of every number; −1 if they vary.
        whole: whether whole numbers are spelt without any.
        negative: "-" before all, "$-" between prefix and number, "(" around it, or "5-" behind it.
        minus: the minus sign.
    """

    prefix: str = ""
    suffix: str = ""
    thousands: str = ""
    point: str = "."
    digits: int = -1
    whole: bool = False
    negative: str = "-"
    minus: str = "-"

    @classmethod
    def find(cls, words: pa.Array) -> Style | None:
        """The style that all of these words have; None if they are not numbers that are spelt with signs.

        >>> Style.find(pa.array(["$1,314", "$7"]))
        Style(prefix='$', suffix='', thousands=',', point='.', digits=0, whole=False, negative='-', minus='-')
        >>> Style.find(pa.array(["1.234,56", "7,00"])).point, Style.find(pa.array(["12", "A7"]))
        (',', None)
        """
        some = trimmed(words.drop_null().unique()).to_pylist()
        matches = [match for word in some[:50] if (match := WORD(word))]
        if not some or len(matches) < min(len(some), 50):
            return None
        matches += [match for word in some[50:] if (match := WORD(word))]
        affixes = {(match["prefix"], match["suffix"]) for match in matches}
        if len(matches) < len(some) or len(affixes) > 1:
            return None
        prefix, suffix = affixes.pop()
        bodies = [match["body"].rstrip() for match in matches]
        marks = _marks(bodies, money=bool(re.search(CURRENCY, prefix + suffix)))
        signs = {sign for match in matches if (sign := _sign(match))}
        if (
            marks is None
            or None in signs
            or any((match["open"] == "(") != (match["close"] == ")") for match in matches)
        ):
            return None
        plain = not (prefix or suffix or marks[0]) and marks[1] == "." and signs <= {("-", "-")}
        if plain:
            return None
        negative, minus = next(iter(sorted(signs)), ("-", "-"))
        style = cls(prefix, suffix, *marks, *_digits(bodies, marks[1]), negative, minus)
        return style if style.parse(pa.array(some)).null_count == 0 else None

    def parse(self, words: pa.Array) -> pa.Array:
        """Words as float64; null for those that are not spelt so, or are missing.

        >>> Style("$", thousands=",", negative="(").parse(pa.array(["$1,314", "($5)", "7", "x"])).to_pylist()
        [1314.0, -5.0, 7.0, None]
        """
        coded = words.dictionary_encode()
        clean = trimmed(without(coded.dictionary, MISSING_AMONG_NUMBERS))
        below = pc.match_substring_regex(clean, r"^\(.*\)$|^[^0-9]*[-−]|-$")
        bare = pc.replace_substring_regex(clean, r"^\(|\)$|-$|^\+", "")
        for affix, at in ((self.prefix, "^"), (self.suffix, "$")):
            core = re.escape(affix.strip()).replace("\\ ", " ")
            space = f"[{BLANKS}]?"
            if core:
                bare = pc.replace_substring_regex(
                    bare, f"^([-−]?){core}{space}" if at == "^" else f"{space}{core}$", r"\1" if at == "^" else ""
                )
        bare = pc.replace_substring_regex(bare, r"^[-−+]", "")
        if self.thousands:
            group = "['’]" if self.thousands in "'’" else re.escape(self.thousands).replace("\\ ", " ")
            whole = rf"^\d{{1,3}}({group}\d{{3}})+({re.escape(self.point)}\d*)?$"
            bare = pc.if_else(pc.match_substring_regex(bare, whole), pc.replace_substring_regex(bare, group, ""), bare)
        if self.point != ".":
            bare = pc.replace_substring(pc.replace_substring(bare, ".", "_"), ",", ".")
        bare = pc.if_else(pc.match_substring_regex(bare, r"^(\d+\.?\d*|\.\d+)$"), bare, pa.scalar(None, pa.string()))
        numbers = bare.cast(pa.float64())
        return pc.if_else(below, pc.negate(numbers), numbers).take(coded.indices)

    def spell(self, numbers: np.ndarray) -> list[str]:
        """Numbers as words.

        >>> Style("$", "", ",", ".", 2, negative="(").spell(np.array([1314.5, -0.25, -0.001]))
        ['$1,314.50', '($0.25)', '$0.00']
        """
        return [self._word(number) for number in numbers.tolist()]

    def _word(self, number: float) -> str:
        digits = 0 if self.whole and number == int(number) else self.digits
        body = f"{abs(number):,.{digits}f}" if digits >= 0 else f"{abs(number):,.15g}"
        if "e" in body:
            body = f"{abs(number):,.0f}"
        below = number < 0 and any(digit in "123456789" for digit in body)
        body = body.translate({ord(","): self.thousands, ord("."): self.point})
        if not below:
            return f"{self.prefix}{body}{self.suffix}"
        if self.negative == "(":
            return f"({self.prefix}{body}{self.suffix})"
        if self.negative == "5-":
            return f"{self.prefix}{body}{self.suffix}-"
        inside = f"{self.prefix}{self.minus}" if self.negative == "$-" else f"{self.minus}{self.prefix}"
        return f"{inside}{body}{self.suffix}"

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Back from `dataclasses.asdict`."""
        return cls(**values)


def _sign(match: re.Match[str]) -> tuple[str, str] | None:
    """How a negative number is marked, and by which sign; nothing if it is not."""
    if match["open"]:
        return "(", "-"
    if match["last"]:
        return "5-", "-"
    for sign, where in ((match["first"], "-"), (match["second"], "$-" if match["prefix"] else "-")):
        if sign in ("-", "−"):
            return where, sign
    return None


def _marks(bodies: Sequence[str], *, money: bool) -> tuple[str, str] | None:
    """What separates thousands, and the decimal mark; None if there is no one answer."""
    seen = {mark for body in bodies for mark in re.findall(rf"[.,'’{BLANKS}]", body)}
    if not seen:
        return "", "."
    blanks = seen - {".", ","}
    if len(blanks) > 1:
        return None
    if blanks:
        point = seen & {".", ","}
        return None if len(point) > 1 else (blanks.pop(), point.pop() if point else ".")
    if len(seen) == 2:
        lasts = {max(seen, key=body.rfind) for body in bodies if all(mark in body for mark in seen)}
        if len(lasts) != 1:
            return _apart(bodies)
        point = lasts.pop()
        return ("," if point == "." else "."), point
    mark = seen.pop()
    marked = [body for body in bodies if mark in body]
    grouped = all(DIGIT_GROUPS(body) and not body.startswith("0") for body in marked)
    if mark == ",":
        return (",", ".") if grouped else ("", ",") if all(body.count(",") < 2 for body in marked) else None
    several = any(body.count(".") > 1 for body in marked)
    if grouped and (several or money):
        return ".", ","
    return None if several else ("", ".")


def _apart(bodies: Sequence[str]) -> tuple[str, str] | None:
    """The marks where no word has both: those of thousands have three digits behind each."""
    for thousands, point in ((",", "."), (".", ",")):
        grouped = all(DIGIT_GROUPS(body) for body in bodies if thousands in body)
        if grouped and all(body.count(point) < 2 for body in bodies):
            return thousands, point
    return None


def _digits(bodies: Sequence[str], point: str) -> tuple[int, bool]:
    """Digits behind the point, −1 if they vary, and whether whole numbers have none where others have some."""
    counts = {len(body.rpartition(point)[2]) if point in body else 0 for body in bodies}
    if len(counts) == 2 and 0 in counts:
        return max(counts), True
    return (counts.pop() if len(counts) == 1 else -1), False
