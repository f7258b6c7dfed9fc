"""Values of conditions as a caller gives them: one for all examples, or one for each."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from torch import Tensor

from sfumato.data.io import arrays, frames
from sfumato.errors import SfumatoError


def repeated(name: str, value: Any, n: int) -> list[Any]:
    """One value for all, or n values, as n of Python's own; None where missing.

    Raises:
        SfumatoError: if there are others than one or n, or no column of a table can hold them.
    """
    listed = _listed(name, value)
    try:
        values = frames.values(name, [value] if listed is None else listed)
    except SfumatoError as error:
        raise SfumatoError(f"condition {str(error).removeprefix('column ')}") from None
    values = values * n if listed is None else values
    if len(values) != n:
        raise SfumatoError(f"condition {name!r} has {len(values)} values for {n} examples; give one, or {n}")
    return values


def _listed(name: str, value: Any) -> Any:
    """Many values as a sequence, an array or a column of a frame; None for a single one.

    Raises:
        SfumatoError: for a frame or an array of several columns.
    """
    if isinstance(value, Tensor):
        value = arrays.as_array(value, name)
    if frames.is_frame(value):
        table = frames.read(value)[0]
        if table.num_columns > 1:
            raise SfumatoError(
                f"condition {name!r} is a frame of {table.num_columns} columns; give one, as frame[{name!r}]"
            )
        return table.column(0)
    if isinstance(value, np.ndarray):
        if value.ndim > 1 and value.size != len(value):
            raise SfumatoError(f"condition {name!r} has shape {value.shape}; give one value, or one for each example")
        return value.reshape(-1) if value.ndim else None
    if isinstance(value, str | bytes) or not isinstance(value, Iterable):
        return None
    return value if hasattr(value, "dtype") or hasattr(value, "type") else list(value)
