"""Dates, money and percent as people spell them: read as what they are, and spelt again in the same way."""

from __future__ import annotations

import datetime as dt
import random
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from sfumato import data
from sfumato.data import DataOptions, columns
from sfumato.data.columns.styles import Style
from sfumato.data.columns.times import find, find_whole, parse, spell
from sfumato.data.tables.schema import TableSchema
from sfumato.errors import SfumatoError

draw = random.Random(0)
MOMENTS = [dt.datetime(2019, 1, 1) + dt.timedelta(minutes=draw.randrange(60 * 24 * 1500)) for _ in range(150)]
DATES = {
    "{0.day}/{0.month}/{0.year}": "%-d/%-m/%Y",
    "{0.month}-{0.day}-{0:%y}": "%-m-%-d-%y",
    "{0:%d.%m.%y} {0:%H:%M:%S}": "%d.%m.%y %H:%M:%S",
    "{0.day} {0:%B} {0.year}": "%-d %B %Y",
    "{0:%b} {0.day}, {0.year}": "%b %-d, %Y",
    "{0:%a}, {0:%d %b %Y %H:%M:%S} GMT": "%a, %d %b %Y %H:%M:%S GMT",
    "{0:%d%b%Y}": "%d%b%Y",
    "{0:%b-%y}": "%b-%y",
    "{0:%m/%Y}": "%m/%Y",
    "{0.hour}:{0:%M}": "%-H:%M",
    "{0:%I:%M %p}": "%I:%M %p",
    "{0:%d/%b/%Y:%H:%M:%S} +0000": "%d/%b/%Y:%H:%M:%S +0000",
    "{0:%Y-%m-%dT%H:%M:%S}+02:00": "%Y-%m-%dT%H:%M:%S+02:00",
    "{0:%Y%m%d}T{0:%H%M}": "%Y%m%dT%H%M",
}


@pytest.mark.parametrize(("form", "spelling"), DATES.items())
def test_a_spelling_of_time_is_found_and_spelt_again(form: str, spelling: str) -> None:
    words = pa.array([form.format(moment) for moment in MOMENTS])
    found = find(words)
    assert found is not None
    assert (found.spelling, found.other) == (spelling, "")
    moments = parse(words, spelling)
    assert spell(moments, spelling).equals(words)
    if "%H:%M:%S" in spelling and "%p" not in spelling:
        assert moments.to_pylist() == [moment.replace(second=0) for moment in MOMENTS]
    assert columns.infer("d", words) == "datetime"


def test_capitals_of_months_and_halves_of_days_come_back() -> None:
    for form, change in (("{0:%d-%b-%Y}", str.upper), ("{0:%d %B %Y}", str.lower), ("{0:%I:%M%p}", str.lower)):
        words = pa.array([change(form.format(moment)) for moment in MOMENTS])
        found = find(words)
        assert found is not None
        assert spell(parse(words, found.spelling), found.spelling).equals(words)


@pytest.mark.parametrize(
    "words",
    [
        *(["1.2.3", "1.10.0"], ["10-12", "3-4"], ["2:1", "3:0"], ["192.168.0.1"], ["555-1234"], ["2008-09", "2012-13"]),
        *(["31/02/2024"], ["24 Jun", "25 Jun"], ["Room 12"], ["13:75"], ["00:30 PM"], ["1/13/2024", "13/1/2024"]),
    ],
)
def test_what_only_looks_like_a_date_is_none(words: list[str]) -> None:
    assert find(pa.array(words)) is None


def test_all_rows_decide_the_order_of_day_and_month() -> None:
    assert find(pa.array(["01/02/2024", "13/02/2024"])).spelling == "%d/%m/%Y"  # type: ignore[union-attr]
    assert find(pa.array(["01/02/2024", "01/13/2024"])).spelling == "%m/%d/%Y"  # type: ignore[union-attr]
    both = {
        "%d/%m/%Y": ["03/02/2024", "01/03/2024", "02/01/2024"],
        "%m/%d/%Y": [f"{month:02}/01/2024" for month in (3, 1, 5, 2)],
        "%-m/%-d/%Y": ["1/2/2024", "1/10/2024", "3/1/2024"],
        "%m/%d/%Y %I:%M %p": ["03/02/2024 01:00 PM", "01/03/2024 02:00 AM", "02/01/2024 12:00 PM"],
    }
    for spelling, words in both.items():
        found = find(pa.array(words))
        assert found is not None
        assert found.spelling == spelling
        assert sorted(found.other) == sorted(spelling)


