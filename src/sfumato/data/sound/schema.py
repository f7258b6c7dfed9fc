"""Sound: waveforms on the scale of their level in training, or the frames of their mel bands."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import torch
from torch import Tensor

from sfumato import likelihoods
from sfumato.data.columns.reference import normal_reference
from sfumato.data.columns.scaling import far_cost, standardised
from sfumato.data.core.batching.encoded import Encoded
from sfumato.data.core.labelled import LabelledSchema
from sfumato.data.core.labels import Label
from sfumato.data.core.options import DataOptions
from sfumato.data.io import arrays, sound_files
from sfumato.data.sound import reading
from sfumato.data.sound.windows import cut, lengths_of, taken
from sfumato.errors import SfumatoError
from sfumato.formatting import count
from sfumato.spec import DataSpec, Field
from sfumato.spectra import SILENCE, MelScale

PAUSE_SECONDS = 0.25
"""Seconds between sounds that are written into one file."""
AT_A_TIME = 64
"""Sounds whose spectra are made together."""


@dataclass(frozen=True)
class Bands:
    """How the frames of mel bands are scaled.

    Attributes:
        mean: of the logarithm of each band on the training split, in the channels' order, (C·bands,).
        scale: its standard deviation.
        length_mean: of the logarithm of the frames of a sound; 0 where all have as many.
        length_scale: its standard deviation.
    """

    mean: np.ndarray
    scale: np.ndarray
    length_mean: float = 0.0
    length_scale: float = 1.0

    def to_dict(self) -> dict[str, Any]:
        """As JSON-ready values."""
        return {**vars(self), "mean": self.mean.tolist(), "scale": self.scale.tolist()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Back from `to_dict`."""
        return cls(np.array(values["mean"]), np.array(values["scale"]), values["length_mean"], values["length_scale"])


@dataclass(frozen=True)
class Sound:
    """What all examples share.

    Attributes:
        rate: samples a second.
        channels: one or two.
        length: samples of the longest example.
        level: the root mean square of the training split; waveforms are divided by it.
        ends: whether some examples end before `length`.
    """

    rate: int
    channels: int
    length: int
    level: float
    ends: bool


