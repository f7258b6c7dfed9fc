"""Rows of numbers as a kind of data: arrays of two axes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from sfumato.data.core.array_sets import open_arrays
from sfumato.data.core.dataset import Dataset
from sfumato.data.core.kinds import PRIVATE_OPTIONS, Kind
from sfumato.data.core.options import DataOptions
from sfumato.data.core.source import Source
from sfumato.data.vectors.private import private_arrays
from sfumato.data.vectors.schema import VectorSchema
from sfumato.privacy_budget import ColumnCharge


def accepts(source: Source, options: DataOptions) -> bool:
    """Whether it is an array of rows of numbers."""
    return source.arrays is not None and source.arrays.x.ndim == 2


def load(source: Source, options: DataOptions) -> Dataset:
    """The rows of an array."""
    assert source.arrays is not None, "what is accepted is an array"
    where, charges = source.described("array in memory"), list[ColumnCharge]()

    def learn(x: np.ndarray, labels: np.ndarray | None, rows: np.ndarray) -> VectorSchema:
        if isinstance(source.schema, VectorSchema):
            return source.schema
        if options.epsilon is None:
            return VectorSchema.learn(x, labels, options, rows=rows, name=where)
        drawn, drawn_labels, charge = private_arrays(x[rows], labels, options)
        charges.append(charge)
        return VectorSchema.learn(drawn, drawn_labels, options, name=where)

    data = open_arrays(source.arrays, source, options, learn, value_bytes=4)
    assert isinstance(data.schema, VectorSchema)
    return replace(data, notes=data.schema.cautions(), charge=charges[0] if charges else None)


KIND = Kind(
    name="vector",
    schema=VectorSchema,
    accepts=accepts,
    load=load,
    plural="rows of numbers",
    order=40,
    suffixes=(".npy", ".npz"),
    options=PRIVATE_OPTIONS,
    figures="table",
    file_suffix=".npy",
)
