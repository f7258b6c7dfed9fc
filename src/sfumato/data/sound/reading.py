"""What a source of sound holds: files, a folder of them, or arrays, at one rate and with one number of channels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from sfumato.data.io import arrays, folder_labels, image_files, sound_files
from sfumato.data.io.arrays import Arrays
from sfumato.data.io.sound_files import SoundHeader
from sfumato.data.sound.windows import lengths_of
from sfumato.errors import SfumatoError
from sfumato.files import files_in
from sfumato.formatting import count


@dataclass(frozen=True)
class Sounds:
    """Sounds that can be decoded, one after the other.

    Attributes:
        name: of the source, in messages.
        headers: of files; empty where `arrays` are given.
        labels: of each sound, or None.
        names: what the sounds are called; empty where they have no names.
        notes: what a person should know of how they were found.
        array: sounds in memory at the rate they are used at, (N, T, C), NaN behind the end of each; None of files.
    """

    name: str
    headers: tuple[SoundHeader, ...] = ()
    labels: np.ndarray | None = None
    names: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    array: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.headers) if self.array is None else len(self.array)

    @cached_property
    def _ends(self) -> np.ndarray:
        assert self.array is not None, "only arrays have ends of their own"
        return lengths_of(self.array)

    @property
    def channels(self) -> int:
        """One where every sound has one, else two."""
        if self.array is not None:
            return int(self.array.shape[2])
        return max(header.channels for header in self.headers)

    def lengths(self, rate: int) -> list[int]:
        """Samples of each sound at a rate."""
        return [header.at(rate) for header in self.headers] if self.array is None else self._ends.tolist()

    def decoded(self, rate: int, channels: int) -> list[np.ndarray]:
        """All sounds as float32 from −1 to 1, (T, C) each.

        Raises:
            SfumatoError: if a file is damaged.
        """
        if self.array is None:
            return [sound_files.decoded(header, rate, channels) for header in self.headers]
        x = self.array.mean(2, keepdims=True) if channels == 1 else self.array
        x = np.broadcast_to(x, (*x.shape[:2], channels))
        return [sound[:end] for sound, end in zip(x, self._ends, strict=True)]


def is_files(source: Any) -> bool:
    """Whether a source is a sound file, a folder, or a list of sound files."""
    if isinstance(source, list | tuple):
        paths = [isinstance(item, str | Path) and sound_files.is_sound(Path(item)) for item in source]
        return bool(paths) and all(paths)
    if not isinstance(source, str | Path):
        return False
    return Path(source).is_dir() or sound_files.is_sound(Path(source))


def is_folder_of_sounds(path: Path) -> bool:
    """Whether most of the files of a folder that are sounds or images are sounds."""
    sounds = images = 0
    for file in files_in(path):
        sounds += sound_files.is_sound(file)
        images += file.suffix.lower() in image_files.IMAGE_SUFFIXES
    return sounds > images


def found(source: Any) -> Sounds:
    """The sounds of a source.

    Raises:
        SfumatoError: if there are none, or a file cannot be read.
    """
    if not is_files(source):
        return _of_arrays(arrays.load(source, most=3), source)
    if isinstance(source, list | tuple):
        paths = [Path(item) for item in source]
        names = [path.name for path in paths]
        if len(set(names)) < len(names):
            names = [f"{number}-{name}" for number, name in enumerate(names)]
        return Sounds(f"{len(paths)} files", tuple(sound_files.headers(paths)), names=tuple(names))
    path = Path(source)
    if not path.is_dir():
        return Sounds(str(path), tuple(sound_files.headers([path])), names=(path.name,))
    paths, others = sound_files.find(path)
    return Sounds(
        str(path),
        tuple(sound_files.headers(paths)),
        folder_labels.labels_of(paths, path),
        tuple(file.relative_to(path).as_posix() for file in paths),
        sound_files.passed_over(others, path),
    )


def _of_arrays(loaded: Arrays, source: Any) -> Sounds:
    """Waveforms in memory: (N, T) or (N, T, C), whole numbers brought to −1 to 1 by the range of their type.

    Raises:
        SfumatoError: for more than two channels, values that are not finite before the end of a sound, or a sound
            without samples.
    """
    name = str(source) if isinstance(source, str | Path) else "X"
    x = loaded.x
    if x.ndim < 2:
        raise SfumatoError(f"{name}: has shape {x.shape}; sounds are (N, T) or (N, T, channels), as X[None] for one")
    x = x[..., None] if x.ndim == 2 else x
    if x.shape[2] > sound_files.STEREO:
        raise SfumatoError(f"{name}: has shape {x.shape}, that is {x.shape[2]} channels; give one or two")
    if x.dtype.kind in "iu":
        half = float(np.iinfo(x.dtype).max) / (1 if x.dtype.kind == "i" else 2)
        x = (x.astype(np.float64) - (0 if x.dtype.kind == "i" else half)) / half
    x = np.asarray(x, np.float32)
    ends = lengths_of(x)
    inside = np.arange(x.shape[1]) < ends[:, None]
    bad = np.flatnonzero((~np.isfinite(x).all(2) & inside).any(1) | (ends == 0))
    if len(bad):
        raise SfumatoError(
            f"{name}: sound {bad[0] + 1} holds values that are not finite, or none; NaN may stand behind its end alone"
        )
    own = loaded.test_x is not None or loaded.valid_x is not None
    notes = (f"{name}: its own validation and test split are passed over; the examples are split anew",) if own else ()
    return Sounds(name, (), loaded.labels, notes=notes, array=x)


def described(sounds: Sounds, rate: int, channels: int, length: int, examples: int) -> tuple[str, ...]:
    """Notes on what the sounds are and what is done with them: rates, channels, lengths, total time, windows."""
    lengths = np.array(sounds.lengths(rate)) / rate
    span = f"{lengths.min():.3g} to {lengths.max():.3g} s" if len(lengths) > 1 else f"{lengths[0]:.3g} s"
    what = count(len(sounds), "sound" if sounds.array is not None else "file")
    first = f"{what} of {span}, {_duration(lengths.sum())} in all"
    if sounds.headers:
        first += f"; {_rates(sounds.headers, rate)}; {_mixed(sounds.headers, channels)}"
    if examples > len(sounds):
        second = f"cut into {examples:,} windows of {length / rate:.3g} s (--seconds), which follow one another"
    elif lengths.min() < length / rate:
        second = (
            f"sounds shorter than {length / rate:.3g} s are padded; the padding is masked, and nothing is learned of it"
        )
    else:
        second = ""
    return tuple(filter(None, (first, second, *sounds.notes)))


def _duration(seconds: float) -> str:
    if seconds < 300:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def _rates(headers: Sequence[SoundHeader], rate: int) -> str:
    others = sorted({header.rate for header in headers} - {rate})
    resampled = sum(header.rate != rate for header in headers)
    if not resampled:
        return f"{rate:,} samples a second"
    which = " and ".join(f"{other:,}" for other in others[:3]) + (", …" if len(others) > 3 else "")
    return f"{rate:,} samples a second (--rate), {resampled:,} of them resampled from {which}"


def _mixed(headers: Sequence[SoundHeader], channels: int) -> str:
    mono = sum(header.channels == 1 for header in headers)
    if channels == 1:
        return (
            "mono" if mono == len(headers) else f"mono, {len(headers) - mono:,} of them mixed down from stereo (--mono)"
        )
    return "stereo" if not mono else f"stereo, {mono:,} of them mono, heard from both sides (--mono mixes all down)"
