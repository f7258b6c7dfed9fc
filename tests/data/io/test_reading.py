"""Text files as people and programs write them: which cells are missing, what separates them, what stands above."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from sfumato import data
from sfumato.data import DataOptions
from sfumato.data.io import frames, frames_stream
from sfumato.data.io.reading import USUAL, Reading
from sfumato.data.tables.column_hints import of_far_value
from sfumato.data.tables.schema import TableSchema
from sfumato.errors import SfumatoError


def write(path: Path, header: str, rows: list[str]) -> Path:
    path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return path


def both(path: Path, reading: Reading = USUAL) -> pa.Table:
    """A file read at once, which must be what is read of it piece by piece."""
    table = frames.read(path, reading=reading)[0].replace_schema_metadata(None)
    layout = frames_stream.look(path, reading=reading)
    pieces = pa.concat_tables(frames_stream.batches(path, 7, known=layout.types, reading=reading))
    assert pieces.to_pydict() == table.to_pydict()
    return table


@pytest.mark.parametrize("word", ["None", "none", "NONE", "Null"])
def test_a_word_for_none_is_a_category_among_words_and_missing_among_numbers_and_dates(
    tmp_path: Path, word: str
) -> None:
    rows = [f"{word},1,2024-01-05,true", f"gravel,{word},{word},{word}", f"{word},3.5,2024-01-07,false"]
    table, _ = frames.read(write(tmp_path / "a.csv", "alley,x,day,paved", rows))
    assert table["alley"].to_pylist() == [word, "gravel", word]
    assert [table[name].null_count for name in ("x", "day", "paved")] == [1, 1, 1]
    assert [str(kind) for kind in table.schema.types] == ["string", "double", "date32[day]", "bool"]
    notes = frames_stream.look(tmp_path / "a.csv").notes
    assert notes[1] == f"a.csv: categories (--missing-values WORD reads one as missing): alley 2 × {word}"


def test_what_is_read_as_missing_is_told_by_column_count_and_word(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "k,x", [*["u,1.5", "v,2.5"] * 9, "NA,none", "?,3", "NA,4"])
    for notes in (data.open(path).notes, frames_stream.look(path).notes):
        assert notes == ("a.csv: read as missing (--missing-values decides): k 2 × NA, k 1 × ?, x 1 × none",)


def test_missing_values_decide_in_files_and_frames_and_for_new_data(tmp_path: Path) -> None:
    rows = [f"{'NA' if i % 3 else 'none'},{-999 if i % 4 == 0 else i}" for i in range(40)]
    path = write(tmp_path / "a.csv", "k,x", rows)
    opened = data.open(path, options=DataOptions(missing_values=("", "-999", "none")))
    table = both(path, Reading(("", "-999", "none")))
    assert (table["k"].null_count, table["x"].null_count) == (14, 10)
    assert opened.schema.describe()[0]["kind"] == "constant"
    assert "a.csv: categories (--missing-values WORD reads one as missing): k 26 × NA" in opened.notes
    again = TableSchema.from_dict(opened.schema.to_dict())
    frame = pd.DataFrame({"k": ["NA", "none"], "x": [-999.0, 5.0]})
    for source in (frame, write(tmp_path / "b.csv", "k,x", ["NA,-999.0", "none,5"])):
        assert again.read(source).to_pydict() == {"k": ["NA", None], "x": [None, 5.0]}
    besides = frames.read(path, reading=Reading(("-999",)))[0]
    assert (besides["k"].null_count, besides["x"].null_count) == (26, 10)
    only_blanks = frames.read(path, reading=Reading(("",)))[0]
    assert only_blanks["k"].null_count == 0


def test_adult_and_penguins_keep_their_missing_values(real_data: Path, tmp_path: Path) -> None:
    blank = frames.read(real_data / "adult_train.csv")[0].slice(0, 4000)
    lines = (real_data / "adult_train.csv").read_text().splitlines()
    marked = [",".join(cell or "?" for cell in line.split(",")) for line in lines[1:4001]]
    adult = frames.read(write(tmp_path / "a.csv", lines[0], marked))[0]
    assert adult.to_pydict() == blank.to_pydict()
    assert [adult[name].null_count for name in ("workclass", "occupation", "country")] == [262, 262, 77]
    lines = (real_data / "penguins.csv").read_text().splitlines()
    na = [",".join(cell or "NA" for cell in line.split(",")) for line in lines[1:]]
    penguins = frames.read(write(tmp_path / "p.csv", lines[0], na))[0]
    assert [penguins[name].null_count for name in ("sex", "body_mass_g", "species")] == [11, 2, 0]


@pytest.mark.parametrize("mark", [";", "\t", "|"])
@pytest.mark.parametrize("comma", [False, True])
def test_the_rows_say_what_separates_them(tmp_path: Path, mark: str, comma: bool) -> None:
    point = "," if comma else "."
    rows = [mark.join([f"{i / 4:.2f}".replace(".", point), '"a, b"', str(i)]) for i in range(9)]
    table = both(write(tmp_path / "a.csv", mark.join(["price, net", "name, first", "n"]), rows))
    assert table.column_names == ["price, net", "name, first", "n"]
    assert table["price, net"].to_pylist() == [round(i / 4, 2) for i in range(9)]
    assert table["name, first"].to_pylist() == ["a, b"] * 9


def test_a_comma_separates_where_other_marks_are_letters(tmp_path: Path) -> None:
    table = both(write(tmp_path / "a.csv", "a|b,genres;all", [f"{i},x;y" if i % 2 else f"{i},u|v;w" for i in range(9)]))
    assert table.column_names == ["a|b", "genres;all"]


@pytest.mark.parametrize(
    ("above", "told"),
    [
        ("sep=;\n", "sep=;"),
        ("# made by a program\n# on a Friday\n", "line 1"),
        ("Report;;\n\n", "Report"),
        ("Report\nmade on 5 May; draft\n\n", "Report"),
        ("\ufeffsep=;\n", "sep=;"),
    ],
)
def test_lines_above_the_header_are_passed_over_and_told(tmp_path: Path, above: str, told: str) -> None:
    path = write(tmp_path / "a.csv", above + "x;k;y", [f"{i / 2};{'uv'[i % 2]};{i}" for i in range(30)])
    assert both(path).column_names == ["x", "k", "y"]
    (note,) = data.open(path).notes
    assert told in note
    assert "passed over" in note


def test_a_header_that_begins_with_a_hash_is_one(tmp_path: Path) -> None:
    assert both(write(tmp_path / "a.csv", "#x,k", ["1,u", "2,v"])).column_names == ["#x", "k"]


def test_cells_cut_by_blanks_are_read_and_runs_of_them_refused(tmp_path: Path) -> None:
    assert both(write(tmp_path / "a.csv", "x k", ["1 u", "2 v", "3 u"])).column_names == ["x", "k"]
    assert both(write(tmp_path / "b.csv", "full name", ["Ada King", "Alan Hale"])).column_names == ["full name"]
    with pytest.raises(SfumatoError, match="runs of blanks, which is no separator"):
        frames.read(write(tmp_path / "c.csv", "x   k", ["1   u", "20  v", "3   u"]))


FLOWERS = ["5.1,setosa,1", "4.9,setosa,2", "6.2,virginica,9", "5.9,virginica,4"]


def test_a_first_line_like_the_others_is_refused_with_what_cures_it(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", FLOWERS[0], FLOWERS[1:] * 10)
    with pytest.raises(SfumatoError, match=r"first line holds values .*'5\.1', '1', 'setosa'.* --header none"):
        data.open(path)
    assert frames.read(path, reading=Reading(header="yes"))[0].column_names == ["5.1", "setosa", "1"]
    opened = data.open(path, options=DataOptions(header="none"))
    assert len(opened.train) + len(opened.valid) + len(opened.test) == 31
    assert [column.name for column in opened.schema.columns] == ["column_1", "column_2", "column_3"]
    again = TableSchema.from_dict(opened.schema.to_dict())
    assert len(again.read(path)) == 31
    # What is written has a header, and is read as such.
    again.write(again.decode(*again.encode(again.read(path))[:2]), tmp_path / "made.csv")
    assert len(again.read(tmp_path / "made.csv")) == 31


YEARS = ["country,1990,1991,1992", "country,1990,2000,2015", "name,2019,x,y", "2021,2022,2023,total"]


@pytest.mark.parametrize("header", [*YEARS, "a,b,c,d", "k,0.5,1.0,1.5", "0,1,2,3"])
def test_names_that_are_years_or_places_are_names(tmp_path: Path, header: str) -> None:
    rows = [f"{'Chad' if header[0] != '0' else 7},{i},{i + 1.5},{i * 2}" for i in range(20)]
    assert frames.read(write(tmp_path / "a.csv", header, rows))[0].column_names == header.split(",")


@pytest.mark.parametrize("header", ["1,2,3", "5,7,9", "u,v"])
def test_a_first_line_is_no_header_because_it_counts_up(tmp_path: Path, header: str) -> None:
    rows = [f"{'uv'[i % 2]},v" if header == "u,v" else ",".join(str(int(n) + i) for n in "579") for i in range(9)]
    with pytest.raises(SfumatoError, match="--header none"):
        frames.read(write(tmp_path / "a.csv", header, rows))


def test_a_row_of_several_lines_is_no_header(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", '7,"two\nlines"', [f"{i},x" for i in range(9)])
    assert both(path, Reading(header="none"))["column_2"].to_pylist() == ["two\nlines", *"x" * 9]


def test_a_comma_at_the_end_of_every_line_makes_no_column(tmp_path: Path) -> None:
    for header in ("x,k,", "x,k"):
        path = write(tmp_path / "a.csv", header, [f"{i},u," for i in range(9)])
        assert both(path).column_names == ["x", "k"]
    named = both(write(tmp_path / "b.csv", ",x", [f"{i},{i / 2}" for i in range(9)]))
    assert named.column_names == ["", "x"]


@pytest.mark.parametrize(
    "code",
    [
        "0x1A{:02X}",
        "0X{:04x}",
        "4111111111111111{:04d}",
        "98765432109876543{:03d}",
        "-98765432109876543{:03d}",
        "0{:04d}",
    ],
)
def test_codes_keep_their_letters_and_digits(tmp_path: Path, code: str) -> None:
    words = [code.format(i) for i in range(1, 60)]
    assert both(write(tmp_path / "a.csv", "c,x", [f"{w},{i}" for i, w in enumerate(words)]))["c"].to_pylist() == words


def test_whole_numbers_of_18_digits_are_numbers(tmp_path: Path) -> None:
    table = both(write(tmp_path / "a.csv", "n,x", [f"{10**17 + i},+{i}" for i in range(9)]))
    assert table.to_pydict() == {"n": [10**17 + i for i in range(9)], "x": list(range(9))}


@pytest.mark.parametrize("row", [0, 61, 119])
@pytest.mark.parametrize("word", ["Sum", "<0.5", "-", "n/m"])
def test_a_word_among_numbers_is_told_wherever_it_stands(tmp_path: Path, word: str, row: int) -> None:
    rows = [f"{word if i == row else i / 8},{'uv'[i % 2]}" for i in range(120)]
    path = write(tmp_path / "a.csv", "x,k", rows)
    note = data.open(path).schema.describe()[0]["note"]
    assert f"all numbers but 1, as '{word}' in row {row + 1}" in note
    opened = data.open(path, options=DataOptions(missing_values=(word,)))
    assert opened.schema.describe()[0]["kind"] == "continuous"


def test_a_value_that_stands_far_off_and_often_is_told_with_what_to_type(tmp_path: Path) -> None:
    rows = [f"{999 if i % 5 == 0 else i % 60},{i / 7:.2f}" for i in range(200)]
    path = write(tmp_path / "a.csv", "pdays,x", rows)
    note, other = (row["note"] for row in data.open(path).schema.describe())
    assert "40 × 999, far from all others (1 to 59)" in note
    assert "--missing-values 999" in note
    assert "far" not in other
    skewed = np.random.default_rng(0).lognormal(3, 1.5, 5000).round(2)
    assert of_far_value(pa.array(np.where(np.arange(5000) % 3, skewed, 0.0))) == ""


@pytest.mark.parametrize("kind", ["pandas", "polars", "file"])
def test_columns_without_values_come_back_empty(tmp_path: Path, kind: str) -> None:
    frame = pd.DataFrame({"x": np.arange(60.0), "e": np.nan, "t": pd.NaT, "o": pd.Series([None] * 60, dtype=object)})
    source = {"pandas": frame, "polars": pl.from_pandas(frame), "file": tmp_path / "a.csv"}[kind]
    frame.to_csv(tmp_path / "a.csv", index=False)
    schema = data.open(source).schema
    assert [row["note"] for row in schema.describe()][1:] == ["no value; comes back empty"] * 3
    made = TableSchema.from_dict(schema.to_dict()).decode(schema.encode(schema.read(source)).x)
    assert list(made.columns) == ["x", "e", "t", "o"]
    assert (made.null_count().row(0) if kind == "polars" else tuple(made.isna().sum())) == (0, 60, 60, 60)
    if kind == "pandas":
        assert made.dtypes.tolist() == frame.dtypes.tolist()


def test_a_value_that_stands_outside_the_training_part_alone_stops_nothing() -> None:
    for row in range(20):
        frame = pd.DataFrame({"x": np.arange(20.0), "rare": [1.0 if i == row else None for i in range(20)]})
        assert data.open(frame).schema.describe()[1]["kind"] == "constant"
    rows = pa.table({"x": [1.0, 2.0, 3.0], "rare": pa.nulls(3, pa.string())})
    with pytest.raises(SfumatoError, match="given='rare' has no value in the training rows and cannot be a condition"):
        TableSchema.learn(rows, DataOptions(given=("rare",)), kinds={"x": "continuous", "rare": "categorical"})
