from __future__ import annotations

import json
import logging
import math
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import torch

from sfumato import data
from sfumato.data.core.options import DataOptions
from sfumato.data.io import frames
from sfumato.data.registry import load_schema
from sfumato.data.tables.schema import TableSchema
from sfumato.errors import SfumatoError

REAL = ["penguins.csv", "adult_train.csv", "flchain.csv", "asia.csv.gz", "alarm.csv.gz"]


def small(n: int = 200) -> pa.Table:
    rng = np.random.default_rng(0)
    return pa.table(
        {
            "id": pa.array(range(1, n + 1)),
            "species": rng.choice(["Adelie", "Chinstrap", "Gentoo"], n),
            "mass": pa.array(np.round(rng.normal(4000, 800, n), 1), mask=rng.random(n) < 0.1),
            "age": rng.integers(1, 20, n),
            "planet": ["Earth"] * n,
            "tagged": pa.array(rng.random(n) < 0.3),
        }
    )


def learn(frame: Any, **options: Any) -> TableSchema:
    table, kind = frames.read(frame)
    made = TableSchema.learn(table, DataOptions(**options), frame_kind=kind)
    found = load_schema(json.loads(json.dumps(made.to_dict(), allow_nan=False)))
    assert isinstance(found, TableSchema)
    assert found.to_dict() == made.to_dict()
    return found


def test_spec_has_a_field_for_each_modelled_column() -> None:
    found = learn(small(), given=("species", "age"))
    assert found.names == ("mass", "tagged")
    assert found.spec.shape == (3,)
    assert found.spec.flags == {1: 0}
    assert [field.kind for field in found.spec.fields] == ["category", "cells", "category"]
    assert [field.missing for field in found.spec.fields] == [False, True, False]
    assert [field.kind for field in found.spec.given] == ["category", "real"]
    assert found.spec.likelihood == "autoregressive"
    assert found.spec.examples == 200


@pytest.mark.parametrize("likelihood", ["gaussian", "mse"])
def test_numbers_are_real_under_a_gaussian(likelihood: str) -> None:
    found = learn(small(), likelihood=likelihood)
    assert [field.kind for field in found.spec.fields] == ["category", "category", "real", "real", "category"]
    assert found.spec.likelihood == likelihood
    x = found.encode(small()).x[:, 2]
    assert torch.std(x[~x.isnan()], correction=0).item() == pytest.approx(1, abs=1e-4)


def test_rows_come_back_with_constants_and_fresh_identifiers() -> None:
    table = small()
    for likelihood in ("auto", "gaussian"):
        found = learn(table, given=("species",), likelihood=likelihood)
        encoded = found.encode(table)
        again = found.decode(encoded.x, encoded.given)
        assert again.drop(["id"]).equals(table.drop(["id"]))
        assert again["id"].to_pylist() == list(range(201, 401))


def test_dropped_columns_are_gone_and_order_is_kept() -> None:
    found = learn(small(), drop=("species", "id"), given=("age",))
    encoded = found.encode(small())
    assert found.decode(encoded.x, encoded.given).column_names == ["mass", "age", "planet", "tagged"]


def test_pandas_and_polars_frames_come_back_as_they_came() -> None:
    frame = small().drop(["id"]).to_pandas()
    frame["species"] = frame["species"].astype(pd.CategoricalDtype(["Gentoo", "Adelie", "Chinstrap", "Emperor"]))
    frame["seen"] = pd.date_range("2020-01-01", periods=len(frame), freq="D", tz="UTC", unit="s")
    frame["age"] = frame["age"].astype("Int8")
    found = learn(frame)
    again = found.decode(found.encode(frame).x)
    pd.testing.assert_frame_equal(again, frame)
    native = pl.from_arrow(small().drop(["id"]))
    assert isinstance(native, pl.DataFrame)
    native = native.with_columns(pl.col("species").cast(pl.Enum(["Gentoo", "Adelie", "Chinstrap", "Emperor"])))
    found = learn(native)
    again = found.decode(found.encode(native).x)
    assert again.schema == native.schema
    assert again.equals(native)


