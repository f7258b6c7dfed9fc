"""Raw examples as whole numbers that a model has probabilities for, and what is kept aside so that they come back."""

from __future__ import annotations

import json
import lzma
import math
import struct
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar, Generic, NamedTuple, TypeVar

import numpy as np
import torch
from torch import Tensor

from sfumato.data.core.labels import Examples
from sfumato.data.core.schema import Schema

AnySchema = TypeVar("AnySchema", bound=Schema)
LZMA_FILTERS = [{"id": lzma.FILTER_LZMA2, "preset": 9 | lzma.PRESET_EXTREME}]
"""The bare form of lzma, without the 60 bytes of an .xz file."""


class Parts(NamedTuple):
    """N raw examples taken apart.

    Attributes:
        coded: what a model has probabilities for, int64 (N, …).
        aside: all else.
        given: conditions of the examples, (N, G), which follow from what is aside.
    """

    coded: Tensor
    aside: bytes
    given: Tensor | None = None


class Lossless(ABC, Generic[AnySchema]):
    """How raw examples of one kind come apart and together again; each `Kind` has its own.

    Args:
        schema: of the examples.
        header: what it was when they came apart; {} before.
    """

    exact: ClassVar[bool] = True
    """Whether every bit comes back; else what the model makes of discrete codes does."""

    def __init__(self, schema: AnySchema, header: Mapping[str, Any] | None = None) -> None:
        self.schema = schema
        self.header: dict[str, Any] = dict(header or {})

    @abstractmethod
    def blocks(self, source: Any, size: int) -> Iterator[Any]:
        """The raw examples of a source, at most `size` at a time; the first call fills in `header`."""

    @abstractmethod
    def split(self, raw: Any) -> Parts:
        """Raw examples, as `blocks` gives them, taken apart."""

    @abstractmethod
    def given(self, aside: bytes, count: int) -> Tensor | None:
        """The conditions of `count` examples."""

    def columns(self, aside: bytes, count: int) -> tuple[list[Tensor], Tensor] | None:
        """Of rows of columns, what else is needed to code them; None of all else.

        Returns:
            How many values each cell or category of each column holds, and where an entry is missing against its flag,
            (N, D).
        """
        return None

    @abstractmethod
    def join(self, coded: Tensor, aside: bytes) -> Any:
        """Raw examples, put together."""

    def seen(self, coded: Tensor) -> Tensor:
        """What a model sees: `Batch.x` of what is coded, in double precision."""
        return coded.double()

    def log_values(self, coded: Tensor) -> Tensor:
        """log of how many values share the density of what a model sees, (N,)."""
        return torch.zeros(len(coded), dtype=torch.float64)

    def seconds(self, raw: Any) -> float:
        """How long raw examples last in all; NaN of what has no length in time."""
        return math.nan

    @abstractmethod
    def plain(self, raw: Any) -> bytes:
        """The bytes of raw examples that other compressors are given."""

    @abstractmethod
    def collect(self, blocks: Iterable[Any]) -> Any:
        """All examples in one, of the kind that `compress` was given."""

    @abstractmethod
    def check_output(self, path: Path) -> None:
        """Refuse a file whose format does not hold all that comes back.

        Raises:
            SfumatoError: if so.
        """

    @abstractmethod
    def write(self, blocks: Iterable[Any], path: Path) -> None:
        """Write blocks to a file."""


def concatenated(blocks: Iterable[Any]) -> Any:
    """Blocks of arrays, or of arrays with labels, as one.

    >>> concatenated([Examples(np.array([1]), np.array(["a"])), Examples(np.array([2]), np.array(["b"]))]).x
    array([1, 2])
    """
    pieces = list(blocks)
    if not isinstance(pieces[0], tuple):
        return np.concatenate(pieces)
    return Examples(*(np.concatenate(part) for part in zip(*pieces, strict=True)))


def pack(parts: Mapping[str, bytes]) -> bytes:
    """Named bytes as one, compressed; nothing of nothing.

    >>> unpack(pack({"a": b"123", "b": b""}))
    {'a': b'123'}
    """
    kept = {name: part for name, part in parts.items() if part}
    if not kept:
        return b""
    sizes = json.dumps({name: len(part) for name, part in kept.items()}, separators=(",", ":")).encode()
    body = struct.pack("<I", len(sizes)) + sizes + b"".join(kept.values())
    return lzma.compress(body, lzma.FORMAT_RAW, filters=LZMA_FILTERS)


def unpack(data: bytes) -> dict[str, bytes]:
    """Back from `pack`."""
    if not data:
        return {}
    body = lzma.decompress(data, lzma.FORMAT_RAW, filters=LZMA_FILTERS)
    (length,) = struct.unpack_from("<I", body)
    parts, start = {}, 4 + length
    for name, size in json.loads(body[4 : 4 + length]).items():
        parts[name] = body[start : start + size]
        start += size
    return parts


def difference(raw: np.ndarray, other: np.ndarray) -> bytes:
    """The exclusive or of the bytes of two arrays of one dtype and shape; nothing if they are the same."""
    first, second = (np.ascontiguousarray(array).view(np.uint8).reshape(-1) for array in (raw, other))
    return b"" if np.array_equal(first, second) else (first ^ second).tobytes()


def corrected(other: np.ndarray, bits: bytes) -> np.ndarray:
    """Back from `difference`."""
    if not bits:
        return other
    flat = np.ascontiguousarray(other).view(np.uint8).reshape(-1) ^ np.frombuffer(bits, np.uint8)
    return flat.view(other.dtype).reshape(other.shape)
