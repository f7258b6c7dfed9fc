"""Sound files in and out: one rate and one number of channels for all, by stated rules.

* Files: WAV, FLAC, Ogg (Vorbis and Opus), AIFF, AU, CAF, MP3, in whole numbers of 8 to 32 bits or floats; other files
  are named and passed over, hidden ones silently.
* Rate: that of most files, unless one is given; other files are resampled by a polyphase filter
  (`scipy.signal.resample_poly`).
* Channels: one if every file has one, else two; mono files are then heard from both sides. More than two are refused.
* Labels: the names of the first level of subfolders.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import gcd
from pathlib import Path
from typing import Any

import numpy as np

from sfumato.data.io.reading import HIGHEST_RATE, LOWEST_RATE
from sfumato.errors import SfumatoError, need
from sfumato.files import empty_folder, files_in, numbered, replacing
from sfumato.formatting import any_of, count, listed

SOUND_SUFFIXES = (".wav", ".flac", ".ogg", ".oga", ".opus", ".aif", ".aiff", ".au", ".caf", ".mp3")
WRITTEN = (".wav", ".flac", ".ogg")
"""Endings of files that are written: 16 bits, and Vorbis."""
STEREO = 2
CURE = "fix it or take it out of the folder"


@dataclass(frozen=True)
class SoundHeader:
    """What a sound file says of itself before it is decoded.

    Attributes:
        path: of the file.
        rate: samples a second.
        channels: how many.
        frames: samples of each channel.
    """

    path: Path
    rate: int
    channels: int
    frames: int

    def at(self, rate: int) -> int:
        """Samples of each channel once it is brought to another rate, as `resampled` gives them.

        >>> SoundHeader(Path("a.wav"), 44100, 1, 44100).at(8000)
        8000
        """
        up, down = _factors(self.rate, rate)
        return -(-self.frames * up // down)


def is_sound(path: Path) -> bool:
    """Whether a file's name ends as one of a sound."""
    return path.suffix.lower() in SOUND_SUFFIXES


def find(folder: Path) -> tuple[list[Path], list[Path]]:
    """The sound files under `folder` in the order of their paths, and the files that are none.

    Raises:
        SfumatoError: if there are none.
    """
    paths = sorted(files_in(folder))
    sounds = [path for path in paths if is_sound(path)]
    if not sounds:
        raise SfumatoError(f"{folder}: holds no sounds; files must end in {', '.join(SOUND_SUFFIXES)}")
    return sounds, [path for path in paths if not is_sound(path)]


def passed_over(others: Sequence[Path], folder: Path) -> tuple[str, ...]:
    """A note on files of a folder that are no sounds; none where there are none."""
    if not others:
        return ()
    names = listed([path.relative_to(folder).as_posix() for path in others], 4)
    return (f"{count(len(others), 'file')} of {folder} passed over, no sound by its ending: {names}",)


def headers(paths: Iterable[Path]) -> list[SoundHeader]:
    """Read the header of each file.

    Raises:
        SfumatoError: if a file is empty, no sound, silent in length, or has more than two channels.
    """
    return [_header(path) for path in paths]


def _header(path: Path) -> SoundHeader:
    library: Any = need("soundfile", "audio", "reading sound")
    try:
        info = library.info(str(path))
    except (OSError, RuntimeError, TypeError) as error:
        raise _unreadable(path, error) from None
    if info.channels > STEREO:
        raise SfumatoError(f"{path}: has {info.channels} channels; mix it down to one or two, or take it out")
    if not LOWEST_RATE <= info.samplerate <= HIGHEST_RATE:
        raise SfumatoError(f"{path}: says it has {info.samplerate:,} samples a second; {CURE}")
    if not info.frames:
        raise SfumatoError(f"{path}: holds no samples; {CURE}")
    return SoundHeader(path, info.samplerate, info.channels, info.frames)


def _unreadable(path: Path, error: Exception) -> SfumatoError:
    if not path.exists():
        return SfumatoError(f"{path}: no such file; check the name")
    if path.stat().st_size == 0:
        return SfumatoError(f"{path}: the file is empty (0 bytes); {CURE}")
    if not os.access(path, os.R_OK):
        return SfumatoError(f"{path}: may not be read; change its permissions or take it out of the folder")
    return SfumatoError(f"{path}: damaged, or no sound ({_reason(error)}); {CURE}")


def _reason(error: Exception) -> str:
    """What the library says, without the path and the stop at its end."""
    return str(error).rpartition(": ")[2].strip().rstrip(".").lower() or "it cannot be decoded"


