from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from sfumato import data
from sfumato.data.core.options import DataOptions
from sfumato.data.sequences.grid import Grid
from sfumato.data.sequences.long_series import found_seasons
from sfumato.data.sequences.schema import SequenceSchema
from sfumato.errors import SfumatoError

T = np.arange(1200)
LOAD = 50 + 0.05 * T + 8 * np.sin(2 * np.pi * T / 24) + 4 * np.cos(2 * np.pi * T / 168)
HOURS = pd.date_range("2026-01-01", periods=len(T), freq="h")


def opened(frame: object, **options: object) -> tuple[data.Dataset, SequenceSchema]:
    dataset = data.open(frame, options=DataOptions(sequences=True, **options))  # type: ignore[arg-type]
    assert isinstance(dataset.schema, SequenceSchema)
    return dataset, dataset.schema


@pytest.mark.parametrize("freq", ["h", "15min", "D", "MS", "ME", "QS", "YS", "YE"])
def test_the_times_of_a_grid_are_those_of_pandas(freq: str) -> None:
    times = pd.date_range("2019-11-30 00:00", periods=60, freq=freq)
    seconds = times.to_numpy().astype("datetime64[s]").astype(float)
    grid = Grid.learn(seconds[:40], "timestamp[s]")
    np.testing.assert_array_equal(grid.places(seconds), np.arange(60))
    np.testing.assert_array_equal(grid.times(np.arange(60)), seconds)


def test_uneven_times_are_refused_and_jitter_is_not() -> None:
    random = np.random.default_rng(0)
    times = 3600.0 * np.arange(500) + random.uniform(-200, 200, 500)
    np.testing.assert_array_equal(Grid.learn(times, "timestamp[s]").places(times), np.arange(500))
    with pytest.raises(SfumatoError, match="X: the times of a long series must be evenly spaced"):
        Grid.learn(np.cumsum(random.exponential(3600, 500)), "timestamp[s]")
    with pytest.raises(SfumatoError, match="nearly all gaps"):
        Grid.learn(np.array([0.0, 1.0, 2.0, 3.0, 5000.0]))


def test_a_season_within_another_is_found_too() -> None:
    noise = np.random.default_rng(1).normal(0, 2, (len(T), 1))
    assert found_seasons(LOAD[:, None] + noise) == (24, 168)
    assert found_seasons(noise) == ()


def test_windows_are_cut_by_the_season_and_split_by_time() -> None:
    dataset, schema = opened(pd.DataFrame({"time": HOURS, "load": LOAD}))
    windows = schema.windows
    assert windows is not None
    assert (windows.context, windows.horizon, windows.lead, windows.seasons) == (48, 24, 24, (24, 168))
    assert schema.spec.shape == (72, 1)
    assert "season of 24 and 168 steps. In each window 48 steps are seen" in dataset.notes[0]
    ends = [part.take(slice(None)).time[:, -1].numpy() for part in (dataset.train, dataset.valid, dataset.test)]
    assert ends[0].max() == 959
    assert ends[1].min() == 960 + 23
    assert ends[2].min() == 1080 + 23
    assert ends[2].max() == 1199


def test_the_level_before_a_window_is_taken_out_and_put_back() -> None:
    dataset, schema = opened(pa.table({"load": LOAD}), window=30, horizon=12)
    batch = dataset.train.take(slice(0, 1))
    start = int(batch.time[0, 0])
    level = LOAD[start - 24 : start].mean()
    np.testing.assert_allclose(batch.x[0, :, 0], (LOAD[start : start + 42] - level) / schema.scale[0], rtol=1e-4)
    raw = schema.read(pa.table({"load": LOAD}))
    back = schema.decode_beside(schema.encode(raw).x, None, raw, None)
    np.testing.assert_allclose(back, raw.x, rtol=1e-5)
    latest = schema.latest(pa.table({"load": LOAD}))
    assert latest.place == [1170]
    assert latest.level == pytest.approx(LOAD[1146:1170].mean())


def test_gaps_are_masked_and_rows_that_are_not_there_are_gaps(tmp_path: Path) -> None:
    frame = pd.DataFrame({"time": HOURS, "load": LOAD})
    frame.loc[100:110, "load"] = np.nan
    frame = frame.drop(index=range(300, 306)).sample(frac=1, random_state=0)
    frame.to_csv(tmp_path / "load.csv", index=False)
    dataset, schema = opened(tmp_path / "load.csv")
    assert "17 of them with gaps" in dataset.notes[0]
    batch = dataset.train.take(slice(None))
    gap = set(range(100, 111)) | set(range(300, 306))
    missing = ~batch.mask[..., 0].numpy()
    assert set(batch.time.numpy()[missing].astype(int)) == gap
    raw = schema.read(tmp_path / "load.csv")
    schema.write_beside(raw.x, tmp_path / "back.csv", raw, str(tmp_path / "load.csv"))
    back = pd.read_csv(tmp_path / "back.csv", parse_dates=["time"])
    assert (back["time"].to_numpy() == HOURS.to_numpy()).all()
    assert set(np.flatnonzero(back["load"].isna())) == gap


@pytest.mark.parametrize("index", [HOURS, HOURS.to_period(), HOURS.rename("hour")])
def test_an_index_of_dates_is_the_column_of_times(index: pd.Index) -> None:
    _, schema = opened(pd.Series(LOAD, index=index, name="load"))
    assert schema.columns["time"] == (index.name or "time")
    assert schema.names == ("load",)
    after = schema.after(schema.latest(pd.DataFrame({"load": LOAD}, index=index)), schema.horizon(1))
    assert next(iter(after.values())).to_pylist() == [HOURS[-1] + pd.Timedelta(hours=1)]


def test_several_long_series_keep_their_names() -> None:
    shop = np.repeat(["a", "b"], len(T))
    frame = pd.DataFrame({"shop": shop, "time": np.tile(HOURS, 2), "load": np.concatenate([LOAD, 2 * LOAD])})
    _, schema = opened(frame, id="shop", time="time", horizon=24)
    latest = schema.latest(frame)
    assert schema.series_names(latest, frame) == {"shop": ["a", "b"]}
    np.testing.assert_allclose(latest.x[:, -1, 0], [LOAD[-1], 2 * LOAD[-1]])
    after = schema.after(latest, schema.horizon("2h"))["time"]
    assert after.to_pylist() == [HOURS[-1] + pd.Timedelta(hours=h) for h in (1, 2, 1, 2)]


@pytest.mark.parametrize(
    ("frame", "options", "message"),
    [
        (pd.DataFrame({"time": HOURS[:40], "load": LOAD[:40]}), {"horizon": 24}, "is too short to see 10 steps and"),
        (pd.DataFrame({"time": HOURS, "load": "high"}), {}, "column 'load' holds"),
        (LOAD, {"window": 0}, "window=0 is too small"),
        (np.stack([LOAD, LOAD], 1), {"window": 9}, r"passed as X\[None\]"),
    ],
)
def test_what_cannot_be_cut_says_why(frame: object, options: dict[str, int], message: str) -> None:
    with pytest.raises(SfumatoError, match=message):
        opened(frame, **options)


def test_horizons_are_steps_or_lengths_of_time() -> None:
    _, schema = opened(pd.DataFrame({"time": HOURS, "load": LOAD}))
    assert len(schema.horizon(None)) == len(schema.horizon("1d")) == len(schema.horizon("24")) == 24
    for wrong in ("0", "-1", "1.5", "90m", "soon"):
        with pytest.raises(SfumatoError, match=f"horizon is {wrong}: give a whole number of steps above 0, or a len"):
            schema.horizon(wrong)
