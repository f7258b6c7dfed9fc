"""CSV and TSV: what is guessed, what is refused, and how it is spelt again."""

from __future__ import annotations

import csv as lines
import gzip
import io
import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import zip_longest
from pathlib import Path
from typing import IO, Any, cast

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as csv

from sfumato.data.columns_base import MISSING_WORDS, NUMBER, first, is_text, plain
from sfumato.errors import SfumatoError

SPELLING = "sfumato.spelling"
BOOLEANS = (("false", "true"), ("False", "True"), ("FALSE", "TRUE"))
BLOCK = 1 << 22
HEAD = 1 << 16
CODE = re.compile(r"0\d+").fullmatch


def read(path: Path, known: Mapping[str, pa.DataType]) -> pa.Table:
    """A text file as a table; `known` types are not guessed.

    Raises:
        SfumatoError: if it has no header, a line with too many or too few values, or text that is not UTF-8.
    """
    delimiter, point, codes = _header(path)
    try:
        table = csv.read_csv(path, *_options(delimiter, point, {**codes, **known}))
    except pa.ArrowInvalid as error:
        raise _ragged(path, delimiter) or error from None
    return _tidy(path, table, known)


def types(path: Path) -> dict[str, pa.DataType]:
    """The type of each column that all its values have.

    Raises:
        SfumatoError: as `read` does.
    """
    delimiter, point, known = _header(path)
    while True:
        try:
            with csv.open_csv(path, *_options(delimiter, point, known, threads=False)) as reader:
                names, found = reader.schema.names, reader.schema.types
                for _ in reader:
                    pass
            return dict(zip(names, found, strict=True))
        except pa.ArrowInvalid as error:
            clash = re.search(r"In CSV column #(\d+):(?: Row #\d+:)? CSV conversion error to (\w+)", str(error))
            if clash is None:
                raise _ragged(path, delimiter) or error from None
            wider = {"null": pa.int64(), "int64": pa.float64()}.get(clash[2], pa.string())
            known[names[int(clash[1])]] = wider


def batches(path: Path, rows: int, known: Mapping[str, pa.DataType]) -> Iterator[pa.Table]:
    """Tables of at most `rows` rows, in order, by the types that `types` says.

    Raises:
        SfumatoError: as `read` does.
    """
    delimiter, point, _ = _header(path)
    try:
        with csv.open_csv(path, *_options(delimiter, point, known, threads=False)) as reader:
            for batch in reader:
                for start in range(0, len(batch), rows):
                    yield pa.Table.from_batches([batch.slice(start, rows)])
    except pa.ArrowInvalid as error:
        raise _ragged(path, delimiter) or error from None


def _options(
    delimiter: str, point: str, known: Mapping[str, pa.DataType], *, threads: bool = True
) -> tuple[csv.ReadOptions, csv.ParseOptions, csv.ConvertOptions]:
    return (
        csv.ReadOptions(block_size=BLOCK, use_threads=threads),
        csv.ParseOptions(delimiter=delimiter, newlines_in_values=True),
        csv.ConvertOptions(
            null_values=[*MISSING_WORDS, " ?"],
            strings_can_be_null=True,
            true_values=[],
            false_values=[],
            column_types=dict(known),
            decimal_point=point,
        ),
    )


def _open(path: Path) -> IO[bytes]:
    with path.open("rb") as probe:
        zipped = probe.read(2) == b"\x1f\x8b"
    return cast(IO[bytes], gzip.open(path)) if zipped else path.open("rb")


def _header(path: Path) -> tuple[str, str, dict[str, pa.DataType]]:
    """The separator, the decimal mark, and the columns of codes (00501), which are text, from the first lines."""
    with _open(path) as file:
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
    line, *others = head.decode("utf-8-sig", errors="replace").splitlines() or [""]
    if not line.strip():
        raise SfumatoError(f"{path}: the first line is empty where column names should be; add a header line")
    delimiter = "\t" if ".tsv" in path.name.lower() else ","
    if delimiter not in line:
        delimiter = next((mark for mark in (";", "\t", "|") if mark in line), delimiter)
    if all(re.match(NUMBER, name) for name in line.split(delimiter)):
        raise SfumatoError(f"{path}: the first line holds numbers where column names should be; add a header line")
    comma = rf"(^|{re.escape(delimiter)})-?\d+,\d+({re.escape(delimiter)}|$)"
    continental = delimiter != "," and any(re.search(comma, other) for other in others)
    codes = _codes(lines.reader([line, *(others if len(head) < HEAD else others[:-1])], delimiter=delimiter))
    return delimiter, "," if continental else ".", dict.fromkeys(codes, pa.string())


