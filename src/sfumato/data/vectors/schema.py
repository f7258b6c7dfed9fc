"""Rows of numbers without names: each column standardised on the training split."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import torch
from scipy.special import ndtri
from torch import Tensor

from sfumato import likelihoods
from sfumato.data.columns.reference import normal_reference
from sfumato.data.columns.scaling import far_cost, standardised
from sfumato.data.core.batching.encoded import Encoded
from sfumato.data.core.counts import statistics
from sfumato.data.core.labelled import LabelledSchema
from sfumato.data.core.labels import Label
from sfumato.data.core.options import DataOptions
from sfumato.data.core.schema import TRIED, Varied
from sfumato.data.io import arrays
from sfumato.data.io.arrays import Arrays
from sfumato.errors import SfumatoError
from sfumato.files import finite
from sfumato.spec import DataSpec, Field


class VectorSchema(LabelledSchema):
    """x = (raw − mean) / scale for each column; with a bernoulli likelihood x is the raw value, within [0, 1].

    Missing entries (NaN) are allowed. A column that never varies, or has no value, is not modelled and comes back so.
    Integers come back rounded and inside the seen range; floats are not clipped.

    >>> schema = VectorSchema.learn(np.array([[0.0, 7.0], [2.0, 7.0]]), None, DataOptions())
    >>> schema.encode(np.array([[2.0, 7.0]])).x
    tensor([[1.]])
    >>> schema.decode(torch.tensor([[1.0]]))
    array([[2., 7.]])
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
        fixed: np.ndarray,
        kept: np.ndarray,
        label: Label | None = None,
        given_rows: Tensor | None = None,
    ) -> None:
        """As learned: statistics of the `kept` columns; of all columns what the others hold, (D,) `fixed`, or NaN."""
        super().__init__(spec, label, given_rows)
        self.fixed, self.kept = fixed, kept
        self.left = np.setdiff1d(np.arange(len(fixed)), kept)
        self.mean, self.scale, self.low, self.high = mean, scale, low, high
        self.dtype = dtype

    @classmethod
    def learn(
        cls,
        x: np.ndarray,
        labels: np.ndarray | None,
        options: DataOptions,
        *,
        rows: np.ndarray | None = None,
        name: str = "X",
    ) -> Self:
        """From the rows `rows` (ascending; None for all) of `x`, read a chunk at a time, and their labels.

        Whether a column varies is looked at in all rows, as in tables.

        Args:
            x: (N, D) numbers, NaN where missing.
            labels: one for each of the chosen rows, or None.
            options: likelihood, given, seed.
            rows: which rows are the training split.
            name: of the array in error messages.

        Raises:
            SfumatoError: for infinite values, no column that varies, or a likelihood that does not fit.
        """
        count, mean, scale, low, high, varies = _statistics(x, rows, name)
        total = len(x) if rows is None else len(rows)
        kept = np.flatnonzero((count > 0) & varies)
        if not len(kept):
            what = "varies" if count.any() else "has a value in the training split"
            raise SfumatoError(f"{name}: no column {what}; give one that does")
        fixed = np.where(count > 0, low, np.nan)
        fixed[kept] = np.nan
        count, mean, scale, low, high = (part[kept] for part in (count, mean, scale, low, high))
        likelihood = likelihoods.chosen(options.likelihood, "vector", "rows of numbers", "gaussian")
        likelihood.check(low, high, name, kept)
        if likelihood.whole:
            arrays.check_whole(x, name)
        if not likelihood.standardised:
            mean, scale = np.zeros_like(mean), np.ones_like(scale)
        kind, size = ("level", likelihood.levels) if likelihood.levels else ("real", 1)
        kind = "count" if likelihood.counts else kind
        fields = tuple(Field(kind, size, missing=bool(seen < total)) for seen in count)  # type: ignore[arg-type]
        label, given = cls.learn_label(labels, options, name)
        spec = DataSpec((len(kept),), fields, given, likelihood.name, total)
        if likelihood.counts:
            own = None if not given or label is None or labels is None else label.encode(labels)[:, None]
            seen = x[:, kept] if rows is None else x[np.ix_(rows, kept)]
            spec = replace(spec, counts=statistics(seen, own, options.seed))
        learned: dict[str, Any] = {"mean": mean, "scale": scale, "low": low, "high": high, "fixed": fixed, "kept": kept}
        schema = cls(spec, dtype=x.dtype.str, label=label, **learned)
        schema.remember_labels(labels, options.seed)
        return schema

    def encode(self, raw: Any) -> Encoded:
        x, labels = raw if isinstance(raw, tuple) else (raw, None)
        values = torch.from_numpy(standardised(self._modelled(x), self.mean, self.scale))
        return Encoded(values, self.encode_label(labels, len(x)))

    def decode(self, x: Tensor, given: Tensor | None = None) -> np.ndarray:
        values = x.detach().cpu().double().numpy() * self.scale + self.mean
        dtype = np.dtype(self.dtype)
        if dtype.kind in "biu":
            values = np.clip(np.round(values), self.low, self.high)
        if len(self.left):
            full = np.tile(self.fixed, (len(values), 1))
            full[:, self.kept] = values
            values = full
        return values.astype(dtype)

    def all_blank(self, n: int) -> np.ndarray:
        return np.full((n, len(self.fixed)), np.nan)

    def as_entries(self, blank: np.ndarray) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(self._modelled(blank)))

    @property
    def _likelihood(self) -> likelihoods.Likelihood:
        return likelihoods.named(self.spec.likelihood)

    def _modelled(self, x: np.ndarray) -> np.ndarray:
        return x[:, self.kept] if len(self.left) else x

    def _unlike(self, x: np.ndarray) -> np.ndarray:
        """(N, L): which values of the columns that are left out are not what these hold; missing ones are none."""
        values = x[:, self.left].astype(np.float64)
        return (values != self.fixed[self.left]) & ~np.isnan(values)

    def cautions(self) -> tuple[str, ...]:
        """What a person should know of how columns are taken, before training."""
        if not len(self.left):
            return ()
        many = len(self.left) > 1
        which = f"{_listed(self.left)} never {'vary' if many else 'varies'}, or {'have' if many else 'has'} no value"
        return (f"{which}; not modelled, and come{'' if many else 's'} back as {'they are' if many else 'it is'}",)

    def notes(self, x: np.ndarray) -> list[str]:
        """What is no mistake but should be known of new rows: other values in columns that are not modelled."""
        unlike = self._unlike(x)
        places = np.flatnonzero(unlike.any(0))
        if not len(places):
            return []
        row = int(np.argmax(unlike[:, places[0]]))
        place = self.left[places[0]]
        value = self.fixed[place]
        was = "no value" if np.isnan(value) else f"{value:.6g} alone"
        return [
            f"{_listed(self.left[places])}: values unlike training, as {x[row, place]:.6g} in row {row + 1} where "
            f"column {place} held {was}; not modelled, and {was.removesuffix(' alone')} comes back"
        ]

    def read(self, source: Any, *, need_x: bool = True) -> Any:
        loaded = self.arrays_of(source)
        name = str(source) if isinstance(source, str | Path) else "X"
        width = len(self.fixed)
        if loaded.x.ndim != 2 or loaded.x.shape[1] != width:
            raise SfumatoError(f"{name}: has shape {loaded.x.shape}; this model was trained on {width} columns")
        arrays.check_finite(loaded.x, name)
        self._tell(self.notes(loaded.x), f"{name}: " if isinstance(source, str | Path) else "")
        if not self._likelihood.density:
            modelled = self._modelled(loaded.x)
            self._likelihood.check(np.nanmin(modelled, 0), np.nanmax(modelled, 0), name, self.kept)
        if self._likelihood.whole:
            arrays.check_whole(loaded.x, name)
        return self.with_labels(loaded.x, loaded.labels)

    def labels_of(self, source: Any) -> np.ndarray | None:
        return self.arrays_of(source).labels

    def arrays_of(self, source: Any) -> Arrays:
        """A path or an array as arrays, not checked yet; what a schema of files of another format overrides.

        Raises:
            SfumatoError: if it cannot be read.
        """
        return arrays.load(source)

    def write(self, raw: Any, path: str | Path) -> None:
        arrays.write(raw, path)

    def describe(self) -> list[dict[str, str]]:
        modelled = self._likelihood.modelled_as
        rows = []
        for place, value in enumerate(self.fixed.tolist()):
            empty = np.isnan(value)
            note = "no value; comes back empty" if empty else f"always {value:.6g}"
            missing = "all" if empty else ""
            row = {"kind": "constant", "modelled": "not modelled", "missing": missing, "note": note}
            rows.append({"column": str(place), **row})
        for number, (place, field) in enumerate(zip(self.kept.tolist(), self.spec.columns, strict=True)):
            rows[place] = {
                "column": str(place),
                "kind": np.dtype(self.dtype).name,
                "modelled": f"{modelled}, {self.spec.likelihood}",
                "missing": "some" if field.missing else "",
                "note": f"{self.low[number]:.4g} to {self.high[number]:.4g}",
            }
        return rows

    def log_jacobian(self, x: Tensor) -> Tensor:
        if not self._likelihood.density:
            return torch.zeros(len(x), device=x.device)
        logs = torch.as_tensor(np.log(self.scale), dtype=x.dtype, device=x.device)
        return torch.where(x.isnan(), 0.0, logs).sum(1)

    def log_reference(self, x: Tensor) -> Tensor:
        return normal_reference(x) if self._likelihood.density else self.log_jacobian(x)

    def out_of_range_penalty(self, raw: Any) -> np.ndarray:
        """What lies too far out for a network, and log(M + 1) for each value that never was in M training rows."""
        x = raw[0] if isinstance(raw, tuple) else raw
        cost: np.ndarray = far_cost(self._modelled(x), self.mean, self.scale).sum(1)
        unlike = self._unlike(x)[:, ~np.isnan(self.fixed[self.left])]
        return cost + np.log1p(self.spec.examples) * unlike.sum(1)

    def varied(self, raw: Any, rows: Sequence[int]) -> Iterator[Varied]:
        x, labels = raw if isinstance(raw, tuple) else (raw, None)
        index = np.repeat(rows, 1 + TRIED)
        levels = (np.arange(TRIED) + 0.5) / TRIED
        for number, place in enumerate(self.kept.tolist()):
            values = self.mean[number] + self.scale[number] * ndtri(levels)
            if not self._likelihood.standardised:
                bounds = (self._likelihood.low, self.low[number]), (self._likelihood.high, self.high[number])
                low, high = (own if np.isfinite(own) else seen for own, seen in bounds)
                values = low + levels * (high - low)
                values = np.round(values) if self._likelihood.whole else values
            changed = x[index].astype(np.float64)
            own = changed[:, place].copy()
            tried = np.tile([np.nan, *values], len(rows))
            changed[:, place] = np.where(np.isnan(own) | np.isnan(tried), own, tried)
            listed = [None if np.isnan(value) else value for value in own[:: 1 + TRIED].tolist()]
            yield Varied(str(place), changed if labels is None else (changed, labels[index]), listed, values.tolist())

    def to_dict(self) -> dict[str, Any]:
        return {
            **self.shared_entries(),
            "dtype": self.dtype,
            "mean": self.mean.tolist(),
            "scale": self.scale.tolist(),
            "low": self.low.tolist(),
            "high": self.high.tolist(),
            "fixed": finite(self.fixed.tolist()),
            "kept": self.kept.tolist(),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        return cls(
            mean=np.array(values["mean"]),
            scale=np.array(values["scale"]),
            low=np.array(values["low"]),
            high=np.array(values["high"]),
            dtype=values["dtype"],
            fixed=np.array(values["fixed"], np.float64),
            kept=np.array(values["kept"]),
            **cls.shared_arguments(values),
        )


def _listed(places: np.ndarray, most: int = 12) -> str:
    """Columns by their numbers, for messages."""
    shown = ", ".join(map(str, places[:most].tolist())) + (", …" if len(places) > most else "")
    return f"column {shown}" if len(places) == 1 else f"{len(places)} columns ({shown})"


def _statistics(x: np.ndarray, rows: np.ndarray | None, name: str) -> tuple[np.ndarray, ...]:
    """Count, mean, standard deviation (1 where it is 0), least and greatest of each column, by chunks.

    And whether it varies, in all rows of `x`. Chunks are merged as in Chan, Golub and LeVeque (1983), so that nothing
    cancels.
    """
    width = x.shape[1]
    count, mean, square = np.zeros(width), np.zeros(width), np.zeros(width)
    low, high = np.full(width, np.inf), np.full(width, -np.inf)
    ends = low.copy(), high.copy()
    for start, all_rows, chosen in arrays.chunks(x, rows):
        arrays.check_finite(all_rows, name, start)
        ends = np.fmin(ends[0], np.fmin.reduce(all_rows, 0)), np.fmax(ends[1], np.fmax.reduce(all_rows, 0))
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
    return count, mean, np.where(scale > 1e-12 * np.abs(mean), scale, 1.0), low, high, ends[0] < ends[1]
