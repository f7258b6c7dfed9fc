"""How a text file is laid out: the lines above the table, its header, what separates its cells, its decimal mark."""

from __future__ import annotations

import csv
import gzip
import io
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import IO, cast

from sfumato.data.columns.base import NUMBER
from sfumato.data.columns.missing import SURELY_MISSING, WORDS_FOR_NONE
from sfumato.data.io.csv.checks import decimal_mark
from sfumato.data.io.reading import USUAL, Reading
from sfumato.errors import SfumatoError

HEAD = 1 << 18
"""Bytes from which the layout is read."""

SNIFFED_ROWS = 1000
"""Rows of them that are looked at."""

SEPARATORS = (",", ";", "\t", "|")
MIN_NUMBER_NAMES = 5
"""So many names that are numbers, at least, may be places on a line, as wavelengths are."""
PREAMBLE = 50
"""Lines above a header, at most."""

is_number = re.compile(NUMBER).match
is_comma_number = re.compile(r"\s*[-+]?\d*,\d+\s*").fullmatch
is_year = re.compile(r"\s*(?:18|19|20|21)\d\d\s*").fullmatch
is_day = re.compile(r"\s*\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}.*").fullmatch


@dataclass(frozen=True)
class Dialect:
    """The layout of a text file.

    Attributes:
        delimiter: what separates cells.
        point: the decimal mark.
        names: of the columns.
        skip: lines above the first row.
        begin: lines above the header.
        notes: what a person should know of how it was read.
    """

    delimiter: str
    point: str
    names: tuple[str, ...]
    skip: int
    notes: tuple[str, ...] = ()
    begin: int = 0


def is_gzip(path: Path) -> bool:
    """Whether it is a gzip file, by its content."""
    with path.open("rb") as probe:
        return probe.read(2) == b"\x1f\x8b"


def open_bytes(path: Path) -> IO[bytes]:
    """The bytes of a text file, unpacked."""
    return cast(IO[bytes], gzip.open(path)) if is_gzip(path) else path.open("rb")


def default_names(count: int) -> tuple[str, ...]:
    """The names of columns in a file without a header.

    >>> default_names(2)
    ('column_1', 'column_2')
    """
    return tuple(f"column_{place + 1}" for place in range(count))


def detect(path: Path, reading: Reading = USUAL) -> Dialect:
    """The layout of a text file, from its first lines.

    Raises:
        SfumatoError: if it is not UTF-8, has no header, or its cells are separated by runs of blanks.
    """
    text, whole = _head(path)
    if not text.strip():
        raise SfumatoError(f"{path}: holds no text; write a header and rows into it")
    hint = re.match(r'"?sep=(.)"?\r?\n', text)
    start, above = (1, [f"line 1 ({hint[0].strip()!r})"]) if hint else (0, [])
    tabs = ".tsv" in path.name.lower()
    candidates = (hint[1],) if hint else ("\t", ",", ";", "|") if tabs else SEPARATORS
    cuts = (_cut(text, mark, start, whole=whole, tabs=tabs) for mark in candidates)
    best = max(cuts, key=lambda cut: cut.score)
    if len(best.names) < 2 and not hint:
        best = _by_blanks(path, text, start, whole=whole) or best
    if not best.names:
        raise SfumatoError(f"{path}: the first line is empty where column names should be; add a header line")
    above += best.above
    notes = [f"{path.name}: {' and '.join(above)} above the header {'is' if len(above) == 1 else 'are'} passed over"]
    dialect = Dialect(best.delimiter, ".", best.names, best.skip, tuple(notes if above else ()), best.begin)
    if best.delimiter == " ":
        dialect = replace(dialect, notes=(*dialect.notes, f"{path.name}: cells are separated by blanks"))
    return _headed(path, dialect, best.rows, reading)


