from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from sfumato.data.core.batching.batches import Batches, Resident
from sfumato.data.core.batching.encoded import Encoded
from sfumato.data.core.batching.streaming import Streamed
from sfumato.data.core.batching.transforms import Binarised, binarised_once


def numbers(total: int = 103) -> torch.Tensor:
    return torch.arange(total, dtype=torch.float32)[:, None].repeat(1, 2)


def streamed(total: int = 103, block: int = 4) -> Streamed:
    raw = np.arange(total * 2, dtype=np.float64)[:, None].repeat(2, 1)
    part = (np.arange(total * 2) % 2).astype(np.int8)
    return Streamed(raw, part, 0, lambda x, rows: Encoded(torch.from_numpy(x / 2).float()), block=block)


BOTH = pytest.mark.parametrize("make", [lambda: Resident(numbers()), streamed], ids=["resident", "streamed"])


@BOTH
def test_a_pass_visits_every_example_once(make) -> None:
    batches: Batches = make()
    seen = torch.cat([batch.x[:, 0] for batch in batches.epoch(10, seed=5)])
    assert seen.tolist() != list(range(103))
    assert sorted(seen.tolist()) == list(range(103))
    assert torch.cat([batch.x[:, 0] for batch in batches.epoch(10)]).tolist() == list(range(103))


def test_a_pass_may_lean_on_some_examples_and_is_as_long_as_before() -> None:
    batches = Resident(numbers(5), torch.arange(5.0)[:, None] * 10).with_resampling(
        torch.tensor([0, 1, 2, 3, 4, 4, 4, 4])
    )
    assert len(batches) == 5
    assert torch.cat([batch.x[:, 0] for batch in batches.epoch(3)]).tolist() == [0, 1, 2, 3, 4]
    found = torch.zeros(5)
    for seed in range(200):
        drawn = list(batches.to("cpu").epoch(3, seed=seed))
        seen = torch.cat([batch.x[:, 0] for batch in drawn]).long()
        assert len(seen) == 5
        assert (
            torch.cat([batch.given[:, 0] for batch in drawn if batch.given is not None]).tolist()
            == (10 * seen).tolist()
        )
        found += seen.bincount(minlength=5)
    np.testing.assert_allclose(found / found.sum(), [1 / 8, 1 / 8, 1 / 8, 1 / 8, 1 / 2], atol=0.03)


@BOTH
def test_the_order_is_a_function_of_the_seed_alone(make) -> None:
    def order(seed: int) -> list[float]:
        return torch.cat([batch.x[:, 0] for batch in make().epoch(10, seed=seed)]).tolist()

    torch.manual_seed(0)
    first = order(1)
    torch.manual_seed(9)
    assert order(1) == first
    assert order(2) != first


@BOTH
@pytest.mark.parametrize("seed", [None, 4])
@pytest.mark.parametrize("skip", [0, 1, 7, 10, 11, 20])
def test_skipping_resumes_inside_a_pass(make, seed: int | None, skip: int) -> None:
    whole = [batch.x for batch in make().epoch(10, seed=seed)]
    rest = [batch.x for batch in make().epoch(10, seed=seed, skip=skip)]
    assert len(rest) == len(whole[skip:])
    assert all(torch.equal(one, other) for one, other in zip(rest, whole[skip:], strict=True))


@BOTH
def test_a_short_last_batch_can_be_dropped(make) -> None:
    assert [len(batch) for batch in make().epoch(50, seed=1)] == [50, 50, 3]
    assert [len(batch) for batch in make().epoch(50, seed=1, drop_last=True)] == [50, 50]


@BOTH
@pytest.mark.parametrize("world", [2, 3])
def test_the_ranks_batches_joined_are_the_single_process_batch(make, world: int) -> None:
    single = [batch.x for batch in make().epoch(10, seed=3)]
    ranks = [[batch.x for batch in make().epoch(10, seed=3, rank=rank, world=world)] for rank in range(world)]
    for whole, *parts in zip(single, *ranks, strict=True):
        assert [len(part) for part in parts] == [len(one) for one in torch.tensor_split(whole, world)]
        assert torch.equal(torch.cat(parts), whole)


