from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sfumato import data
from sfumato.data import DataOptions, columns
from sfumato.data.io import frames, frames_stream
from sfumato.errors import SfumatoError

QUOTES = ('"x,u', 'x,"u')
"""A line whose quote stays open, in the first or the last column."""


def text(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def test_types_of_text_are_guessed_from_the_whole_file(tmp_path: Path) -> None:
    rows = "".join(f"{i},{i / 4},word {i % 3},2020-01-0{1 + i % 9}\n" for i in range(100))
    table, kind = frames.read(text(tmp_path / "a.csv", f"i,f,s,d\n{rows}x,0.5,,\n"))
    assert kind == "file"
    assert [str(t) for t in table.schema.types] == ["string", "double", "string", "date32[day]"]
    assert table["s"].null_count == table["d"].null_count == 1


@pytest.mark.parametrize("word", ["", "?", "NA", "NaN", "nan", "null", "  ", "N/A"])
def test_words_for_missing_values(tmp_path: Path, word: str) -> None:
    table, _ = frames.read(text(tmp_path / "a.csv", f"n,s\n1,x\n{word},{word}\n3,y\n"))
    assert table.column("n").to_pylist() == [1, None, 3]
    assert table.column("s").to_pylist() == ["x", None, "y"]


def test_whole_numbers_with_a_zero_before_them_are_codes_and_keep_it(tmp_path: Path) -> None:
    path = text(tmp_path / "a.csv", "zip,n\n00501,0\n10001,10\n")
    table, _ = frames.read(path)
    assert table.to_pylist() == [{"zip": "00501", "n": 0}, {"zip": "10001", "n": 10}]
    assert [piece.to_pylist() for piece in frames_stream.batches(path, 9)] == [table.to_pylist()]


def test_codes_keep_their_zeros_wherever_the_first_stands(tmp_path: Path) -> None:
    numbers = "".join(f"{10000 + i},{i / 8}\n" for i in range(9000))
    path = text(tmp_path / "a.csv", f"zip,x\n{numbers}00501,0.5\n")
    table, _ = frames.read(path)
    assert [str(kind) for kind in table.schema.types] == ["string", "double"]
    assert table.slice(9000).to_pylist() == [{"zip": "00501", "x": 0.5}]
    assert frames_stream.look(path).types == dict(zip(table.schema.names, table.schema.types, strict=True))
    path = text(tmp_path / "b.csv", f"zip,x\n{numbers}0,0.5\n")
    assert (
        frames.read(path)[0].schema.types == list(frames_stream.look(path).types.values()) == [pa.int64(), pa.float64()]
    )


@pytest.mark.parametrize(
    "time",
    [
        *("2020-11-01T10:05:36", "2020-11-01T10:05:36Z", "2020-11-01 10:05:36Z", "2020-11-01 10:05:36.000000"),
        *("2020-11-01 10:05:36.120", "2020-11-01 10:05", "2020-11-01T10:05", "2020-11-01 10:05:36", "2020-11-01"),
    ],
)
def test_times_come_back_as_they_were_spelt(tmp_path: Path, time: str) -> None:
    rows = "".join(f"{time.replace('-01', f'-{1 + i % 28:02d}', 1)},{i}.5\n" for i in range(60))
    path = text(tmp_path / "a.csv", "t,x\n" + rows)
    table, _ = frames.read(path)
    assert columns.infer("t", table["t"]) == "datetime"
    for found in (table, pa.concat_tables(frames_stream.batches(path, 7))):
        frames.write(found, tmp_path / "b.csv")
        assert (tmp_path / "b.csv").read_text() == path.read_text()


def test_times_of_several_spellings_or_offsets_are_read_as_times(tmp_path: Path) -> None:
    mixed = text(tmp_path / "a.csv", "t\n2020-11-01T10:05:36\n2020-11-01\n2020-11-01 10:05\n")
    assert frames.read(mixed)[0].schema.types == [pa.timestamp("s")]
    zoned = text(tmp_path / "b.csv", "t\n2020-11-01T10:05+02\n2020-11-02T10:05+02\n")
    assert frames.read(zoned)[0].schema.types == [pa.timestamp("s", "UTC")]


def test_times_of_day_are_written_without_empty_fractions(tmp_path: Path) -> None:
    seconds = pa.array([1800, 3661], pa.int32()).cast(pa.time32("s")).cast(pa.time64("us"))
    frames.write(pa.table({"t": seconds}), tmp_path / "a.csv")
    assert (tmp_path / "a.csv").read_text().split() == ["t", "00:30:00", "01:01:01"]


@pytest.mark.parametrize("mark", [",", ";", "\t", "|"])
def test_separator_is_found(tmp_path: Path, mark: str) -> None:
    table, _ = frames.read(text(tmp_path / "a.csv", f"n{mark}s\n1{mark}x\n"))
    assert table.to_pylist() == [{"n": 1, "s": "x"}]


def test_marks_of_order_quotes_and_lines_within_values_are_read(tmp_path: Path) -> None:
    table, _ = frames.read(text(tmp_path / "a.csv", '\ufeffn,s\r\n1,"a, ""b""\nc"\r\n2,d\r\n'))
    assert table.to_pylist() == [{"n": 1, "s": 'a, "b"\nc'}, {"n": 2, "s": "d"}]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "empty file"),
        ("a,b\n", "no rows below the header"),
        ("\n1,2\n", "first line holds numbers"),
        ("\n\n", "holds no text"),
        ("a,b\n1,2\n3\n4,5\n", "line 3 has 1 value where the header has 2"),
        ("a,b\n1,2\n3,4,5\n", "line 3 has 3 values where the header has 2"),
        ("a,a\n1,2\n", "column 'a' stands there twice"),
        ("1,2\n3,4\n", "first line holds numbers"),
        ('a,b\n"1\n1",2\n3\n', "line 4 has 1 value where the header has 2"),
        ("a,b\n\0,2\n", "not UTF-8 text"),
        ("a,café\n1,2\n".encode("latin-1"), "first line is not UTF-8 text; save the file as UTF-8"),
        ("a,b\n1,2\n".encode("utf-16"), "UTF-16 text; save the file as UTF-8"),
    ],
)
def test_file_that_is_no_table_is_refused_by_name_and_line(tmp_path: Path, content: str | bytes, said: str) -> None:
    with pytest.raises(SfumatoError, match=rf"bad\.csv: .*{said}") as caught:
        frames.read(text(tmp_path / "bad.csv", content))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("last", [True, False])
