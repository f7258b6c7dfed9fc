"""Rules that a user types, as `start <= end and age * 12 > months`: parsed here, and never run as code.

    rule       := all ("or" all)*
    all        := part ("and" part)*
    part       := "not" part | "(" rule ")" | sum (("<" | "<=" | ">" | ">=" | "==" | "!=") sum)+
    sum        := product (("+" | "-") product)*
    product    := value (("*" | "/") value)*
    value      := number | "word" | 'word' | COLUMN | `COLUMN` | "-" value | "(" sum ")"

A column whose name is more than letters, digits, dots and underscores stands between backticks.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from sfumato.errors import SfumatoError, did_you_mean

TOKEN = re.compile(
    r"\s*(?:(?P<number>\d+\.?\d*(?:[eE][-+]?\d+)?|\.\d+(?:[eE][-+]?\d+)?)(?![\w.])"
    r"|(?P<name>[^\W\d][\w.]*)|`(?P<quoted>[^`]+)`|\"(?P<double>[^\"]*)\"|'(?P<single>[^']*)'"
    r"|(?P<sign><=|>=|==|!=|[-<>+*/()]))"
)
ROUNDING = 1e-9
"""Numbers closer than this share of their size are equal: what arithmetic on decimals loses is no difference."""


@dataclass(frozen=True)
class Operand:
    """The value of a part of a rule in each row.

    Attributes:
        values: numbers, NaN where missing; or words, None where missing.
        read: how a word that is compared with a column is read as one of the column's values.
    """

    values: np.ndarray
    read: Callable[[str], Any] | None = None

    @property
    def is_text(self) -> bool:
        """Whether the values are words."""
        return self.values.dtype == object


@dataclass
class Expression:
    """A rule over the columns of a table.

    Raises:
        SfumatoError: if it cannot be read, or names a column that is not there.

    >>> rows = {"start": Operand(np.array([1.0, 5.0, np.nan])), "end": Operand(np.array([3.0, 4.0, 1.0]))}
    >>> Expression("start <= end", tuple(rows)).broken(rows).tolist()
    [False, True, False]
    """

    text: str
    columns: tuple[str, ...]
    _tokens: list[tuple[str, str]] = field(init=False, repr=False)
    _place: int = field(init=False, repr=False, default=0)
    _rows: Mapping[str, Operand] = field(init=False, repr=False, default_factory=dict)

    def __post_init__(self) -> None:
        self._tokens = self._split()
        for kind, word in self._tokens:
            if kind == "column" and word not in self.columns:
                raise self._wrong(f"{word!r} is not a column; {did_you_mean(word, self.columns)}")
        self.broken({name: Operand(np.zeros(1)) for name in self.columns}, try_only=True)

    @property
    def named(self) -> frozenset[str]:
        """The columns it names."""
        return frozenset(word for kind, word in self._tokens if kind == "column")

    def broken(self, rows: Mapping[str, Operand], *, try_only: bool = False) -> np.ndarray:
        """Which rows do not keep the rule, (N,); a comparison with a missing cell leaves it open, and is kept.

        Args:
            rows: name of a column → its values.
            try_only: whether words may stand where these rows have numbers.
        """
        self._rows, self._place, self._try_only = rows, 0, try_only
        kept, known = self._any()
        if self._place < len(self._tokens):
            raise self._wrong(f"{self._tokens[self._place][1]!r} stands where it should end")
        return np.asarray(known & ~kept)

    def _split(self) -> list[tuple[str, str]]:
        tokens, place = [], 0
        while self.text[place:].strip():
            match = TOKEN.match(self.text, place)
            if match is None or match.lastgroup is None:
                raise self._wrong(f"{self.text[place:].strip()[:20]!r} is no column, number, word in quotes or sign")
            kind, word = match.lastgroup, match[match.lastgroup]
            if kind == "name":
                kind = "keyword" if word in ("and", "or", "not") else "column"
            names = {"quoted": "column", "double": "word", "single": "word"}
            tokens.append((names.get(kind, kind), word))
            place = match.end()
        return tokens

    def _wrong(self, what: str) -> SfumatoError:
        return SfumatoError(f"rule {self.text!r}: {what}")

    def _take(self, *words: str) -> str:
        """The next token if it is one of these signs or keywords, else ""."""
        if self._place < len(self._tokens):
            kind, word = self._tokens[self._place]
            if kind in ("sign", "keyword") and word in words:
                self._place += 1
                return word
        return ""

    # Truth: (whether it is so, whether that is known), each (N,).

    def _any(self) -> tuple[np.ndarray, np.ndarray]:
        true, known = self._all()
        while self._take("or"):
            other, sure = self._all()
            known = (known & sure) | (known & true) | (sure & other)
            true = (known & true) | (sure & other)
        return true, known

    def _all(self) -> tuple[np.ndarray, np.ndarray]:
        true, known = self._part()
        while self._take("and"):
            other, sure = self._part()
            known = (known & sure) | (known & ~true) | (sure & ~other)
            true = true & other
        return true, known

    def _part(self) -> tuple[np.ndarray, np.ndarray]:
        if self._take("not"):
            true, known = self._part()
            return ~true, known
        start = self._place
        if self._take("("):
            try:
                truth = self._any()
            except _NoComparison:
                self._place = start
            else:
                if not self._take(")"):
                    raise self._wrong("a bracket is not closed")
                return truth
        return self._comparison()

    def _comparison(self) -> tuple[np.ndarray, np.ndarray]:
        left, true, known, sign = self._sum(), np.array(True), np.array(True), ""
        while sign := self._take("<", "<=", ">", ">=", "==", "!="):
            right = self._sum()
            here, sure = self._compared(left, sign, right)
            known = (known & sure) | (known & ~true) | (sure & ~here)
            true, left = true & here, right
        if known.ndim == 0:
            raise _NoComparison(f"rule {self.text!r}: it compares nothing; write one as start <= end")
        return true, known

    def _compared(self, left: Operand, sign: str, right: Operand) -> tuple[np.ndarray, np.ndarray]:
        left, right = self._alike(left, right), self._alike(right, left)
        a, b = np.broadcast_arrays(left.values, right.values)
        if left.is_text:
            known = np.array([x is not None and y is not None for x, y in zip(a, b, strict=True)], bool)
            equal = known & np.array([x == y for x, y in zip(a, b, strict=True)], bool)
            less = np.array([sure and x < y for x, y, sure in zip(a, b, known, strict=True)], bool)
        else:
            known = ~(np.isnan(a) | np.isnan(b))
            equal = np.isclose(a, b, rtol=ROUNDING, atol=0.0)
            less = (a < b) & ~equal
        truths = {"<": less, "<=": less | equal, "==": equal, "!=": ~equal, ">": ~(less | equal), ">=": ~less}
        return truths[sign], known

    def _alike(self, operand: Operand, other: Operand) -> Operand:
        """A word as a value of the column that it is compared with."""
        if self._try_only:
            return Operand(np.zeros(1))
        if not operand.is_text or other.is_text:
            return operand
        if other.read is None or len(operand.values) != 1:
            raise self._wrong("words are compared with numbers")
        try:
            return Operand(np.array([other.read(operand.values[0])], float))
        except SfumatoError as error:
            raise self._wrong(str(error)) from None

    # Arithmetic.

    def _sum(self) -> Operand:
        value = self._product()
        while sign := self._take("+", "-"):
            other = self._product()
            a, b = self._number(value), self._number(other)
            value = Operand(a + b if sign == "+" else a - b)
        return value

    def _product(self) -> Operand:
        value = self._value()
        while sign := self._take("*", "/"):
            a, b = self._number(value), self._number(self._value())
            with np.errstate(divide="ignore", invalid="ignore"):
                value = Operand(a * b if sign == "*" else a / b)
        return value

    def _number(self, operand: Operand) -> np.ndarray:
        if operand.is_text and not self._try_only:
            raise self._wrong("words are no numbers to reckon with")
        return np.zeros(1) if operand.is_text else operand.values

    def _value(self) -> Operand:
        if self._take("-"):
            return Operand(-self._number(self._value()))
        if self._take("("):
            value = self._sum()
            if not self._take(")"):
                raise self._wrong("a bracket is not closed")
            return value
        if self._place >= len(self._tokens):
            raise self._wrong("it ends where a column or a number should stand")
        kind, word = self._tokens[self._place]
        self._place += 1
        if kind == "column":
            return self._rows[word]
        if kind == "number":
            return Operand(np.array([float(word)]))
        if kind == "word":
            return Operand(np.array([word], object))
        raise self._wrong(f"{word!r} stands where a column or a number should")


class _NoComparison(SfumatoError):
    """What stands between brackets is a value and no comparison."""
