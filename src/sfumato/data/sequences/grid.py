"""The times of long series as numbers of steps: evenly spaced, or the same day of each month."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np

from sfumato.errors import SfumatoError
from sfumato.formatting import written_duration

DAY = 86_400
MOST_JITTER = 0.25
"""Parts of a step by which times may be away from where they should be."""
MOST_EMPTY = 10
"""Steps of a grid for each row, at most: with more nearly all would be gaps."""


@dataclass(frozen=True)
class Grid:
    """Place p of a grid is at the time start + p · unit, or p · months of the calendar after the start.

    >>> grid = Grid.learn(np.array([0.0, 3600.0, 10800.0]), "timestamp[s]")
    >>> grid.places(np.array([3600.0, 7200.0])), grid.times(np.array([3]))
    (array([1, 2]), array([10800.]))

    Attributes:
        start: time of place 0; dates in seconds since 1970.
        unit: time from one place to the next; of months the typical one.
        months: how many months that is; 0 where it is `unit`.
        at_end: whether times are the last days of months.
        dates: whether times are dates.
    """

    start: float
    unit: float
    months: int = 0
    at_end: bool = False
    dates: bool = False

    @classmethod
    def learn(cls, times: np.ndarray, dates: str = "", name: str = "X") -> Self:
        """From the ascending times (T,) of a series.

        Args:
            times: dates in seconds since 1970.
            dates: type of the column of times if they are dates, "" otherwise.
            name: of the source in error messages.

        Raises:
            SfumatoError: if they are unevenly spaced.
        """
        steps, is_date = np.diff(times), bool(dates) and not dates.startswith("duration")
        unit = float(np.quantile(steps, 0.5, method="lower")) if len(steps) else 1.0
        if dates.startswith(("timestamp", "date")) and unit > 27 * DAY:
            months, offsets = _months(times), times - _month_starts(_months(times))
            at_end = bool(np.array_equal(_month_starts(months + 1) - DAY, times - times % DAY))
            if (np.diff(months) > 0).all() and (at_end or np.ptp(offsets) == 0):
                return cls(float(times[0]), unit, int(np.gcd.reduce(np.diff(months))), at_end, True)
        grid = cls(float(times[0]), unit, dates=is_date)
        places = grid.places(times, name)
        if not np.array_equal(times, grid.times(places)):
            # Times that are not exact, as those of a logger: the mean step does not drift away from them.
            grid = cls(grid.start, (float(times[-1]) - grid.start) / int(places[-1]), dates=is_date)
        return grid

    def places(self, times: np.ndarray, name: str = "X") -> np.ndarray:
        """Of ascending times (T,).

        Raises:
            SfumatoError: if they are no times of this grid.
        """
        if self.months:
            places, rest = np.divmod(_months(times) - int(_months(np.array([self.start]))[0]), self.months)
            uneven = (rest != 0) | (np.diff(places, prepend=places[0] - 1) < 1)
        else:
            steps = np.diff(times) / self.unit
            first = (times[:1] - self.start) / self.unit
            away = np.abs(np.concatenate([first, steps]) - np.round(np.concatenate([first, steps])))
            places = np.cumsum(np.round(np.concatenate([first, steps])).astype(np.int64))
            uneven = (away > MOST_JITTER) | (np.diff(places, prepend=places[0] - 1) < 1)
        if uneven.any():
            row = int(np.argmax(uneven))
            raise SfumatoError(
                f"{name}: the times of a long series must be evenly spaced; most are {self.step} apart, and the one "
                f"in place {row + 1} is not; bring them to even steps, as pandas' resample does, or cut the series "
                "into sequences that a column names (--id)"
            )
        if places[-1] - places[0] >= MOST_EMPTY * len(places):
            raise SfumatoError(
                f"{name}: {len(places):,} rows over {places[-1] - places[0] + 1:,} steps of {self.step} are nearly all "
                "gaps; bring them to longer steps, as pandas' resample does"
            )
        return np.asarray(places)

    def times(self, places: np.ndarray) -> np.ndarray:
        """Of places, which need not be whole, (…): as `Series` has them."""
        if not self.months:
            return np.asarray(self.start + np.asarray(places, float) * self.unit)
        first = _months(np.array([self.start]))
        months = first + np.floor(places).astype(np.int64) * self.months
        ends = _month_starts(months + 1) - DAY
        offset = float(self.start - _month_starts(first)[0])
        stamps = ends + offset % DAY if self.at_end else np.minimum(_month_starts(months) + offset, ends + offset % DAY)
        return np.asarray(stamps + (np.asarray(places, float) % 1) * self.unit)

    @property
    def step(self) -> str:
        """The length of a step, as a person says it.

        >>> Grid(0.0, 3600.0, dates=True).step, Grid(0.0, 2.5e6, 3, dates=True).step
        ('1h', '3 months')
        """
        if self.months:
            return "1 month" if self.months == 1 else f"{self.months} months"
        return written_duration(self.unit) if self.dates else f"{self.unit:g}"

    def to_dict(self) -> dict[str, Any]:
        """As JSON-ready values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Back from `to_dict`."""
        return cls(**values)


def _months(times: np.ndarray) -> np.ndarray:
    """Months since 1970 of times in seconds."""
    seconds: np.ndarray = np.floor(times).astype(np.int64).astype("datetime64[s]")
    return seconds.astype("datetime64[M]").astype(np.int64)


def _month_starts(months: np.ndarray) -> np.ndarray:
    """When months since 1970 begin, in seconds."""
    return months.astype("datetime64[M]").astype("datetime64[s]").astype(np.int64).astype(float)
