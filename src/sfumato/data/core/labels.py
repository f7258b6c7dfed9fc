"""Separate labels of arrays and images: names of classes, or the scale of numbers."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from sfumato.data.core.options import DataOptions
from sfumato.errors import SfumatoError, did_you_mean
from sfumato.spec import Field

logger = logging.getLogger("sfumato.data")

LABEL = "label"
"""What the label is called in `DataOptions.given` and in `Schema.conditions`."""


class Examples(NamedTuple):
    """Raw arrays or images with a raw label for each; what a schema with the label as condition reads."""

    x: np.ndarray
    labels: np.ndarray | None = None


@dataclass(frozen=True)
class Label:
    """How labels are encoded.

    Attributes:
        names: of the categories; empty when labels are numbers on a line.
        mean: of numeric labels on the training split.
        scale: their standard deviation.
        low, high: their range on the training split; 0 for categories.
        dtype: of labels that came as booleans or numbers; "" for all others.
    """

    names: tuple[str, ...] = ()
    mean: float = 0.0
    scale: float = 1.0
    low: float = 0.0
    high: float = 0.0
    dtype: str = ""

    @classmethod
    def learn(cls, labels: np.ndarray) -> Label:
        """From the labels of the training split: floats that are not whole are numbers, all else are categories.

        >>> Label.learn(np.array(["b", "a", "b"])).names
        ('a', 'b')
        """
        if is_numeric(labels):
            seen = labels[np.isfinite(labels)]
            ends = float(seen.min()), float(seen.max())
            return cls((), float(seen.mean()), float(seen.std()) or 1.0, *ends)
        dtype = labels.dtype.name if labels.dtype.kind in "biuf" else ""
        return cls(names=tuple(name for name in _sorted_names(labels) if name), dtype=dtype)

    @property
    def values(self) -> np.ndarray:
        """The categories in the order of `names`, as the labels came.

        >>> Label.learn(np.array([2, 0, 2])).values
        array([0, 2])
        """
        if self.dtype == "bool":
            return np.array([name == str(True) for name in self.names])
        number = float if self.dtype.startswith("float") else int
        return np.array([number(name) for name in self.names], self.dtype) if self.dtype else np.array(self.names)

    @property
    def field(self) -> Field:
        """The field of the label as a condition."""
        return Field("category", len(self.names)) if self.names else Field("real")

    def index(self, labels: np.ndarray) -> np.ndarray | None:
        """int64 index of each label, −1 for one not seen in training; None for numeric labels."""
        if not self.names:
            return None
        place = {name: number for number, name in enumerate(self.names)}
        names, inverse = np.unique(as_names(labels), return_inverse=True)
        return np.array([place.get(name, -1) for name in names.tolist()], np.int64)[inverse]

    def encode(self, labels: Sequence[Any] | np.ndarray) -> Tensor:
        """Labels as floats, shape (N,): the index, or the standardised number; NaN where missing.

        Numbers beyond the range seen in training are taken as its nearest end.

        Raises:
            SfumatoError: if a label is not one of the names, or not a number.
        """
        if not self.names:
            numbers = np.array([self._number(value) for value in list(labels)], float).clip(self.low, self.high)
            return torch.from_numpy((numbers - self.mean) / self.scale).float()
        names = as_names(np.array(list(labels), object)).tolist()
        place = {name: float(number) for number, name in enumerate(self.names)} | {"": math.nan}
        for name in names:
            if name not in place:
                raise SfumatoError(f"{LABEL} {name!r} is not one of this data; {did_you_mean(name, self.names)}")
        return torch.tensor([place[name] for name in names])

    @staticmethod
    def _number(value: Any) -> float:
        try:
            return math.nan if value is None else float(value)
        except (TypeError, ValueError):
            raise SfumatoError(f"{LABEL} {value!r} is not a number; give a number") from None

    def notes(self, labels: Sequence[Any] | np.ndarray) -> list[str]:
        """What a person should know before these labels are taken.

        >>> Label(low=0.5, high=2.0).notes([1.0, 7.0])
        ['1 label lies beyond the range seen in training (0.5 to 2), as 7; taken as the nearest end']
        """
        values = np.array(list(labels), object)
        if self.names:
            names = as_names(values)
            new = names[~np.isin(names, ["", *self.names])]
            who = "1 example has" if len(new) == 1 else f"{len(new)} examples have"
            return [f"{who} a label never seen in training, as {str(new[0])!r}; taken as missing"] if len(new) else []
        numbers = np.array([self._number(value) for value in values])
        new = numbers[(numbers < self.low) | (numbers > self.high)]
        who = "1 label lies" if len(new) == 1 else f"{len(new)} labels lie"
        ends = f"{self.low:g} to {self.high:g}"
        note = f"{who} beyond the range seen in training ({ends})"
        return [f"{note}, as {new[0]:g}; taken as the nearest end"] if len(new) else []

    def to_dict(self) -> dict[str, Any]:
        """As JSON-ready values."""
        numbers = {"mean": self.mean, "scale": self.scale, "low": self.low, "high": self.high}
        return {"names": list(self.names), **numbers, "dtype": self.dtype}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Label:
        """Back from `to_dict`."""
        numbers = {name: values[name] for name in ("mean", "scale", "low", "high")}
        return cls(tuple(values["names"]), **numbers, dtype=values.get("dtype", ""))


def is_numeric(labels: np.ndarray) -> bool:
    """Whether labels are numbers on a line: floats, some of them not whole."""
    if labels.dtype.kind != "f":
        return False
    seen = labels[np.isfinite(labels)]
    return bool(len(seen)) and bool((seen != np.round(seen)).any())


def as_names(labels: np.ndarray) -> np.ndarray:
    """Labels as strings, whole floats without their point; "" where missing.

    >>> as_names(np.array([1.0, np.nan])).tolist()
    ['1', '']
    """
    if labels.dtype.kind in "biuU":
        return labels.astype(str)
    return np.array([_as_name(value) for value in labels.tolist()], str)


def _as_name(value: Any) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _sorted_names(labels: np.ndarray) -> list[str]:
    """Names in the order of their values: 2 before 10, a before b."""
    if labels.dtype.kind in "biu":
        return [str(value) for value in np.unique(labels)]
    names = np.unique(as_names(labels)).tolist()
    if all(name.removeprefix("-").isdecimal() for name in names if name):
        return sorted(names, key=lambda name: int(name or 0))
    return names


def conditioned(options: DataOptions, label: Label | None, name: str) -> bool:
    """Whether the label is a condition.

    Raises:
        SfumatoError: if any other condition is requested, or there is no label.
    """
    for condition in options.given:
        if condition != LABEL:
            raise SfumatoError(f"given={condition!r}: {name} has no named columns; its only condition can be {LABEL!r}")
        if label is None:
            raise SfumatoError(f"given={LABEL!r}: {name} comes without labels; give (X, y), or y in the .npz")
    return bool(options.given)


def condition(label: Label | None, labels: np.ndarray | None, total: int) -> Tensor:
    """The condition column (N, 1) of raw labels; NaN for one not seen in training, and for all when there are none."""
    if labels is None or label is None:
        return torch.full((total, 1), math.nan)
    index = label.index(labels)
    entries = label.encode(labels) if index is None else torch.from_numpy(np.where(index < 0, np.nan, index)).float()
    return entries[:, None]


def examples(x: np.ndarray, labels: np.ndarray | None, label: Label | None) -> Examples:
    """What is read by a schema with the label as condition; labels never seen in training are reported."""
    if labels is not None and label is not None:
        for note in label.notes(labels):
            logger.warning("%s", note)
    return Examples(x, labels)


def codes(labels: np.ndarray | None) -> np.ndarray | None:
    """An integer for each label, for the split; None where there are none or they are numbers on a line."""
    if labels is None or is_numeric(labels):
        return None
    index: np.ndarray = np.unique(as_names(labels), return_inverse=True)[1]
    return index
