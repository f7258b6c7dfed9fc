"""The examples that a fitted model is judged by: its own test part, opened again, or others."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from sfumato import data as room
from sfumato.config import Config
from sfumato.data.builtin.rows import built_in
from sfumato.data.core.batches import Resident
from sfumato.data.core.dataset import Dataset
from sfumato.data.core.options import DataOptions
from sfumato.data.core.schema import Schema
from sfumato.data.core.source import Source
from sfumato.data.io.in_memory import unpacked
from sfumato.data.registry import accepting, kind_of
from sfumato.errors import SfumatoError


class Judged(NamedTuple):
    """What a model is judged by.

    Attributes:
        data: with the examples as its test part.
        part: what to call them; None if they are the test part itself.
    """

    data: Dataset
    part: str | None = None


def named_set(config: Config, schema: Schema, X: Any) -> Any:
    """X, or what a container holds, or the rows of the built-in set of this name, as they were drawn for the training.

    Raises:
        SfumatoError: if the set is not of the kind of what the model was trained on.
    """
    if not isinstance(X, str) or X not in room.names() or Path(X).exists():
        return unpacked(X)
    rows = built_in(X, config.data if config.source == X else DataOptions())
    kind, wanted = accepting(Source(rows, builtin=X), DataOptions()), kind_of(schema)
    if kind is None or kind.name != wanted.name:
        called = wanted.source or wanted.name
        raise SfumatoError(f"{X}: not of the kind this model was trained on; give it a {called}")
    return rows


def judged(config: Config, schema: Schema, held: Dataset | None, X: Any) -> Judged:
    """The data to judge by, whatever X is.

    Args:
        config: of the run; it says where the data were.
        schema: what was learned of them.
        held: the data it was trained on, if they are in memory.
        X: None for the test part of the run's own data, a `Dataset` for its test part, what was `judged` before, or
            examples that the schema reads: a path, an array, a frame, the name of a built-in set.

    Raises:
        SfumatoError: if the data are not there any more or are others, or X does not fit the schema.
    """
    if isinstance(X, Judged):
        return X
    if isinstance(X, Dataset):
        return Judged(X)
    if X is None:
        return Judged(held or reopened(config, schema))
    encoded = schema.encode(schema.read(named_set(config, schema, X)))
    test = Resident(encoded.x, encoded.given, time=encoded.time)
    said = str(X) if isinstance(X, str | os.PathLike) else "the examples given"
    if held is None and config.source:
        held = reopened(config, schema)
    if held is None:
        none = Resident(encoded.x[:0])
        held = Dataset(Path(said).stem, said, schema, none, none, test, config.data)
    return Judged(replace(held, test=test), f"rows of {said}" if said == str(X) else said)


def reopened(config: Config, schema: Schema) -> Dataset:
    """The data of a run, opened once more from where they were when it was trained.

    Raises:
        SfumatoError: if they were held in memory, are gone, or have changed.
    """
    if not config.source:
        raise SfumatoError("this model was trained on data held in memory; give the data to judge it by")
    dataset = room.open(config.source, options=config.data)
    if not dataset.schema.equivalent(schema):
        raise SfumatoError(f"{config.source}: not what this model was trained on; give a file to judge it by")
    return dataset


def factors_at(factors: Mapping[str, np.ndarray] | None, index: np.ndarray, total: int) -> dict[str, np.ndarray] | None:
    """The factors of the examples that are judged by, of those of all `total`.

    Raises:
        SfumatoError: if a factor has not one value for each example.
    """
    found = {}
    for name, values in (factors or {}).items():
        values = np.asarray(values)
        if values.shape != (total,):
            raise SfumatoError(f"factor {name!r} has shape {values.shape}; give one value for each of {total} examples")
        found[name] = values[index]
    return found or None