def test_draws_stay_in_range_and_have_the_types() -> None:
    table = small()
    found = learn(table.to_pandas(), likelihood="gaussian")
    x = torch.randn(300, 5).abs() * 5
    drawn = found.decode(x)
    assert drawn.dtypes.astype(str).tolist() == ["int64", "str", "float64", "int64", "str", "bool"]
    assert (drawn["mass"].isna() == (x[:, 1] >= 0.5).numpy()).all()
    mass = found.decode_complete(x)["mass"]
    assert mass.between(*table["mass"].to_pandas().agg(["min", "max"])).all()
    assert set(drawn["species"]) <= {"Adelie", "Chinstrap", "Gentoo"}
    assert (mass == mass.round(1)).all()


@pytest.mark.parametrize("name", REAL)
@pytest.mark.parametrize("likelihood", ["auto", "gaussian"])
def test_real_tables_come_back(real_data: Path, name: str, likelihood: str) -> None:
    table = frames.read(real_data / name)[0].replace_schema_metadata(None)
    found = learn(real_data / name, likelihood=likelihood)
    encoded = found.encode(table)
    assert encoded.x.isnan().any().item() == (name in ("penguins.csv", "adult_train.csv", "flchain.csv"))
    again = found.decode_table(encoded.x)
    assert again.schema.equals(table.schema, check_metadata=True)
    for column in table.column_names:
        was, now = table[column], again[column]
        assert was.null_count == now.null_count
        if pa.types.is_floating(was.type) or column == "fnlwgt":
            assert now.to_numpy() == pytest.approx(was.to_numpy(), nan_ok=True, abs=1e-3, rel=1e-4)
        else:
            assert now.equals(was)


def test_spikes_and_tails_of_adult_come_through(real_data: Path) -> None:
    table, _ = frames.read(real_data / "adult_train.csv")
    found = learn(table)
    x = found.encode(table).x
    rng = np.random.default_rng(0)
    for name in ("capital_gain", "hours", "fnlwgt"):
        place = found.names.index(name)
        cell = x[:, place].floor()
        drawn = x.clone()
        drawn[:, place] = cell + torch.from_numpy(rng.uniform(0, 0.999, len(x))).float()
        real, new = table[name].to_numpy(), found.decode_table(drawn)[name].to_numpy()
        both = np.sort(np.concatenate([real, new]))
        gap = [np.searchsorted(np.sort(v), both, "right") / len(v) for v in (real, new)]
        assert np.abs(gap[0] - gap[1]).max() < 0.01
        assert new.mean() == pytest.approx(real.mean(), rel=0.02)
        assert new.std() == pytest.approx(real.std(), rel=0.03)


def test_hundred_thousand_rows_encode_in_under_a_second(real_data: Path) -> None:
    table, _ = frames.read(real_data / "adult_train.csv")
    table = pa.concat_tables([table] * 3).slice(0, 97_000).combine_chunks()
    found = TableSchema.learn(table, DataOptions())
    start = time.process_time()
    found.encode(table)
    assert time.process_time() - start < 1


def test_log_volume_makes_the_density_sum_to_one_over_raw_rows() -> None:
    table = pa.table({"n": [0] * 40 + list(range(5, 30)) * 2, "b": [True, False] * 45})
    found = learn(table, cells=4)
    sizes = [field.size for field in found.spec.fields]
    log_p = [torch.log_softmax(torch.randn(size, dtype=torch.float64), 0) for size in sizes]
    every = pa.table({"n": [0, *range(5, 30)] * 2, "b": [True] * 26 + [False] * 26})
    x = found.encode(every).x.double()
    chosen = log_p[0][x[:, 0].long()] + log_p[1][x[:, 1].long()]
    assert (chosen - found.log_jacobian(x)).exp().sum().item() == pytest.approx(1)


def test_log_volume_of_real_entries_is_that_of_their_scale_and_missing_ones_add_nothing() -> None:
    found = learn(pa.table({"a": [1.5, 2.5, 9.25], "b": [1.0, None, 5.5]}), likelihood="gaussian")
    a = math.log(np.std([1.5, 2.5, 9.25]))
    b = math.log(np.std([1.0, 5.5]))
    volume = found.log_jacobian(torch.tensor([[0.0, 0.0, 0.0], [0.0, 1.0, math.nan]]))
    assert volume.tolist() == pytest.approx([a + b, a])


