"""Examples in batches: whole tensors on the device, where a batch is an index."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from sfumato.batch import Batch
from sfumato.randomness.generators import current


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
        levels: images to be binarised have this many levels; each pass with a seed draws x afresh with
            p(x = 1) = level / (levels − 1), from torch's default generator; without a seed the draw is a fixed one.
    """

    def __init__(
        self,
        x: Tensor,
        given: Tensor | None = None,
        labels: np.ndarray | None = None,
        *,
        time: Tensor | None = None,
        levels: int | None = None,
    ) -> None:
        missing = torch.isnan(x) if x.is_floating_point() else None
        self._mask = ~missing if missing is not None and bool(missing.any()) else None
        self._x = x if self._mask is None else x.nan_to_num(0.0)
        self._given = given
        self._time = time
        self._levels = levels
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
        moved._levels = self._levels
        moved._rows_drawn = None if self._rows_drawn is None else self._rows_drawn.to(device)
        moved.labels = self.labels
        return moved

    def take(self, index: Tensor | slice) -> Batch:
        if isinstance(index, Tensor):
            index = index.to(self._x.device)
        batch = self._rows(index)
        if self._levels is None:
            return batch
        return Batch(binarised_once(batch.x, self._levels), batch.given)

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
            elif self._levels is None:
                yield self._rows(order[rows])
            else:
                batch = self._rows(order[rows])
                yield Batch(binarised_afresh(batch.x, self._levels, joint, mine), batch.given)

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


def binarised_afresh(x: Tensor, levels: int, joint: int, mine: slice) -> Tensor:
    """0/1 draws with p = x / (levels − 1), to within 2^-16 and exact at both ends.

    The noise is drawn for the whole joint batch and cut, so that all processes agree. It is 16 bits a pixel, four
    of which come with each number drawn: to draw a float for each took twice as long.
    """
    pixels = math.prod(x.shape[1:])
    words = torch.randint(-(2**63), 2**63 - 1, (-(-joint * pixels // 4),), device=x.device, generator=current(x.device))
    noise = words.view(torch.int16)[: joint * pixels].view(joint, *x.shape[1:])[mine]
    # In place, as a comparison of integers into booleans takes four times as long as into integers.
    return noise.int().add_(2**15).mul_(levels - 1).lt_(x.int().mul_(2**16)).float()


def binarised_once(x: Tensor, levels: int) -> Tensor:
    """0/1 draws with p = x / (levels − 1) whose noise is a hash of the example itself.

    The same image is the same draw wherever and whenever it is met, and different images have different noise.
    """
    flat = x.flatten(1).long()
    place = _mixed(torch.arange(1, flat.shape[1] + 1, device=x.device))
    noise = _mixed((flat * place).sum(1, keepdim=True) + place)
    uniform = ((noise >> 11) & (2**53 - 1)).double() / 2**53
    return (uniform * (levels - 1) < flat).float().view(x.shape)


def _mixed(value: Tensor) -> Tensor:
    """Splitmix64's finaliser on int64, whose products wrap around."""
    value = value * -7046029254386353131
    value = (value ^ ((value >> 30) & (2**34 - 1))) * -4658895280553007687
    value = (value ^ ((value >> 27) & (2**37 - 1))) * -7723592293110705685
    return value ^ ((value >> 31) & (2**33 - 1))
