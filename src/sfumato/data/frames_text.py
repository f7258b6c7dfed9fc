"""CSV and TSV: what is guessed, what is refused, and how it is spelt again."""

from __future__ import annotations

import csv as lines
import gzip
import io
import re
from collections.abc import Collection, Iterator, Mapping
from itertools import zip_longest
from pathlib import Path
from typing import IO, Any, cast

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as csv

from sfumato.data.columns_base import MISSING_WORDS, NUMBER, first, is_text, plain
from sfumato.data.frames_check import Look, decimal_mark, needs, open_quote
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
    fixed = {**codes, **known}
    try:
        table = csv.read_csv(_source(path), *_options(delimiter, point, fixed))
        _check_end(path, delimiter, table)
        better = _second_look(path, delimiter, point, table.schema, known)
        if better:
            again = csv.read_csv(_source(path), *_options(delimiter, point, better, only=list(better)))
            for name in better:
                table = table.set_column(table.column_names.index(name), name, again[name])
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
            with csv.open_csv(_source(path), *_options(delimiter, point, known, threads=False)) as reader:
                names, schema, last = reader.schema.names, reader.schema, None
                for batch in reader:
                    last = batch if len(batch) else last
            _check_end(path, delimiter, last)
            return dict(zip(names, schema.types, strict=True)) | _second_look(path, delimiter, point, schema, ())
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
        with csv.open_csv(_source(path), *_options(delimiter, point, known, threads=False)) as reader:
            for batch in reader:
                for start in range(0, len(batch), rows):
                    yield pa.Table.from_batches([batch.slice(start, rows)])
    except pa.ArrowInvalid as error:
        raise _ragged(path, delimiter) or error from None


def _second_look(
    path: Path, delimiter: str, point: str, schema: pa.Schema, known: Collection[str]
) -> dict[str, pa.DataType]:
    """The columns that are better taken as another type, now that all their words are looked at.

    They are read as text: codes (00501) whose first stands far down in the file, and times that would not come back as
    they are spelt.
    """
    long = path.stat().st_size > HEAD or _zipped(path)
    looks = {f.name: Look(f.type) for f in schema if needs(f.type, long=long) and f.name not in known}
    if not looks or len(set(schema.names)) < len(schema.names):
        return {}
    words = dict.fromkeys(looks, pa.string())
    with csv.open_csv(_source(path), *_options(delimiter, point, words, only=list(looks))) as reader:
        for batch in reader:
            for name, look in looks.items():
                look.see(batch[name])
    return {name: kind for name, look in looks.items() if (kind := look.better()) is not None}


def _check_end(path: Path, delimiter: str, rows: pa.Table | pa.RecordBatch | None) -> None:
    """Refuse a file that ends within quotes: all that follows the one that opens is in the very last value."""
    if rows is None or not len(rows) or not is_text(rows.schema.types[-1]):
        return
    last = rows[rows.num_columns - 1][-1].as_py() or ""
    if ("\n" in last or "\r" in last or not _ends_its_line(path)) and (error := _unclosed(path, delimiter)):
        raise error


def _unclosed(path: Path, delimiter: str) -> SfumatoError | None:
    with _open(path) as file:
        line = open_quote(file, delimiter)
    if not line:
        return None
    return SfumatoError(
        f'{path}: line {line} opens a quote (") that is never closed, which takes in the rest of the file; '
        "close it or take it out"
    )


def _ends_its_line(path: Path) -> bool:
    """Whether the last line ends as it should; of a compressed file nobody knows."""
    if _zipped(path):
        return True
    with path.open("rb") as file:
        file.seek(-1, io.SEEK_END)
        return file.read() in b"\r\n"


def _options(
    delimiter: str,
    point: str,
    known: Mapping[str, pa.DataType],
    *,
    threads: bool = True,
    only: list[str] | None = None,
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
            include_columns=only,
        ),
    )


def _zipped(path: Path) -> bool:
    """Whether it is a gzip file, whatever it is called."""
    with path.open("rb") as probe:
        return probe.read(2) == b"\x1f\x8b"


def _open(path: Path) -> IO[bytes]:
    return cast(IO[bytes], gzip.open(path)) if _zipped(path) else path.open("rb")


def _source(path: Path) -> Any:
    """What arrow reads, which goes by the ending alone."""
    if path.suffix != ".gz" and _zipped(path):
        return pa.CompressedInputStream(pa.OSFile(str(path)), "gzip")
    return path


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
    rows = lines.reader([line, *(others if len(head) < HEAD else others[:-1])], delimiter=delimiter)
    names, *values = rows
    columns = [[word for word in column if word not in MISSING_WORDS] for column in zip_longest(*values, fillvalue="")]
    codes = [name for name, column in zip(names, columns, strict=False) if any(map(CODE, column))]
    return delimiter, "." if delimiter == "," else decimal_mark(columns), dict.fromkeys(codes, pa.string())


def _ragged(path: Path, delimiter: str) -> SfumatoError | None:
    """The error that says which line is ragged, or has a quote that is never closed, if one is."""
    if (error := _unclosed(path, delimiter)) is not None:
        return error
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
