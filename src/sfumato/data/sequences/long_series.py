"""Long series as windows: what is seen of them and what is forecast, and the level that is taken out of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from typing import Any, NamedTuple, Self

import numpy as np
import pyarrow as pa

from sfumato import likelihoods
from sfumato.data.core.options import DataOptions
from sfumato.data.sequences.grid import Grid
from sfumato.data.sequences.series import Keys, Series
from sfumato.data.sequences.windows import longer_season, season_length, window_starts
from sfumato.errors import SfumatoError

SHORTEST_HORIZON, LONGEST_HORIZON = 12, 96
NO_SEASON_HORIZON = 16
SHORTEST_LEAD = 4
"""Steps before a window, at least, whose mean is its level where there is no season."""
FEWEST_WINDOWS = 3
"""Horizons in each of the training, validation and test split, at least."""


class Gridded(NamedTuple):
    """One long series.

    Attributes:
        values: (T, D), a row for each step, NaN where there is none.
        first: the place of the first step on the grid.
        name: what the column of ids calls it; None where there is one series.
    """

    values: np.ndarray
    first: int
    name: Any = None


@dataclass(frozen=True)
class Windows:
    """How long series are cut: `context` steps that are seen, then `horizon` steps that are forecast.

    From each window its level is subtracted, channel by channel: the mean of the `lead` steps before it. So a model
    need not have seen a level to forecast from it, and it is known when a forecast is made.

    Attributes:
        lead: 0 where no level is subtracted.
        seasons: their lengths in steps, the strongest first; none where none was found.
        grid: of the times of the series.
    """

    context: int
    horizon: int
    lead: int
    seasons: tuple[int, ...]
    grid: Grid

    @property
    def length(self) -> int:
        """Steps of a window."""
        return self.context + self.horizon

    @classmethod
    def choose(cls, series: Sequence[Gridded], grid: Grid, options: DataOptions, name: str) -> Self:
        """By the seasons of the longest series, unless the options say otherwise.

        The horizon is a season, or the least multiple of one that is 12 steps, 96 at most, and the context two
        horizons; without a season 16 and 32.

        Raises:
            SfumatoError: if the series are too short.
        """
        values = max(series, key=lambda each: len(each.values)).values
        total = len(values)
        seasons = found_seasons(values)
        horizon = NO_SEASON_HORIZON
        lead = min(max(seasons[0] if seasons else NO_SEASON_HORIZON, SHORTEST_LEAD), LONGEST_HORIZON)
        if seasons:
            horizon = min(seasons[0] * -(-SHORTEST_HORIZON // seasons[0]), LONGEST_HORIZON)
        # A fifth of a series is kept for validation and test, and a horizon must fit into each half of it.
        horizon = options.horizon or max(min(horizon, total // 12), 1)
        context = options.window or max(min(2 * horizon, total // 4), 1)
        needed = context + FEWEST_WINDOWS * 3 * horizon
        if total < needed:
            other = "; an array (T, D) that is one series is passed as X[None]" if len(series) > total else ""
            raise SfumatoError(
                f"{name}: a series of {total:,} steps is too short to see {context} steps and forecast {horizon}; give "
                f"{needed:,} steps or more, or smaller --window and --horizon{other}"
            )
        # A likelihood of values in a range of their own takes them as they are.
        moves = options.likelihood == "auto" or likelihoods.named(options.likelihood).standardised
        return cls(context, horizon, min(lead, max(total // 8, 1)) if moves else 0, seasons, grid)

    def described(self, series: Sequence[Gridded], name: str) -> str:
        """What a person should know before training."""
        steps = sum(len(each.values) for each in series)
        gaps = sum(int(np.isnan(each.values).any(1).sum()) for each in series)
        what = "one series" if len(series) == 1 else f"{len(series)} series"
        found = " and ".join(map(str, self.seasons))
        season = f"season of {found} steps" if self.seasons else "no season found"
        missing = f", {gaps:,} of them with gaps, which are masked" if gaps else ""
        return (
            f"{name}: {what} of {steps:,} steps of {self.grid.step}{missing}; {season}. In each window {self.context} "
            f"steps are seen (--window) and {self.horizon} are forecast (--horizon)"
        )

    def split(self, series: Sequence[Gridded], shares: tuple[float, float, float]) -> list[Series]:
        """Windows of the training, validation and test split, which follow each other in time.

        What is forecast of a window lies in its split; what is seen of it may lie before.
        """
        parts: list[list[tuple[Gridded, np.ndarray]]] = [[], [], []]
        for each in series:
            total = len(each.values)
            counts = [0 if share == 0 else max(round(share * total), 2 * self.horizon) for share in shares[1:]]
            edges = [min(self.lead, total // 8), total - sum(counts), total - counts[1], total]
            for part, (start, end) in enumerate(pairwise(edges)):
                first = start if part == 0 else start - self.context
                if end - first >= self.length:
                    parts[part].append((each, first + window_starts(end - first, self.length)))
        return [self._cut(part or [(series[0], np.arange(0))]) for part in parts]

    def consecutive(self, series: Sequence[Gridded]) -> Series:
        """All steps in windows that follow each other; the last of a series may be shorter."""
        return self._cut([(each, np.arange(0, len(each.values), self.length)) for each in series])

    def latest(self, series: Sequence[Gridded]) -> Series:
        """The last `context` steps of each series, up to its last step with a value."""
        ended = []
        for each in series:
            known = np.flatnonzero(~np.isnan(each.values).all(1))
            last = int(known[-1]) + 1 if len(known) else len(each.values)
            ended.append((Gridded(each.values[:last], each.first, each.name), np.array([max(last - self.context, 0)])))
        return self._cut(ended, self.context)

    def _cut(self, series: Sequence[tuple[Gridded, np.ndarray]], length: int | None = None) -> Series:
        """Windows that begin at some steps of series, padded with NaN where a series ends."""
        length = length or self.length
        x, level, place = [], [], []
        for each, starts in series:
            padded = np.concatenate([each.values, np.full((length, each.values.shape[1]), np.nan)])
            x.append(padded[starts[:, None] + np.arange(length)])
            level.append(self._levels(each.values, starts))
            place.append(each.first + starts)
        values, places = np.concatenate(x), np.concatenate(place)
        times = self.grid.times(places[:, None] + np.arange(length))
        inside = np.concatenate([starts[:, None] + np.arange(length) < len(each.values) for each, starts in series])
        keys = None
        if series and series[0][0].name is not None:
            ids = pa.array([each.name for each, starts in series for _ in starts])
            keys = Keys(ids, None, inside.sum(1), np.arange(0))
        levels = None if self.lead == 0 else np.concatenate(level)
        return Series(values, np.where(inside, times, np.nan), keys=keys, level=levels, place=places)

    def _levels(self, values: np.ndarray, starts: np.ndarray) -> np.ndarray:
        """Means of the `lead` steps before each start, or of the first ones of a series; of more where all are gaps."""
        known = ~np.isnan(values)
        sums = np.concatenate([np.zeros((1, values.shape[1])), np.cumsum(np.where(known, values, 0.0), 0)])
        counts = np.concatenate([np.zeros((1, values.shape[1]), int), np.cumsum(known, 0)])
        level = np.full((len(starts), values.shape[1]), np.nan)
        for lead in (self.lead, 4 * self.lead, len(values)):
            ends = np.clip(np.maximum(starts, self.lead), 0, len(values))
            begins = np.maximum(ends - lead, 0)
            number = counts[ends] - counts[begins]
            mean = (sums[ends] - sums[begins]) / np.maximum(number, 1)
            level = np.where(np.isnan(level) & (number > 0), mean, level)
        return level

    def to_dict(self) -> dict[str, Any]:
        """As JSON-ready values."""
        return asdict(self) | {"grid": self.grid.to_dict()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Back from `to_dict`."""
        return cls(**{**values, "seasons": tuple(values["seasons"]), "grid": Grid.from_dict(values["grid"])})