def test_conditions_mix_labels_and_numbers_and_may_be_left_out() -> None:
    found = learn(small(), given=("species", "age"))
    age = small()["age"].to_numpy()
    given = found.conditions({"species": "Gentoo", "age": "7"}, 3)
    assert given is not None
    assert given[:, 0].tolist() == [2, 2, 2]
    assert given[0, 1].item() == pytest.approx((7 - age.mean()) / age.std(), rel=1e-5)
    left_out = found.conditions({"species": ["Adelie", None]}, 2, marginal=True)
    assert left_out is not None
    assert left_out.isnan().tolist() == [[False, True], [True, True]]
    drawn = found.conditions({"species": "Adelie"}, 50, seed=1)
    assert drawn is not None
    assert not drawn.isnan().any()
    with pytest.raises(SfumatoError, match=r"'species' has no category 'Adele'; did you mean Adelie\?"):
        found.conditions({"species": "Adele"}, 1)
    with pytest.raises(SfumatoError, match=r"'specis' is not one of this model; did you mean species\?"):
        found.conditions({"specis": "Adelie"}, 1)


def test_conditions_come_back_in_their_columns() -> None:
    found = learn(small(), given=("species", "age"))
    encoded = found.encode(small())
    given = found.conditions({"species": "Gentoo", "age": 7}, 5)
    table = found.decode(encoded.x[:5], given)
    assert table["species"].to_pylist() == ["Gentoo"] * 5
    assert table["age"].to_pylist() == [7] * 5
    assert found.decode(encoded.x[:2])["species"].to_pylist() == [None, None]


def test_kinds_may_be_set() -> None:
    found = learn(small(), kinds={"age": "categorical", "id": "integer", "species": "identifier"})
    rows = {row["column"]: row for row in found.describe()}
    assert rows["age"]["modelled"] == "19 categories"
    assert rows["id"]["kind"] == "integer"
    assert rows["species"] == {
        "column": "species",
        "kind": "identifier",
        "modelled": "not modelled",
        "missing": "",
        "note": "new rows hold 'species 1', …",
    }
    assert rows["planet"]["note"] == "always 'Earth'"
    assert rows["mass"]["missing"].endswith("%")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"given": ("speces",)}, r"given='speces' is not a column; did you mean species\?"),
        ({"drop": ("planett",)}, r"drop='planett' is not a column; did you mean planet\?"),
        ({"kinds": {"agee": "integer"}}, r"kind='agee' is not a column; did you mean age\?"),
        ({"given": ("id",)}, "given='id' is an identifier and cannot be a condition"),
        ({"given": ("planet",)}, "given='planet' is a constant and cannot be a condition"),
        (
            {"likelihood": "logistic_mixture"},
            "not for tables; choose autoregressive, cells, gaussian or mse",
        ),
        ({"kinds": {"species": "continuous"}}, "'species', row 1: '.*' stands where a number should"),
        ({"drop": ("species", "mass", "age", "tagged")}, "no column is left to model"),
    ],
)
def test_option_that_does_not_fit_the_table_is_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(SfumatoError, match=said):
        learn(small(), **options)


def test_one_row_is_not_enough() -> None:
    with pytest.raises(SfumatoError, match="needs at least 2 training rows"):
        learn(small(1))


def test_statistics_are_of_the_training_part_and_kinds_of_the_whole() -> None:
    whole = small()
    train = whole.take(pa.array(range(0, 200, 3)))
    kinds = TableSchema.kinds(whole, DataOptions())
    found = TableSchema.learn(train, DataOptions(), kinds=kinds)
    assert kinds["id"] == "identifier"
    assert found.spec.examples == 67
    mass = next(row for row in found.describe() if row["column"] == "mass")
    seen = train["mass"].to_pandas()
    assert mass["note"] == f"{seen.min():.6g} to {seen.max():.6g}"


