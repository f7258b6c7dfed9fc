"""Models whose samples are known, as subjects of an evaluation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from sfumato import data
from sfumato.batch import Batch
from sfumato.data.core.dataset import Dataset
from sfumato.data.core.options import DataOptions
from sfumato.distributions import Normal
from sfumato.evaluation import EvaluationSettings, Subject
from sfumato.evaluation.samples.sample_sets import Drawn


class Source(nn.Module):
    """A "model" whose samples come from a function, and whose bound is a function of x."""

    def __init__(self, draw: Callable[[int, Tensor | None], Tensor], bound: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))
        self.drawn, self.bound = draw, bound

    code_size = 1
    noise_size = 1

    def encode(self, batch: Batch) -> Normal:
        return Normal(torch.zeros(len(batch), 1), torch.zeros(len(batch), 1))

    def decode(self, z: Tensor, given: Tensor | None = None) -> Normal:
        return Normal(z, torch.zeros_like(z))

    def sample(self, n: int, given: Tensor | None = None, *, temperature: float = 1.0, noise: bool = True) -> Tensor:
        return self.drawn(n, given)

    def reconstruct(self, batch: Batch, *, noise: bool = False) -> Tensor:
        return batch.x

    def log_weight(self, batch: Batch, k: int, noise: Tensor | None = None) -> Tensor:
        return self.bound(batch.x)[:, None].expand(-1, k)

    def log_weight_parts(self, batch: Batch, k: int, noise: Tensor | None = None) -> tuple[Tensor, Tensor]:
        weight = self.log_weight(batch, k)
        return weight, torch.zeros_like(weight)


def memory(dataset: Dataset) -> Callable[[int, Tensor | None], Tensor]:
    """Samples that are training examples, of the conditions asked for where there are any."""
    whole = dataset.train.take(slice(None))
    x = whole.x if whole.mask is None else whole.x.masked_fill(~whole.mask, 0.0)

    def draw(n: int, given: Tensor | None) -> Tensor:
        if given is None or whole.given is None:
            return x[torch.randint(len(x), (n,))]
        same = (given[:, None] == whole.given).all(2)
        return x[torch.multinomial(same.float(), 1)[:, 0]]

    return draw


@pytest.fixture
def drawn() -> Callable[..., Drawn]:
    """Examples and samples of a known source, side by side."""

    def make(
        source: Any,
        draw: Callable[[int, Tensor | None], Tensor] | None = None,
        bound: Callable[[Tensor], Tensor] | None = None,
        *,
        how: EvaluationSettings | None = None,
        **options: Any,
    ) -> Drawn:
        torch.manual_seed(0)
        dataset = source if isinstance(source, Dataset) else data.open(source, options=DataOptions(**options))
        model = Source(draw or memory(dataset), bound or (lambda x: torch.rand(len(x))))
        subject = Subject.of(model, dataset.schema, dataset, 0)  # type: ignore[arg-type]
        return Drawn.of(subject, how or EvaluationSettings())

    return make


@pytest.fixture
def people() -> Callable[[int, int], Any]:
    """A table whose columns hang together: (rows, seed) → frame."""
    import pandas as pd

    def make(rows: int, seed: int) -> pd.DataFrame:
        random = np.random.default_rng(seed)
        kind = random.integers(0, 3, rows)
        height = random.normal(size=rows) + 2.0 * kind
        return pd.DataFrame(
            {
                "kind": np.array(["a", "b", "c"])[kind],
                "height": height,
                "weight": 0.5 * height + random.normal(size=rows) * 0.3,
                "town": np.array(["x", "y"])[(random.random(rows) < 0.3).astype(int)],
            }
        )

    return make