@pytest.mark.parametrize("ending", [".csv", ".csv.gz"])
def test_quote_that_nobody_closes_is_refused_with_its_line(tmp_path: Path, last: bool, ending: str) -> None:
    rows = "".join(f"{i},u\n" for i in range(100))
    content = f"a,b\n{rows}{QUOTES[last]}\n{rows}".encode()
    path = text(tmp_path / f"a{ending}", gzip.compress(content) if ending.endswith(".gz") else content)
    for reader in (frames.read, frames_stream.look):
        with pytest.raises(SfumatoError, match=rf"a{ending}: line 102 opens a quote .* never closed"):
            reader(path)


@pytest.mark.parametrize("content", ['x,"u\r\ny,v\r\n', '5" pipe,"a ""b"""\nx,"u', '"a\nb",c\n"x,u\n'])
def test_quote_is_open_at_the_end_whatever_stands_before_it(tmp_path: Path, content: str) -> None:
    with pytest.raises(SfumatoError, match="opens a quote"):
        frames.read(text(tmp_path / "a.csv", "a,b\n" + content))


def test_quotes_that_are_closed_or_letters_are_none_that_is_open(tmp_path: Path) -> None:
    content = '\ufeff"a",b\n5" pipe,7"\n"x ""y""",3" "and\n4,"u\n""v""\n"\n5,"w\n"'
    rows = frames.read(text(tmp_path / "a.csv", content))[0].to_pylist()
    assert [tuple(row.values()) for row in rows] == [
        *(('5" pipe', '7"'), ('x "y"', '3" "and'), ("4", 'u\n"v"\n'), ("5", "w\n"))
    ]


def test_gzip_is_read_whatever_the_file_is_called(tmp_path: Path) -> None:
    path = text(tmp_path / "a.csv", gzip.compress(b"a,b\n1,x\n2,y\n"))
    table, _ = frames.read(path)
    assert table.to_pydict() == {"a": [1, 2], "b": ["x", "y"]}
    assert pa.concat_tables(frames_stream.batches(path, 1)).to_pydict() == table.to_pydict()


