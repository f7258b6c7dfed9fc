"""Values of conditions as programs hold them: taken from frames, arrays and tensors."""

from __future__ import annotations

import datetime
import uuid
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import torch

from sfumato.data.core.options import DataOptions
from sfumato.data.io import frames
from sfumato.data.tables.schema import TableSchema
from sfumato.errors import SfumatoError

N = 60
STEPS = np.arange(N)
FRAME = pd.DataFrame(
    {
        "bin": pd.cut(pd.Series(STEPS), [-1, 20, 40, 60]),
        "month": pd.Series(pd.period_range("2020-01", periods=12, freq="M")).take(STEPS % 12).reset_index(drop=True),
        "id": [uuid.UUID(int=int(step % 5)) for step in STEPS],
        "span": pd.to_timedelta(STEPS % 7, unit="h"),
        "price": [Decimal(int(step % 9)).scaleb(-1) for step in STEPS],
        "size": pd.Series(STEPS % 6).astype("Int16").where(STEPS % 10 > 0),
        "sure": STEPS % 2 == 0,
        "flag": STEPS % 3 == 0,
        "code": [b"a", b"b"] * (N // 2),
        "zoned": pd.to_datetime("2022-02-02").tz_localize("Europe/Madrid") + pd.to_timedelta(STEPS % 8, unit="D"),
        "x": STEPS / 7,
    }
).assign(flag=lambda frame: frame["flag"].astype(int))


@pytest.fixture(scope="module")
def schema() -> TableSchema:
    table, kind = frames.read(FRAME)
    given = tuple(name for name in FRAME if name != "x")
    return TableSchema.learn(table, DataOptions(given=given), frame_kind=kind)


def of(schema: TableSchema, given: dict[str, Any], n: int) -> pd.DataFrame:
    x = torch.zeros(n, 1)
    return schema.decode(x, schema.conditions(given, n, marginal=True))


@pytest.mark.parametrize("name", [name for name in FRAME if name != "x"])
def test_a_column_is_a_condition_and_so_is_each_of_its_values(schema: TableSchema, name: str) -> None:
    back = of(schema, {name: FRAME[name]}, N)[name]
    assert back.equals(FRAME[name]), (back, FRAME[name])
    for given in (FRAME[[name]], FRAME[name].array, FRAME[name].to_numpy(), FRAME[name].tolist()):
        assert of(schema, {name: given}, N)[name].equals(FRAME[name])
    for row in (1, 10):
        back = of(schema, {name: FRAME[name][row]}, 3)[name]
        assert back.equals(FRAME[name].iloc[[row] * 3].reset_index(drop=True))


@pytest.mark.parametrize("none", [None, pd.NA, pd.NaT, float("nan"), np.nan, np.datetime64("NaT"), np.float32("nan")])
@pytest.mark.parametrize("name", ["bin", "month", "size", "sure"])
def test_whatever_stands_for_missing_leaves_a_condition_out(schema: TableSchema, name: str, none: Any) -> None:
    assert of(schema, {name: none}, 2)[name].isna().all()


def test_columns_and_numbers_of_other_libraries_are_taken(schema: TableSchema) -> None:
    sizes = [2, 5, 1]
    for given in (
        np.array(sizes, np.uint8),
        torch.tensor(sizes),
        torch.tensor(sizes, dtype=torch.bfloat16, requires_grad=True),
        pl.Series(sizes),
        pl.DataFrame({"a": sizes}),
        pa.array(sizes),
        pa.chunked_array([[2, 5], [1]]),
        pd.Index(sizes),
        pd.Series(sizes, dtype="Sparse[int]"),
        np.array([[2], [5], [1]]),
        iter(sizes),
    ):
        assert of(schema, {"size": given}, 3)["size"].tolist() == sizes
    for one in (np.int8(5), np.float64(5), np.array(5), torch.tensor(5.0), Decimal(5), "5"):
        assert of(schema, {"size": one}, 2)["size"].tolist() == [5, 5]
    day = datetime.datetime(2020, 5, 1)
    for moment in (np.datetime64("2020-05"), np.datetime64("2020-05-01", "D"), day, day.date(), pd.Timestamp(day)):
        assert of(schema, {"month": moment}, 1)["month"].tolist() == [pd.Period("2020-05", "M")]


def test_booleans_may_be_numbers_and_numbers_0_and_1_booleans(schema: TableSchema) -> None:
    for yes, no in ((1, 0), (True, False), (np.True_, np.False_), ("true", "FALSE"), ("1", "0"), (1.0, 0.0)):
        assert of(schema, {"sure": yes, "flag": yes}, 1)[["sure", "flag"]].to_numpy().tolist() == [[True, 1]]
        assert of(schema, {"sure": no, "flag": no}, 1)[["sure", "flag"]].to_numpy().tolist() == [[False, 0]]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"size": [1, 2]}, "condition 'size' has 2 values for 3 examples; give one, or 3"),
        ({"size": FRAME[["size", "sure"]]}, r"condition 'size' is a frame of 2 columns; give one, as frame\['size'\]"),
        ({"size": np.zeros((3, 2))}, r"condition 'size' has shape \(3, 2\); give one value, or one for each"),
        ({"size": 1j}, "condition 'size' holds values of type complex"),
        ({"sure": "perhaps"}, "column 'sure' has no category 'perhaps'"),
    ],
)
def test_what_is_no_condition_is_refused_in_one_line(schema: TableSchema, given: dict[str, Any], said: str) -> None:
    with pytest.raises(SfumatoError, match=said) as caught:
        schema.conditions(given, 3)
    assert "\n" not in str(caught.value)