def _codes(rows: Iterable[list[str]]) -> list[str]:
    """Names of the columns in which a whole number has a zero before it; as a number it would lose it."""
    names, *values = rows
    columns = zip_longest(*values, fillvalue="")
    return [name for name, column in zip(names, columns, strict=False) if any(map(CODE, column))]


def _ragged(path: Path, delimiter: str) -> SfumatoError | None:
    """The error that says which line is ragged, if one is."""
    with io.TextIOWrapper(_open(path), "utf-8-sig", "replace", newline="") as file:
        reader = lines.reader(file, delimiter=delimiter)
        try:
            wanted = len(next(reader))
            for row in reader:
                if row and len(row) != wanted:
                    values = f"{len(row)} value{'s' * (len(row) != 1)}"
                    return SfumatoError(
                        f"{path}: line {reader.line_num} has {values} where the header has {wanted}; "
                        "mend that line (quote text that holds the separator)"
                    )
        except lines.Error:
            return None
    return None


def _tidy(path: Path, table: pa.Table, known: Mapping[str, pa.DataType]) -> pa.Table:
    """Booleans as such, with their spelling kept; refuse what is not UTF-8."""
    fields, columns = [], []
    for field, column in zip(table.schema, table.columns, strict=True):
        if pa.types.is_binary(field.type):
            row = first(pc.is_null(_decoded(column)))
            raise SfumatoError(
                f"{path}: column {field.name!r}, row {row + 1} is not UTF-8 text; save the file as UTF-8"
            )
        guessed = is_text(field.type) and field.name not in known
        spelling = _spelling(column) if guessed else None
        if spelling is not None:
            column = pc.equal(column, spelling[1])
            field = pa.field(field.name, pa.bool_(), metadata={SPELLING: ",".join(spelling)})
        fields.append(field)
        columns.append(column)
    return pa.table(columns, schema=pa.schema(fields))


def _decoded(column: pa.ChunkedArray) -> pa.Array:
    found = []
    for value in column.to_pylist():
        try:
            found.append(None if value is None else value.decode())
        except UnicodeDecodeError:
            return pa.array([*found, None], pa.string())
    return pa.array(found, pa.string())


def _spelling(column: pa.ChunkedArray) -> tuple[str, str] | None:
    if not len(column) or pc.count_distinct(column.slice(0, 1000), mode="only_valid").as_py() > 2:
        return None
    seen = set(column.unique().drop_null().to_pylist())
    return next((pair for pair in BOOLEANS if seen and seen <= set(pair)), None)


def write(table: pa.Table, sink: Any, delimiter: str) -> None:
    """Write a table as text."""
    words = [_words(field, column) for field, column in zip(table.schema, table.columns, strict=True)]
    special = f'["\\r\\n{delimiter}]'
    quoted = [_quoted(column, special) for column in words]
    names = _quoted(pa.array([field.name for field in table.schema]), special).to_pylist()
    if len(quoted) == 1:
        quoted = [pc.if_else(pc.equal(quoted[0], ""), '""', quoted[0])]
    sink.write((delimiter.join(names) + "\n").encode())
    for start in range(0, len(table), 100_000):
        lines = pc.binary_join_element_wise(*(column.slice(start, 100_000) for column in quoted), delimiter)
        sink.write(("\n".join(lines.to_pylist()) + "\n").encode())


def _words(field: pa.Field, column: pa.ChunkedArray) -> pa.Array:
    values = plain(column)
    if pa.types.is_boolean(values.type):
        marks = field.metadata or {}
        no, yes = marks.get(SPELLING.encode(), b"False,True").decode().split(",")
        words = pc.if_else(values, yes, no)
    elif pa.types.is_floating(values.type):
        words = values.cast(pa.string())
        short = pc.match_substring_regex(words, r"^-?\d+$")
        words = pc.if_else(short, pc.binary_join_element_wise(words, ".0", ""), words)
    elif pa.types.is_time(values.type):
        words = pc.replace_substring_regex(values.cast(pa.string()), r"\.0+$", "")
    elif pa.types.is_duration(values.type):
        words = values.cast(pa.int64()).cast(pa.string())
    else:
        words = values.cast(pa.string())
    return pc.fill_null(words, "")


def _quoted(words: pa.Array, special: str) -> pa.Array:
    doubled = pc.replace_substring(words, '"', '""')
    wrapped = pc.binary_join_element_wise('"', doubled, '"', "")
    return pc.if_else(pc.match_substring_regex(words, special), wrapped, words)
