"""A text file with some of its cells replaced, and every other byte as it is."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from sfumato.data.io.csv.dialect import Dialect, open_bytes


def fill(path: Path, cells: Mapping[str, Mapping[int, str]], dialect: Dialect) -> bytes:
    """The bytes of a text file, unpacked, with other words in some of its cells.

    Args:
        path: the file.
        cells: name of a column → number of a row, from 0 → the word that stands in it, unquoted, with the decimal mark
            of the file.
        dialect: the layout of the file.
    """
    with open_bytes(path) as file:
        text = file.read()
    places = [(place, cells[name]) for place, name in enumerate(dialect.names) if name in cells]
    sep = dialect.delimiter.encode()
    written, parts = 0, list[bytes]()
    for row, ends in enumerate(_rows(text, sep, dialect.skip)):
        for place, words in places:
            word = words.get(row)
            if word is None or place >= len(ends):
                continue
            start, end = ends[place]
            parts += [text[written:start], _quoted(word.encode(), sep)]
            written = end
    return b"".join([*parts, text[written:]])


def _rows(text: bytes, separator: bytes, skip: int) -> Iterator[Sequence[tuple[int, int]]]:
    """From where to where each cell of each row goes, the lines above the first row and empty ones left out."""
    mark = re.escape(separator)
    cell = re.compile(rb'"(?:[^"]|"")*"|[^' + mark + rb"\r\n]*")
    end_of_line = re.compile(rb"\r\n|\n|\r")
    place = 0
    for _ in range(skip):
        line = end_of_line.search(text, place)
        place = len(text) if line is None else line.end()
    while place < len(text):
        ends: list[tuple[int, int]] = []
        while True:
            match = cell.match(text, place)
            assert match is not None, "a cell may be empty"
            ends.append(match.span())
            place = match.end()
            if text[place : place + 1] != separator:
                break
            place += 1
        line = end_of_line.match(text, place)
        place = len(text) if line is None and place >= len(text) else place + 1 if line is None else line.end()
        if len(ends) > 1 or ends[0][0] < ends[0][1]:
            yield ends


def _quoted(word: bytes, separator: bytes) -> bytes:
    """A word as a cell holds it."""
    if separator not in word and not set(b'"\r\n') & set(word):
        return word
    return b'"' + word.replace(b'"', b'""') + b'"'
