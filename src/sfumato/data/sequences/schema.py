"""Sequences: each channel standardised on the training split, time counted in typical steps."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from sfumato import likelihoods
from sfumato.data.columns.reference import normal_reference
from sfumato.data.columns.scaling import far_cost, standardised
from sfumato.data.core.batching.encoded import Encoded
from sfumato.data.core.labels import Label
from sfumato.data.core.options import DataOptions
from sfumato.data.io import arrays, frames, video_files
from sfumato.data.sequences import sequence_io
from sfumato.data.sequences.long_series import Windows, named_as, on_grid
from sfumato.data.sequences.series import Series, steps_inside
from sfumato.data.sequences.stamps import sort_of_times
from sfumato.data.sequences.timed import TimedSchema
from sfumato.errors import SfumatoError
from sfumato.formatting import count
from sfumato.spec import DataSpec, Field

WRITTEN_TABLES = (".csv", ".tsv", ".parquet", ".csv.gz", ".tsv.gz")


class SequenceSchema(TimedSchema):
    """x = (raw − mean) / scale for each channel, shape (N, T, D); time = (stamp − first stamp) / unit, shape (N, T).

    The unit is the median distance between the steps of the training split, so that a typical step is 1; dates are
    stamps in seconds. Missing entries, whole missing steps and the padding behind shorter sequences are NaN. Where each
    step is an image, its pixels are the channels, and all share one mean and scale.

    >>> raw = sequence_io.from_array(np.array([[0.0, 2.0, 4.0], [2.0, np.nan, 0.0]]))
    >>> schema = SequenceSchema.learn(raw, DataOptions(sequences=True))
    >>> schema.spec.shape, schema.encode(raw).x.shape
    ((3, 1), torch.Size([2, 3, 1]))
    >>> schema.decode(schema.encode(raw).x)[0].round(6)
    array([0., 2., 4.])
    """

    kind: ClassVar[str] = "sequence"

    def __init__(
        self,
        spec: DataSpec,
        *,
        mean: np.ndarray,
        scale: np.ndarray,
        low: np.ndarray,
        high: np.ndarray,
        unit: float,
        names: tuple[str, ...],
        flat: bool,
        columns: Mapping[str, Any],
        label: Label | None = None,
        image_shape: tuple[int, ...] = (),
        start: float = 0.0,
        dates: str = "",
        windows: Windows | None = None,
    ) -> None:
        self.spec = spec
        self.mean, self.scale, self.low, self.high = mean, scale, low, high
        self.unit, self.names, self.flat, self.image_shape = unit, names, flat, image_shape
        self.columns = dict(columns)
        self.start, self.dates = start, dates
        self.windows = windows
        self.label = label
        self.label_names = label.names if label else ()
        self.file_suffix = ".gif" if self._frame_shape else ""

    @classmethod
    def learn(cls, raw: Series, options: DataOptions, windows: Windows | None = None) -> SequenceSchema:
        """From the sequences of the training split, or from windows of long series and how these are cut.

        Raises:
            SfumatoError: for a channel without a value, or a likelihood that does not fit.
        """
        if options.given:
            raise SfumatoError(f"given={options.given[0]!r}: no model of sequences takes conditions; leave it out")
        flat = raw.x.reshape(-1, raw.x.shape[2])
        empty = np.flatnonzero(np.isnan(flat).all(0))
        if len(empty):
            raise SfumatoError(f"{raw.name}: {raw.names[empty[0]]} has no value in the training split; leave it out")
        likelihood = likelihoods.chosen(options.likelihood, "sequence", "sequences", "gaussian")
        low, high = np.nanmin(flat, 0), np.nanmax(flat, 0)
        mean, scale = np.nanmean(flat, 0), np.nanstd(flat if raw.level is None else _above_level(raw), 0)
        if raw.image_shape:
            mean, scale = np.full_like(mean, np.nanmean(flat)), np.full_like(scale, np.nanstd(flat))
        scale = np.where(scale > 1e-12 * np.abs(mean), scale, 1.0)
        _check_range(likelihood, flat, raw.name)
        if not likelihood.standardised:
            mean, scale = np.zeros_like(mean), np.ones_like(scale)
        inside = steps_inside(raw)
        missing = (np.isnan(raw.x) & inside[:, :, None]).any((0, 1))
        kind, size = ("level", likelihood.levels) if likelihood.levels else ("real", 1)
        fields = tuple(Field(kind, size, missing=bool(has_missing)) for has_missing in missing)  # type: ignore[arg-type]
        unit, start = 1.0, 0.0
        if windows is not None:
            unit, start = windows.grid.unit, windows.grid.start
        elif raw.time is not None:
            steps = np.diff(raw.time, axis=1)
            unit = float(np.nanmedian(steps)) if np.isfinite(steps).any() else 1.0
            start = float(np.nanquantile(raw.time[:, 0], 0.5, method="lower"))
        return cls(
            DataSpec(
                raw.x.shape[1:],
                fields,
                (),
                likelihood.name,
                len(raw),
                seasons=windows.seasons if windows else (),
                horizon=windows.horizon if windows else 0,
            ),
            mean=mean,
            scale=scale,
            low=low,
            high=high,
            unit=unit,
            names=raw.names,
            flat=raw.flat,
            columns={
                "id": options.id,
                "time": options.time or raw.time_column,
                "label": options.label,
                "drop": list(options.drop),
            },
            label=None if raw.labels is None else Label.learn(raw.labels),
            image_shape=raw.image_shape,
            start=start,
            dates=raw.dates,
            windows=windows,
        )

    @property
    def seen(self) -> int:
        """Steps of an example after which forecasts are judged: those that are seen of a window, or else half."""
        return self.windows.context if self.windows else (self.spec.shape[0] + 1) // 2

    @property
    def _likelihood(self) -> likelihoods.Likelihood:
        return likelihoods.named(self.spec.likelihood)

    def encode(self, raw: Any) -> Encoded:
        series = raw if isinstance(raw, Series) else sequence_io.from_array(np.asarray(raw))
        values = torch.from_numpy(standardised(series.x - self._shift(series), self.mean, self.scale))
        if series.place is not None:
            places = series.place[:, None] + np.arange(series.x.shape[1])
            return Encoded(values, time=torch.from_numpy(places.astype(np.float32)))
        if series.time is None:
            return Encoded(values)
        since = (series.time - series.time[:, :1]) / self.unit
        last = np.nanmax(since, axis=1, keepdims=True)
        ended = np.isnan(since)
        beyond = last + np.cumsum(ended, axis=1)
        return Encoded(values, time=torch.from_numpy(np.where(ended, beyond, since).astype(np.float32)))

    def decode(self, x: Tensor, given: Tensor | None = None) -> np.ndarray:
        values: np.ndarray = x.detach().cpu().double().numpy() * self.scale + self.mean
        if self.image_shape:
            return values.reshape(*values.shape[:-1], *self.image_shape)
        return values[..., 0] if self.flat else values

    def decode_beside(
        self, x: Tensor, given: Tensor | None, raw: Series, source: Any, *, complete: bool = False
    ) -> Any:
        """`decode`, as long as each sequence of `raw` is: NaN behind its end; a frame's rows as they stand in it."""
        values = self.decode(x, given)[:, : raw.x.shape[1]]
        values = values + (self._shift(raw)[..., 0] if self.flat else self._shift(raw))
        keys = None if raw.place is not None else raw.keys
        inside = steps_inside(raw) if keys is None else np.arange(raw.x.shape[1]) < keys.lengths[:, None]
        values[~inside] = np.nan
        source = sequence_io.with_index(source)
        if frames.is_frame(source):
            table, kind = self._table(values, raw), frames.read(source)[1]
            return frames.give(table if keys is None else table.take(np.argsort(keys.rows)), kind)
        return values

    def decode_futures(self, x: Tensor, raw: Series) -> np.ndarray:
        """Futures (N, n, H, D) of the sequences `raw` as raw numbers, (N, n, H, D) or (N, n, H)."""
        shift = self._shift(raw)
        return self.decode(x) + (shift if self.flat or raw.level is None else shift[:, None])

    def _shift(self, raw: Series) -> np.ndarray:
        """How far the level of each sequence is from the mean of all, (N, 1, D); 0 but for windows."""
        return np.zeros((1, 1, 1)) if raw.level is None else (np.nan_to_num(raw.level - self.mean))[:, None]

    def named(self, raw: Series, source: Any) -> dict[str, list[Any]]:
        if self.windows is not None and raw.place is not None:
            ids = {} if raw.keys is None else {self.columns["id"]: raw.keys.ids.to_pylist()}
            return ids | {name: stamps.to_pylist() for name, stamps in self._stamps(raw.place).items()}
        if raw.files:
            return {"file": list(raw.files)}
        return {} if raw.keys is None else {self._key_names()[0]: raw.keys.ids.to_pylist()}

    def series_names(self, raw: Series, source: Any) -> dict[str, list[Any]]:
        """A column that says which sequence is which: by its id or its number; none for one long series alone."""
        if self.windows is not None and raw.keys is not None:
            return {self.columns["id"]: raw.keys.ids.to_pylist()}
        if self.windows is not None:
            return {} if len(raw) == 1 else {"id": list(range(len(raw)))}
        return self.named(raw, source) or {"id": list(range(len(raw)))}

    def read(self, source: Any, *, need_x: bool = True) -> Series:
        if isinstance(source, Series) and source.place is not None:
            return source
        if self.windows is not None:
            series = self._loaded(source)
            return named_as(self.windows.consecutive(on_grid(series, self.windows.grid)[0]), series)
        series = self._loaded(source)
        longest, channels = self.spec.shape
        if series.x.shape[1] > longest:
            raise SfumatoError(
                f"{series.name}: has sequences of {series.x.shape[1]} steps; this model was trained "
                f"on at most {longest}"
            )
        if not self._likelihood.density:
            _check_range(self._likelihood, series.x.reshape(-1, channels), series.name)
        return series

    def latest(self, source: Any) -> Series:
        """What forecasts are made from: of long series the last steps, and else the sequences as `read` gives them.

        Raises:
            SfumatoError: as `read` does.
        """
        if self.windows is None or (isinstance(source, Series) and source.place is not None):
            return self.read(source)
        series = self._loaded(source)
        return named_as(self.windows.latest(on_grid(series, self.windows.grid)[0]), series)

    def _loaded(self, source: Any) -> Series:
        """Sequences of the channels and times of the training."""
        id, time = self._key_names()
        if self.windows is not None:
            id, time = self.columns["id"], self.columns["time"]
        known: sequence_io.VideoSize = {"shape": self.image_shape} if self.image_shape else {}
        series = sequence_io.load(source, known, id=id, time=time, label=self.columns["label"], channels=self.names)
        if series.image_shape != self.image_shape:
            kinds = [f"images {layout}" if layout else "numbers" for layout in (series.image_shape, self.image_shape)]
            raise SfumatoError(f"{series.name}: is a sequence of {kinds[0]}; this model was trained on {kinds[1]}")
        if series.x.shape[2] != self.spec.shape[1] or (self.columns["id"] and series.names != self.names):
            raise SfumatoError(
                f"{series.name}: has the channels {', '.join(series.names)}; this model was trained on "
                f"{', '.join(self.names)}"
            )
        sorts = [sort_of_times(dates) for dates in (series.dates, self.dates)]
        if series.time is not None and sorts[0] != sorts[1]:
            raise SfumatoError(
                f"{series.name}: column {series.time_column!r} holds {sorts[0]}; this model was trained on {sorts[1]}"
            )
        return series

    def take(self, raw: Series, rows: Sequence[int]) -> Series:
        index = np.asarray(rows, int)
        time, labels = (None if part is None else part[index] for part in (raw.time, raw.labels))
        level, place = (None if part is None else part[index] for part in (raw.level, raw.place))
        files = tuple(raw.files[row] for row in index) if raw.files else ()
        return replace(raw, x=raw.x[index], time=time, labels=labels, keys=None, level=level, place=place, files=files)

    def write(self, raw: Any, path: str | Path) -> None:
        self._write(raw.x if isinstance(raw, Series) else raw, path, raw if isinstance(raw, Series) else None)

    def write_beside(self, values: Any, path: str | Path, raw: Series, source: Any) -> None:
        self._write(values, path, raw)

    def write_clips(self, values: np.ndarray, path: str | os.PathLike[str], names: Sequence[str] | None = None) -> None:
        """Write sequences of images, (N, T, *image) as `decode` gives them, as a `.gif`, an `.mp4` or a folder of GIFs.

        Args:
            values: the sequences, NaN behind the end of each.
            path: where to.
            names: files that those in a folder are called after; None numbers them.

        Raises:
            SfumatoError: if their steps are no images of one or three channels.
        """
        shape = self._frame_shape
        if not shape:
            raise SfumatoError(f"{path}: only sequences of grey or colour images are written as videos; write .npy")
        # Pixels are from 0 to 1, or levels from 0 to 255.
        top = 1.0 if self.high.max() <= 1.0 else 255.0
        video_files.save(values.reshape(*values.shape[:2], *shape) * (255.0 / top), Path(path), names)

    @property
    def _frame_shape(self) -> tuple[int, ...]:
        """C, H, W of each step where it is a grey or colour image; () for all else."""
        shape = self.image_shape if len(self.image_shape) != 2 else (1, *self.image_shape)
        return shape if len(shape) == 3 and shape[0] in (1, 3) else ()

    def _write(self, x: np.ndarray, path: str | Path, raw: Series | None) -> None:
        if Path(path).suffix in video_files.VIDEO_SUFFIXES or (self.image_shape and not Path(path).suffix):
            self.write_clips(x, path, raw.files if raw is not None and raw.files else None)
            return
        if not str(path).endswith(WRITTEN_TABLES):
            arrays.write(x, path)
            return
        # A length of time has no spelling in text: seconds, as they are read.
        spans = self.dates.startswith("duration") and not str(path).endswith(".parquet")
        frames.write(self._table(x, raw, seconds=spans), Path(path))

    def _table(self, x: np.ndarray, raw: Series | None, *, seconds: bool = False) -> pa.Table:
        """Sequences as a long table, under the ids and times of `raw`; new ones begin as those of the training did."""
        id, time = self._key_names()
        if self.windows is not None and raw is not None and raw.place is not None:
            return self._series_table(x, raw)
        stamps = None if raw is None else raw.time
        if stamps is None and self.windows is not None:
            stamps = np.tile(self.windows.grid.times(np.arange(x.shape[1])), (len(x), 1))
        elif stamps is None:
            stamps = np.tile(self.start + np.arange(x.shape[1]) * self.unit, (len(x), 1))
        keys = None if raw is None else raw.keys
        if seconds and keys is not None:
            keys = replace(keys, times=None)
        dates = "" if seconds else self.dates
        return sequence_io.to_table(x, self.names, id=id, time=time, stamps=stamps, keys=keys, dates=dates)

    def _series_table(self, x: np.ndarray, raw: Series) -> pa.Table:
        """Windows (N, T, …) as the rows of the series that they were cut from."""
        inside = steps_inside(raw)
        assert raw.place is not None, "only windows have a place"
        columns: dict[str, Any] = {}
        if raw.keys is not None:
            columns[self.columns["id"]] = raw.keys.ids.take(pa.array(np.repeat(np.arange(len(x)), inside.sum(1))))
        columns |= self._stamps((raw.place[:, None] + np.arange(x.shape[1]))[inside])
        values = x.reshape(*x.shape[:2], -1)[inside]
        return pa.table(columns | {name: values[:, place] for place, name in enumerate(self.names)})

    def encode_condition(self, name: str, values: Sequence[Any]) -> Tensor:
        raise SfumatoError(f"condition {name!r}: sequences have no conditions; leave it out")

    def describe(self) -> list[dict[str, str]]:
        modelled = self._likelihood.modelled_as
        steps = self.spec.shape[0]
        if self.image_shape:
            return [
                {
                    "column": "images",
                    "kind": f"sequence of {steps} images {'×'.join(map(str, self.image_shape))}",
                    "modelled": f"{modelled}, {self.spec.likelihood}",
                    "missing": "some" if any(field.missing for field in self.spec.fields) else "",
                    "note": f"{self.low.min():.4g} to {self.high.max():.4g}",
                }
            ]
        return [
            {
                "column": name,
                "kind": f"sequence of {steps} steps",
                "modelled": f"{modelled}, {self.spec.likelihood}",
                "missing": "some" if field.missing else "",
                "note": f"{self.low[place]:.4g} to {self.high[place]:.4g}",
            }
            for place, (name, field) in enumerate(zip(self.names, self.spec.fields, strict=True))
        ]

    @property
    def example_size(self) -> str:
        steps, channels = self.spec.shape
        return f"up to {steps} steps of {count(channels, 'channel')}"

    def log_jacobian(self, x: Tensor) -> Tensor:
        logs = torch.as_tensor(np.log(self.scale), dtype=x.dtype, device=x.device)
        return torch.where(x.isnan(), 0.0, logs).flatten(1).sum(1)

    def log_reference(self, x: Tensor) -> Tensor:
        return normal_reference(x) if self._likelihood.density else self.log_jacobian(x)

    def out_of_range_penalty(self, raw: Any) -> np.ndarray:
        cost: np.ndarray = far_cost(raw.x - self._shift(raw), self.mean, self.scale).sum((1, 2))
        return cost

    def to_dict(self) -> dict[str, Any]:
        return {
            **self.shared_entries(),
            "label": None if self.label is None else self.label.to_dict(),
            "names": list(self.names),
            "flat": self.flat,
            "image_shape": list(self.image_shape),
            "unit": self.unit,
            "start": self.start,
            "dates": self.dates,
            "windows": None if self.windows is None else self.windows.to_dict(),
            "columns": self.columns,
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
            unit=values["unit"],
            names=tuple(values["names"]),
            flat=values["flat"],
            columns=values["columns"],
            label=None if values["label"] is None else Label.from_dict(values["label"]),
            image_shape=tuple(values.get("image_shape", ())),
            start=values.get("start", 0.0),
            dates=values.get("dates", ""),
            windows=None if values["windows"] is None else Windows.from_dict(values["windows"]),
        )


def _above_level(raw: Series) -> np.ndarray:
    """Values less the level of their window, (·, D)."""
    assert raw.level is not None, "called for windows"
    return (raw.x - raw.level[:, None]).reshape(-1, raw.x.shape[2])


def _check_range(likelihood: likelihoods.Likelihood, values: np.ndarray, name: str) -> None:
    """Refuse numbers, (·, D), that the likelihood does not take."""
    seen = values[~np.isnan(values)]
    if not len(seen):
        return
    if seen.min() < likelihood.low or seen.max() > likelihood.high:
        raise SfumatoError(f"{name}: likelihood={likelihood.name} needs values {likelihood.bounded}")
    if likelihood.whole:
        arrays.check_whole(values, name)
