"""Batched inference with a trained model in double precision."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from torch import Tensor

from sfumato.batch import Batch
from sfumato.data.core.schema import Schema
from sfumato.models.base import Model
from sfumato.spec import DataSpec

NUMBERS_AT_A_TIME = 1 << 22
"""About the largest number of values in one layer of the model at a time."""


def exact(model: Model) -> Model:
    """A copy of the model in double precision, where rounding does not show which examples were together."""
    copied = copy.deepcopy(model)
    if next(copied.parameters()).device.type == "mps":
        copied = copied.cpu()
    return copied.double().requires_grad_(False).eval()


def batches(
    model: Model, schema: Schema, source: Any, given: Mapping[str, Any] | None, copies: int = 1
) -> Iterator[Batch]:
    """A source as batches for `exact(model)`.

    Args:
        model: the model, whose device the batches are on.
        schema: how the source is read and encoded.
        source: what `schema.read` takes.
        given: conditions that replace those of the source, name → value or N values.
        copies: how often each example is repeated.
    """
    examples = schema.batches(schema.read(source))
    conditions = replaced(schema, examples.given, given, len(examples))
    device = next(model.parameters()).device
    place = "cpu" if device.type == "mps" else device
    for batch in examples.with_given(conditions).epoch(at_a_time(schema.spec, copies)):
        yield widened(batch.to(place))


def widened(batch: Batch) -> Batch:
    """A batch for `exact(model)`, in double precision."""
    return replace(batch, x=batch.x.double(), given=None if batch.given is None else batch.given.double())


def replaced(schema: Schema, own: Tensor | None, given: Mapping[str, Any] | None, n: int) -> Tensor | None:
    """Conditions of n examples, (n, G): their own, with those in `given` replaced.

    Args:
        schema: how conditions are encoded.
        own: those of the examples; None without any.
        given: name → value or n values.
    """
    if not given:
        return own
    conditions = schema.conditions(given, n, marginal=True)
    if conditions is not None and own is not None:
        kept = [index for index, name in enumerate(schema.given_names) if name not in given]
        conditions[:, kept] = own[:, kept].to(conditions)
    return conditions


def at_a_time(spec: DataSpec, copies: int = 1) -> int:
    """How many examples go through the model at a time."""
    sizes = (field.size if field.kind in ("cells", "category") else 1 for field in spec.columns)
    numbers = 64 * spec.entries if spec.is_image else 512 * spec.entries if spec.is_symbols else sum(sizes)
    return max(1, NUMBERS_AT_A_TIME // (copies * max(256, numbers)))


def slices(total: int, spec: DataSpec) -> Iterator[slice]:
    """Rows 0 … total − 1, as many at a time as go through the model."""
    size = at_a_time(spec)
    for start in range(0, total, size):
        yield slice(start, min(start + size, total))
