"""CSV and TSV: what is guessed, what is refused, and how it is spelt again."""

from __future__ import annotations

import csv as lines
import io
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as csv

from sfumato.data.columns.base import plain, shown
from sfumato.data.io.csv.checks import open_quote
from sfumato.data.io.csv.dialect import Dialect, detect, is_gzip, open_bytes
from sfumato.data.io.csv.types import ColumnTokens, Missing, converted
from sfumato.data.io.reading import USUAL, Reading
from sfumato.errors import SfumatoError

SPELLING = "sfumato.spelling"
MISSING_MARK = "sfumato.missing"
NOTES = b"sfumato.notes"
BOOLEANS = (("false", "true"), ("False", "True"), ("FALSE", "TRUE"))
READ_BYTES = 1 << 22


@dataclass(frozen=True)
class FileLayout:
    """What a whole text file was found to hold.

    Attributes:
        types: of its columns.
        notes: what a person should know of how it is read.
        hints: of columns: what the user may want to fix.
        missing: of columns: the word that most of their missing cells have.
    """

    types: dict[str, pa.DataType]
    notes: tuple[str, ...]
    hints: dict[str, str]
    missing: dict[str, str] = field(default_factory=dict)


def read(path: Path, known: Mapping[str, pa.DataType], reading: Reading = USUAL) -> pa.Table:
    """A text file as a table; `known` types are not guessed. What `notes` gives stands in its metadata.

    Raises:
        SfumatoError: if it has no header, a line with too many or too few values, or text that is not UTF-8.
    """
    dialect, missing = detect(path, reading), Missing.of(reading.missing)
    try:
        table = csv.read_csv(_source(path), *_options(dialect))
    except pa.ArrowInvalid as error:
        raise _broken(path, dialect) or error from None
    _check_end(path, dialect, table)
    table = table.select(_kept(dialect, table))
    looks = [ColumnTokens(missing, dialect.point, known.get(name)) for name in table.column_names]
    for look, column in zip(looks, table.columns, strict=True):
        for chunk in column.chunks:
            look.see(chunk)
    layout = _layout(path, dialect, table.column_names, looks)
    fields, columns = [], []
    for name, look, column in zip(table.column_names, looks, table.columns, strict=True):
        kind, pair = look.type(), look.spelling(BOOLEANS)
        marks = {MISSING_MARK: layout.missing[name]} if name in layout.missing else {}
        if pair is not None:
            words = converted(column, pa.string(), Missing(missing.numbers))
            fields.append(pa.field(name, pa.bool_(), metadata={SPELLING: ",".join(pair), **marks}))
            columns.append(pc.equal(words, pair[1]))
            continue
        fields.append(pa.field(name, kind, metadata=marks or None))
        columns.append(converted(column, kind, missing, dialect.point))
    metadata = {NOTES: json.dumps([layout.notes, layout.hints]).encode()}
    return pa.table(columns, schema=pa.schema(fields, metadata=metadata))


def notes(table: pa.Table) -> tuple[tuple[str, ...], dict[str, str]]:
    """What should be known of how a table was read, and hints for its columns; nothing if it was no text file."""
    notes, hints = json.loads((table.schema.metadata or {}).get(NOTES, b"[[], {}]"))
    return tuple(notes), hints


def look(path: Path, reading: Reading = USUAL) -> FileLayout:
    """What a file holds, that is read through once; text that spells booleans stays text.

    Raises:
        SfumatoError: as `read` does.
    """
    dialect, missing = detect(path, reading), Missing.of(reading.missing)
    looks: list[ColumnTokens] = []
    chosen: list[int] = []
    last = None
    try:
        with csv.open_csv(_source(path), *_options(dialect, threads=False)) as reader:
            for batch in reader:
                if not looks:
                    chosen = _kept(dialect, batch)
                    looks = [ColumnTokens(missing, dialect.point) for _ in chosen]
                for tokens, place in zip(looks, chosen, strict=True):
                    tokens.see(batch[place])
                last = batch if len(batch) else last
    except pa.ArrowInvalid as error:
        raise _broken(path, dialect) or error from None
    _check_end(path, dialect, last)
    names = [dialect.names[place] for place in chosen] if looks else list(dialect.names)
    return _layout(path, dialect, names, looks)