def test_new_file_is_checked_by_column_row_and_value(tmp_path: Path) -> None:
    found = learn(small(), given=("species",))
    path = tmp_path / "new.csv"
    good = "species,mass,age,tagged\n" + "Adelie,4000,3,true\n" * 2
    path.write_text(good)
    assert found.encode(found.read(path)).x.shape == (2, 4)
    for old, new, said in (
        ("mass", "mas", r"new\.csv: column 'mass' is missing; did you mean mas\?"),
        ("mass", "x", r"new\.csv: column 'mass' is missing; give a column of this name, empty where"),
        ("4000", "heavy", r"new\.csv: column 'mass', row 1: 'heavy' stands where a number should"),
        ("4000", "inf", r"new\.csv: column 'mass', row 1: the value is infinite"),
        (",3,", ",3.5,", r"new\.csv: column 'age', row 1: 3\.5 stands where a whole number should"),
        ("Adelie,4000,3,true\n" * 2, "", r"new\.csv: no rows below the header"),
    ):
        path.write_text(good.replace(old, new))
        with pytest.raises(SfumatoError, match=said):
            found.read(path)


def test_new_rows_may_lack_what_is_not_modelled_and_conditions_alone_may_be_read() -> None:
    found = learn(small(), given=("species", "age"))
    alone = found.read({"species": ["Gentoo", None]}, need_x=False)
    given = found.encode_given(alone)
    assert given is not None
    assert given[:, 0].nan_to_num(-1).tolist() == [2, -1]
    assert given[:, 1].isnan().all()
    assert found.encode(small().select(["tagged", "mass", "species", "age"])).x.shape == (200, 3)


def test_what_was_never_seen_is_missing_and_said_once(caplog: pytest.LogCaptureFixture) -> None:
    found = learn(small())
    new = pa.table({"species": ["Emperor"], "mass": [9e9], "age": [3], "tagged": [True]})
    with caplog.at_level(logging.WARNING, "sfumato.data"):
        table = found.read(found.read(new))
    assert [record.getMessage().split(":")[0] for record in caplog.records] == ["column 'species'", "column 'mass'"]
    x = found.encode(table).x
    assert x[0].isnan().tolist() == [True, False, False, False, False]