def test_index_that_pandas_wrote_is_no_column_unless_it_is_asked_for(tmp_path: Path) -> None:
    frame = pd.DataFrame({"a": [1.0, 2.0, 3.0], "b": [4.0, 5.0, 6.0]}, index=[3, 1, 2])
    frame.to_parquet(tmp_path / "a.parquet")
    frame.rename_axis("who").to_parquet(tmp_path / "b.parquet")
    (tmp_path / "b.parquet.gz").write_bytes(gzip.compress((tmp_path / "b.parquet").read_bytes()))
    for path in sorted(tmp_path.iterdir()):
        assert frames.read(path)[0].column_names == list(frames_stream.look(path).types) == ["a", "b"]
        assert next(frames_stream.batches(path, 2)).column_names == ["a", "b"]
    for path in (tmp_path / "b.parquet", tmp_path / "b.parquet.gz"):
        known = frames_stream.look(path, ["who"]).types
        assert frames.read(path, keep=["who"])[0].column_names == list(known) == ["a", "b", "who"]
        assert next(frames_stream.batches(path, 2, known=known))["who"].to_pylist() == [3, 1]


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        ([0.5, 1.5], "column 0.5 has a label of type float"),
        ([("a", 1), ("b", 2)], r"column \('a', 1\) has a label of type tuple"),
        (["a", np.nan], "column nan has a label of type float"),
        ([False, True], "column False has a label of type bool"),
        (["a", 0], "columns 'a' and 0 are called by text and by a number"),
    ],
)
def test_frame_whose_columns_cannot_be_called_is_refused(labels: list, said: str) -> None:
    with pytest.raises(SfumatoError, match=said):
        frames.is_frame(pd.DataFrame([[1, 2], [3, 4]], columns=labels))


def test_missing_damaged_and_foreign_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SfumatoError, match="no such file"):
        frames.read(tmp_path / "none.csv")
    with pytest.raises(SfumatoError, match="not a kind of table file"):
        frames.read(text(tmp_path / "a.xlsx", "x"))
    (tmp_path / "b.csv").mkdir()
    with pytest.raises(SfumatoError, match="a folder"):
        frames.read(tmp_path / "b.csv")
    with pytest.raises(SfumatoError, match="damaged"):
        frames.read(text(tmp_path / "a.parquet", "not parquet at all"))
    whole = gzip.compress(b"a,b\n" + bytes(str(list(range(9999))), "ascii"))
    (tmp_path / "cut.csv.gz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(SfumatoError, match="damaged"):
        frames.read(tmp_path / "cut.csv.gz")
    (tmp_path / "latin.csv").write_bytes("a,b\nx,y\nx,café\n".encode("latin-1"))
    with pytest.raises(SfumatoError, match="column 'b', row 2 is not UTF-8"):
        frames.read(tmp_path / "latin.csv")


def test_source_that_is_no_table_is_refused() -> None:
    with pytest.raises(SfumatoError, match="int is no table"):
        frames.read(3)
    with pytest.raises(SfumatoError, match="column 'a' holds values of type complex, which is no value of a table"):
        frames.read(pd.DataFrame({"a": [1j, "x"]}))
    with pytest.raises(SfumatoError, match="column 'a' stands there twice"):
        frames.read(pd.DataFrame([[1, 2]], columns=["a", "a"]))
    with pytest.raises(SfumatoError, match="different lengths: a 1, b 2"):
        frames.read({"a": [1], "b": [1, 2]})


def pandas_frame() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "int": np.array([1, 2, 3], np.int32),
            "nullable": pd.array([1, None, 3], dtype="Int16"),
            "float": np.array([0.5, np.nan, 2], np.float32),
            "bool": [True, False, True],
            "maybe": pd.array([True, None, False], dtype="boolean"),
            "str": ["a", None, "b"],
            "object": pd.Series(["a", None, "b"], dtype=object),
            "string": pd.array(["a", None, "b"], dtype="string"),
            "category": pd.Categorical(["u", None, "v"], categories=["w", "v", "u"], ordered=True),
            "numbers": pd.Categorical([3, 1, 3]),
            "time": pd.to_datetime(["2020-01-01", None, "2021-01-01"]).tz_localize("Europe/Berlin"),
            "span": pd.to_timedelta([1, 2, None], unit="h"),
            "arrow": pd.array([1, None, 2], dtype="int64[pyarrow]"),
            7: [1.0, 2.0, 3.0],
        }
    )


