"""The measures of codes at cases whose answers are known."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from torch import Tensor

import codes
from sfumato.batch import Batch
from sfumato.data.core.batching.batches import Resident


class Fixed:
    """Reconstructs every pixel with an error of 3 and gives every example the same list of codes."""

    quantizer = SimpleNamespace(size=4)

    def reconstruct(self, batch: Batch) -> Tensor:
        return batch.x.float() + 3.0

    def encode(self, batch: Batch) -> SimpleNamespace:
        return SimpleNamespace(point=lambda: torch.tensor([[0, 2, 2, 3]]).expand(len(batch), -1))


def test_nmse_is_the_squared_error_over_the_variance_of_all_pixels() -> None:
    x = torch.tensor([0, 100], dtype=torch.uint8).repeat(800).view(400, 1, 2, 2)
    assert codes.nmse(Fixed(), Resident(x)) == pytest.approx(9 / 2500, rel=1e-3)


def test_shares_count_every_place() -> None:
    found = codes.shares(Fixed(), Resident(torch.zeros(7, 1, 2, 2, dtype=torch.uint8)))
    assert found.tolist() == [0.25, 0.0, 0.5, 0.25]
