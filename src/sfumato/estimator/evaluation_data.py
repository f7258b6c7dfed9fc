"""The examples that a fitted model is evaluated on: its own test split, opened again, or others."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from sfumato import data
from sfumato.config import Config
from sfumato.data.builtin.rows import built_in
from sfumato.data.core.batching.batches import Resident
from sfumato.data.core.dataset import Dataset
from sfumato.data.core.options import DataOptions
from sfumato.data.core.schema import Schema
from sfumato.data.core.source import Source
from sfumato.data.io.in_memory import unpacked
from sfumato.data.registry import accepting, kind_of
from sfumato.errors import SfumatoError


class EvaluationData(NamedTuple):
    """The data that a model is evaluated on.

    Attributes:
        data: a dataset with the examples as its test split.
        part: what to call them; None if they are the run's own test split.
    """

    data: Dataset
    part: str | None = None


def named_set(config: Config, schema: Schema, X: Any) -> Any:
    """X unpacked from its container, or the rows of the built-in set X, as they were drawn for training.

    Raises:
        SfumatoError: if the set is not of the kind the model was trained on.
    """
    if not isinstance(X, str) or X not in data.names() or Path(X).exists():
        return unpacked(X)
    rows = built_in(X, config.data if config.source == X else DataOptions())
    kind, wanted = accepting(Source(rows, builtin=X), DataOptions()), kind_of(schema)
    if kind is None or kind.name != wanted.name:
        called = wanted.source or wanted.name
        raise SfumatoError(f"{X}: not of the kind this model was trained on; pass a {called}")
    return rows


def evaluation_data(config: Config, schema: Schema, training_data: Dataset | None, X: Any) -> EvaluationData:
    """The data to evaluate on, whatever X is.

    Args:
        config: of the run; it names the source of the data.
        schema: learned from them.
        training_data: the data it was trained on, if they are in memory.
        X: None for the test split of the run's own data, a `Dataset` for its test split, an `EvaluationData`, or
            examples that the schema reads: a path, an array, a frame, the name of a built-in set.

    Raises:
        SfumatoError: if the data are missing or have changed, or X does not match the schema.
    """
    if isinstance(X, EvaluationData):
        return X
    if isinstance(X, Dataset):
        return EvaluationData(X)
    if X is None:
        return EvaluationData(training_data or reopened(config, schema))
    test = schema.batches(schema.read(named_set(config, schema, X)))
    description = str(X) if isinstance(X, str | os.PathLike) else "the given examples"
    if training_data is None and config.source:
        training_data = reopened(config, schema)
    if training_data is None:
        none = Resident(test.take(slice(0, 0)).x)
        training_data = Dataset(Path(description).stem, description, schema, none, none, test, config.data)
    return EvaluationData(
        replace(training_data, test=test), f"rows of {description}" if description == str(X) else description
    )


def reopened(config: Config, schema: Schema) -> Dataset:
    """The data of a run, opened again from their source.

    Raises:
        SfumatoError: if they were in memory, are missing, or have changed.
    """
    if not config.source:
        raise SfumatoError("this model was trained on data in memory; pass data to evaluate it on")
    private = config.training.epsilon is not None
    dataset = data.open(config.source, options=config.data, schema=schema if private else None)
    same = len(dataset.train) == schema.spec.examples if private else dataset.schema.equivalent(schema)
    if not same:
        raise SfumatoError(
            f"{config.source}: not the data that this model was trained on; pass a file to evaluate it on"
        )
    return dataset


def factors_at(factors: Mapping[str, np.ndarray] | None, index: np.ndarray, total: int) -> dict[str, np.ndarray] | None:
    """The factors of the examples at `index`, out of those of all `total` examples.

    Raises:
        SfumatoError: if a factor has not one value for each example.
    """
    selected = {}
    for name, values in (factors or {}).items():
        values = np.asarray(values)
        if values.shape != (total,):
            raise SfumatoError(f"factor {name!r} has shape {values.shape}; give one value for each of {total} examples")
        selected[name] = values[index]
    return selected or None