class SoundSchema(LabelledSchema):
    """Waveforms x = raw / level, (T, C), or the logarithms of their mel bands, standardised, as one row.

    Raw sounds are arrays (N, T), or (N, T, 2) in stereo, from −1 to 1, NaN behind the end of each; from files those are
    consecutive windows. The level is the root mean square of the training split, so that a set of quiet recordings is
    learned as well as a loud one. In a row of mel bands the logarithm of the number of frames comes first where sounds
    differ in length, and what would be behind the end is missing: masked, in either representation.

    >>> raw = np.sin(np.arange(2000)).reshape(2, 1000) * 0.01
    >>> schema = SoundSchema.learn(raw[..., None], None, DataOptions(rate=8000, representation="waveform"), rate=8000)
    >>> schema.spec.shape, bool(abs(schema.encode(raw).x.std() - 1) < 0.01)
    ((1000, 1), True)
    >>> bool(np.allclose(schema.decode(schema.encode(raw).x), raw, atol=1e-6))
    True
    """

    kind: ClassVar[str] = "sound"

    def __init__(
        self,
        spec: DataSpec,
        *,
        sound: Sound,
        bands: Bands | None = None,
        label: Label | None = None,
        given_rows: Tensor | None = None,
    ) -> None:
        super().__init__(spec, label, given_rows)
        self.sound, self.bands = sound, bands

    @classmethod
    def learn(
        cls,
        x: np.ndarray,
        labels: np.ndarray | None,
        options: DataOptions,
        *,
        rate: int,
        ends: bool = False,
        name: str = "X",
    ) -> SoundSchema:
        """From the training split, (N, T, C) float, NaN behind the end of a sound.

        Args:
            x: the sounds.
            labels: one for each, or None.
            options: likelihood, representation, given, seed.
            rate: samples a second.
            ends: whether some sounds, of any split, end before T.
            name: of the source in error messages.

        Raises:
            SfumatoError: if all is silent, or options do not fit.
        """
        likelihood = likelihoods.chosen(options.likelihood, "sound", "sounds", "gaussian")
        level = float(np.sqrt(np.nanmean(np.square(x, dtype=np.float64))))
        if not level:
            raise SfumatoError(f"{name}: the training split is silent throughout; check the recordings")
        sound = Sound(rate, x.shape[2], x.shape[1], level, ends)
        label, given = cls.learn_label(labels, options, name)
        bands = None
        if options.representation == "mel":
            bands = _learned_bands(cls(DataSpec((1,), (Field("real"),)), sound=sound), x)
            entries = MelScale.of(rate).frames(sound.length) * len(bands.mean) + ends
            spec = DataSpec((entries,), (Field("real", missing=ends),), given, likelihood.name, len(x))
        else:
            fields = (Field("real", missing=ends),) * sound.channels
            spec = DataSpec(
                (sound.length, sound.channels), fields, given, likelihood.name, len(x), ends=ends, rate=rate
            )
        schema = cls(spec, sound=sound, bands=bands, label=label)
        schema.remember_labels(labels, options.seed)
        return schema

    @property
    def mel_scale(self) -> MelScale:
        """The frames and bands of its spectra."""
        return MelScale.of(self.sound.rate)

    def encode(self, raw: Any) -> Encoded:
        x, labels = raw if isinstance(raw, tuple) else (raw, None)
        x = self._three_axes(x)
        if x.shape[1] < self.sound.length:
            behind = np.full((len(x), self.sound.length - x.shape[1], x.shape[2]), np.nan, x.dtype)
            x = np.concatenate([x, behind], 1)
        encoded = torch.from_numpy(standardised(x, 0.0, self.sound.level)) if self.bands is None else self._as_row(x)
        return Encoded(encoded, self.encode_label(labels, len(x)))

    def _as_row(self, x: np.ndarray) -> Tensor:
        """Sounds as rows of standardised mel bands, frame by frame; behind the frames' number where sounds differ."""
        assert self.bands is not None, "only of mel bands"
        frames = np.array([self.mel_scale.frames(int(end)) for end in lengths_of(x)])
        values = self.log_mel(x)
        rows = (values.numpy() - self.bands.mean) / self.bands.scale
        rows[np.arange(rows.shape[1]) >= frames[:, None]] = np.nan
        rows = rows.reshape(len(rows), rows.shape[1] * rows.shape[2])
        if self.sound.ends:
            length = (np.log(np.maximum(frames, 1)) - self.bands.length_mean) / self.bands.length_scale
            rows = np.concatenate([length[:, None], rows], 1)
        return torch.from_numpy(rows.astype(np.float32))

    def log_mel(self, x: np.ndarray) -> Tensor:
        """`MelScale.log_mel` of raw sounds (N, T, C) on the scale of the level, (N, frames, C·bands)."""
        filled = torch.from_numpy(np.nan_to_num(x).astype(np.float32) / self.sound.level).transpose(1, 2)
        return torch.cat([self.mel_scale.log_mel(part) for part in filled.split(AT_A_TIME)]).transpose(1, 2).flatten(2)

    def decode(self, x: Tensor, given: Tensor | None = None) -> np.ndarray:
        if self.bands is not None:
            parts = [self._heard(part) for part in x.detach().cpu().split(AT_A_TIME)]
            values = np.concatenate(parts) if parts else np.zeros((0, self.sound.length, self.sound.channels))
        else:
            values = x.detach().cpu().double().numpy()
        values = values * self.sound.level
        return values[..., 0] if self.sound.channels == 1 else values

    def _heard(self, rows: Tensor) -> np.ndarray:
        """Waveforms of rows of mel bands, by `griffin_lim`, NaN behind as many frames as each says that it has."""
        assert self.bands is not None, "only of mel bands"
        sound, scale = self.sound, self.mel_scale
        frames = np.full(len(rows), scale.frames(sound.length))
        if sound.ends:
            length = rows[:, 0].double().nan_to_num(math.inf).numpy() * self.bands.length_scale + self.bands.length_mean
            frames = np.clip(np.round(np.exp(np.minimum(length, 30.0))), 1, frames).astype(int)
            rows = rows[:, 1:]
        values = rows.double().numpy().reshape(len(rows), -1, len(self.bands.mean))
        silent = math.log(SILENCE)
        values = np.nan_to_num(values * self.bands.scale + self.bands.mean, nan=silent)
        values[np.arange(values.shape[1]) >= frames[:, None]] = silent
        log_mel = torch.from_numpy(values.clip(silent, 12.0)).unflatten(2, (sound.channels, -1)).transpose(1, 2)
        heard = scale.waveform(log_mel, sound.length).transpose(1, 2).numpy()
        heard[np.arange(sound.length) >= (frames * scale.hop)[:, None]] = np.nan
        return heard

    def decode_beside(
        self, x: Tensor, given: Tensor | None, raw: Any, source: Any, *, complete: bool = False
    ) -> np.ndarray:
        """`decode`, as long as each sound of `raw` is: NaN behind its end, 0 where x ends before it."""
        own = self._three_axes(raw[0] if isinstance(raw, tuple) else raw)
        values = np.nan_to_num(self.decode(x, given)[:, : own.shape[1]])
        values[np.arange(own.shape[1]) >= lengths_of(own)[:, None]] = np.nan
        return values

    def _three_axes(self, x: np.ndarray) -> np.ndarray:
        return x[..., None] if x.ndim == 2 else x

    def read(self, source: Any, *, need_x: bool = True) -> Any:
        sounds = reading.found(source)
        windows = cut(sounds.lengths(self.sound.rate), self.sound.length)
        x = taken(sounds.decoded(self.sound.rate, self.sound.channels), windows, self.sound.length)
        labels = None if sounds.labels is None else sounds.labels[[window.sound for window in windows]]
        return self.with_labels(x[..., 0] if self.sound.channels == 1 else x, labels)

    def read_with_blanks(self, source: Any) -> tuple[Any, np.ndarray | None]:
        raise SfumatoError("sounds are not completed: what is missing of one cannot be said yet")

    def labels_of(self, source: Any) -> np.ndarray | None:
        sounds = reading.found(source)
        windows = cut(sounds.lengths(self.sound.rate), self.sound.length)
        return None if sounds.labels is None else sounds.labels[[window.sound for window in windows]]

    def named(self, raw: Any, source: Any) -> dict[str, list[Any]]:
        """The files, as they lie in their folder; with the second at which a window begins where one has several."""
        if not reading.is_files(source):
            return {}
        sounds = reading.found(source)
        windows = cut(sounds.lengths(self.sound.rate), self.sound.length)
        names: dict[str, list[Any]] = {"file": [sounds.names[window.sound] for window in windows]}
        if len(windows) > len(sounds):
            names["start"] = [window.start / self.sound.rate for window in windows]
        return names

    def write(self, raw: Any, path: str | Path) -> None:
        self._write(self._parts(raw), raw, path, None)

    def write_beside(self, values: Any, path: str | Path, raw: Any, source: Any) -> None:
        """`write` with the windows of one file joined to one sound, under the names of the files."""
        names, parts = self.named(raw, source).get("file"), self._parts(values)
        if names is None or len(names) != len(parts):
            self._write(parts, values, path, None)
            return
        joined: dict[str, list[np.ndarray]] = {}
        for name, part in zip(names, parts, strict=True):
            joined.setdefault(name, []).append(part)
        self._write([np.concatenate(pieces) for pieces in joined.values()], values, path, list(joined))

    def write_joined(self, x: np.ndarray, path: Path, joined: np.ndarray) -> None:
        """`write` where some sounds go on with the one before them, (N,)."""
        sounds: list[list[np.ndarray]] = []
        for part, goes_on in zip(self._parts(x), joined.tolist(), strict=True):
            if goes_on and sounds:
                sounds[-1].append(part)
            else:
                sounds.append([part])
        self._write([np.concatenate(pieces) for pieces in sounds], x, path, None)

    def _parts(self, raw: Any) -> list[np.ndarray]:
        """Raw sounds as (T, C) each, up to their ends."""
        x = self._three_axes(np.asarray(raw[0] if isinstance(raw, tuple) else raw))
        return [sound[:end] for sound, end in zip(x, lengths_of(x), strict=True)]

    def _write(self, parts: Sequence[np.ndarray], raw: Any, path: str | Path, names: Sequence[str] | None) -> None:
        target = Path(path)
        if target.suffix in (".npy", ".npz"):
            arrays.write(raw, target)
        elif target.suffix.lower() in sound_files.WRITTEN:
            sound_files.write(target, self._one_by_one(parts), self.sound.rate)
        elif not target.suffix:
            sound_files.save(parts, target, self.sound.rate, names)
        else:
            raise sound_files.refuse_format(path)

    def _one_by_one(self, parts: Sequence[np.ndarray]) -> np.ndarray:
        """Sounds one after the other, with a pause between them."""
        pause = np.zeros((round(PAUSE_SECONDS * self.sound.rate), self.sound.channels))
        return np.concatenate([piece for part in parts for piece in (part, pause)][:-1] or [pause])

    def describe(self) -> list[dict[str, str]]:
        sound, scale = self.sound, self.mel_scale
        channels = "mono" if sound.channels == 1 else "stereo"
        modelled = f"waveform, {self.spec.likelihood}"
        if self.bands is not None:
            modelled = f"{scale.frames(sound.length)} frames of {scale.bands} mel bands, {self.spec.likelihood}"
        rows = [
            {
                "column": "sound",
                "kind": f"{channels}, {sound.rate:,} samples a second, {'up to ' * sound.ends}{self.seconds:.3g} s",
                "modelled": modelled,
                "missing": "",
                "note": f"level {20 * math.log10(sound.level):.0f} dB of full scale",
            }
        ]
        return [*rows, *self.describe_label()]

    @property
    def seconds(self) -> float:
        """Of the longest example."""
        return self.sound.length / self.sound.rate

    @property
    def example_size(self) -> str:
        channels = count(self.sound.channels, "channel")
        return f"{'up to ' * self.sound.ends}{self.seconds:.3g} s of {channels} at {self.sound.rate:,} samples a second"

    def log_jacobian(self, x: Tensor) -> Tensor:
        """Of a waveform; of mel bands their densities are on the scale of the logarithms of the bands."""
        if self.bands is None:
            return math.log(self.sound.level) * (~x.isnan()).flatten(1).sum(1).to(x)
        scale = np.tile(self.bands.scale, self.mel_scale.frames(self.sound.length))
        if self.sound.ends:
            scale = np.concatenate([[self.bands.length_scale], scale])
        logs = torch.as_tensor(np.log(scale), dtype=x.dtype, device=x.device)
        return torch.where(x.isnan(), 0.0, logs).sum(1)

    def log_reference(self, x: Tensor) -> Tensor:
        return normal_reference(x)

    def out_of_range_penalty(self, raw: Any) -> np.ndarray:
        x = self._three_axes(raw[0] if isinstance(raw, tuple) else raw)
        cost: np.ndarray = far_cost(np.nan_to_num(x), 0.0, self.sound.level).sum((1, 2))
        return cost

    def to_dict(self) -> dict[str, Any]:
        bands = None if self.bands is None else self.bands.to_dict()
        return {**self.shared_entries(), "sound": vars(self.sound), "bands": bands}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        return cls(
            sound=Sound(**values["sound"]),
            bands=None if values["bands"] is None else Bands.from_dict(values["bands"]),
            **cls.shared_arguments(values),
        )


def _learned_bands(schema: SoundSchema, x: np.ndarray) -> Bands:
    """Mean and deviation of each band, and of the logarithm of the frames' number, over sounds (N, T, C)."""
    frames = np.array([schema.mel_scale.frames(int(end)) for end in lengths_of(x)])
    values = schema.log_mel(x).numpy()
    present = values[np.arange(values.shape[1]) < frames[:, None]].astype(np.float64)
    scale = present.std(0)
    lengths = np.log(np.maximum(frames, 1))
    return Bands(
        present.mean(0), np.where(scale > 1e-6, scale, 1.0), float(lengths.mean()), float(lengths.std()) or 1.0
    )
