"""Poisson sampling: every row takes part in a step by itself, with the same probability."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from sfumato.batch import Batch
from sfumato.data.core.batching.batches import Batches, Pass
from sfumato.randomness.entropy import secret_uniform


class PoissonBatches(Batches):
    """Examples of which each is in a batch with probability size / N, independent of all others and of other batches.

    This is what the amplification by sampling of the accountant assumes (Abadi et al. 2016). A batch may be empty, and
    a pass is as many batches as one in order would have. Who takes part is drawn from the system's entropy and not
    from a seed, since it must not be known.

    Args:
        examples: the training split.
    """

    def __init__(self, examples: Batches) -> None:
        self._examples = examples
        self.labels = examples.labels

    def __len__(self) -> int:
        return len(self._examples)

    def take(self, index: Tensor | slice) -> Batch:
        return self._examples.take(index)

    def to(self, device: torch.device | str) -> PoissonBatches:
        return PoissonBatches(self._examples.to(device))

    @property
    def given(self) -> Tensor | None:
        return self._examples.given

    def one_pass(self, wanted: Pass) -> Iterator[Batch]:
        total = len(self)
        for _ in range(-(-total // wanted.size) - wanted.skip):
            chosen = secret_uniform(total) < wanted.size / total
            yield self._examples.take(torch.from_numpy(chosen.nonzero()[0]))
