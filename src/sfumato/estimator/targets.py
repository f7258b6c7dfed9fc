"""Labels passed with an array or a frame, as in scikit-learn: `fit(X, y)`."""

from __future__ import annotations

import logging
from typing import Any, NamedTuple

import narwhals as nw
import numpy as np
from sklearn.utils import check_consistent_length, column_or_1d
from sklearn.utils.multiclass import check_classification_targets

from sfumato import models
from sfumato.config import Config
from sfumato.data.core.labels import LABEL
from sfumato.data.io.arrays import as_array
from sfumato.data.io.frames import is_frame
from sfumato.errors import SfumatoError

logger = logging.getLogger("sfumato.data")

UNLABELLED = -1
"""Marks *no label* among the classes 0, 1, …, as in scikit-learn's semi-supervised models."""


class Targets(NamedTuple):
    """Labels, some of which may be missing.

    Attributes:
        values: one for each row; NaN, or "" among strings, where it is missing.
        dtype: of those that are present.
    """

    values: np.ndarray
    dtype: np.dtype


def classified(y: Any) -> Targets:
    """The classes of a classifier's y; a row without one has None, NaN, or −1 among whole numbers from 0 on.

    >>> classified(np.array([0, -1, 1, 1])).values
    array([ 0., nan,  1.,  1.])
    >>> classified(np.array([-1, 1, 1])).values
    array([-1,  1,  1])

    Raises:
        ValueError: if y is not one class a row: continuous values, several columns, or empty.
    """
    values = column_or_1d(as_array(y, "y"), warn=True)
    # NaN does not equal itself, and comparing pandas' NA raises.
    missing = np.array(
        [value is None or value is not value or not _equals_itself(value) for value in values.tolist()], bool
    )
    known = values[~missing]
    if known.dtype.kind == "O":
        known = np.array(known.tolist())
    if known.dtype.kind in "iu" and len(known) and _marks_unlabelled(np.unique(known)):
        logger.warning(
            "y: %d of %d rows are −1, which are read as unlabelled", (known == UNLABELLED).sum(), len(values)
        )
        missing[~missing] = known == UNLABELLED
        known = known[known != UNLABELLED]
    if not len(known):
        raise SfumatoError("y: no row has a label; give a class for some of them")
    if known.dtype.kind == "f" and not np.isfinite(known).all():
        raise SfumatoError("Input y contains infinity or a value too large; give classes")
    check_classification_targets(known)
    if not missing.any():
        return Targets(known, known.dtype)
    numbers = known.dtype.kind in "biuf"
    filled = np.full(len(values), np.nan) if numbers else np.full(len(values), "", dtype=known.dtype)
    filled[~missing] = known
    return Targets(filled, known.dtype)


def unnamed(X: Any) -> bool:
    """Whether X is a pandas frame of numbers whose columns are numbered and have no names.

    >>> import pandas as pd
    >>> unnamed(pd.DataFrame([[1, 2.5]])), unnamed(pd.DataFrame({"a": [1]}))
    (True, False)
    """
    if not nw.dependencies.is_pandas_dataframe(X):
        return False
    numbered = X.columns.tolist() == list(range(X.shape[1]))
    return numbered and all(getattr(dtype, "kind", "O") in "biuf" for dtype in X.dtypes)


def joined(X: Any, y: Any, config: Config, dtype: np.dtype | None = None) -> tuple[Any, Config]:
    """X and y as one source, and the config that says which of it is the label.

    A frame gets y as a column, which is the condition of a model that needs one and has no other; other models
    ignore the y of a frame.

    Args:
        X: an array or a frame.
        y: (N,), checked.
        config: the options that were set.
        dtype: of the labels that are present, where others are missing.

    Raises:
        SfumatoError: if the frame has a column of that name.
    """
    if not is_frame(X):
        return (X, y), config
    if config.data.given or not models.describe(config.model).needs_conditions:
        return X, config
    check_consistent_length(X, y)
    narwhal = nw.from_native(X)
    frame = narwhal.collect() if isinstance(narwhal, nw.LazyFrame) else narwhal
    if LABEL in frame.columns:
        raise SfumatoError(f"X has a column {LABEL!r}, and y is given too; drop that column, or leave out y")
    options: dict[str, Any] = {"given": (LABEL,)}
    if models.describe(config.model).classifies:
        options["kinds"] = {**config.data.kinds, LABEL: "categorical"}
    values = [None if value != value or value == "" else value for value in np.asarray(y).tolist()]
    if dtype is not None and dtype.kind in "biu":
        values = [None if value is None else dtype.type(value).item() for value in values]
    config = config.with_options(options)
    if frame.implementation.is_pandas():
        return frame.to_native().assign(**{LABEL: np.array(values, object)}), config
    return frame.with_columns(nw.new_series(LABEL, values, backend=frame.implementation)).to_native(), config


def _equals_itself(value: Any) -> bool:
    try:
        return bool(value == value)
    except TypeError:
        return False


def _marks_unlabelled(values: np.ndarray) -> bool:
    """Whether −1 means unlabelled: the others are whole numbers from 0 on, and more than one."""
    return bool(values[0] == UNLABELLED and len(values) > 2 and values[1] == 0)
