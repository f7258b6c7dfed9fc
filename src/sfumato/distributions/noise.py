"""The one source of noise: drawn for the joint batch, of which each process keeps its own rows.

With data parallelism every process draws the noise of the whole batch from the same generator state and takes the
rows it holds. So N processes compute what one process would on the joint batch, however the model uses noise.
A tensor that holds every example k times in a row takes k rows of noise for each. Noise for anything that is not a
multiple of the local batch, and all noise outside `rows`, is a plain draw.

The generator is that of the call (`sfumato.randomness.generators`), and torch's global one in a loop of the user's own.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import torch
from torch import Tensor

from sfumato.randomness.generators import current

_ROWS: ContextVar[tuple[int, int, int] | None] = ContextVar("rows", default=None)


@contextmanager
def rows(start: int, count: int, total: int) -> Iterator[None]:
    """Within this block the local batch is the `count` rows from `start` on of a joint batch of `total` rows."""
    token = _ROWS.set((start, count, total))
    try:
        yield
    finally:
        _ROWS.reset(token)


def joint_rows() -> int | None:
    """Number of rows of the joint batch inside `rows`, else None."""
    rows = _ROWS.get()
    return None if rows is None else rows[2]


def place(count: int) -> tuple[int, int]:
    """First row and number of rows of the joint batch for a local batch of `count` rows: (0, count) outside `rows`.

    >>> with rows(3, 2, 10):
    ...     place(2)
    (3, 10)
    """
    rows = _ROWS.get()
    return (0, count) if rows is None or rows[1] != count else (rows[0], rows[2])


def shared_uniform(like: Tensor, *shape: int) -> Tensor:
    """Uniform noise in [0, 1) that is the same on every process, for what concerns the joint batch as a whole."""
    return torch.rand(shape, device=like.device, dtype=like.dtype, generator=current(like.device))


def normal(like: Tensor, *shape: int) -> Tensor:
    """Standard normal noise of `shape` (default: the shape of `like`), batch first, with like's device and dtype."""
    return _draw(torch.randn, like, shape)


def tempered(temperature: float, like: Tensor, *shape: int) -> Tensor:
    """`normal` noise times `temperature`."""
    drawn = normal(like, *shape)
    return drawn if temperature == 1.0 else temperature * drawn


def uniform(like: Tensor, *shape: int) -> Tensor:
    """Uniform noise in [0, 1) of `shape` (default: the shape of `like`), batch first."""
    return _draw(torch.rand, like, shape)


def gamma(shape: Tensor) -> Tensor:
    """Draws of gamma distributions of these shapes and scale 1, batch first."""
    drawn: Tensor = torch._standard_gamma(shape, generator=_of_rows(shape))
    return drawn


def poisson(rate: Tensor) -> Tensor:
    """Draws of Poisson distributions of these rates, batch first."""
    return torch.poisson(rate, generator=_of_rows(rate))


def _of_rows(like: Tensor) -> torch.Generator | None:
    """The generator for draws that take as many numbers as it happens: within `rows` one of the process's own.

    It is seeded from the shared one, which so stays the same on every process.
    """
    own, rows = current(like.device), _ROWS.get()
    if rows is None:
        return own
    seed = int(torch.randint(2**62, (), device=like.device, generator=own))
    return torch.Generator(like.device).manual_seed(seed + rows[0])


def spread(noise: Tensor, n: int, k: int) -> Tensor:
    """Noise of k draws that n examples share, (k, L), or that each has for itself, (n·k, L); as (n·k, L)."""
    return noise if len(noise) == n * k else noise.repeat(n, 1)


def _draw(sampler, like: Tensor, shape: tuple[int, ...]) -> Tensor:  # type: ignore[no-untyped-def]
    size = shape or tuple(like.shape)
    rows = _ROWS.get()
    how = {"device": like.device, "dtype": like.dtype, "generator": current(like.device)}
    if rows is None or size[0] % rows[1]:
        return sampler(size, **how)
    start, count, total = rows
    times = size[0] // count
    joint = sampler((total * times, *size[1:]), **how)
    return joint[start * times : (start + count) * times]