def test_words_are_taken_as_labels_even_if_a_new_file_has_only_numbers(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("zip,v\n" + "01067,1.5\nA1,2.5\n" * 5)
    (tmp_path / "b.csv").write_text("zip,v\n01067,1.5\n")
    found = learn(tmp_path / "a.csv")
    table = found.read(tmp_path / "b.csv")
    assert found.decode_table(found.encode(table).x)["zip"].to_pylist() == ["01067"]


def test_written_rows_are_spelt_as_the_source(tmp_path: Path) -> None:
    content = "flag,mass,when,n\n" + "FALSE,3750.0,2020-01-01,1\nTRUE,3800.5,2020-02-01,2\n,,,\n" * 3
    (tmp_path / "a.csv").write_text(content)
    found = learn(tmp_path / "a.csv")
    table = found.read(tmp_path / "a.csv")
    frame = found.decode(found.encode(table).x)
    assert frame.dtypes.astype(str).tolist()[0] == "boolean"
    found.write(frame, tmp_path / "b.csv")
    assert (tmp_path / "b.csv").read_text() == content
    with pytest.raises(SfumatoError, match="not a kind of table file"):
        found.write(frame, tmp_path / "b.png")


def test_one_row_can_be_encoded_and_all_missing_rows_too() -> None:
    found = learn(small())
    assert found.encode(small().slice(0, 1)).x.shape == (1, 5)
    nothing = pa.table({name: pa.nulls(2) for name in ("species", "mass", "age", "tagged")})
    assert found.encode(nothing).x[0].nan_to_num(-1).tolist() == [-1, 1, -1, -1, -1]
    table = found.decode(torch.full((2, 5), math.nan))
    assert table["mass"].null_count == table["species"].null_count == 2


def test_new_times_are_taken_however_they_come_and_refused_by_row() -> None:
    days = pa.array(np.arange("2020-01-01", "2020-03-01", dtype="datetime64[D]"))
    found = learn(pa.table({"day": days, "n": list(range(30)) * 2}))
    assert found.spec.fields[0].kind == "cells"
    for new in (
        pa.table({"day": ["2020-01-05"], "n": [1]}),
        pa.table({"day": ["05/01/2020"], "n": [1]}),
        pd.DataFrame({"day": [pd.Timestamp("2020-01-05")], "n": [1]}),
        pl.DataFrame({"day": [pd.Timestamp("2020-01-05").date()], "n": [1]}),
    ):
        again = found.decode(found.encode(found.read(new)).x)
        assert str(again["day"].to_pylist()) == "[datetime.date(2020, 1, 5)]"
    with pytest.raises(SfumatoError, match="column 'day', row 2: 'soon' stands where a time should"):
        found.read({"day": ["2020-01-05", "soon"], "n": [1, 2]})


def test_many_labels_are_one_index_each_and_survive_saving() -> None:
    names = [f"c{i}" for i in range(100_000)]
    found = learn(pa.table({"c": names * 2, "v": np.arange(200_000) % 7}), kinds={"c": "categorical"})
    start = time.process_time()
    x = found.encode(pa.table({"c": names, "v": np.zeros(100_000)})).x
    assert time.process_time() - start < 1
    assert found.spec.fields[0].size == 100_000
    assert found.decode_table(x)["c"].to_pylist() == names


def test_identifiers_that_outgrew_their_type_stand_in_the_rows() -> None:
    frame = pd.DataFrame({"id": np.arange(250, dtype=np.uint8), "x": np.arange(250) % 7 / 2})
    schema = learn(frames.read(frame)[0], seed=1)
    encoded = schema.encode(frame)
    assert schema.decode_table(encoded.x)["id"].to_pylist() == list(range(250, 500))
    assert schema.decode_table(encoded.x[:3]).schema.field("id").type == pa.uint8()
    later = frame.assign(id=np.arange(1000, 1250))
    beside = schema.decode_beside(encoded.x, None, schema.read(later), later)
    assert pa.table(beside)["id"].to_pylist() == list(range(1000, 1250))


def test_index_that_pandas_wrote_is_modelled_only_if_an_option_names_it(tmp_path: Path) -> None:
    frame = pd.DataFrame({"a": np.arange(60) % 7 / 2, "b": np.arange(60) % 5 / 2}, index=np.arange(60) * 3)
    path = tmp_path / "a.parquet"
    frame.rename_axis("who").to_parquet(path)
    for streaming in ("no", "yes"):
        assert data.open(path, options=DataOptions(streaming=streaming)).schema.names == ("a", "b")
        schema = data.open(path, options=DataOptions(streaming=streaming, kinds={"who": "integer"})).schema
        assert schema.names == ("a", "b", "who")
        assert schema.read(path).column_names == ["a", "b", "who"]


def known_conditionals(n: int) -> pa.Table:
    """Four conditions that hang together in ways that are known, and a column to be modelled."""
    rng = np.random.default_rng(0)
    weeks = rng.integers(1, 53, n)
    day = np.datetime64("2021-01-01") + rng.integers(0, 700, n)
    side = rng.choice(["left", "right"], n)
    price = rng.random(n) ** 4 * 1e5
    return pa.table(
        {
            "weeks": weeks,
            "plan": np.where(rng.random(n) < weeks / 52, "long", "short"),
            "day": pa.array(day),
            "season": np.where(day < np.datetime64("2022-01-01"), "first", "second"),
            "side": side,
            "price": price,
            "tax": np.where(side == "left", 1, -1) * np.sqrt(price),
            "x": rng.normal(size=n),
        }
    )


def test_conditions_that_are_not_named_go_with_the_numbers_and_times_that_are() -> None:
    table = known_conditionals(4000)
    found = learn(table, given=("weeks", "plan", "day", "season", "side", "price", "tax"))

    def drawn(name: str, **given: Any) -> Any:
        conditions = found.conditions(given, 3000, seed=2)
        return found.decode_table(torch.zeros(3000, found.spec.entries), conditions)[name].to_pandas()

    for weeks in (1, 13, 26, 52):
        assert (drawn("plan", weeks=weeks) == "long").mean() == pytest.approx(weeks / 52, abs=0.09)
    assert set(drawn("season", day="2021-03-01")) == {"first"}
    assert set(drawn("season", day="2022-06-01")) == {"second"}
    for side, sign in (("left", 1), ("right", -1)):
        tax = drawn("tax", price=1e4, side=side)
        assert tax.median() == pytest.approx(sign * 100, rel=0.05)
        assert (np.sign(tax) == sign).all()


def test_conditions_come_ever_closer_to_the_conditional_distribution_with_more_rows() -> None:
    errors = []
    for n in (100, 4000):
        found = learn(known_conditionals(n), given=("weeks", "price", "side", "tax"))
        prices = np.linspace(1e3, 9e4, 40)
        given = found.conditions({"price": prices, "side": "left"}, 40)
        tax = found.decode_table(torch.zeros(40, found.spec.entries), given)["tax"].to_numpy()
        errors.append(np.abs(tax - np.sqrt(prices)).mean())
    assert errors[1] < errors[0] / 2


def test_where_no_row_has_all_categories_asked_for_those_that_share_most_are_drawn_from() -> None:
    table = pa.table(
        {"a": ["p", "p", "q"] * 30, "b": ["r", "s", "r"] * 30, "c": ["i", "j", "k"] * 30, "x": np.arange(90.0)}
    )
    found = learn(table, given=("a", "b", "c"))
    given = found.conditions({"a": "q", "b": "s"}, 200)
    assert given is not None
    assert set(found.decode_table(torch.zeros(200, found.spec.entries), given)["c"].to_pylist()) == {"j", "k"}


def test_rows_of_which_the_number_asked_for_is_not_known_are_not_drawn_from() -> None:
    table = pa.table({"n": [1.0, None, 9.0] * 30, "c": ["one", "none", "nine"] * 30, "x": np.arange(90.0)})
    found = learn(table, given=("n", "c"))
    asked = found.conditions({"n": [1, 9, None] * 100}, 300)
    names = np.array(found.decode_table(torch.zeros(300, found.spec.entries), asked)["c"].to_pylist())
    assert set(names[0::3]) == {"one"}
    assert set(names[1::3]) == {"nine"}
    assert set(names[2::3]) == {"one", "none", "nine"}


def test_conditions_beyond_the_range_are_said_and_taken_as_the_nearest_end(caplog: pytest.LogCaptureFixture) -> None:
    found = learn(known_conditionals(300), given=("weeks", "day", "price"))
    low, high = min(known_conditionals(300)["day"].to_pylist()), max(known_conditionals(300)["day"].to_pylist())
    with caplog.at_level(logging.WARNING, "sfumato.data"):
        given = found.conditions({"weeks": 200, "day": ["1999-01-01", "2050-01-01"], "price": "-5"}, 2)
        again = found.encode_given(found.read({"weeks": [200], "day": ["2050-01-01"]}, need_x=False))
    said = [record.getMessage() for record in caplog.records]
    assert said[0] == (
        "column 'weeks': 1 value lies beyond the range seen in training (1 to 52), as 200; taken as the nearest end"
    )
    assert said[1].startswith(
        f"column 'day': 2 values lie beyond the range seen in training ({low} to {high}), as '1999"
    )
    assert len(said) == 4
    table = found.decode_table(torch.zeros(2, found.spec.entries), given)
    assert table["weeks"].to_pylist() == [52, 52]
    assert table["day"].to_pylist() == [low, high]
    assert given is not None
    assert again is not None
    assert again[0, :2].tolist() == given[1, :2].tolist()
    with pytest.raises(SfumatoError, match=r"'weeks' takes a whole number, not 1\.5"):
        found.conditions({"weeks": 1.5}, 1)


def test_rows_that_look_like_the_steps_of_one_series_are_said_to() -> None:
    hours = pd.date_range("2024-01-01", periods=60, freq="h")
    random = np.random.default_rng(0)
    steps = pd.DataFrame({"when": hours, "load": random.normal(size=60)})
    (note,) = data.open(steps).notes
    assert note.startswith("when goes on evenly from row to row")
    assert "--model td_vae" in note
    uneven = steps.assign(when=hours + pd.to_timedelta(random.integers(0, 3000, 60), "s"))
    for rows in (uneven, steps.sample(frac=1, random_state=0), steps.assign(who=["a", "b"] * 30), steps[:40]):
        assert data.open(rows).notes == ()