def test_the_order_that_was_taken_is_told_where_both_fit() -> None:
    frame = pd.DataFrame({"d": [f"{1 + i * 5 % 12:02}/{1 + i * 7 % 11:02}/2024" for i in range(90)], "x": range(90)})
    note = data.open(frame).schema.describe()[0]["note"]
    assert note.startswith("day before month ('01/01/2024' is 1 January); the other order fits as well")


@pytest.mark.parametrize("kind", ["int64", "Int32", "float64"])
def test_whole_numbers_that_are_dates_are_sampled_as_dates(kind: str) -> None:
    days = [int(f"{moment:%Y%m%d}") for moment in MOMENTS]
    frame = pd.DataFrame({"day": pd.array(days, dtype=kind), "x": np.arange(150.0)})
    frame.loc[3, "day"] = frame["day"].iloc[4] if kind == "int64" else None
    schema = data.open(frame).schema
    assert isinstance(schema, TableSchema)
    assert schema.columns[0].kind == "datetime"
    encoded = schema.encode(frame)
    made = schema.decode(encoded.x)["day"]
    assert str(made.dtype) == kind
    np.testing.assert_array_equal(made.isna(), frame["day"].isna())
    assert (made.dropna().astype(int) == frame["day"].dropna().astype(int)).all()
    low, high = min(days), max(days)
    between = schema.columns[0].decode(np.linspace(0, encoded.x[:, 0].nan_to_num().max().item(), 400))
    words = [f"{int(one)}" for one in between.to_pylist()]
    assert all(low <= int(word) <= high and dt.datetime.strptime(word, "%Y%m%d") for word in words)


def test_whole_numbers_that_only_may_be_dates_are_numbers() -> None:
    for numbers in (
        [20231199, 20230105, 20230106],
        [20230105, 20230106],
        [202301, 202302, 202303],
        [10000101, 10010203],
    ):
        assert find_whole(pa.array(numbers)) is None
    months = pa.array([202000 + 100 * year + month for year in range(3) for month in range(1, 13)])
    assert find_whole(months) == "%Y%m"


STYLES = [
    ([1314, 7, 2000], ["£1,314", "£7", "£2,000"]),
    ([1314.5, -0.25, 3], ["$1,314.50", "-$0.25", "$3.00"]),
    ([1314.5, 3], ["$1,314.50", "$3"]),
    ([12.5, -3, 0.25], ["12.5 %", "-3 %", "0.25 %"]),
    ([1234.56, 7.1], ["1.234,56", "7,10"]),
    ([1234.5, -7], ["1 234,5", "-7"]),
    ([-1200, 300], ["(1,200)", "300"]),
    ([1200, 5], ["€ 1.200", "€ 5"]),
    ([1234567.5, 9], ["1'234'567.5", "9"]),
    ([-5, 1200], ["US$-5", "US$1,200"]),
    ([0.5, 2.25], ["0,5", "2,25"]),
    ([-1500, 20], ["\u22121,500 kr", "20 kr"]),
]


@pytest.mark.parametrize(("numbers", "words"), STYLES)
def test_numbers_with_signs_are_read_and_spelt_again(numbers: list[float], words: list[str]) -> None:
    style = Style.find(pa.array(words))
    assert style is not None
    assert style.parse(pa.array([*words, "None", "x", None])).to_pylist() == [*numbers, None, None, None]
    assert style.spell(np.array(numbers)) == words


@pytest.mark.parametrize(
    "words",
    [
        *(["12", "-13.5"], ["A1", "B2"], ["1.2.3"], ["1,2,3"], ["555-1234"], ["10 kg"], ["$5", "6"], ["0x1F"]),
        *(["00501"], ["$5", "€6"], ["1,5", "1.5"], ["12,34,567"], ["(5"], ["5)"], ["$"], ["%"]),
    ],
)
def test_words_that_are_no_such_numbers_have_no_style(words: list[str]) -> None:
    assert Style.find(pa.array(words)) is None


