from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from sfumato import data
from sfumato.data import DataOptions
from sfumato.data.core.batching.streaming import Streamed
from sfumato.data.core.dataset import Dataset


def opened(path: Path, streaming: str, **more) -> Dataset:
    return data.open(path, options=DataOptions(streaming=streaming, **more))


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int32])
def test_a_streamed_table_holds_what_a_resident_one_holds(tmp_path: Path, dtype: type) -> None:
    path = tmp_path / "x.npy"
    raw = (np.random.default_rng(0).normal(3, 50, (3000, 4))).astype(dtype)
    np.save(path, raw)
    whole, stream = opened(path, "no"), opened(path, "yes")
    assert isinstance(stream.train, Streamed)
    assert stream.schema.to_dict() == whole.schema.to_dict()
    for one, other in zip(
        (whole.train, whole.valid, whole.test), (stream.train, stream.valid, stream.test), strict=True
    ):
        assert len(one) == len(other)
        assert torch.equal(one.take(slice(None)).x, other.take(slice(None)).x)


def test_missing_entries_are_masked_as_in_a_resident_table(tmp_path: Path) -> None:
    path = tmp_path / "x.npy"
    raw = np.random.default_rng(0).normal(size=(500, 4))
    raw[::9, 2] = np.nan
    np.save(path, raw)
    one, other = (opened(path, streaming).train.take(slice(None)) for streaming in ("no", "yes"))
    assert torch.equal(one.x, other.x)
    assert one.mask is not None
    assert other.mask is not None
    assert torch.equal(one.mask, other.mask)


def test_streamed_images_keep_bytes_and_validation_is_the_same_draw(tmp_path: Path) -> None:
    path = tmp_path / "x.npy"
    np.save(path, np.random.default_rng(0).integers(0, 256, (300, 5, 6, 3), dtype=np.uint8))
    stream = opened(path, "yes")
    assert next(stream.train.epoch(7, seed=0)).x.dtype == torch.uint8
    one, other = (opened(path, streaming, likelihood="bernoulli") for streaming in ("no", "yes"))
    assert torch.equal(one.valid.take(slice(None)).x, other.valid.take(slice(None)).x)
    first, second = (next(other.valid.epoch(9, seed=0)).x for _ in range(2))
    assert torch.equal(first, second)
    first, second = (next(other.train.epoch(9, seed=0)).x for _ in range(2))
    assert not torch.equal(first, second)
    assert first.unique().tolist() == [0, 1]


def test_a_block_shuffle_reaches_across_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sfumato.data.core.batching.streaming.BLOCK_BYTES", 8 * 100)
    path = tmp_path / "x.npy"
    np.save(path, np.arange(10_000.0)[:, None])
    train = opened(path, "yes").train
    batch = next(train.epoch(128, seed=0))
    spread = batch.x.std().item()
    assert spread > 0.5
    assert not torch.equal(next(train.epoch(128, seed=1)).x, batch.x)


def test_large_data_streams_by_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sfumato.data.core.batching.streaming.BUDGET", 1000)
    np.save(tmp_path / "small.npy", np.arange(240.0).reshape(60, 4))
    np.save(tmp_path / "large.npy", np.arange(280.0).reshape(70, 4))
    assert not isinstance(opened(tmp_path / "small.npy", "auto").train, Streamed)
    assert isinstance(opened(tmp_path / "large.npy", "auto").train, Streamed)
    assert not isinstance(opened(tmp_path / "large.npy", "no").train, Streamed)


def table(total: int = 3000) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "height": np.where(rng.random(total) < 0.05, np.nan, rng.normal(170, 10, total)),
            "age": rng.integers(18, 90, total),
            "sex": rng.choice(["f", "m"], total),
            "rare": np.where(np.arange(total) == 1234, "once", "often"),
        }
    )


@pytest.mark.parametrize("ending", [".csv", ".parquet", ".tsv.gz"])
def test_a_streamed_table_file_is_the_resident_one(
    tmp_path: Path, ending: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sfumato.data.tables.load.STREAMED_ROWS", 700)
    path = tmp_path / f"t{ending}"
    if ending == ".parquet":
        table().to_parquet(path)
    else:
        table().to_csv(path, index=False, sep="\t" if "tsv" in ending else ",")
    whole, stream = (opened(path, streaming, given=("sex",), seed=1) for streaming in ("no", "yes"))
    assert isinstance(stream.train, Streamed)
    assert stream.schema.to_dict() == whole.schema.to_dict()
    for one, other in ((whole.train, stream.train), (whole.valid, stream.valid), (whole.test, stream.test)):
        mine, same = one.take(slice(None)), other.take(slice(None))
        assert torch.equal(mine.x, same.x)
        assert mine.given is not None
        assert same.given is not None
        assert torch.equal(mine.given, same.given)
        assert mine.mask is not None
        assert same.mask is not None
        assert torch.equal(mine.mask, same.mask)
        assert one.labels is not None
        assert other.labels is not None
        assert (one.labels == other.labels).all()


def test_a_frame_in_memory_streams_too() -> None:
    whole, stream = (data.open(table(), options=DataOptions(streaming=how)) for how in ("no", "yes"))
    assert isinstance(stream.test, Streamed)
    assert torch.equal(whole.test.take(slice(None)).x, stream.test.take(slice(None)).x)


def test_a_table_larger_than_the_budget_streams_by_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sfumato.data.core.batching.streaming.BUDGET", 20_000)
    table().to_parquet(tmp_path / "large.parquet")
    table(300).to_parquet(tmp_path / "small.parquet")
    assert isinstance(opened(tmp_path / "large.parquet", "auto").train, Streamed)
    assert not isinstance(opened(tmp_path / "small.parquet", "auto").train, Streamed)
