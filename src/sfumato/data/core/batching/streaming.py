"""Examples read from disk while training: memory stays flat, and reading overlaps with learning.

The rows of the source lie in blocks of about 2 MiB. A pass visits the blocks in a random order, 16 at a time; the
rows of such a window are shuffled together and cut into batches while a thread reads the next window. A batch is
thus drawn from 16 places of the source, not from all of it: a source sorted by what is to be learned should be
shuffled once before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from sfumato.batch import Batch
from sfumato.data.core.batching.batches import Batches, Pass, chosen, shuffled
from sfumato.data.core.batching.encoded import Encoded
from sfumato.data.core.batching.transforms import RandomTransform
from sfumato.data.core.options import DataOptions
from sfumato.data.io.arrays import fresh

BLOCK_BYTES = 1 << 21
WINDOW = 16

BUDGET = 512 * 2**20
"""Bytes of encoded examples that are held whole; more is read from disk while training."""

Encode = Callable[[np.ndarray, np.ndarray], Encoded]


def streams(options: DataOptions, size: int) -> bool:
    """Whether data of `size` bytes, once encoded, is read from disk while training."""
    if options.epsilon is not None:  # Counts of columns are of rows in memory.
        return False
    return options.streaming == "yes" or (options.streaming == "auto" and size > BUDGET)


class Streamed(Batches):
    """Rows of a memory-mapped array, encoded as they are read.

    Args:
        x: (N, …) raw rows, memory-mapped or in memory.
        part: (N,) int8, which part each row belongs to.
        number: the part these are.
        encode: (raw rows, their numbers in `x`) → `Encoded`; integer images stay as they are.
        labels: (N,) int64 of all rows or None.
        transform: as in `Resident`.
        block: rows in a block; None for about 2 MiB.
    """

    def __init__(
        self,
        x: np.ndarray,
        part: np.ndarray,
        number: int,
        encode: Encode,
        *,
        labels: np.ndarray | None = None,
        transform: RandomTransform | None = None,
        block: int | None = None,
    ) -> None:
        self._x, self._part, self._number, self._encode = x, part, number, encode
        self._transform = transform
        self._block = block or max(BLOCK_BYTES // max(x[:1].nbytes, 1), 1)
        self._device = torch.device("cpu")
        starts = np.arange(0, len(x), self._block)
        counts = np.add.reduceat(part == number, starts, dtype=np.int64)
        self._counts: np.ndarray = counts
        self.labels = None if labels is None else labels[part == number]

    def __len__(self) -> int:
        return int(self._counts.sum())

    def to(self, device: torch.device | str) -> Streamed:
        moved = Streamed.__new__(Streamed)
        moved.__dict__.update(self.__dict__)
        moved._device = torch.device(device)
        return moved

    def take(self, index: Tensor | slice) -> Batch:
        wanted = np.arange(len(self))[index] if isinstance(index, slice) else index.cpu().numpy()
        ends = np.cumsum(self._counts)
        blocks = np.searchsorted(ends, wanted, side="right")
        pieces, places = [], []
        for block in np.unique(blocks):
            mine = np.flatnonzero(blocks == block)
            first = ends[block] - self._counts[block]
            pieces.append(_rows(self._read(int(block)), torch.from_numpy(wanted[mine] - first)))
            places.append(mine)
        if not pieces:
            pieces, places = [_rows(self._read(0), slice(0, 0))], [np.zeros(0, np.int64)]
        batch = _joined(pieces).to(self._device)
        batch = _rows(batch, torch.from_numpy(np.argsort(np.concatenate(places))).to(self._device))
        return batch if self._transform is None else replace(batch, x=self._transform.once(batch.x))

    def one_pass(self, wanted: Pass) -> Iterator[Batch]:
        size, buffer = wanted.size, None
        for window in self._windows(wanted.seed, wanted.skip * size):
            buffer = window if buffer is None else _joined([buffer, window])
            start = 0
            while len(buffer) - start >= size:
                yield self._cut(buffer, start, size, wanted)
                start += size
            buffer = _rows(buffer, slice(start, None)) if start < len(buffer) else None
        if buffer is not None and not wanted.drop_last:
            yield self._cut(buffer, 0, len(buffer), wanted)

    def _cut(self, buffer: Batch, start: int, joint: int, wanted: Pass) -> Batch:
        mine = wanted.own_rows(joint)
        batch = _rows(buffer, slice(start + mine.start, start + mine.stop))
        if self._transform is None:
            return batch
        transform = self._transform
        return replace(
            batch, x=transform.once(batch.x) if wanted.seed is None else transform.afresh(batch.x, joint, mine)
        )

    def _windows(self, seed: int | None, passed: int) -> Iterator[Batch]:
        """The windows of a pass on the device, without its first `passed` rows, the next one read ahead."""
        total = len(self._counts)
        order = np.arange(total) if seed is None else shuffled(total, seed).numpy()
        windows = []
        for number, start in enumerate(range(0, total, WINDOW)):
            blocks = order[start : start + WINDOW]
            rows = int(self._counts[blocks].sum())
            if rows > passed:
                windows.append((number, blocks, passed))
            passed = max(passed - rows, 0)
        if not windows:
            return
        pool = ThreadPoolExecutor(1, thread_name_prefix="sfumato-read")
        try:
            coming = pool.submit(self._window, seed, *windows[0])
            for place in range(len(windows)):
                window = coming.result()
                if place + 1 < len(windows):
                    coming = pool.submit(self._window, seed, *windows[place + 1])
                yield window.to(self._device)
        finally:
            pool.shutdown(cancel_futures=True)

    def _window(self, seed: int | None, number: int, blocks: np.ndarray, passed: int) -> Batch:
        rows = _joined([self._read(int(block)) for block in blocks if self._counts[block]])
        if seed is None:
            return _rows(rows, slice(passed, None))
        mixed = int(np.random.SeedSequence([seed, number]).generate_state(1, np.uint64)[0] >> 1)
        return _rows(rows, shuffled(len(rows), mixed)[passed:])

    def _read(self, block: int) -> Batch:
        start = block * self._block
        stop = min(start + self._block, len(self._part))
        local = np.flatnonzero(self._part[start:stop] == self._number)
        encoded = self._encode(np.asarray(fresh(self._x)[start:stop])[local], start + local)
        missing = torch.isnan(encoded.x) if encoded.x.is_floating_point() else None
        if missing is None or not bool(missing.any()):
            return Batch(encoded.x, encoded.given)
        return Batch(encoded.x.nan_to_num(0.0), encoded.given, ~missing)


def _rows(batch: Batch, index: Tensor | slice) -> Batch:
    return Batch(
        chosen(batch.x, index),
        None if batch.given is None else chosen(batch.given, index),
        None if batch.mask is None else chosen(batch.mask, index),
    )


def _joined(batches: list[Batch]) -> Batch:
    if len(batches) == 1:
        return batches[0]
    mask = None
    if any(batch.mask is not None for batch in batches):
        mask = torch.cat(
            [torch.ones_like(batch.x, dtype=torch.bool) if batch.mask is None else batch.mask for batch in batches]
        )
    given = [batch.given for batch in batches if batch.given is not None]
    return Batch(torch.cat([batch.x for batch in batches]), torch.cat(given) if given else None, mask)