def test_money_percent_and_thousands_are_numbers_in_files_and_frames(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    price, share, visits = (
        rng.lognormal(6, 1, 300).round(2),
        rng.uniform(0, 99, 300).round(1),
        rng.integers(1, 9999, 300),
    )
    frame = pd.DataFrame(
        {
            "price": [f"${value:,.2f}" for value in price],
            "share": [f"{value:.1f}%" for value in share],
            "visits": [f"{value:,}" for value in visits],
            "loss": [f"({value:,.2f})" if value > 500 else f"{value:.2f}" for value in price],
        }
    )
    frame.loc[5, "price"] = "None"
    frame.to_csv(tmp_path / "a.csv", index=False)
    for source in (tmp_path / "a.csv", frame):
        schema = data.open(source).schema
        assert isinstance(schema, TableSchema)
        kinds = {column.name: column.kind for column in schema.columns}
        assert kinds == {"price": "continuous", "share": "continuous", "visits": "integer", "loss": "continuous"}
        again = TableSchema.from_dict(schema.to_dict())
        encoded = again.encode(again.read(source))
        made = again.decode(encoded.x)
        assert made["visits"].iloc[0].replace(",", "").isdigit()
        assert made["price"].dropna().str.fullmatch(r"\$[\d,]+\.\d\d").all()
        assert made["share"].str.fullmatch(r"\d+\.\d%").all()
        assert made["loss"].str.fullmatch(r"[\d.]+|\([\d,.]+\)").all()
        assert made["price"].isna().tolist() == [row == 5 for row in range(300)]
    again.write(made, tmp_path / "made.csv")
    assert len(again.read(tmp_path / "made.csv")) == 300


def test_new_data_and_conditions_may_leave_the_signs_out(tmp_path: Path) -> None:
    frame = pd.DataFrame({"price": [f"${value},000" for value in range(1, 60)], "x": np.arange(59.0)})
    schema = data.open(frame, options=DataOptions(given=("price",))).schema
    assert isinstance(schema, TableSchema)
    typed = [schema.encode_condition("price", [value]).item() for value in ("$5,000", "5000", "5,000", 5000, 5000.0)]
    assert len(set(typed)) == 1
    plain = schema.encode(pd.DataFrame({"price": [5000, 6000], "x": [1.0, 2.0]})).given
    assert plain is not None
    assert plain[0, 0].item() == typed[0]
    with pytest.raises(SfumatoError, match="column 'price', row 2: 'much' stands where a number should"):
        schema.read(pd.DataFrame({"price": ["$5,000", "much"], "x": [1.0, 2.0]}))


def test_kind_continuous_reads_money_and_plain_numbers_of_text() -> None:
    for words in ([f"€{i},50" for i in range(40)], [f"{i}.5" for i in range(40)]):
        frame = pd.DataFrame({"price": words, "x": np.arange(40.0)})
        schema = data.open(frame, options=DataOptions(kinds={"price": "continuous"})).schema
        made = schema.decode(schema.encode(frame).x)["price"]
        assert made.str.fullmatch(r"€\d+,50" if words[0][0] == "€" else r"\d+\.5").all()


def test_new_dates_may_be_spelt_a_little_otherwise() -> None:
    frame = pd.DataFrame({"d": [f"{moment.month}/{moment.day}/{moment.year}" for moment in MOMENTS], "x": range(150)})
    schema = data.open(frame).schema
    new = [
        schema.encode(pd.DataFrame({"d": [day], "x": [1]})).x[0, 0].item()
        for day in ("3/5/2020", "03/05/2020", "2020-03-05")
    ]
    assert len(set(new)) == 1
    with pytest.raises(SfumatoError, match="row 1: '2020/03/05 x' is not spelt as the times in training"):
        schema.encode(pd.DataFrame({"d": ["2020/03/05 x"], "x": [1]}))


def test_times_of_day_that_are_text_take_times_of_day() -> None:
    frame = pd.DataFrame({"t": [f"{moment.hour}:{moment:%M}" for moment in MOMENTS], "x": np.arange(150) / 7})
    schema = data.open(frame, options=DataOptions(given=("t",))).schema
    told = [schema.encode_condition("t", [value]).item() for value in ("11:16", dt.time(11, 16))]
    assert told[0] == told[1]
    assert not schema.columns[0].dated  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (pa.array([["a"], ["a", "b"], []]), r"holds lists: .*get_dummies.*explode\('tags'\).*--drop tags"),
        (pa.array([{"u": 1}, None]), r"holds records: .*json_normalize\(frame\['tags'\]\)"),
        (pa.array([[1.0, 2.0], [3.0, 4.0]], pa.list_(pa.float64(), 2)), "holds 2 values in each row"),
        (pa.array(['{"k": 1}', None, '{"k": [2]}']), "holds JSON, as .*json.loads.*--kind tags=categorical"),
        (pa.array(["[1, 2]", "[]"]), "holds JSON"),
    ],
)
def test_lists_and_records_are_refused_with_the_way_to_flatten_them(values, said) -> None:
    with pytest.raises(SfumatoError, match=said):
        columns.infer("tags", values)


@pytest.mark.parametrize(
    "words", [["[redacted]", "[1, 2]"], ["[0, 1]", "[1, 2.5]"], ["{a}", "{b}"], ["[", "{"], ['"text"', "3"]]
)
def test_brackets_alone_make_no_json(words) -> None:
    assert columns.infer("tags", pa.array(words * 20)) == "categorical"
