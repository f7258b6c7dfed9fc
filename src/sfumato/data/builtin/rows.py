"""The rows of built-in sets, as the kinds of data take them."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from sfumato.data.builtin import toy
from sfumato.data.core.labels import LABEL
from sfumato.data.core.options import DataOptions
from sfumato.data.io.arrays import Arrays
from sfumato.data.sequences.sequence_io import Series
from sfumato.data.text.lines import Lines


def built_in(name: str, options: DataOptions) -> pa.Table | Arrays | Series | Lines:
    """The rows of a built-in set with their labels, as `Schema.read` takes them: a table, pictures, or sequences.

    Raises:
        SfumatoError: if there is no such set.
    """
    found = toy.make(name, rows=options.rows, seed=options.seed, size=options.size)
    labels = None if found.labels is None else np.array(found.label_names)[found.labels]
    if found.values.ndim == 3 and not found.levels:
        return Series(found.values, None, labels, found.columns, False, name)
    if found.symbols:
        return Lines(found.values.astype(float), labels, name)
    if found.levels:
        levels = found.levels if found.levels > 2 else None
        return Arrays(name, found.values, labels, factors=found.factors, levels=levels)
    columns = {column: pa.array(found.values[:, place]) for place, column in enumerate(found.columns)}
    if found.labels is not None:
        columns[LABEL] = pa.array(found.labels if found.label_names[0] == "0" else labels)
    return pa.table(columns)
