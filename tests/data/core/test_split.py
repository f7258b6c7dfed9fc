from __future__ import annotations

import numpy as np
import pytest

from sfumato.data.core.split import split
from sfumato.errors import SfumatoError

SHARES = (0.8, 0.1, 0.1)


@pytest.mark.parametrize("total", [2, 3, 4, 7, 10, 99, 1000])
@pytest.mark.parametrize("labelled", [False, True])
def test_parts_partition_the_rows(total: int, labelled: bool) -> None:
    labels = np.arange(total) % 3 if labelled else None
    parts = split(total, SHARES, labels=labels, seed=3)
    assert sorted(np.concatenate(parts).tolist()) == list(range(total))
    assert len(parts[0]) >= 2
    assert all(len(part) >= 1 for part in parts) or total < 4


@pytest.mark.parametrize("total", [0, 1])
def test_fewer_than_two_rows_are_refused(total: int) -> None:
    with pytest.raises(SfumatoError, match="at least 2"):
        split(total, SHARES)


def test_each_part_holds_each_label_in_proportion() -> None:
    rng = np.random.default_rng(0)
    labels = rng.choice(4, 2000, p=[0.5, 0.3, 0.19, 0.01])
    parts = split(2000, SHARES, labels=labels, seed=1)
    for label in range(4):
        counts = [int((labels[part] == label).sum()) for part in parts]
        for share, count in zip(SHARES, counts, strict=True):
            assert abs(count - share * sum(counts)) <= 2


def test_balanced_labels_in_turn_are_not_aliased() -> None:
    labels = np.arange(1000) % 10
    _, valid, test = split(1000, SHARES, labels=labels)
    assert np.bincount(labels[valid], minlength=10).tolist() == [10] * 10
    assert np.bincount(labels[test], minlength=10).tolist() == [10] * 10


def test_the_seed_decides() -> None:
    first, again, other = (split(100, SHARES, seed=seed)[2].tolist() for seed in (0, 0, 1))
    assert first == again
    assert first != other


def test_a_share_of_zero_is_left_empty() -> None:
    parts = split(50, (0.9, 0.1, 0.0))
    assert [len(part) for part in parts] == [45, 5, 0]
