"""Rows of numbers without names: each column standardised on the training part."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import torch
from scipy.special import ndtri
from torch import Tensor

from sfumato.data import arrays
from sfumato.data.labels import LABEL, Label, condition, conditioned, examples
from sfumato.data.options import DataOptions
from sfumato.data.reference import normal_reference
from sfumato.data.schema import TRIED, Encoded, Schema, Varied, remember, rows_from_json
from sfumato.data.standard import far_cost, standardised
from sfumato.errors import SfumatoError
from sfumato.spec import DataSpec, Field


class VectorSchema(Schema):
    """x = (raw − mean) / scale for each column; with a bernoulli likelihood x is the raw value, within [0, 1].

    Missing entries (NaN) are allowed. Integers come back rounded and inside the seen range; floats are not clipped.

    >>> schema = VectorSchema.learn(np.array([[0.0, 1.0], [2.0, 1.0]]), None, DataOptions())
    >>> schema.encode(np.array([[2.0, 1.0]])).x
    tensor([[1., 0.]])
    >>> schema.decode(torch.tensor([[1.0, 0.0]]))
    array([[2., 1.]])
    """

    kind: ClassVar[str] = "vector"
    of_columns: ClassVar[bool] = True

    def __init__(
        self,
        spec: DataSpec,
        *,
        mean: np.ndarray,
        scale: np.ndarray,
        low: np.ndarray,
        high: np.ndarray,
        dtype: str,
        label: Label | None = None,
        given_rows: Tensor | None = None,
    ) -> None:
        self.spec = spec
        self.mean, self.scale, self.low, self.high = mean, scale, low, high
        self.dtype = dtype
        self.label = label
        self.given_names = (LABEL,) if spec.given else ()
        self.given_rows = given_rows
        self.label_names = label.names if label else ()

    @classmethod
    def learn(
        cls,
        x: np.ndarray,
        labels: np.ndarray | None,
        options: DataOptions,
        *,
        rows: np.ndarray | None = None,
        name: str = "X",
    ) -> VectorSchema:
        """From the rows `rows` (ascending; None for all) of `x`, read a chunk at a time, and their labels.

        Args:
            x: (N, D) numbers, NaN where missing.
            labels: one for each of the chosen rows, or None.
            options: likelihood, given, seed.
            rows: which rows are the training part.
            name: of the array in error messages.

        Raises:
            SfumatoError: for infinite values, a column without a value, or a likelihood that does not fit.
        """
        count, mean, scale, low, high = _statistics(x, rows, name)
        total = len(x) if rows is None else len(rows)
        empty = np.flatnonzero(count == 0)
        if len(empty):
            raise SfumatoError(f"{name}: column {empty[0]} has no value in the training part; leave it out")
        likelihood = _likelihood(options.likelihood, low, high, name)
        if likelihood == "bernoulli":
            mean, scale = np.zeros_like(mean), np.ones_like(scale)
        kind, size = ("level", 2) if likelihood == "bernoulli" else ("real", 1)
        fields = tuple(Field(kind, size, missing=bool(seen < total)) for seen in count)  # type: ignore[arg-type]
        label = None if labels is None else Label.learn(labels)
        given = conditioned(options, label, name)
        spec = DataSpec((x.shape[1],), fields, (label.field,) if given and label else (), likelihood, total)
        schema = cls(spec, mean=mean, scale=scale, low=low, high=high, dtype=x.dtype.str, label=label)
        if given and label and labels is not None:
            schema.given_rows = remember(label.encode(labels)[:, None], options.seed)
        return schema

    def encode(self, raw: Any) -> Encoded:
        x, labels = raw if isinstance(raw, tuple) else (raw, None)
        values = torch.from_numpy(standardised(x, self.mean, self.scale))
        return Encoded(values, condition(self.label, labels, len(x)) if self.given_names else None)

    def decode(self, x: Tensor, given: Tensor | None = None) -> np.ndarray:
        values = x.detach().cpu().double().numpy() * self.scale + self.mean
        dtype = np.dtype(self.dtype)
        if dtype.kind in "biu":
            values = np.clip(np.round(values), self.low, self.high)
        return values.astype(dtype)

    def read(self, source: Any, *, need_x: bool = True) -> Any:
        found = arrays.load(source)
        name = str(source) if isinstance(source, str | Path) else "X"
        if found.x.ndim != 2 or found.x.shape[1] != len(self.mean):
            raise SfumatoError(f"{name}: has shape {found.x.shape}; this model was trained on {len(self.mean)} columns")
        arrays.check_finite(found.x, name)
        if self.spec.likelihood == "bernoulli":
            _likelihood("bernoulli", np.nanmin(found.x, 0), np.nanmax(found.x, 0), name)
        return examples(found.x, found.labels, self.label) if self.given_names else found.x

    def write(self, raw: Any, path: str | Path) -> None:
        arrays.write(raw, path)

    def encode_condition(self, name: str, values: Sequence[Any]) -> Tensor:
        return self._encode_label(values)

    def describe(self) -> list[dict[str, str]]:
        modelled = "probability" if self.spec.likelihood == "bernoulli" else "standardised"
        rows = []
        for number, field in enumerate(self.spec.columns):
            constant = self.low[number] == self.high[number]
            rows.append(
                {
                    "column": str(number),
                    "kind": "constant" if constant else np.dtype(self.dtype).name,
                    "modelled": f"{modelled}, {self.spec.likelihood}",
                    "missing": "some" if field.missing else "",
                    "note": f"{self.low[number]:.4g} to {self.high[number]:.4g}",
                }
            )
        return rows

    def log_volume(self, x: Tensor) -> Tensor:
        if self.spec.likelihood == "bernoulli":
            return torch.zeros(len(x), device=x.device)
        logs = torch.as_tensor(np.log(self.scale), dtype=x.dtype, device=x.device)
        return torch.where(x.isnan(), 0.0, logs).sum(1)

    def log_reference(self, x: Tensor) -> Tensor:
        return self.log_volume(x) if self.spec.likelihood == "bernoulli" else normal_reference(x)

    def beyond(self, raw: Any) -> np.ndarray:
        x = raw[0] if isinstance(raw, tuple) else raw
        cost: np.ndarray = far_cost(x, self.mean, self.scale).sum(1)
        return cost

    def varied(self, raw: Any, rows: Sequence[int]) -> Iterator[Varied]:
        x, labels = raw if isinstance(raw, tuple) else (raw, None)
        index = np.repeat(rows, 1 + TRIED)
        levels = (np.arange(TRIED) + 0.5) / TRIED
        for place in range(x.shape[1]):
            values = levels
            if self.spec.likelihood != "bernoulli":
                values = self.mean[place] + self.scale[place] * ndtri(levels)
            changed = x[index].astype(np.float64)
            own = changed[:, place].copy()
            tried = np.tile([np.nan, *values], len(rows))
            changed[:, place] = np.where(np.isnan(own) | np.isnan(tried), own, tried)
            listed = [None if np.isnan(value) else value for value in own[:: 1 + TRIED].tolist()]
            yield Varied(str(place), changed if labels is None else (changed, labels[index]), listed, values.tolist())

    def to_dict(self) -> dict[str, Any]:
        return {
            **self.shared_entries(),
            "label": None if self.label is None else self.label.to_dict(),
            "dtype": self.dtype,
            "mean": self.mean.tolist(),
            "scale": self.scale.tolist(),
            "low": self.low.tolist(),
            "high": self.high.tolist(),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        return cls(
            DataSpec.from_dict(values["spec"]),
            mean=np.array(values["mean"]),
            scale=np.array(values["scale"]),
            low=np.array(values["low"]),
            high=np.array(values["high"]),
            dtype=values["dtype"],
            label=None if values["label"] is None else Label.from_dict(values["label"]),
            given_rows=rows_from_json(values["given_rows"]),
        )


def _likelihood(asked: str, low: np.ndarray, high: np.ndarray, name: str) -> str:
    if asked == "auto":
        return "gaussian"
    if asked not in ("gaussian", "mse", "bernoulli"):
        raise SfumatoError(f"likelihood={asked} is not for rows of numbers; choose gaussian, mse or bernoulli")
    if asked == "bernoulli" and (low.min() < 0 or high.max() > 1):
        column = int(np.argmax((low < 0) | (high > 1)))
        raise SfumatoError(
            f"{name}: column {column} goes from {low[column]:.4g} to {high[column]:.4g}; "
            "likelihood=bernoulli needs values within 0 and 1"
        )
    return asked


def _statistics(x: np.ndarray, rows: np.ndarray | None, name: str) -> tuple[np.ndarray, ...]:
    """Count, mean, standard deviation (1 where it is 0), least and greatest of each column, by chunks.

    Chunks are merged as in Chan, Golub and LeVeque (1983), so that nothing cancels.
    """
    width = x.shape[1]
    count, mean, square = np.zeros(width), np.zeros(width), np.zeros(width)
    low, high = np.full(width, np.inf), np.full(width, -np.inf)
    for start, all_rows, chosen in arrays.chunks(x, rows):
        arrays.check_finite(all_rows, name, start)
        chunk = chosen.astype(np.float64)
        seen = ~np.isnan(chunk)
        number = seen.sum(0)
        safe = np.maximum(number, 1)
        filled = np.where(seen, chunk, 0.0)
        centre = filled.sum(0) / safe
        spread = (np.where(seen, chunk - centre, 0.0) ** 2).sum(0)
        shift, total = centre - mean, np.maximum(count + number, 1)
        square += spread + np.where(number > 0, shift**2 * count * number / total, 0.0)
        mean += np.where(number > 0, shift * number / total, 0.0)
        count += number
        if len(chunk):
            low = np.minimum(low, np.where(seen, chunk, np.inf).min(0))
            high = np.maximum(high, np.where(seen, chunk, -np.inf).max(0))
    scale = np.sqrt(square / np.maximum(count, 1))
    return count, mean, np.where(scale > 1e-12 * np.abs(mean), scale, 1.0), low, high
