"""Examples in batches: whole tensors on the device, where a batch is an index."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from sfumato.batch import Batch
from sfumato.data.core.batching.transforms import RandomTransform


class Pass(NamedTuple):
    """One pass over the examples; the fields are the arguments of `Batches.epoch`."""

    size: int
    seed: int | None
    skip: int
    drop_last: bool
    rank: int
    world: int

    def own_rows(self, joint: int) -> slice:
        """The rows of a joint batch that belong to this process."""
        return share(joint, self.rank, self.world)


class Batches(ABC):
    """The examples of one part (training, validation or test), in the units of the schema's spec.

    Attributes:
        labels: int64 index into `schema.label_names` for each example, −1 where unknown; None without labels.
    """

    labels: np.ndarray | None

    @abstractmethod
    def __len__(self) -> int:
        """Number of examples."""

    @abstractmethod
    def take(self, index: Tensor | slice) -> Batch:
        """The examples at `index`, always the same for the same index, also when training binarises afresh."""

    def epoch(
        self,
        size: int,
        *,
        seed: int | None = None,
        skip: int = 0,
        drop_last: bool = False,
        rank: int = 0,
        world: int = 1,
    ) -> Iterator[Batch]:
        """One pass over the examples in joint batches of `size`.

        Args:
            size: examples in a joint batch; the last one may be shorter.
            seed: the order is a function of it alone; None keeps the order of the source.
            skip: joint batches passed over without reading them, to resume inside a pass.
            drop_last: leave out a last batch that is shorter than `size`.
            rank: which of `world` processes this is. Each gets its contiguous rows of every joint batch (sizes
                as `torch.tensor_split`; a short last batch can leave a process none), so that the processes'
                batches joined in order are the single process's batch.
            world: number of processes.
        """
        return self.one_pass(Pass(size, seed, skip, drop_last, rank, world))

    @abstractmethod
    def one_pass(self, wanted: Pass) -> Iterator[Batch]:
        """What `epoch` gives."""

    @property
    def given(self) -> Tensor | None:
        """Conditions of all examples, (N, G); None without, or where they are not held in memory."""
        return None

    def with_resampling(self, rows: Tensor) -> Batches:
        """The same examples, of which a shuffled pass draws from `rows`, where some stand more than once.

        A pass stays as long as it was. Only where examples are held in memory.
        """
        raise NotImplementedError

    @abstractmethod
    def to(self, device: torch.device | str) -> Batches:
        """The same examples, with batches on `device`."""


def share(size: int, rank: int, world: int) -> slice:
    """The contiguous rows of `size` that fall to `rank`, as `torch.tensor_split` cuts them.

    >>> [share(7, rank, 3) for rank in range(3)]
    [slice(0, 3, None), slice(3, 5, None), slice(5, 7, None)]
    """
    each, over = divmod(size, world)
    start = rank * each + min(rank, over)
    return slice(start, start + each + (rank < over))


class Resident(Batches):
    """Examples held whole on one device; a batch is one index of each tensor.

    Args:
        x: (N, *shape), NaN where missing; integer images stay as they are.
        given: (N, G) conditions or None.
        labels: (N,) int64 or None.
        time: (N, T) times of the steps of sequences, or None.
        transform: what is done to x at each pass with a seed, drawn afresh; without a seed the draw is a fixed one.
    """

    def __init__(
        self,
        x: Tensor,
        given: Tensor | None = None,
        labels: np.ndarray | None = None,
        *,
        time: Tensor | None = None,
        transform: RandomTransform | None = None,
    ) -> None:
        missing = torch.isnan(x) if x.is_floating_point() else None
        self._mask = ~missing if missing is not None and bool(missing.any()) else None
        self._x = x if self._mask is None else x.nan_to_num(0.0)
        self._given = given
        self._time = time
        self._transform = transform
        self._rows_drawn: Tensor | None = None
        self.labels = labels

    def __len__(self) -> int:
        return self._x.shape[0]

    @property
    def given(self) -> Tensor | None:
        return self._given

    def with_given(self, given: Tensor | None) -> Resident:
        """The same examples under other conditions, (N, G)."""
        replaced = self.to(self._x.device)
        replaced._given = given
        return replaced

    def with_resampling(self, rows: Tensor) -> Resident:
        resampled = self.to(self._x.device)
        resampled._rows_drawn = rows.to(self._x.device)
        return resampled

    def to(self, device: torch.device | str) -> Resident:
        moved = type(self).__new__(type(self))
        moved._x = self._x.to(device)
        moved._given = None if self._given is None else self._given.to(device)
        moved._mask = None if self._mask is None else self._mask.to(device)
        moved._time = None if self._time is None else self._time.to(device)
        moved._transform = self._transform
        moved._rows_drawn = None if self._rows_drawn is None else self._rows_drawn.to(device)
        moved.labels = self.labels
        return moved

    def take(self, index: Tensor | slice) -> Batch:
        if isinstance(index, Tensor):
            index = index.to(self._x.device)
        batch = self._rows(index)
        return batch if self._transform is None else replace(batch, x=self._transform.once(batch.x))

    def one_pass(self, wanted: Pass) -> Iterator[Batch]:
        total, size = len(self), wanted.size
        order = None if wanted.seed is None else self._order(wanted.seed)
        for start in range(wanted.skip * size, total, size):
            joint = min(size, total - start)
            if wanted.drop_last and joint < size:
                return
            mine = wanted.own_rows(joint)
            rows = slice(start + mine.start, start + mine.stop)
            if order is None:
                yield self.take(rows)
                continue
            batch = self._rows(order[rows])
            yield batch if self._transform is None else replace(batch, x=self._transform.afresh(batch.x, joint, mine))

    def _order(self, seed: int) -> Tensor:
        if self._rows_drawn is None:
            return shuffled(len(self), seed).to(self._x.device)
        drawn = shuffled(len(self._rows_drawn), seed).to(self._x.device)
        return self._rows_drawn[drawn[: len(self)]]

    def _rows(self, index: Tensor | slice) -> Batch:
        return Batch(
            chosen(self._x, index),
            None if self._given is None else chosen(self._given, index),
            None if self._mask is None else chosen(self._mask, index),
            None if self._time is None else chosen(self._time, index),
        )


def chosen(values: Tensor, index: Tensor | slice) -> Tensor:
    """Rows of `values` by number or slice."""
    # index_select copies whole rows; values[index] goes pixel by pixel and took 14 times as long.
    return values[index] if isinstance(index, slice) else values.index_select(0, index)


def shuffled(total: int, seed: int) -> Tensor:
    """A random order of `total` rows that is a function of `seed` alone, shape (total,)."""
    return torch.randperm(total, generator=torch.Generator().manual_seed(seed))
