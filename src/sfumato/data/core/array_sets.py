"""Data sets from arrays: split, schema learned, encoded, in memory or streamed from disk; for every kind of rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeVar

import numpy as np
from torch import Tensor

from sfumato.data.core.batching.batches import Batches, Resident
from sfumato.data.core.batching.encoded import Encoded
from sfumato.data.core.batching.streaming import Streamed, streams
from sfumato.data.core.batching.transforms import RandomTransform
from sfumato.data.core.dataset import Dataset
from sfumato.data.core.labels import LABEL, codes, condition
from sfumato.data.core.options import DataOptions
from sfumato.data.core.schema import Schema
from sfumato.data.core.source import Source
from sfumato.data.core.split import Parts, split
from sfumato.data.io.arrays import Arrays
from sfumato.errors import SfumatoError

Learned = TypeVar("Learned", bound=Schema)


class Training(NamedTuple):
    """How training examples are kept where each pass draws them afresh.

    Attributes:
        encode: raw rows to what is kept.
        transform: from what is kept to what is drawn.
    """

    encode: Callable[[np.ndarray], Tensor]
    transform: RandomTransform


def open_arrays(
    loaded: Arrays,
    source: Source,
    options: DataOptions,
    learn: Callable[[np.ndarray, np.ndarray | None, np.ndarray], Learned],
    *,
    value_bytes: int,
    training: Callable[[Learned], Training | None] = lambda schema: None,
) -> Dataset:
    """Split arrays, learn a schema on the training rows, and encode every part.

    Args:
        loaded: the arrays.
        source: where they are from.
        options: how they are split, and whether they are read from disk.
        learn: all rows, the labels of the training rows or None, and the numbers of the training rows, to a schema.
        value_bytes: bytes of an encoded value.
        training: how training examples are kept, where that is not as `Schema.encode` gives them.

    Raises:
        SfumatoError: if an option is for columns that have names, or as `learn` does.
    """
    where = source.described("array in memory")
    for option, named in (("drop", options.drop), ("kinds", options.kinds), ("label", options.label)):
        if named and named != LABEL:
            first = named if isinstance(named, str) else next(iter(named))
            raise SfumatoError(f"{option}={first!r}: {where} has no named columns; give a table to name them")
    parts, x, labels = _parts(loaded, options, where)
    schema = learn(x, None if labels is None else labels[parts[0]], parts[0])
    batches: Sequence[Batches]
    if streams(options, x.size * value_bytes):
        batches = _streamed(schema, x, labels, parts, training(schema))
    else:
        afresh = (training(schema), None, None)
        batches = [
            _resident(schema, x[rows], None if labels is None else labels[rows], how)
            for rows, how in zip(parts, afresh, strict=True)
        ]
    train, valid, test = batches
    factors = tuple({name: values[rows] for name, values in loaded.factors.items()} for rows in parts)
    return Dataset(
        loaded.name, where, schema, train, valid, test, options, has_label=labels is not None, factors=factors
    )


def _parts(loaded: Arrays, options: DataOptions, where: str) -> tuple[Parts, np.ndarray, np.ndarray | None]:
    """The rows of each part, and the arrays they are rows of: splits that came along stay what they are."""
    total = len(loaded.x)
    own = [(loaded.valid_x, loaded.valid_labels), (loaded.test_x, loaded.test_labels)]
    valid, test = (0.0 if x is not None else share for (x, _), share in zip(own, options.split[1:], strict=True))
    came = any(x is not None for x, _ in own)
    shares = (1 - valid - test, valid, test) if came else options.split
    parts = list(split(total, shares, labels=codes(loaded.labels), seed=options.seed, source=where))
    pieces, labels = [loaded.x], [loaded.labels]
    for number, (x, y) in enumerate(own, 1):
        if x is not None:
            parts[number] = np.arange(total, total + len(x))
            total += len(x)
            pieces.append(x)
            labels.append(_unknown(loaded.labels, len(x)) if y is None else y)
    if len(pieces) == 1:
        return (parts[0], parts[1], parts[2]), loaded.x, loaded.labels
    joined: np.ndarray | None = None if loaded.labels is None else np.concatenate(labels)  # type: ignore[arg-type]
    return (parts[0], parts[1], parts[2]), np.concatenate(pieces), joined


def _unknown(labels: np.ndarray | None, total: int) -> np.ndarray:
    """Unknown labels of the same dtype as these."""
    return np.full(total, "") if labels is not None and labels.dtype.kind in "US" else np.full(total, np.nan)


def _resident(schema: Schema, x: np.ndarray, labels: np.ndarray | None, afresh: Training | None) -> Resident:
    """Raw rows encoded and held whole."""
    given = condition(schema.label, labels, len(x)) if schema.given_names else None
    index = None if schema.label is None or labels is None else schema.label.index(labels)
    if afresh is not None:
        return Resident(afresh.encode(x), given, index, transform=afresh.transform)
    return Resident(schema.encode(x).x, given, index)


def _streamed(
    schema: Schema, x: np.ndarray, labels: np.ndarray | None, parts: Parts, afresh: Training | None
) -> list[Streamed]:
    index = None if schema.label is None or labels is None else schema.label.index(labels)
    part = np.full(len(x), -1, np.int8)
    for number, rows in enumerate(parts):
        part[rows] = number

    def given_of(rows: np.ndarray) -> Tensor | None:
        mine = None if labels is None else labels[rows]
        return condition(schema.label, mine, len(rows)) if schema.given_names else None

    def encode_once(raw: np.ndarray, rows: np.ndarray) -> Encoded:
        return Encoded(schema.encode(raw).x, given_of(rows))

    def encode_afresh(raw: np.ndarray, rows: np.ndarray) -> Encoded:
        assert afresh is not None, "only where training examples are drawn afresh"
        return Encoded(afresh.encode(raw), given_of(rows))

    train = Streamed(x, part, 0, encode_once, labels=index)
    if afresh is not None:
        train = Streamed(x, part, 0, encode_afresh, labels=index, transform=afresh.transform)
    return [train, *(Streamed(x, part, number, encode_once, labels=index) for number in (1, 2))]