def test_pandas_frame_comes_back_with_its_dtypes() -> None:
    frame = pandas_frame()
    table, kind = frames.read(frame)
    assert kind == "pandas"
    pd.testing.assert_frame_equal(frames.give(table.take([0, 1, 2]), kind), frame)


def test_whole_numbers_with_gaps_come_back_nullable() -> None:
    table, kind = frames.read(pd.DataFrame({"i": [1, 2], "b": [True, False]}))
    holes = pa.table([pa.array([1, None]), pa.array([None, True])], schema=table.schema)
    assert frames.give(holes, kind).dtypes.astype(str).tolist() == ["Int64", "boolean"]


@pytest.mark.parametrize("lazy", [False, True])
def test_polars_frame_comes_back_with_its_dtypes(lazy: bool) -> None:
    frame = pl.DataFrame(
        {
            "i": pl.Series([1, None, 3], dtype=pl.UInt8),
            "f": [0.5, None, 1.0],
            "s": ["a", None, "b"],
            "c": pl.Series(["u", None, "v"], dtype=pl.Categorical),
            "e": pl.Series(["u", None, "v"], dtype=pl.Enum(["w", "v", "u"])),
            "d": pl.Series([1, 2, None], dtype=pl.Date),
            "t": pl.Series([1, 2, None], dtype=pl.Datetime("ms", "UTC")),
            "b": [True, False, None],
        }
    )
    table, kind = frames.read(frame.lazy() if lazy else frame)
    found = frames.give(table, kind)
    assert kind == "polars"
    assert found.schema == frame.schema
    assert found.equals(frame)


def test_arrow_table_comes_back() -> None:
    table = pa.table({"a": [1, None], "c": pa.array(["x", "y"]).dictionary_encode()})
    assert frames.give(*frames.read(table)).equals(table)
    assert frames.give(*frames.read(table.to_batches()[0])).equals(table)


@pytest.mark.parametrize("ending", [".csv", ".tsv", ".csv.gz", ".tsv.gz", ".parquet", ".parquet.gz"])
def test_what_is_written_is_read_again(tmp_path: Path, ending: str) -> None:
    table = pa.table(
        {
            "whole": [1, None, 3],
            "float": [181.0, 0.1, None],
            "text": ['say "a",\tb', None, "two\nlines"],
            "truth": [True, False, None],
            "day": pa.array([1, 2, None], pa.int32()).cast(pa.date32()),
        }
    )
    path = tmp_path / f"out{ending}"
    frames.write(table, path)
    again, _ = frames.read(path)
    assert again.to_pydict() == table.to_pydict()
    assert again.schema.equals(table.schema)


def test_one_column_with_gaps_keeps_its_rows(tmp_path: Path) -> None:
    frames.write(pa.table({"a": ["x", None, "y"]}), tmp_path / "a.csv")
    assert frames.read(tmp_path / "a.csv")[0]["a"].to_pylist() == ["x", None, "y"]
    assert len(pd.read_csv(tmp_path / "a.csv")) == 3


def test_text_is_spelt_as_it_was(tmp_path: Path) -> None:
    content = "a,b,c\nFALSE,1.0,x\nTRUE,2.5,\n"
    table, _ = frames.read(text(tmp_path / "a.csv", content))
    assert table.schema.types[0] == pa.bool_()
    frames.write(table, tmp_path / "b.csv")
    assert (tmp_path / "b.csv").read_text() == content


def test_place_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SfumatoError, match="no such folder"):
        frames.write(pa.table({"a": [1]}), tmp_path / "none" / "a.csv")
    with pytest.raises(SfumatoError, match="not a kind of table file"):
        frames.write(pa.table({"a": [1]}), tmp_path / "a.doc")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("ending", [".csv", ".csv.gz", ".parquet", ".tsv"])
def test_batches_joined_are_the_table(tmp_path: Path, ending: str) -> None:
    table = pa.table({"a": list(range(1000)), "b": [None if i % 7 == 0 else f"w{i % 5}" for i in range(1000)]})
    frames.write(table, tmp_path / f"a{ending}")
    pieces = list(frames_stream.batches(tmp_path / f"a{ending}", 128))
    assert max(len(piece) for piece in pieces) == 128
    assert pa.concat_tables(pieces).to_pydict() == table.to_pydict()