def _headed(path: Path, dialect: Dialect, rows: Sequence[Sequence[str]], reading: Reading) -> Dialect:
    """The layout with its names and its decimal mark, now that it is known whether there is a header."""
    # Cells at the ends of all rows, beyond the header, that are empty: a separator at the end of each line.
    if rows and all(len(row) == len(dialect.names) + 1 and not row[-1].strip() for row in rows):
        dialect = replace(dialect, names=(*dialect.names, ""))
    columns = [[row[place] for row in rows if place < len(row)] for place in range(len(dialect.names))]
    headless = reading.header == "none" and dialect.names != default_names(len(dialect.names))
    if headless:
        columns = [[name, *column] for name, column in zip(dialect.names, columns, strict=True)]
        dialect = replace(dialect, names=default_names(len(dialect.names)), skip=dialect.begin)
    elif reading.header == "auto" and (cells := looks_like_data(dialect.names, columns)):
        content = "numbers" if len(cells) == len(dialect.names) and all(map(is_number, cells)) else "values"
        raise SfumatoError(
            f"{path}: the first line holds {content} where column names should be ({', '.join(map(repr, cells[:3]))}); "
            f"add a header line, or say --header none (columns are then called column_1, …) or --header yes"
        )
    missing = {*SURELY_MISSING, *WORDS_FOR_NONE, *(reading.missing or ())}
    present = [[word for word in column if word.strip() not in missing] for column in columns]
    return dialect if dialect.delimiter == "," else replace(dialect, point=decimal_mark(present))


def looks_like_data(names: Sequence[str], columns: Sequence[Sequence[str]]) -> list[str]:
    """The cells of a first line that are like the values below it; none if it is a header.

    Any name above nothing but numbers or dates makes a header. So do numbers that count up evenly, as years do.

    >>> looks_like_data(["5.1", "setosa"], [["4.9", "6.2", "5.7"], ["setosa", "virginica", "setosa"]])
    ['5.1', 'setosa']
    >>> looks_like_data(["country", "1990", "1991"], [["Chad", "Mali"], ["1.5", "2"], ["3", "4"]])
    []
    """
    numbers, words, other = [], [], 0
    for name, column in zip(names, columns, strict=True):
        present = [word for word in column if word.strip() and word.strip() not in SURELY_MISSING]
        if not present:
            continue
        test = next((test for test in (is_number, is_comma_number, is_day) if all(map(test, present))), None)
        if test is not None and name.strip() and not test(name):
            return []
        if test is not None and name.strip():
            numbers.append(name)
        elif test is None and is_number(name):
            other += 1
        elif name in present and len(set(present)) < len(present):
            words.append(name)
    below = [column[0] if column else "" for column in columns]
    if all(map(is_number, names)):
        places = list(names) == [str(place) for place in range(len(names))] and len(names) > 1
        return (
            []
            if places or (len(names) > MIN_NUMBER_NAMES and _counts_up(names) and not _counts_up(below))
            else list(names)
        )
    values = [word for name, word in zip(names, below, strict=True) if name in numbers]
    years = all(map(is_year, numbers)) and not all(map(is_year, values))
    if not words and (years or (len(numbers) > 1 and _counts_up(numbers) and not _counts_up(values))):
        return []
    texts = sum(1 for column in columns if column) - len(numbers) - other
    return [*numbers, *words] if numbers or (len(words) > 1 and len(words) * 2 > texts) else []


def _counts_up(cells: Sequence[str]) -> bool:
    """Whether cells are numbers that ascend in even steps."""
    if not all(map(is_number, cells)):
        return False
    steps = [float(after) - float(before) for before, after in pairwise(cells)]
    return bool(steps) and min(steps) > 0 and max(steps) - min(steps) < 1e-6 * max(steps)


@dataclass(frozen=True)
class _Cut:
    """The head of a file cut by one mark, and how well that fits: rows of one length, cells without another mark."""

    delimiter: str
    names: tuple[str, ...]
    rows: list[list[str]]
    skip: int
    above: list[str]
    score: tuple[float, float, int]
    begin: int = 0


