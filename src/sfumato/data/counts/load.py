"""Counts opened: split, schema learned, and kept sparse until a batch is taken."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
from scipy import sparse

from sfumato.data.columns.base import plain
from sfumato.data.core.batching.sparse_rows import SparseRows
from sfumato.data.core.conditions.named import check_named, kinds_beside
from sfumato.data.core.dataset import Dataset
from sfumato.data.core.labels import LABEL, Label, as_names, codes
from sfumato.data.core.options import DataOptions
from sfumato.data.core.source import Source
from sfumato.data.core.split import split
from sfumato.data.counts import sources
from sfumato.data.counts.schema import CountsSchema
from sfumato.data.io.count_files import h5ad
from sfumato.data.io.count_files.count_matrix import CountMatrix
from sfumato.errors import SfumatoError, did_you_mean


def open_counts(source: Source, options: DataOptions) -> Dataset:
    """A matrix of counts from a file or an object.

    Raises:
        SfumatoError: if it is damaged, holds something else, or an option does not fit it.
    """
    where = source.described("counts in memory")
    if options.streaming == "yes":
        raise SfumatoError("streaming=yes: counts are held whole, without their zeros; leave streaming out")
    matrix, form, notes, without = sources.load(source.value, options)
    matrix = matrix if without else _without(matrix, options.drop, where)
    beside = kinds_beside(matrix.obs, options)
    check_named([*options.kinds], beside | {name: "" for name in options.kinds if name in beside}, "kind", where)
    label = _label(options, beside, where)
    labels = None if label is None else _values(matrix.obs[label])
    parts = split(len(matrix), options.split, labels=codes(labels), seed=options.seed, source=where)
    schema = source.schema
    if not isinstance(schema, CountsSchema):
        layers = h5ad.layers(source.path) if source.endswith(sources.H5AD) and source.path is not None else []
        others = [name for name in layers if name != options.layer]
        schema = CountsSchema.learn(matrix.take(parts[0]), options, form=form, beside=beside, layers=others)
    index = None
    if labels is not None:
        learned = Label.learn(labels[parts[0]])
        schema.label_names = learned.names
        index = learned.index(labels)
    given, x = schema.conditions_known.encode(matrix.obs), sparse.csr_array(matrix.x)
    train, valid, test = (
        SparseRows(x[rows], None if given is None else given[rows], None if index is None else index[rows])
        for rows in parts
    )
    name = Path(source.value).name.partition(".")[0] if source.path is not None else "counts"
    has_label = LABEL in beside and form in ("sparse", "array")
    return Dataset(name, where, schema, train, valid, test, options, has_label=has_label, notes=notes)


def _without(matrix: CountMatrix, drop: tuple[str, ...], where: str) -> CountMatrix:
    """The matrix without some of its columns."""
    gone = set(drop)
    for name in drop:
        if name in matrix.obs.column_names:
            matrix = replace(matrix, obs=matrix.obs.drop_columns([name]))
        elif name not in matrix.names:
            raise SfumatoError(f"drop={name!r} is not a column of {where}; {did_you_mean(name, matrix.names)}")
    kept = [place for place, name in enumerate(matrix.names) if name not in gone]
    return matrix if len(kept) == len(matrix.names) else matrix.columns(kept, [matrix.names[at] for at in kept])


def _label(options: DataOptions, beside: Mapping[str, str], where: str) -> str | None:
    """The column that stratifies the split and colours figures: the label, or the first condition of categories."""
    if options.label is not None:
        check_named([options.label], beside, "label", where)
        return options.label
    check_named(options.given, beside, "given", where)
    named = [name for name in options.given if beside[name] in ("categorical", "boolean")]
    return named[0] if named else LABEL if LABEL in beside else None


def _values(column: pa.ChunkedArray) -> np.ndarray:
    values = plain(column)
    if pa.types.is_floating(values.type):
        return np.asarray(values.to_numpy(zero_copy_only=False))
    return as_names(np.array(values.to_pylist(), object))