def test_batches_have_one_type_even_if_the_first_rows_mislead(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sfumato.data.io.csv.READ_BYTES", 1000)
    rows = "".join(f"{i},{'' if i < 400 else i / 2},{i % 2}\n" for i in range(900))
    path = text(tmp_path / "a.csv", f"a,b,c\n{rows}words,1.5,x\n")
    types = frames_stream.look(path).types
    assert {name: str(kind) for name, kind in types.items()} == {"a": "string", "b": "double", "c": "string"}
    pieces = list(frames_stream.batches(path, 100, known=types))
    assert len({str(piece.schema) for piece in pieces}) == 1
    assert sum(map(len, pieces)) == 901


def test_parquet_written_elsewhere_keeps_its_categories(tmp_path: Path) -> None:
    pq.write_table(pa.table({"c": pa.array(["x", "y", "x"]).dictionary_encode()}), tmp_path / "a.parquet")
    table, kind = frames.read(tmp_path / "a.parquet")
    assert str(frames.give(table, kind).dtypes["c"]) == "category"


def test_reservoir_is_a_fair_part_that_keeps_labels_and_ends() -> None:
    n = 50_000
    labels = np.where(np.arange(n) == 31_234, "once", "often")
    pieces = [
        pa.table({"i": np.arange(start, start + 5000), "s": labels[start : start + 5000]})
        for start in range(0, n, 5000)
    ]
    found = frames_stream.reservoir(pieces, rows=2000, seed=1)
    again = frames_stream.reservoir(pieces, rows=2000, seed=1)
    kept = found["i"].to_numpy()
    assert found.equals(again)
    assert 2000 <= len(found) <= 2030
    assert kept.mean() == pytest.approx(n / 2, rel=0.05)
    assert (np.diff(kept) > 0).all()
    assert {0, 31_234, n - 1} <= set(kept.tolist())
    assert frames_stream.reservoir(pieces, rows=n).num_rows == n


def test_decimal_comma_is_read_where_another_mark_separates(tmp_path: Path) -> None:
    table, _ = frames.read(text(tmp_path / "a.csv", "a;b\n1,5;x, y\n-2,25;z\n"))
    assert table.to_pydict() == {"a": [1.5, -2.25], "b": ["x, y", "z"]}


@pytest.mark.parametrize(("cell", "number"), [("1,5", "0.52"), ("1.5", "0,52")])
def test_one_cell_of_text_does_not_choose_the_decimal_mark(tmp_path: Path, cell: str, number: str) -> None:
    table, _ = frames.read(text(tmp_path / "a.csv", f"a;b\n{number};u\n2;{cell}\n;v\n"))
    assert table.to_pydict() == {"a": [0.52, 2.0, None], "b": ["u", cell, "v"]}


def test_table_without_rows_or_columns_is_refused() -> None:
    with pytest.raises(SfumatoError, match="no columns"):
        frames.read(pa.table({}))
    with pytest.raises(SfumatoError, match="no rows"):
        frames.read(pd.DataFrame({"a": []}))


def test_a_folder_of_parquet_parts_is_one_table(tmp_path: Path) -> None:
    folder = tmp_path / "people"
    for place, kind in enumerate(("ant", "bee")):
        (folder / f"kind={kind}").mkdir(parents=True)
        rows = pa.table({"n": pa.array(range(place * 9, place * 9 + 9)), "s": ["x", "y", None] * 3})
        pq.write_table(rows, folder / f"kind={kind}" / f"part-0000{place}.snappy.parquet")
        (folder / f"kind={kind}" / ".part.crc").write_bytes(b"0")
    (folder / "_SUCCESS").touch()
    table, kind = frames.read(folder)
    assert kind == "file"
    assert table.column_names == ["n", "s", "kind"]
    assert table["n"].to_pylist() == list(range(18))
    assert pa.concat_tables(frames_stream.batches(folder, 4)).to_pylist() == table.to_pylist()
    for streaming in ("yes", "no"):
        opened = data.open(folder, options=DataOptions(streaming=streaming))
        assert (opened.name, opened.schema.kind, opened.schema.spec.examples) == ("people", "table", 14)
    (tmp_path / "none").mkdir()
    with pytest.raises(SfumatoError, match="holds no images"):
        data.open(tmp_path / "none")
