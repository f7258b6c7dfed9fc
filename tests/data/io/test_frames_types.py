"""What frames hold that a table's columns do not: taken, and given back as it came."""

from __future__ import annotations

import datetime
import logging
import uuid
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pytest

import sfumato
from sfumato.data.io import frames
from sfumato.errors import SfumatoError

N = 40
STEPS = np.arange(N)
HOURS = [datetime.datetime(2021, 3, 1, 5) + datetime.timedelta(hours=307 * int(step % 11)) for step in STEPS]
DAYS = [hour.date() for hour in HOURS]
WORDS = [("oak", "elm", "fir")[step % 3] for step in STEPS]
CODES = [bytes([step % 4, 240]) for step in STEPS]
CENTS = [Decimal(int(step % 7)).scaleb(-2) for step in STEPS]


class Tree(Enum):
    OAK = 1
    ELM = 2


def arrow(array: pa.Array) -> Any:
    return pd.arrays.ArrowExtensionArray(array)


def objects(values: Any) -> pd.Series:
    return pd.Series(list(values), dtype=object)


def pandas_columns() -> dict[str, Any]:
    return {
        "bins of times": pd.cut(pd.Series(HOURS), 3),
        "bins of spans, some missing": pd.cut(pd.Series(pd.to_timedelta(STEPS, unit="h")).where(STEPS > 3), 3),
        "intervals": pd.arrays.IntervalArray.from_arrays(STEPS % 5, STEPS % 5 + 2, closed="both"),
        "quarters": pd.PeriodIndex(DAYS, freq="Q"),
        "weeks, some missing": pd.Series(pd.PeriodIndex(DAYS, freq="W-TUE")).where(STEPS % 9 > 0),
        "sparse whole numbers": pd.arrays.SparseArray(STEPS % 3, fill_value=0),
        "sparse with another fill": pd.arrays.SparseArray(STEPS % 3 / 2, fill_value=0.5),
        "uuid": objects(uuid.UUID(int=int(step) % 6) for step in STEPS),
        "bytes": objects(CODES),
        "decimal": objects(CENTS),
        "categories of numbers": pd.Categorical(STEPS % 4, categories=[3, 0, 2, 1, 9], ordered=True),
        "categories of dates": pd.Categorical(DAYS),
        "categories of zoned times": pd.Categorical(pd.to_datetime(HOURS).tz_localize("Asia/Tokyo")),
        "categories of months": pd.Categorical(pd.PeriodIndex(DAYS, freq="M")),
        "categories of both kinds": pd.Categorical([1 if step % 2 else "one" for step in STEPS]),
        "numbers and words": objects("unknown" if step % 5 == 0 else int(step % 5) for step in STEPS),
        "numbers, words and gaps": objects([None, 1.5, "x", True][step % 4] for step in STEPS),
        "long numbers": objects(2**65 + int(step) % 3 for step in STEPS),
        "text of python": pd.Series(WORDS, dtype="string[python]"),
        "text of objects": objects(WORDS),
        "half": pd.Series(STEPS % 6).astype("float16"),
        "long double": pd.Series(STEPS / 7).astype(np.longdouble),
        "nullable": pd.Series(STEPS % 6).astype("UInt16").where(STEPS % 8 > 0),
        "fixed offset": pd.to_datetime(HOURS).tz_localize(datetime.timezone(datetime.timedelta(hours=-3))),
        "arrow decimal": arrow(pa.array(CENTS, pa.decimal256(30, 4))),
        "arrow dictionary": arrow(pa.array(STEPS % 4).dictionary_encode()),
        "arrow wide text": arrow(pa.array(WORDS, pa.large_string())),
        "arrow bytes": arrow(pa.array(CODES, pa.binary(2))),
        "arrow time": arrow(pa.array([hour.time() for hour in HOURS])),
        "arrow span": arrow(pa.array(STEPS % 6).cast(pa.duration("ms"))),
        "arrow narrow": arrow(pa.array([None if step % 9 == 0 else step % 5 for step in STEPS], pa.int8())),
    }


