"""What the score of an anomaly is due to: columns, pixels, or steps of a series, by the nats that each costs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from sfumato.data.vectors.schema import VectorSchema
from sfumato.estimator.autoencoder import Autoencoder
from sfumato.estimator.methods.scoring import Reason

MOST_VARIED_COLUMNS = 200
"""Largest number of columns that are varied one by one to explain a score."""
EXPLAINED = 10
"""Pixels or steps that explain a score."""


def reasons(
    auto: Autoencoder, raw: Any, step_names: tuple[str, ...] | None, firsts: Sequence[int]
) -> list[list[Reason]]:
    """Reasons for each row, the costliest first.

    Args:
        auto: the fitted model.
        raw: the rows, as the model reads them.
        step_names: of the channels where rows are series or windows, step by step; None for all else.
        firsts: the step of its series that each row begins at.
    """
    schema = auto.schema_
    if schema.of_columns and step_names is None and schema.spec.entries <= MOST_VARIED_COLUMNS:
        return auto.explain_scores(raw)
    return [_costliest(*row, step_names) for row in zip(*_entries(auto, raw), firsts, strict=True)]


def column_costs(auto: Autoencoder, raw: Any) -> np.ndarray:
    """Nats that each entry of rows costs, (N, *shape); of rows of numbers each column, 0 for those not modelled."""
    costs, schema = auto.entry_costs(raw), auto.schema_
    if not isinstance(schema, VectorSchema):
        return costs
    # Columns that never vary are not modelled.
    full = np.zeros((len(costs), len(schema.fixed)))
    full[:, schema.kept] = costs
    return full


def _entries(auto: Autoencoder, raw: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Costs, values and expected values of the entries of rows, each (N, *shape)."""
    schema, expected = auto.schema_, auto.reconstruct(raw)
    if isinstance(schema, VectorSchema):
        rows = raw[0] if isinstance(raw, tuple) else raw
        return column_costs(auto, raw), np.asarray(rows, float), np.asarray(expected, float)
    values, expected = (np.asarray(schema.encode(each).x, float) for each in (raw, expected))
    return column_costs(auto, raw), values, expected


def _costliest(
    costs: np.ndarray, values: np.ndarray, expected: np.ndarray, first: int, step_names: tuple[str, ...] | None
) -> list[Reason]:
    order = np.argsort(-costs.ravel(), kind="stable")[:EXPLAINED].tolist()
    values, expected = values.ravel(), expected.ravel()
    return [
        Reason(_entry_name(place, costs.shape, first, step_names), float(values[place]), float(expected[place]), cost)
        for place in order
        if (cost := float(costs.ravel()[place])) > 0
    ]


def _entry_name(place: int, shape: tuple[int, ...], first: int, step_names: tuple[str, ...] | None) -> str:
    """What an entry is called; `first` is the step that a window begins at."""
    if len(shape) == 3:
        row, column = divmod(place % (shape[1] * shape[2]), shape[2])
        return f"pixel {row + 1},{column + 1}"
    if step_names is not None:
        step, channel = divmod(place, len(step_names))
        return f"step {first + step + 1}" + (f" of {step_names[channel]}" if len(step_names) > 1 else "")
    return str(place)