@BOTH
def test_rows_are_taken_by_index_and_by_slice(make) -> None:
    index = torch.tensor([102, 0, 51, 51])
    assert make().take(index).x[:, 0].tolist() == [102, 0, 51, 51]
    assert make().take(slice(5, 9)).x[:, 0].tolist() == [5, 6, 7, 8]
    assert make().take(slice(0, 0)).x.shape == (0, 2)


def test_missing_entries_are_zero_and_masked() -> None:
    x = torch.tensor([[1.0, math.nan], [3.0, 4.0]])
    batch = Resident(x).take(slice(None))
    assert batch.x.tolist() == [[1, 0], [3, 4]]
    assert batch.mask is not None
    assert batch.mask.tolist() == [[True, False], [True, True]]
    assert Resident(x[1:]).take(slice(None)).mask is None


def test_streamed_windows_with_and_without_missing_entries_join() -> None:
    raw = np.ones((100, 1))
    raw[90] = np.nan
    batches = Streamed(raw, np.zeros(100, np.int8), 0, lambda x, rows: Encoded(torch.from_numpy(x).float()), block=2)
    masks = [batch.mask for batch in batches.epoch(64)]
    assert sum(int((~mask).sum()) for mask in masks if mask is not None) == 1


def test_streamed_labels_and_conditions_follow_their_rows() -> None:
    raw, labels = np.arange(40.0)[:, None], np.arange(40) % 7
    part = (np.arange(40) % 4 == 0).astype(np.int8)

    def encode(x: np.ndarray, rows: np.ndarray) -> Encoded:
        return Encoded(torch.from_numpy(x).float(), torch.from_numpy(labels[rows])[:, None].float())

    batches = Streamed(raw, part, 1, encode, labels=labels, block=3)
    assert batches.labels is not None
    assert batches.labels.tolist() == [number % 7 for number in range(0, 40, 4)]
    for batch in batches.epoch(4, seed=0):
        assert batch.given is not None
        assert torch.equal(batch.given, batch.x % 7)


def test_a_stream_that_is_left_early_stops_its_thread() -> None:
    import threading

    before = threading.active_count()
    passing = streamed().epoch(2, seed=0)
    next(passing)
    passing.close()
    assert threading.active_count() == before


def test_training_images_are_binarised_afresh_and_agree_between_ranks() -> None:
    levels = torch.full((4000, 1, 2, 2), 64, dtype=torch.uint8)
    levels[:, :, 0, 0], levels[:, :, 1, 1] = 0, 255
    batches = Resident(levels, transform=Binarised(256))
    torch.manual_seed(0)
    first = next(batches.epoch(4000, seed=1)).x
    second = next(batches.epoch(4000, seed=1)).x
    assert not torch.equal(first, second)
    assert set(first.unique().tolist()) == {0.0, 1.0}
    assert first[:, 0, 0, 0].sum() == 0
    assert first[:, 0, 1, 1].sum() == 4000
    assert first[:, 0, 0, 1].mean().item() == pytest.approx(64 / 255, abs=0.03)
    parts = []
    for rank in range(2):
        torch.manual_seed(0)
        parts.append(next(batches.epoch(4000, seed=1, rank=rank, world=2)).x)
    assert torch.equal(torch.cat(parts), first)


def test_the_fixed_draw_belongs_to_the_image_and_not_to_its_place() -> None:
    levels = torch.randint(0, 256, (2000, 1, 4, 4), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
    drawn = binarised_once(levels, 256)
    assert torch.equal(binarised_once(levels.flip(0), 256).flip(0), drawn)
    assert torch.equal(Resident(levels, transform=Binarised(256)).take(slice(3, 5)).x, drawn[3:5])
    # The draw has the right probability at every level: E[x | level] = level / 255.
    for low in range(0, 256, 64):
        some = levels.long() // 64 == low // 64
        assert drawn[some].mean().item() == pytest.approx((low + 31.5) / 255, abs=0.02)
    place = (drawn - levels / 255).mean(0)
    assert place.abs().max().item() < 0.05


def test_to_a_device_keeps_everything() -> None:
    labels = np.zeros(103, np.int64)
    moved = Resident(numbers(), numbers()[:, :1], labels).to("cpu")
    assert moved.labels is labels
    assert moved.take(slice(1)).given is not None
    assert len(streamed().to("cpu")) == 103
