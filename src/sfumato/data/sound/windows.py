"""Sounds of several lengths as examples of one: whole where they are short, cut into windows where they are long."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

LONGEST_WHOLE, WINDOW_SECONDS = 2.0, 1.0
"""Seconds up to which the longest sound of a set may be for all to stay whole, and of a window where it is longer."""
FEWEST_FILES = 10
"""Files of which some are kept for validation and test; of fewer, each is split along its time."""


class Window(NamedTuple):
    """A stretch of one sound.

    Attributes:
        sound: its number.
        start: sample at which it begins.
        stop: sample before which it ends; fewer than a window's length behind `start` where the sound ends.
    """

    sound: int
    start: int
    stop: int


def chosen_length(lengths: Sequence[int], rate: int, seconds: float | None) -> int:
    """Samples of an example: of so many seconds, or of the longest sound, or 1 s where that is longer than 2 s.

    >>> chosen_length([8000, 12000], 8000, None), chosen_length([80000], 8000, None), chosen_length([9], 8000, 0.5)
    (12000, 8000, 4000)
    """
    if seconds is not None:
        return max(round(seconds * rate), 1)
    longest = max(lengths)
    return longest if longest <= LONGEST_WHOLE * rate else round(WINDOW_SECONDS * rate)


def cut(lengths: Sequence[int], length: int) -> list[Window]:
    """Windows that follow one another, sound by sound; the last of a sound may be shorter.

    >>> cut([5, 2], 3)
    [Window(sound=0, start=0, stop=3), Window(sound=0, start=3, stop=5), Window(sound=1, start=0, stop=2)]
    """
    return [
        Window(sound, start, min(start + length, total))
        for sound, total in enumerate(lengths)
        for start in range(0, total, length)
    ]


def taken(sounds: Sequence[np.ndarray], windows: Sequence[Window], length: int) -> np.ndarray:
    """Windows of sounds (T, C) as (N, length, C) float32, NaN behind the end of a sound."""
    x = np.full((len(windows), length, sounds[0].shape[1]), np.nan, np.float32)
    for row, window in zip(x, windows, strict=True):
        row[: window.stop - window.start] = sounds[window.sound][window.start : window.stop]
    return x


def lengths_of(x: np.ndarray) -> np.ndarray:
    """Samples of each of (N, T, …) before the NaN behind its end, (N,).

    >>> lengths_of(np.array([[1.0, np.nan, np.nan], [1.0, 2.0, 3.0]]))
    array([1, 3])
    """
    known = ~np.isnan(x).any(tuple(range(2, x.ndim)))
    return np.asarray(np.where(known.any(1), x.shape[1] - known[:, ::-1].argmax(1), 0))


def split_in_time(windows: Sequence[Window], shares: tuple[float, float, float]) -> list[np.ndarray]:
    """Rows of training, validation and test: of each sound the first windows, those behind them, and the last.

    >>> [part.tolist() for part in split_in_time(cut([10], 1), (0.8, 0.1, 0.1))]
    [[0, 1, 2, 3, 4, 5, 6, 7], [8], [9]]
    """
    own = np.array([window.sound for window in windows])
    parts: list[list[int]] = [[], [], []]
    for sound in np.unique(own):
        rows = np.flatnonzero(own == sound)
        ends = np.round(np.cumsum(shares) * len(rows)).astype(int)
        for part, start, end in zip(parts, [0, *ends[:-1]], ends, strict=True):
            part += rows[start:end].tolist()
    return [np.array(part, int) for part in parts]