def batches(path: Path, rows: int, known: Mapping[str, pa.DataType], reading: Reading = USUAL) -> Iterator[pa.Table]:
    """Tables of at most `rows` rows, in order, by the types that `look` says.

    Raises:
        SfumatoError: as `read` does.
    """
    dialect, missing = detect(path, reading), Missing.of(reading.missing)
    places = [place for place, name in enumerate(dialect.names) if name in known]
    try:
        with csv.open_csv(_source(path), *_options(dialect, threads=False)) as reader:
            for batch in reader:
                columns = [
                    converted(batch[place], known[dialect.names[place]], missing, dialect.point) for place in places
                ]
                piece = pa.table(columns, names=[dialect.names[place] for place in places])
                for start in range(0, len(piece), rows):
                    yield piece.slice(start, rows)
    except pa.ArrowInvalid as error:
        raise _broken(path, dialect) or error from None


def marked(table: pa.Table, missing: Mapping[str, str]) -> pa.Table:
    """A table whose fields remember how `FileLayout.missing` says that their missing cells are spelt."""
    fields = [
        field.with_metadata({**(field.metadata or {}), MISSING_MARK: missing[field.name]})
        if field.name in missing
        else field
        for field in table.schema
    ]
    return table.cast(pa.schema(fields))


def _kept(dialect: Dialect, table: pa.Table | pa.RecordBatch) -> list[int]:
    """The columns but for those that have neither name nor value, as commas at the ends of lines make them."""
    return [
        place
        for place, name in enumerate(dialect.names)
        if name.strip() or pc.any(pc.not_equal(table[place], "")).as_py()
    ]


def _layout(path: Path, dialect: Dialect, names: list[str], looks: list[ColumnTokens]) -> FileLayout:
    types = {name: tokens.type() for name, tokens in zip(names, looks, strict=False)}
    notes, hints, spelt = [*dialect.notes], {}, {}
    missing, kept = [], []
    for name, tokens in zip(names, looks, strict=False):
        gone = tokens.read_as_missing(pa.null() if tokens.spelling(BOOLEANS) else types[name])
        missing += [f"{name} {count:,} × {word}" for word, count in gone.items() if word]
        if word := max(gone, key=gone.__getitem__, default=""):
            spelt[name] = word
        if stray := tokens.stray_words():
            hints[name] = _of_strays(stray, tokens.stray_row)
        elif pa.types.is_string(types[name]) and tokens.spelling(BOOLEANS) is None:
            kept += [f"{name} {count:,} × {word}" for word, count in tokens.kept_as_words().items()]
    if missing:
        notes.append(f"{path.name}: read as missing (--missing-values decides): {', '.join(missing)}")
    if kept:
        notes.append(f"{path.name}: categories (--missing-values WORD reads one as missing): {', '.join(kept)}")
    dropped = len(dialect.names) - len(names)
    if dropped:
        notes.append(f"{path.name}: {dropped} column{'s' * (dropped > 1)} without name and values left out")
    return FileLayout(types, tuple(notes), hints, spelt)


def _of_strays(stray: Mapping[str, int], row: int) -> str:
    count, (word, *others) = sum(stray.values()), stray
    some = f"as {shown(word)} in row {row:,}" + (f" and {shown(others[0])}" if others else "")
    cure = " ".join(f"--missing-values {_typed(word)}" for word in stray) if len(stray) < 4 else "--missing-values WORD"
    return f"all numbers but {count:,}, {some}: fix them, or {cure} reads them as missing"


def _typed(word: str) -> str:
    """A word as it is typed in a shell."""
    return word if re.fullmatch(r"[\w.,:/+-]+", word) else "'" + word.replace("'", "'\\''") + "'"


def _check_end(path: Path, dialect: Dialect, rows: pa.Table | pa.RecordBatch | None) -> None:
    """Refuse a file that ends within quotes: all that follows the one that opens is in the very last value."""
    if rows is None or not len(rows):
        return
    last = rows[rows.num_columns - 1][-1].as_py() or ""
    if ("\n" in last or "\r" in last or not _ends_its_line(path)) and (error := _unclosed(path, dialect.delimiter)):
        raise error


def _unclosed(path: Path, delimiter: str) -> SfumatoError | None:
    with open_bytes(path) as file:
        line = open_quote(file, delimiter)
    if not line:
        return None
    return SfumatoError(
        f'{path}: line {line} opens a quote (") that is never closed, which takes in the rest of the file; '
        "close it or take it out"
    )


def _ends_its_line(path: Path) -> bool:
    """Whether the last line is complete; True for a compressed file, where it is unknown."""
    if is_gzip(path):
        return True
    with path.open("rb") as file:
        file.seek(-1, io.SEEK_END)
        return file.read() in b"\r\n"


