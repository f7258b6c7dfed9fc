"""Sequences: where they come from, what becomes of gaps, ends and times, and the way back."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch

from sfumato import data
from sfumato.data import DataOptions
from sfumato.data.registry import load_schema
from sfumato.data.sequences import sequence_io
from sfumato.data.sequences.schema import SequenceSchema
from sfumato.errors import SfumatoError

ASKED = DataOptions(sequences=True)


def waves(n: int = 20, t: int = 7, d: int = 2) -> np.ndarray:
    random = np.random.default_rng(0)
    return np.sin(np.arange(t)[:, None] + random.uniform(0, 6, (n, 1, d))) * 3 + 5


def test_arrays_are_images_or_rows_unless_they_are_said_to_be_sequences() -> None:
    x = waves()
    assert data.open(x, options=ASKED).schema.spec.shape == (7, 2)
    assert data.open(x[:, :, 0], options=ASKED).schema.spec.shape == (7, 1)
    assert data.open(x / 10).schema.kind == "image"
    assert data.open(x[:, :, 0]).schema.kind == "vector"


@pytest.mark.parametrize("suffix", [".npy", ".npz"])
def test_files_of_arrays_come_back_as_they_were(tmp_path: Path, suffix: str) -> None:
    x = waves()
    (np.save if suffix == ".npy" else np.savez)(tmp_path / f"x{suffix}", x)
    opened = data.open(tmp_path / f"x{suffix}", options=ASKED)
    back = opened.schema.decode(opened.schema.encode(opened.schema.read(tmp_path / f"x{suffix}")).x)
    np.testing.assert_allclose(back, x, atol=1e-5)
    flat = data.open(x[:, :, 0], options=ASKED).schema
    np.testing.assert_allclose(flat.decode(flat.encode(flat.read(x[:, :, 0])).x), x[:, :, 0], atol=1e-5)


def test_channels_are_standardised_on_the_training_part_alone() -> None:
    opened = data.open(waves(200), options=ASKED)
    x = opened.train.take(slice(None)).x
    torch.testing.assert_close(x.mean((0, 1)), torch.zeros(2), rtol=0, atol=1e-5)
    torch.testing.assert_close(x.flatten(0, 1).std(0, correction=0), torch.ones(2))
    assert (len(opened.train), len(opened.valid), len(opened.test)) == (160, 20, 20)


def test_gaps_are_masked_and_marked_as_missing_but_ends_are_not() -> None:
    x = waves()
    x[:, 5:] = np.nan
    assert not any(field.missing for field in data.open(x, options=ASKED).schema.spec.fields)
    x[:, 2, 1] = np.nan
    opened = data.open(x, options=ASKED)
    assert [field.missing for field in opened.schema.spec.fields] == [False, True]
    batch = opened.train.take(slice(0, 3))
    assert batch.mask is not None
    assert not batch.mask[:, 2, 1].any()
    assert not batch.mask[:, 5:].any()
    assert batch.mask[:, 2, 0].all()
    assert batch.x.isfinite().all()


TS = """# a comment
@problemName toy
@timeStamps false
@classLabel true up down
@data
1,2,3:4,?,6:up
3,2:6,5:down
"""


def test_a_file_of_the_archive_has_channels_gaps_and_labels(tmp_path: Path) -> None:
    path = tmp_path / "toy.ts"
    path.write_text(TS + "1,2,3:4,5,6:up\n" * 10)
    found = sequence_io.from_ts(path)
    assert found.x.shape == (12, 3, 2)
    np.testing.assert_array_equal(found.x[0, :, 1], [4, np.nan, 6])
    np.testing.assert_array_equal(found.x[1, :, 0], [3, 2, np.nan])
    opened = data.open(path)
    assert "up" in opened.schema.label_names
    assert opened.train.labels is not None
    assert opened.has_label


STAMPED = """@timeStamps true
@classLabel true up down
@data
(0,1),(2.5,2):(2.5,?),(4,6):up
(2024-01-01 00:00:10,3):(2024-01-01 00:00:00,5),(2024-01-01 00:00:10,7):down
"""


def test_a_file_with_time_stamps_has_the_steps_of_all_its_channels(tmp_path: Path) -> None:
    path = tmp_path / "toy.ts"
    path.write_text(STAMPED + "(0,1),(2,2),(3,1):(0,4):up\n" * 10)
    found = sequence_io.from_ts(path)
    assert found.time is not None
    np.testing.assert_array_equal(found.time[0], [0, 2.5, 4])
    np.testing.assert_array_equal(found.x[0], [[1, np.nan], [2, np.nan], [np.nan, 6]])
    np.testing.assert_array_equal(np.diff(found.time[1])[:1], [10])
    np.testing.assert_array_equal(found.x[1, :2], [[np.nan, 5], [3, 7]])
    assert np.isnan(found.time[1, 2])
    assert found.labels is not None
    assert found.labels[:2].tolist() == ["up", "down"]
    batch = data.open(path).train.take(slice(None))
    assert batch.time is not None
    assert (batch.time.diff(dim=1) > 0).all()


def test_a_step_may_be_an_image(tmp_path: Path) -> None:
    x = np.random.default_rng(0).integers(0, 256, (12, 5, 1, 4, 3)).astype(np.uint8)
    x[..., 0, 0, 0] = 7
    np.save(tmp_path / "x.npy", x)
    opened = data.open(tmp_path / "x.npy", options=ASKED)
    assert opened.schema.spec.shape == (5, 12)
    encoded = opened.schema.encode(opened.schema.read(tmp_path / "x.npy"))
    np.testing.assert_allclose(opened.schema.decode(encoded.x), x, atol=1e-4)
    assert opened.schema.decode(encoded.x[:, None, :2]).shape == (12, 1, 2, 1, 4, 3)
    # One scale for all pixels: a pixel that hardly changes is not made as loud as the others.
    assert encoded.x[:, :, 0].std() < 1e-5
    assert encoded.x.std().item() == pytest.approx(1, abs=0.1)
    assert [row["kind"] for row in opened.schema.describe()] == ["sequence of 5 images 1×4×3"]
    again = load_schema(json.loads(json.dumps(opened.schema.to_dict())))
    np.testing.assert_array_equal(again.decode(encoded.x), opened.schema.decode(encoded.x))
    with pytest.raises(SfumatoError, match="trained on images"):
        opened.schema.read(x.reshape(12, 5, 12))
    grey = data.open(x[:, :, 0], options=ASKED).schema
    assert grey.decode(encoded.x).shape == (12, 5, 4, 3)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("@data\n1,x\n", "line 2"),
        ("@timeStamps true\n@data\n(0,1),2\n", "line 3"),
        ("@timeStamps true\n@data\n(soon,1)\n", "line 3"),
        ("@data\n", "holds no sequence"),
        ("@data\n1,2:3,4\n1,2\n", "line 3 has 1 channels"),
    ],
)
def test_a_damaged_file_of_the_archive_is_named_with_its_line(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "bad.ts"
    path.write_text(text)
    with pytest.raises(SfumatoError, match=said) as error:
        data.open(path)
    assert str(path) in str(error.value)


def long(n: int = 12) -> pd.DataFrame:
    rows = [(f"s{i}", 10 + 2.0 * t + (t > 2), i + t, "ab"[i % 2]) for i in range(n) for t in range(3 + i % 3)]
    return pd.DataFrame(rows, columns=["who", "when", "value", "group"])


def test_a_long_table_gives_each_sequence_its_own_times_in_typical_steps(tmp_path: Path) -> None:
    frame = long().sample(frac=1, random_state=0)
    frame.to_csv(tmp_path / "long.csv", index=False)
    options = DataOptions(id="who", time="when", label="group", split=(1.0, 0.0, 0.0))
    opened = data.open(str(tmp_path / "long.csv"), options=options)
    assert isinstance(opened.schema, SequenceSchema)
    assert opened.schema.unit == 2.0
    assert opened.schema.spec.shape == (5, 1)
    assert opened.schema.label_names == ("a", "b")
    batch = opened.train.take(slice(None))
    assert batch.mask is not None
    assert batch.time is not None
    lengths = batch.mask[:, :, 0].sum(1)
    assert sorted(lengths.tolist()) == [3] * 4 + [4] * 4 + [5] * 4
    full = batch.time[lengths == 5]
    torch.testing.assert_close(full, torch.tensor([0.0, 1, 2, 3.5, 4.5]).expand(4, -1))
    assert (batch.time.diff(dim=1) > 0).all()


def test_a_table_of_dates_counts_seconds() -> None:
    frame = long()
    frame["when"] = pd.Timestamp("2024-01-01") + pd.to_timedelta(frame["when"], unit="h")
    found = sequence_io.load(frame, id="who", time="when", label="group")
    assert found.time is not None
    np.testing.assert_allclose(np.diff(found.time[2]), [7200, 7200, 3 * 3600, 7200])


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (DataOptions(time="when"), "which column identifies the series"),
        (DataOptions(id="whom", time="when"), "did you mean who"),
        (DataOptions(id="who", time="when"), r"'group' holds .*; leave it out \(--drop group\)"),
        (DataOptions(id="who", time="group", drop=("when",)), "'group' holds"),
    ],
)
def test_a_table_that_cannot_be_sequences_says_what_to_do(options: DataOptions, said: str) -> None:
    with pytest.raises(SfumatoError, match=said):
        data.open(long(), options=options)


def test_two_rows_of_one_time_are_refused() -> None:
    frame = long()
    frame.loc[1, "when"] = frame.loc[0, "when"]
    with pytest.raises(SfumatoError, match="s0 has two rows of the same when"):
        sequence_io.load(frame, id="who", time="when", label="group")


def test_other_channels_and_longer_sequences_are_refused_shorter_ones_are_not() -> None:
    learned = data.open(waves(), options=ASKED).schema
    assert learned.encode(learned.read(waves(3, 4))).x.shape == (3, 4, 2)
    with pytest.raises(SfumatoError, match="at most 7"):
        learned.read(waves(3, 9))
    with pytest.raises(SfumatoError, match="trained on x1, x2"):
        learned.read(waves(3, 7, 3))


def test_a_schema_comes_back_from_json() -> None:
    opened = data.open(long(), options=DataOptions(id="who", time="when", label="group")).schema
    again = load_schema(json.loads(json.dumps(opened.to_dict())))
    assert again.to_dict() == opened.to_dict()
    torch.testing.assert_close(again.encode(again.read(long())).x, opened.encode(opened.read(long())).x, equal_nan=True)


def test_sequences_are_written_as_a_long_table_without_what_is_missing(tmp_path: Path) -> None:
    learned = data.open(waves(), options=ASKED).schema
    x = waves(2, 3)
    x[1, 2] = np.nan
    learned.write(x, tmp_path / "out.csv")
    frame = pd.read_csv(tmp_path / "out.csv")
    assert list(frame.columns) == ["id", "step", "x1", "x2"]
    assert frame[["id", "step"]].to_numpy().tolist() == [[0, 0], [0, 1], [0, 2], [1, 0], [1, 1]]
    np.testing.assert_allclose(frame[["x1", "x2"]].to_numpy(), x.reshape(6, 2)[:5])


@pytest.mark.parametrize("kind", ["number", "date", "none"])
def test_what_is_made_of_a_long_table_has_its_columns_ids_times_and_lengths(tmp_path: Path, kind: str) -> None:
    frame = long()
    if kind == "date":
        frame["when"] = pd.Timestamp("2024-01-01") + pd.to_timedelta(frame["when"], unit="h")
    frame.loc[frame["who"] == "s1", "value"] = np.nan
    time, drop = ("when", ()) if kind != "none" else (None, ("when",))
    learned = data.open(frame, options=DataOptions(id="who", time=time, label="group", drop=drop)).schema
    # Neither the label nor what was dropped is there any more, and a category stands in no row.
    source = frame.drop(columns=["group", *drop]).iloc[3:]
    source["who"] = source["who"].astype(pd.CategoricalDtype(frame["who"].unique()[::-1]))
    raw = learned.read(source.sample(frac=1, random_state=0) if time else source)
    made = learned.decode_beside(torch.zeros(len(raw), 5, 1), None, raw, raw)
    lengths = source.groupby("who", observed=True, sort=False)["value"].size()
    wanted = [lengths[one] for one in learned.named(raw, source)["who"]]
    assert (~np.isnan(made[:, :, 0])).sum(1).tolist() == wanted
    learned.write_beside(made, tmp_path / "out.parquet", raw, source)
    back = pd.read_parquet(tmp_path / "out.parquet")
    columns = ["who", *([time] if time else []), "value"]
    assert list(back.columns) == columns
    names = columns[:-1]
    expected = source.astype({"who": str})[names].sort_values(names).reset_index(drop=True)
    pd.testing.assert_frame_equal(back[names].sort_values(names).reset_index(drop=True), expected, check_dtype=False)


@pytest.mark.parametrize("ending", [".csv", ".parquet"])
def test_new_sequences_are_written_so_that_they_are_read_again(tmp_path: Path, ending: str) -> None:
    learned = data.open(long(), options=DataOptions(id="who", time="when", label="group")).schema
    new = np.random.default_rng(0).normal(size=(3, 5, 1))
    learned.write(new, tmp_path / f"new{ending}")
    again = learned.read(str(tmp_path / f"new{ending}"))
    np.testing.assert_allclose(again.x, new)
    assert again.time is not None
    assert again.time[0].tolist() == [10, 12, 14, 16, 18], "from the median start on, in steps of the median"
    assert learned.named(again, "") == {"who": [0, 1, 2]}
    plain = data.open(waves(), options=ASKED).schema
    plain.write(waves(2), tmp_path / f"plain{ending}")
    np.testing.assert_allclose(plain.read(str(tmp_path / f"plain{ending}")).x, waves(2))
    with pytest.raises(SfumatoError, match=r"'id' is missing; this model takes .+ of id, step, x1, x2"):
        plain.read(str(tmp_path / f"new{ending}"))


def test_log_volume_is_that_of_the_observed_entries() -> None:
    learned = data.open(waves(), options=ASKED).schema
    assert isinstance(learned, SequenceSchema)
    x = torch.zeros(1, 7, 2)
    x[0, 3:, 1] = torch.nan
    expected = 7 * np.log(learned.scale[0]) + 3 * np.log(learned.scale[1])
    torch.testing.assert_close(learned.log_jacobian(x), torch.tensor([expected], dtype=torch.float32))


def test_the_ring_moves_one_place_a_step_in_the_direction_of_its_label() -> None:
    opened = data.open("ring", options=DataOptions(rows=200))
    x = opened.schema.decode(opened.train.take(slice(None)).x)
    assert x.shape == (160, 20, 16)
    moves = np.diff(x.argmax(2), axis=1) % 16
    assert opened.train.labels is not None
    expected = np.where(opened.train.labels == opened.schema.label_names.index("forth"), 1, 15)
    np.testing.assert_array_equal(moves, np.tile(expected[:, None], (1, 19)))


@pytest.mark.parametrize("spelling", ["%d/%m/%Y %H:%M", "%Y-%m-%dT%H:%M:%S", "%d.%m.%Y %H:%M"])
def test_times_that_are_text_are_read_as_tables_read_them(tmp_path: Path, spelling: str) -> None:
    dates = pd.date_range("2024-03-31 10:00", periods=8, freq="h")
    frame = pd.DataFrame({"sid": [0] * 4 + [1] * 4, "t": dates.strftime(spelling), "v": range(8)})
    frame.to_csv(tmp_path / "a.csv", index=False)
    found = sequence_io.load(tmp_path / "a.csv", id="sid", time="t", label=None, channels=("v",))
    assert found.dates == "timestamp[s]"
    np.testing.assert_array_equal(np.diff(found.time), np.full((2, 3), 3600.0))
    assert found.keys.times.to_pylist() == frame["t"].tolist()


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"t": ["day 1", "day 2"]}, "column 't' holds text, as 'day 1'.*write its times as 2024-05-31 18:30:00"),
        ({"t": [1, 2], "w": pd.date_range("2024", periods=2)}, r"'w' holds dates.*--time w\), or leave .*--drop w"),
        ({"t": [1, 2], "future": [1, 2]}, r"'future' has the name of one that forecast adds; rename it"),
    ],
)
def test_columns_that_are_no_times_and_no_channels_are_refused_with_the_cure(columns: dict, said: str) -> None:
    frame = pd.DataFrame({"sid": [0, 0], "v": [1.0, 2.0]} | columns)
    with pytest.raises(SfumatoError, match=said):
        sequence_io.load(frame, id="sid", time="t", label=None)


@pytest.mark.parametrize("stamped", [False, True])
def test_the_target_of_a_regression_is_a_label_and_no_channel(tmp_path: Path, stamped: bool) -> None:
    steps = [f"(2021-04-01 0{hour}:30:00,{hour})" if stamped else str(hour) for hour in range(5)]
    rows = "\n".join(f"{','.join(steps)}:{','.join(steps)}:{target}" for target in ("1.5", "?", "-2"))
    head = f"@problemName t\n@timestamps {str(stamped).lower()}\n@TargetLabel true\n@data\n"
    (tmp_path / "a.ts").write_text(head + rows)
    found = sequence_io.load(tmp_path / "a.ts", id=None, time=None, label=None)
    assert found.x.shape == (3, 5, 2)
    np.testing.assert_array_equal(found.labels, [1.5, np.nan, -2])
    (tmp_path / "b.ts").write_text(head + rows.replace("1.5", "high"))
    with pytest.raises(SfumatoError, match="line 5 holds something else than numbers"):
        sequence_io.load(tmp_path / "b.ts", id=None, time=None, label=None)


def test_times_that_occur_twice_are_those_of_several_series() -> None:
    long = np.sin(np.arange(700) / 5)
    twice = pa.table({"when": np.arange(700) % 350, "a": long, "who": np.arange(700) // 350})
    with pytest.raises(SfumatoError, match=r"which column identifies the series \(--id who"):
        data.open(twice, options=DataOptions(time="when"))
    assert len(sequence_io.load(long, id=None, time=None, label=None)) == 1


@pytest.mark.parametrize(
    ("spell", "kind"),
    [
        (lambda day: f"1/{day}/2024", "timestamp[s]"),
        (lambda day: f"{day} Jan 2024", "timestamp[s]"),
        (lambda day: 20240100 + day, "timestamp[s]"),
        (lambda day: f"{day % 24}:30", "time32[s]"),
    ],
)
def test_times_of_a_long_table_may_be_spelt_as_those_of_a_table(spell, kind: str) -> None:
    days = [*range(1, 23)] * 4
    table = pd.DataFrame({"id": np.repeat(range(4), 22), "when": [spell(day) for day in days], "x": np.arange(88.0)})
    found = sequence_io.load(table, id="id", time="when", label=None)
    assert found.dates == kind
    assert np.diff(found.time[0]).min() == np.diff(found.time[0]).max() == (86_400 if kind[4] == "s" else 3600)
