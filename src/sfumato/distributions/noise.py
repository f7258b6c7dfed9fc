"""The one source of noise: drawn for the joint batch, of which each process keeps its own rows.

With data parallelism every process draws the noise of the whole batch from the same generator state and takes the
rows it holds. So N processes compute what one process would on the joint batch, whatever the model does with noise.
Outside `rows` the functions are plain draws from torch's default generator.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import torch
from torch import Tensor

_ROWS: ContextVar[tuple[int, int] | None] = ContextVar("rows", default=None)


@contextmanager
def rows(start: int, total: int) -> Iterator[None]:
    """Within this block the local batch is rows start, start + 1, … of a joint batch of `total` rows."""
    token = _ROWS.set((start, total))
    try:
        yield
    finally:
        _ROWS.reset(token)


def joint_rows() -> int | None:
    """Number of rows of the joint batch inside `rows`, else None."""
    held = _ROWS.get()
    return None if held is None else held[1]


def normal(like: Tensor, *shape: int) -> Tensor:
    """Standard normal noise of `shape` (default: the shape of `like`), batch first, with like's device and dtype."""
    return _draw(torch.randn, like, shape)


def uniform(like: Tensor, *shape: int) -> Tensor:
    """Uniform noise in [0, 1) of `shape` (default: the shape of `like`), batch first."""
    return _draw(torch.rand, like, shape)


def _draw(sampler, like: Tensor, shape: tuple[int, ...]) -> Tensor:  # type: ignore[no-untyped-def]
    size = shape or tuple(like.shape)
    held = _ROWS.get()
    if held is None:
        return sampler(size, device=like.device, dtype=like.dtype)
    start, total = held
    return sampler((total, *size[1:]), device=like.device, dtype=like.dtype)[start : start + size[0]]