def _options(dialect: Dialect, *, threads: bool = True) -> tuple[csv.ReadOptions, csv.ParseOptions, csv.ConvertOptions]:
    """All cells as text, under their names."""
    return (
        csv.ReadOptions(
            block_size=READ_BYTES, use_threads=threads, skip_rows=dialect.skip, column_names=list(dialect.names)
        ),
        csv.ParseOptions(delimiter=dialect.delimiter, newlines_in_values=True),
        csv.ConvertOptions(
            null_values=[], strings_can_be_null=False, column_types=dict.fromkeys(dialect.names, pa.string())
        ),
    )


def _source(path: Path) -> Any:
    """What arrow reads, which goes by the ending alone."""
    if path.suffix != ".gz" and is_gzip(path):
        return pa.CompressedInputStream(pa.OSFile(str(path)), "gzip")
    return path


def _broken(path: Path, dialect: Dialect) -> SfumatoError | None:
    """The error that says which line is ragged, has a quote that is never closed, or is not UTF-8, if one is."""
    if (error := _unclosed(path, dialect.delimiter)) is not None:
        return error
    with io.TextIOWrapper(open_bytes(path), "utf-8-sig", "surrogateescape", newline="") as file:
        skipped = sum(1 for _ in islice(file, dialect.skip))
        reader = lines.reader(file, delimiter=dialect.delimiter)
        wanted = len(dialect.names)
        try:
            for number, row in enumerate((row for row in reader if row), 1):
                if len(row) != wanted:
                    values = f"{len(row)} value{'s' * (len(row) != 1)}"
                    return SfumatoError(
                        f"{path}: line {skipped + reader.line_num} has {values} where the header has {wanted}; "
                        "fix that line (quote text that holds the separator)"
                    )
                place = next((place for place, cell in enumerate(row) if not _is_utf8(cell)), None)
                if place is not None:
                    return SfumatoError(
                        f"{path}: column {dialect.names[place]!r}, row {number} is not UTF-8 text; "
                        "save the file as UTF-8"
                    )
        except lines.Error:
            return None
    return None


def _is_utf8(cell: str) -> bool:
    try:
        cell.encode()
    except UnicodeEncodeError:
        return False
    return True


def write(table: pa.Table, sink: Any, delimiter: str) -> None:
    """Write a table as text."""
    spelt = [words(field, column) for field, column in zip(table.schema, table.columns, strict=True)]
    special = f'["\\r\\n{delimiter}]'
    quoted = [_quoted(column, special) for column in spelt]
    names = _quoted(pa.array([field.name for field in table.schema]), special).to_pylist()
    if len(quoted) == 1:
        quoted = [pc.if_else(pc.equal(quoted[0], ""), '""', quoted[0])]
    sink.write((delimiter.join(names) + "\n").encode())
    for start in range(0, len(table), 100_000):
        lines = pc.binary_join_element_wise(*(column.slice(start, 100_000) for column in quoted), delimiter)
        sink.write(("\n".join(lines.to_pylist()) + "\n").encode())


def words(field: pa.Field, column: pa.ChunkedArray) -> pa.Array:
    """The values of a column as a text file spells them."""
    values = plain(column)
    if pa.types.is_boolean(values.type):
        marks = field.metadata or {}
        no, yes = marks.get(SPELLING.encode(), b"False,True").decode().split(",")
        spelt = pc.if_else(values, yes, no)
    elif pa.types.is_floating(values.type):
        spelt = values.cast(pa.string())
        short = pc.match_substring_regex(spelt, r"^-?\d+$")
        spelt = pc.if_else(short, pc.binary_join_element_wise(spelt, ".0", ""), spelt)
    elif pa.types.is_time(values.type):
        spelt = pc.replace_substring_regex(values.cast(pa.string()), r"\.0+$", "")
    elif pa.types.is_duration(values.type):
        spelt = values.cast(pa.int64()).cast(pa.string())
    else:
        spelt = values.cast(pa.string())
    return pc.fill_null(spelt, (field.metadata or {}).get(MISSING_MARK.encode(), b"").decode())


def _quoted(words: pa.Array, special: str) -> pa.Array:
    doubled = pc.replace_substring(words, '"', '""')
    wrapped = pc.binary_join_element_wise('"', doubled, '"', "")
    return pc.if_else(pc.match_substring_regex(words, special), wrapped, words)