def found_seasons(values: np.ndarray) -> tuple[int, ...]:
    """Seasons of a series (T, D) in steps: the strongest, and a multiple of it, as the week of the day."""
    season = season_length(values)
    if season is None:
        return ()
    longer = longer_season(values, season)
    return (season,) if longer is None else (season, longer)


def on_grid(series: Series, grid: Grid | None = None) -> tuple[list[Gridded], Grid]:
    """Long series with a row for each step of their grid, and that grid: steps that have no row are gaps.

    Args:
        series: as they were read; without times steps are even.
        grid: that of the training; None finds it.

    Raises:
        SfumatoError: if times are unevenly spaced.
    """
    inside = ~np.isnan(series.time) if series.time is not None else None
    if grid is None:
        longest = 0 if inside is None else int(np.argmax(inside.sum(1)))
        times = np.arange(2.0) if series.time is None or inside is None else series.time[longest][inside[longest]]
        grid = Grid.learn(times, series.dates, series.name)
    gridded = []
    names = [None] * len(series) if series.keys is None else series.keys.ids.to_pylist()
    for row, (values, name) in enumerate(zip(series.x, names, strict=True)):
        if series.time is None or inside is None:
            known = np.flatnonzero(~np.isnan(values).all(1))
            gridded.append(Gridded(values[: known[-1] + 1 if len(known) else 0], 0, name))
            continue
        places = grid.places(series.time[row][inside[row]], series.name)
        steps = np.full((int(places[-1] - places[0]) + 1, values.shape[1]), np.nan)
        steps[places - places[0]] = values[inside[row]]
        gridded.append(Gridded(steps, int(places[0]), name))
    return gridded, grid


def named_as(windows: Series, series: Series) -> Series:
    """Windows with what is known of the series they were cut from."""
    return replace(
        windows,
        names=series.names,
        flat=series.flat,
        name=series.name,
        dates=series.dates,
        time_column=series.time_column,
    )