def _cut(text: str, mark: str, start: int, *, whole: bool, tabs: bool = False) -> _Cut:
    """Cut by `mark` from line `start` on, where tabs, or else commas, are what separates if others fit as well."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=mark)
    cells: list[tuple[int, int, list[str]]] = []
    try:
        for _ in range(start):
            next(reader)
        before = reader.line_num
        for row in reader:
            cells.append((before, reader.line_num, row))
            before = reader.line_num
            if len(cells) > SNIFFED_ROWS:
                break
        else:
            cells = cells if whole or len(cells) < 3 else cells[:-1]
    except (csv.Error, StopIteration):
        pass
    filled = [len(row) for _, _, row in cells if row]
    usual = Counter(filled).most_common(1)[0][0] if filled else 0
    first = _first_row(cells, usual)
    above = [f"line {begin + 1} ({mark.join(row)[:40]!r})" for begin, _, row in cells[:first] if any(row)]
    if first >= len(cells):
        return _Cut(mark, (), [], 0, [], (0.0, 0.0, 0))
    names, rows = cells[first][2], [row for _, _, row in cells[first + 1 :] if row]
    like = [names, *rows] if rows else [names]
    even = sum(len(row) == len(names) for row in like) / len(like) if len(names) > 1 else 0.0
    others = [other for other in SEPARATORS if other != mark]
    clean = [not any(other in cell for other in others) or bool(is_comma_number(cell)) for row in like for cell in row]
    usually = mark == ("\t" if tabs else ",")
    score = (round(even, 3), round(sum(clean) / max(len(clean), 1) + 0.2 * usually, 3), len(names))
    return _Cut(mark, tuple(names), rows, cells[first][1], above, score, cells[first][0])


def _first_row(cells: Sequence[tuple[int, int, list[str]]], usual: int) -> int:
    """The place of the header: the first line that is no comment, title or empty line above the table."""
    rows = [row for _, _, row in cells[:PREAMBLE]]
    for place, row in enumerate(rows):
        # A line of words above numbers is the header, even below other lines with fewer cells.
        named = len(row) == usual > 1 and _names(row, cells[place + 1 :])
        if named and all(_is_above(earlier, usual) for earlier in rows[:place]):
            return place
    for place, row in enumerate(rows):
        remark = row and row[0].startswith("#") and len(row) != usual
        title = len(row) != usual > 1 and _filled(row) < 2
        if row and not remark and not title:
            return place
    return 0


def _is_above(row: Sequence[str], usual: int) -> bool:
    """Whether a line may stand above a header: it is shorter, a title or a remark."""
    return len(row) < usual or _filled(row) < 2 or row[0].startswith("#")


def _filled(row: Sequence[str]) -> int:
    return sum(bool(cell.strip()) for cell in row)


def _names(row: Sequence[str], below: Sequence[tuple[int, int, list[str]]]) -> bool:
    """Whether a line surely is a header: a word of it stands above nothing but numbers."""
    rows = [cells for _, _, cells in below[:100] if len(cells) == len(row)]
    return bool(rows) and any(
        name.strip() and not is_number(name) and all(is_number(cells[place]) for cells in rows)
        for place, name in enumerate(row)
    )


def _by_blanks(path: Path, text: str, start: int, *, whole: bool) -> _Cut | None:
    """The file cut by single blanks, if it is a table then: one column of it holds numbers alone, under a name.

    Raises:
        SfumatoError: if it is one when cut by runs of blanks.
    """
    cut = _cut(text, " ", start, whole=whole)
    if cut.score[0] == 1.0 and len(cut.rows) > 1 and _names(cut.names, [(0, 0, row) for row in cut.rows]):
        return cut
    lines = [line.split() for line in text.splitlines()[start:][: SNIFFED_ROWS if whole else -1] if line.strip()]
    even = len(lines) > 2 and len(lines[0]) > 1 and len(set(map(len, lines))) == 1
    if even and _names(lines[0], [(0, 0, row) for row in lines[1:]]):
        raise SfumatoError(
            f"{path}: columns are separated by runs of blanks, which is no separator that is read; "
            "write commas or tabs between them"
        )
    return None


def _head(path: Path) -> tuple[str, bool]:
    """The beginning of a file as text, without its byte order mark, and whether it is all of it."""
    with open_bytes(path) as file:
        head = file.read(HEAD)
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise SfumatoError(f"{path}: UTF-16 text; save the file as UTF-8")
    if b"\0" in head:
        raise SfumatoError(f"{path}: not UTF-8 text; name a CSV, TSV or Parquet file by its true ending")
    try:
        head.partition(b"\n")[0].decode()
    except UnicodeDecodeError as error:
        if error.end < HEAD - 4:
            raise SfumatoError(f"{path}: the first line is not UTF-8 text; save the file as UTF-8") from None
    return head.decode("utf-8-sig", errors="replace"), len(head) < HEAD