def chosen_rate(found: Sequence[SoundHeader]) -> int:
    """The rate of most files, the higher of two that are as many.

    >>> chosen_rate([SoundHeader(Path(), rate, 1, 9) for rate in (8000, 44100, 44100)])
    44100
    """
    rates = Counter(header.rate for header in found)
    return max(rates, key=lambda rate: (rates[rate], rate))


def decoded(header: SoundHeader, rate: int, channels: int) -> np.ndarray:
    """A file as float32 from −1 to 1 at a rate, (T, channels).

    Raises:
        SfumatoError: if it is damaged, or holds values that are not finite.
    """
    library: Any = need("soundfile", "audio", "reading sound")
    try:
        x, _ = library.read(str(header.path), dtype="float32", always_2d=True)
    except (OSError, RuntimeError, TypeError) as error:
        raise _unreadable(header.path, error) from None
    if len(x) < header.frames:
        raise SfumatoError(f"{header.path}: ends after {len(x):,} of {header.frames:,} samples: truncated; {CURE}")
    if not np.isfinite(x).all():
        raise SfumatoError(f"{header.path}: holds a sample that is not a finite number; {CURE}")
    if channels == 1 and x.shape[1] > 1:
        x = x.mean(1, keepdims=True)
    return np.broadcast_to(resampled(x, header.rate, rate), (header.at(rate), channels))


def resampled(x: np.ndarray, rate: int, to: int) -> np.ndarray:
    """Samples (T, C) brought from one rate to another, by a polyphase filter that lets no alias pass."""
    if rate == to:
        return x
    from scipy.signal import resample_poly  # Takes a second to import.

    up, down = _factors(rate, to)
    return np.asarray(resample_poly(x, up, down, axis=0), np.float32)


def _factors(rate: int, to: int) -> tuple[int, int]:
    common = gcd(rate, to)
    return to // common, rate // common


def write(path: Path, x: np.ndarray, rate: int) -> None:
    """Write one sound (T, C) from −1 to 1; what lies beyond is cut off.

    Raises:
        SfumatoError: if the file cannot be written, or its format does not take this rate.
    """
    with replacing(path) as temporary:
        _encode(temporary, x, rate, path)


def _encode(temporary: Path, x: np.ndarray, rate: int, path: Path) -> None:
    library: Any = need("soundfile", "audio", "writing sound")
    subtype = "VORBIS" if path.suffix.lower() == ".ogg" else "PCM_16"
    try:
        library.write(str(temporary), np.clip(x, -1.0, 1.0), rate, subtype=subtype, format=path.suffix[1:].upper())
    except (OSError, RuntimeError, ValueError) as error:
        raise SfumatoError(f"{path}: cannot be written ({_reason(error)}); choose another format or place") from None


def save(sounds: Sequence[np.ndarray], path: Path, rate: int, names: Sequence[str] | None = None) -> None:
    """Write one WAV for each sound (T, C) into a new or empty folder `path`.

    Args:
        sounds: from −1 to 1.
        path: the folder.
        rate: samples a second.
        names: files in a folder that they are called after; None numbers them.

    Raises:
        SfumatoError: if the folder cannot be made or holds something.
    """
    empty_folder(path)
    try:
        for x, name in zip(sounds, numbered(len(sounds), ".wav") if names is None else _as_wav(names), strict=True):
            (path / name).parent.mkdir(parents=True, exist_ok=True)
            _encode(path / name, x, rate, path / name)
    except OSError as error:
        raise SfumatoError(f"{path}: cannot be written ({error.strerror}); choose another folder") from None


def _as_wav(names: Sequence[str]) -> list[str]:
    """Names of files with the ending .wav; behind the old ending where two would be the same.

    >>> _as_wav(["a/1.ogg", "a/2.wav", "a/2.flac"])
    ['a/1.wav', 'a/2.wav', 'a/2.flac.wav']
    """
    short = [f"{Path(name).with_suffix('')}.wav" for name in names]
    many = Counter(name.lower() for name in short)
    return [
        wav if many[wav.lower()] == 1 or name.lower().endswith(".wav") else f"{name}.wav"
        for name, wav in zip(names, short, strict=True)
    ]


def refuse_format(path: str | Path) -> SfumatoError:
    """The error for a format that sounds are not written in."""
    return SfumatoError(
        f"{path}: sounds are written as {any_of(WRITTEN)} (one after the other), .npy, .npz, or into a folder (a name "
        "without a dot)"
    )
