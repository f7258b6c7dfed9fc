"""Columns of pandas' frames as arrow has them, and back in the dtype they came in."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pyarrow as pa

from sfumato.data.io.frame_columns import frames_objects
from sfumato.errors import SfumatoError
from sfumato.ranges import is_whole

DTYPE = "sfumato.dtype"
NAME_FIELD = "sfumato.name"
ARROW = "ArrowDtype"
"""Mark of a column with an Arrow dtype in pandas."""


def read(frame: Any) -> pa.Table:
    """A pandas frame as an arrow table, whose fields' metadata remember labels and dtypes.

    Raises:
        SfumatoError: if a label or a column is not one of a table.
    """
    arrays, fields = [], []
    for place, label in enumerate(frame.columns):
        check_label(label)
        array, marks = column(str(label), frame.iloc[:, place])
        if isinstance(label, int):
            marks[NAME_FIELD] = str(label)
        arrays.append(array)
        fields.append(pa.field(str(label), array.type, metadata=marks))
    return pa.table(arrays, schema=pa.schema(fields))


def column(name: str, series: Any) -> tuple[pa.Array, dict[str, str]]:
    """A pandas series as an arrow array, and the marks of its field."""
    import pandas as pd

    dtype = series.dtype
    marks = {DTYPE: str(dtype)}
    if isinstance(dtype, pd.ArrowDtype):
        array = pa.array(series, from_pandas=True)
        return array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array, {DTYPE: ARROW}
    if str(dtype) == "string":
        marks = {DTYPE: f"string[{dtype.storage}]"}
    elif isinstance(dtype, pd.SparseDtype):
        fill = dtype.fill_value
        fill = None if fill is None or fill != fill else np.asarray(fill).item()
        marks = {DTYPE: "Sparse " + json.dumps([str(dtype.subtype), fill])}
        series = series.sparse.to_dense()
    elif isinstance(dtype, pd.CategoricalDtype) and dtype.categories.dtype == object:
        known, more = frames_objects.column(name, dtype.categories)
        if pa.types.is_string(known.type):
            more = {frames_objects.TYPES_FIELD: "[]"} | more
        codes = pa.array(series.cat.codes.to_numpy(), mask=(series.cat.codes < 0).to_numpy())
        return pa.DictionaryArray.from_arrays(codes, known, ordered=bool(dtype.ordered)), marks | more
    elif dtype == np.longdouble:
        series = series.astype(np.float64)
    array, more = frames_objects.column(name, series)
    return array, marks | more


def check_labels(labels: Any) -> None:
    """Refuse labels of pandas' columns that are not all text, or all whole numbers."""
    for label in labels:
        check_label(label)
    words = [label for label in labels if isinstance(label, str)]
    if 0 < len(words) < len(labels):
        number = next(label for label in labels if not isinstance(label, str))
        raise SfumatoError(
            f"columns {words[0]!r} and {number} are called by text and by a number; call all alike, as with "
            "frame.columns = frame.columns.map(str)"
        )


def check_label(label: Any) -> None:
    """Refuse a label that is neither text nor a whole number."""
    if not (isinstance(label, str) or is_whole(label)):
        raise SfumatoError(
            f"column {label} has a label of type {type(label).__name__}, not text or a whole number; rename it, "
            "as with frame.columns = frame.columns.map(str)"
        )
    if isinstance(label, str) and frames_objects.repaired(label) != label:
        raise SfumatoError(f"column {label!r} has half a character (a lone surrogate) in its label; rename it")


def give(pd: Any, table: pa.Table) -> Any:
    """Back from `read`.

    Whole numbers and booleans that hold missing values become pandas' nullable Int64 and boolean.
    """
    columns = {}
    for field, column in zip(table.schema, table.columns, strict=True):
        marks = {key.decode(): value.decode() for key, value in (field.metadata or {}).items()}
        label: str | int = int(marks[NAME_FIELD]) if NAME_FIELD in marks else field.name
        columns[label] = _series(pd, column, marks)
    return pd.DataFrame(columns)


def _series(pd: Any, column: pa.ChunkedArray, marks: dict[str, str]) -> Any:
    dtype, kind = marks.get(DTYPE, ""), column.type
    if dtype == ARROW:
        return pd.Series(pd.arrays.ArrowExtensionArray(column))
    if frames_objects.TYPES_FIELD in marks:
        return _words(pd, column, marks)
    if dtype.startswith("Sparse "):
        subtype, fill = json.loads(dtype.removeprefix("Sparse "))
        wanted = pd.SparseDtype(subtype, np.nan if fill is None and subtype.startswith("float") else fill)
        return _series(pd, column, {DTYPE: subtype}).astype(wanted)
    if pa.types.is_dictionary(kind) and dtype == "category":
        return _categories(pd, column, column.combine_chunks().dictionary.to_pandas())
    return _of_dtype(pd, column, dtype)


def _words(pd: Any, column: pa.ChunkedArray, marks: dict[str, str]) -> Any:
    """Values of several types, or categories of such."""
    if not pa.types.is_dictionary(column.type):
        return pd.Series(frames_objects.objects(column.to_pylist(), marks), dtype=object)
    known = frames_objects.objects(column.combine_chunks().dictionary.to_pylist(), marks)
    return _categories(pd, column, pd.Index(known, dtype=object))


def _categories(pd: Any, column: pa.ChunkedArray, known: Any) -> Any:
    codes = column.combine_chunks().indices.fill_null(-1).to_numpy(zero_copy_only=False)
    return pd.Series(pd.Categorical.from_codes(codes, pd.Index(known), ordered=column.type.ordered))


def _of_dtype(pd: Any, column: pa.ChunkedArray, dtype: str) -> Any:
    kind = column.type
    if column.null_count and (pa.types.is_integer(kind) or pa.types.is_boolean(kind)):
        nullable = "boolean" if pa.types.is_boolean(kind) else _nullable(kind)
        if not dtype or dtype[0].islower():
            dtype = nullable
    try:
        wanted = pd.api.types.pandas_dtype(dtype) if dtype else None
    except TypeError:
        wanted = None
    if isinstance(wanted, pd.api.extensions.ExtensionDtype):
        try:
            return column.to_pandas(types_mapper=lambda _: wanted)
        except (NotImplementedError, TypeError, ValueError):
            return column.to_pandas()
    if dtype == "object":
        if isinstance(kind, pa.BaseExtensionType):
            return column.to_pandas().astype(object)
        return pd.Series(column.to_pylist(), dtype=object)
    series = column.to_pandas()
    return series.astype(wanted) if wanted == np.longdouble else series


def _nullable(kind: pa.DataType) -> str:
    name = str(kind)
    return name.replace("uint", "UInt").replace("int", "Int") if "uint" in name else name.replace("int", "Int")