def arrow_columns() -> dict[str, pa.Array]:
    return {
        "runs": pc.run_end_encode(pa.array(WORDS)),
        "view of bytes": pa.array(CODES).cast(pa.binary_view()),
        "wide bytes": pa.array(CODES, pa.large_binary()),
        "dictionary of bytes": pa.array(CODES).dictionary_encode(),
        "dictionary of views": pa.DictionaryArray.from_arrays(STEPS % 2, pa.array(["a", "b"]).cast(pa.string_view())),
        "wide dictionary": pa.array(WORDS).cast(pa.dictionary(pa.int64(), pa.large_string())),
        "runs of views": pa.RunEndEncodedArray.from_arrays(
            pa.array([N // 2, N], pa.int32()), pa.array(["a", "b"]).cast(pa.string_view())
        ),
        "uuid": pa.array([uuid.UUID(int=int(step) % 6) for step in STEPS]),
        "json": pa.ExtensionArray.from_storage(pa.json_(), pa.array([f'"{word}"' for word in WORDS])),
        "bool8": pa.ExtensionArray.from_storage(pa.bool8(), pa.array(STEPS % 2, pa.int8())),
        "decimal32": pa.array(CENTS, pa.decimal32(5, 2)),
        "decimal64": pa.array(CENTS, pa.decimal64(12, 3)),
        "date64": pa.array(DAYS, pa.date64()),
        "nanoseconds": pa.array(HOURS, pa.timestamp("ns", "America/Lima")),
    }


def polars_columns() -> dict[str, pl.Series]:
    return {
        "long": pl.Series(STEPS % 6, dtype=pl.Int128),
        "longer": pl.Series([2**90 + int(step) % 3 for step in STEPS], dtype=pl.UInt128),
        "half": pl.Series(STEPS % 6 / 2).cast(pl.Float16),
        "bytes": pl.Series(CODES),
        "enum": pl.Series(WORDS, dtype=pl.Enum(["fir", "ash", "elm", "oak"])),
        "decimal": pl.Series(CENTS),
        "zoned": pl.Series(HOURS).dt.replace_time_zone("Europe/Rome"),
    }


def test_pandas_columns_come_back_as_they_came() -> None:
    frame = pd.DataFrame({name: pd.Series(values) for name, values in pandas_columns().items()})
    table, kind = frames.read(frame)
    found = frames.give(table, kind)
    pd.testing.assert_frame_equal(found, frame, check_categorical=True)
    assert [type(value) for value in found["numbers, words and gaps"][:8]] == [type(None), float, str, bool] * 2


def test_arrow_and_polars_columns_come_back_as_they_came() -> None:
    table = pa.table(arrow_columns())
    assert frames.give(*frames.read(table)).equals(table)
    frame = pl.DataFrame(polars_columns())
    assert frames.give(*frames.read(frame)).equals(frame)
    assert frames.give(*frames.read(frame.lazy())).equals(frame)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", ["pandas", "arrow", "polars"])
def test_all_kinds_of_columns_are_modelled_sampled_and_survive_the_disk(tmp_path: Path, kind: str) -> None:
    if kind == "pandas":
        frame: Any = pd.DataFrame({name: pd.Series(values) for name, values in pandas_columns().items()})
        types: Any = lambda made: made.dtypes.to_dict()  # noqa: E731
    elif kind == "arrow":
        frame, types = pa.table(arrow_columns()), lambda made: made.schema.types
    else:
        frame, types = pl.DataFrame(polars_columns()), lambda made: made.schema
    auto = sfumato.fit(frame, steps=3, latent_dim=2, width=8, depth=1)
    assert all(column.field is not None for column in auto.schema_.columns)
    auto.save(tmp_path / "run")
    loaded = sfumato.load(tmp_path / "run")
    made, again = auto.sample(7, seed=3), loaded.sample(7, seed=3)
    assert types(frame) == types(made) == types(again) == types(auto.reconstruct(frame))
    assert made.equals(again)
    np.testing.assert_allclose(auto.encode(frame), loaded.encode(frame))
    assert np.isfinite(loaded.score_samples(frame, samples=2)).all()
    assert loaded.encode(again).shape == (7, 2)


def test_numbers_of_several_types_are_numbers_and_dates_among_times_are_times() -> None:
    frame = pd.DataFrame({"n": objects([Decimal("1.5"), 2, 2.25]), "t": objects([DAYS[0], HOURS[1], DAYS[2]])})
    table, _ = frames.read(frame)
    midnight = datetime.time()
    assert table["n"].to_pylist() == [1.5, 2.0, 2.25]
    assert table["t"].to_pylist() == [
        datetime.datetime.combine(DAYS[0], midnight),
        HOURS[1],
        datetime.datetime.combine(DAYS[2], midnight),
    ]


def test_members_of_an_enumeration_are_their_names() -> None:
    assert frames.read(pd.DataFrame({"a": [Tree.OAK, Tree.ELM, None]}))[0]["a"].to_pylist() == ["OAK", "ELM", None]


def test_half_a_character_is_said_and_replaced(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "sfumato.data"):
        table, _ = frames.read(pd.DataFrame({"a": objects(["x\udc80y", "é", None])}))
    assert table["a"].to_pylist() == ["x�y", "é", None]
    assert caplog.messages == ["column 'a': 1 value holds half a character (a lone surrogate); taken as �"]
    with pytest.raises(SfumatoError, match="half a character"):
        frames.read(pd.DataFrame([[0]], columns=pd.Index(["\ud900"], dtype=object)))


def test_values_no_table_holds_are_refused_in_one_line() -> None:
    for made, said in (
        (pd.DataFrame({"a": [object(), 1]}), "column 'a' holds values of type object"),
        (pl.DataFrame({"a": pl.Series([object()], dtype=pl.Object)}), "column 'a' holds Python objects"),
    ):
        with pytest.raises(SfumatoError, match=said) as caught:
            frames.read(made)
        assert "\n" not in str(caught.value)


def test_periods_and_bytes_are_written_as_text(tmp_path: Path) -> None:
    frame = pd.DataFrame(
        {"m": pd.PeriodIndex(["2024-05", None, "2025-01"], freq="M"), "b": objects([b"a", b"\xff", b""])}
    )
    frames.write(frames.read(frame)[0], tmp_path / "a.csv")
    assert (tmp_path / "a.csv").read_text().split() == ["m,b", "2024-05,a", ",0xff", "2025-01,"]


def test_channels_may_be_booleans_and_decimals_and_times_periods() -> None:
    rows = [
        {"who": one, "when": pd.Period("2023Q1", "Q") + step, "on": bool((one + step) % 2), "cost": Decimal(step)}
        for one in range(8)
        for step in range(4)
    ]
    frame = pd.DataFrame(rows)
    frame["when"] = frame["when"].astype("period[Q-DEC]")
    auto = sfumato.fit(frame, model="td_vae", id="who", time="when", steps=2, latent_dim=2, width=8)
    assert auto.sample(3).shape == (3, 4, 2)
