"""The rows of built-in sets, as the kinds of data take them."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from sfumato.data.builtin import toy
from sfumato.data.core.labels import LABEL
from sfumato.data.core.options import DataOptions
from sfumato.data.io.arrays import Arrays
from sfumato.data.sequences.series import Series
from sfumato.data.text.lines import Lines


def built_in(name: str, options: DataOptions) -> pa.Table | Arrays | Series | Lines:
    """The rows of a built-in set with their labels, as `Schema.read` takes them: a table, images, or sequences.

    Raises:
        SfumatoError: if there is no such set.
    """
    dataset = toy.make(name, rows=options.rows, seed=options.seed, size=options.size)
    labels = None if dataset.labels is None else np.array(dataset.label_names)[dataset.labels]
    if dataset.values.ndim == 3 and not dataset.levels:
        return Series(dataset.values, None, labels, dataset.columns, False, name)
    if dataset.symbols:
        return Lines(dataset.values.astype(float), labels, name)
    if dataset.levels:
        levels = dataset.levels if dataset.levels > 2 else None
        return Arrays(name, dataset.values, labels, factors=dataset.factors, levels=levels)
    columns = {column: pa.array(dataset.values[:, place]) for place, column in enumerate(dataset.columns)}
    if dataset.labels is not None:
        columns[LABEL] = pa.array(dataset.labels if dataset.label_names[0] == "0" else labels)
    return pa.table(columns)
