"""The time of sequences: jumps and horizons as a person states them, and the times at which they end."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import numpy as np
import pyarrow as pa

from sfumato.data.core.schema import Schema
from sfumato.data.sequences.long_series import Windows
from sfumato.data.sequences.series import Series, steps_inside
from sfumato.data.sequences.stamps import as_stamps, sort_of_times
from sfumato.errors import SfumatoError
from sfumato.formatting import duration, written_duration


class TimedSchema(Schema):
    """A schema of examples with steps in time.

    Attributes:
        unit: length of a typical step, in units of the stamps; seconds where these are dates.
        dates: type of the stamps in the table they came from where they are dates; "" where they are numbers.
        columns: the options `id`, `time`, `label` and `drop`.
        windows: how windows are cut from long series; None where examples are whole sequences.
    """

    unit: float
    dates: str
    columns: dict[str, Any]
    windows: Windows | None

    def lengths(self, jumps: Sequence[float | str] | None) -> list[float]:
        """Jumps in time as the user counts them: in the units of the stamps, or 6h, 1d, 2w where those are dates.

        None is one typical step.

        Raises:
            SfumatoError: if one is no length above 0.
        """
        if jumps is None:
            return [self.unit]
        if self.windows is not None and self.windows.grid.months:
            raise SfumatoError("jumps are lengths of time, and the steps are months; give a horizon in steps instead")
        requested = [jumps] if isinstance(jumps, str | float | int) else list(jumps)
        try:
            lengths = [duration(jump) if self.dates else float(jump) for jump in requested]
        except (ValueError, TypeError):
            lengths = []
        if not lengths or not all(0 < jump < math.inf for jump in lengths):
            wanted = "seconds, or numbers with m, h, d or w, as 6h, 1d" if self.dates else "lengths above 0, as 1, 4, 8"
            raise SfumatoError(f"jumps are {', '.join(map(str, requested)) or 'none'}: give {wanted}")
        return lengths

    def steps(self, counts: Sequence[int]) -> list[str]:
        """Lengths of so many typical steps, written as `lengths` reads them."""
        return [written_duration(count * self.unit) if self.dates else f"{count * self.unit:g}" for count in counts]

    def after(self, raw: Series, lengths: Sequence[float]) -> dict[str, pa.Array]:
        """When each of such jumps ends, by the column of times, (N · jumps,).

        They are counted from the last step with a value, or the first where none has one. Nothing where the data came
        without times.
        """
        time = self._key_names()[1]
        if raw.place is not None and self.windows is not None:
            time = self.columns["time"] or "step"
        if raw.time is None or time is None:
            return {}
        return {time: as_stamps(self._ends(raw, lengths).ravel(), self.dates)}

    def _ends(self, raw: Series, lengths: Sequence[float]) -> np.ndarray:
        """When each of some jumps ends, (N, jumps), as `Series` has times; steps where there are none."""
        known = ~np.isnan(raw.x).all(2)
        if raw.place is not None and self.windows is not None:
            last = raw.place + np.where(known.any(1), raw.x.shape[1] - 1 - known[:, ::-1].argmax(1), -1)
            return self.windows.grid.times(np.round(last[:, None] + np.cumsum(lengths) / self.unit, 6))
        time = np.tile(np.arange(float(raw.x.shape[1])), (len(raw), 1)) if raw.time is None else raw.time
        last = np.where(known & ~np.isnan(time), time, -np.inf).max(1)
        last = np.where(np.isneginf(last), time[:, 0], last)
        return np.asarray(last[:, None] + np.cumsum(lengths))

    def axis(self, raw: Series, lengths: Sequence[float]) -> tuple[np.ndarray, np.ndarray]:
        """The times of sequences, (N, T), NaN or NaT beyond their ends, and of the ends of jumps, (N, J), for a figure.

        Dates are `datetime64`.
        """
        time, ends = raw.time, self._ends(raw, lengths)
        if time is None:
            time = np.where(steps_inside(raw), np.arange(float(raw.x.shape[1])), np.nan)
        if sort_of_times(self.dates) != "dates":
            return time, ends
        micro = np.where(np.isnan(time), np.iinfo(np.int64).min, np.round(np.nan_to_num(time) * 1e6)).astype(np.int64)
        return micro.astype("datetime64[us]"), np.round(ends * 1e6).astype(np.int64).astype("datetime64[us]")

    def horizon(self, horizon: int | str | None) -> list[float]:
        """The lengths of so many jumps of one typical step, or of as many as make a length of time.

        None is the horizon of windows, or one step.

        Raises:
            SfumatoError: if it is no whole number of steps above 0.
        """
        if horizon is None:
            return [self.unit] * (self.windows.horizon if self.windows else 1)
        text, steps = str(horizon).strip(), 0.0
        with suppress(ValueError):
            steps = float(text) if not self.dates or text[-1:].isdigit() else duration(text) / self.unit
        if not 1 <= steps < math.inf or steps != round(steps):
            example = f", or a length of time such as {written_duration(24 * self.unit)}" if self.dates else ""
            raise SfumatoError(f"horizon is {horizon}: give a whole number of steps above 0{example}")
        return [self.unit] * int(steps)

    def _stamps(self, places: np.ndarray) -> dict[str, pa.Array]:
        """The column of times at places (N,) of the grid of windows."""
        assert self.windows is not None, "only windows lie on a grid"
        name = self.columns["time"] or "step"
        return {name: as_stamps(self.windows.grid.times(places), self.dates)}

    def _key_names(self) -> tuple[str, str | None]:
        """The columns of ids and times in a long table: the user's own, or id and step if they named none."""
        if self.columns["id"] is None:
            return "id", "step"
        return self.columns["id"], self.columns["time"]
