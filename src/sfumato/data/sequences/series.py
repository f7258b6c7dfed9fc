"""Raw sequences as every reader gives them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

FLAT = ("value",)


@dataclass(frozen=True)
class Keys:
    """How a long table names its sequences and their steps.

    Attributes:
        ids: (N,), one for each sequence, as the table has them.
        times: those of all steps, sequence after sequence, as the table has them; None where it has none.
        lengths: (N,) rows of each sequence.
        rows: which row of the table each of these steps was.
    """

    ids: pa.Array
    times: pa.ChunkedArray | None
    lengths: np.ndarray
    rows: np.ndarray


@dataclass(frozen=True)
class Series:
    """Raw sequences, each padded with NaN to the length of the longest.

    Attributes:
        x: (N, T, D), NaN where missing or beyond the end.
        time: (N, T) ascending time stamps, NaN beyond the end; None when steps are even: 0, 1, 2 …
        labels: (N,) or None.
        names: of the D channels.
        flat: whether the source had no axis of channels, so that what comes back has none.
        image_shape: shape of one step where each is an image, whose D values are the channels; () where none is.
        dates: type of the stamps in the table they came from where they are dates, then `time` is in seconds since
            1970; "" where they are numbers.
        name: what to call the source.
        keys: the ids and times of a long table that was read for a trained model; None for all else.
        time_column: the column of times in the table they came from; None where it has none.
        level: what is subtracted from each channel of windows of long series, (N, D); None for all else.
        place: the place of the first step of each window on the grid of its series, (N,); None for all else.
        files: of the videos that they are; none for all else.
    """

    x: np.ndarray
    time: np.ndarray | None = None
    labels: np.ndarray | None = None
    names: tuple[str, ...] = FLAT
    flat: bool = False
    name: str = "array"
    image_shape: tuple[int, ...] = ()
    keys: Keys | None = None
    dates: str = ""
    time_column: str | None = None
    level: np.ndarray | None = None
    place: np.ndarray | None = None
    files: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.x)


def steps_inside(raw: Series) -> np.ndarray:
    """(N, T): whether a step is not beyond the end of its sequence."""
    if raw.time is not None:
        return ~np.isnan(raw.time)
    seen = ~np.isnan(raw.x).all(2)
    inside: np.ndarray = np.flip(np.cumsum(np.flip(seen, 1), 1), 1) > 0
    return inside
