"""Forecasts of sequences: futures, quantiles and tables; and beliefs, from which futures are imagined."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import torch

from sfumato.data.io import frames
from sfumato.data.sequences.schema import SequenceSchema
from sfumato.data.sequences.sequence_io import with_index
from sfumato.data.sequences.series import Series
from sfumato.errors import SfumatoError
from sfumato.estimator import inference
from sfumato.estimator.evaluation_data import named_set
from sfumato.estimator.methods.fitted import FittedMixin
from sfumato.estimator.methods.generation import check_number
from sfumato.isolation import isolated
from sfumato.models.protocols import Forecasts, Imagines, require
from sfumato.randomness.generators import chosen_seed, seeded

QUANTILES = (0.05, 0.5, 0.95)
"""The median and an interval that holds nine of ten values."""
FUTURES_OF_QUANTILES = 1000
"""Futures that quantiles are taken of, unless a number is given."""

logger = logging.getLogger("sfumato.models")


class Belief(NamedTuple):
    """What a model believes of the state of N sequences at a time, as n draws of it.

    Attributes:
        states: codes of the states, (N, n, `code_size`); the last number is the time where the model has a clock.
        series: the sequences, of which observations are given back in their own units.
    """

    states: np.ndarray
    series: Series


class Imagined(NamedTuple):
    """States that follow a belief, and what would be observed there.

    Attributes:
        states: codes after each jump, (N, n, J, `code_size`).
        values: observations in the units of the data, (N, n, J, D), or (N, n, J) where the data have no channels.
        series: those of the belief.
    """

    states: np.ndarray
    values: np.ndarray
    series: Series

    def after(self, jump: int = -1) -> Belief:
        """The belief after one of the jumps, counted from 0; the last one unless given."""
        return Belief(self.states[:, :, jump], self.series)


class ForecastPanel(NamedTuple):
    """A sequence and its forecast, as they are drawn.

    Attributes:
        name: of the sequence, "" for one alone.
        channels: names of the D channels.
        past_times: of the T steps that were seen, dates as `datetime64`.
        past: (T, D).
        times: of the H steps ahead.
        values: quantiles or futures, (Q, H, D).
    """

    name: str
    channels: tuple[str, ...]
    past_times: np.ndarray
    past: np.ndarray
    times: np.ndarray
    values: np.ndarray


class ForecastMixin(FittedMixin):
    """`forecast`, `forecast_table`, `belief` and `imagine` of `Autoencoder`."""

    @isolated
    def forecast(
        self,
        X: Any,
        jumps: Sequence[float | str] | None = None,
        n: int | None = None,
        *,
        horizon: int | str | None = None,
        quantiles: Sequence[float] | None = None,
        noise: bool = True,
        seed: int | None = None,
    ) -> np.ndarray:
        """Futures of each sequence after its last observed step, or quantiles of them.

        Each jump of a future starts where the previous one ended; the steps in between are not generated. Quantiles are
        of each step by itself, and of futures that reach it by a single jump where that is not too long for the model.

        >>> from sfumato import Autoencoder
        >>> X = np.sin(np.arange(12) + np.random.default_rng(0).uniform(0, 6, (40, 1)))
        >>> auto = Autoencoder("td_vae", sequences=True, steps=5).fit(X)
        >>> auto.forecast(X[:2, :8], jumps=(1, 3), n=5).shape
        (2, 5, 2)
        >>> auto.forecast(X[:2, :8], horizon=4, quantiles=(0.1, 0.5, 0.9)).shape
        (2, 3, 4)

        Args:
            X: the sequences, or only their beginnings. Where the model was trained on windows of a long series, a
                series, of which the last steps are used.
            jumps: lengths of the jumps, in the units of the times of the data (steps, if they came without); where
                those are dates, seconds or such as "6h", "1d" and "2w". None is one typical step, or the horizon that
                was trained where the model was trained on windows of a long series.
            n: futures of each sequence, 1 unless given; with `quantiles` how many they are taken of, 1000 unless given.
            horizon: jumps of one typical step, in place of `jumps`: how many, or a length of time, as "1d", where times
                are dates.
            quantiles: shares in (0, 1), in place of futures.
            noise: draw observations too; False gives the mode of p(x | z) of each drawn state.
            seed: the same seed gives the same futures; None draws new ones each time.

        Returns:
            Futures (N, n, H, D) after H jumps, or quantiles (N, Q, H, D); without the last axis where the data have no
            channels.

        Raises:
            SfumatoError: if the model is not one of sequences, n, a jump or the horizon is not above 0, or a quantile
                is not within (0, 1).
        """
        lengths = self._jumps(jumps, horizon)
        return self._forecast(self._latest(X), lengths, n, quantiles, noise, seed)

    @isolated
    def forecast_table(
        self,
        X: Any,
        jumps: Sequence[float | str] | None = None,
        n: int | None = None,
        *,
        horizon: int | str | None = None,
        quantiles: Sequence[float] | None = QUANTILES,
        seed: int | None = None,
    ) -> Any:
        """Forecasts as a frame with a row for each sequence and jump: its time, and quantiles of each channel.

        >>> from sfumato import Autoencoder
        >>> t = np.arange(400)
        >>> series = pa.table({"day": t, "sold": np.sin(t * np.pi / 6) + t / 100})
        >>> auto = Autoencoder("td_vae", steps=5).fit(series)
        >>> auto.forecast_table(series, horizon=3, quantiles=(0.1, 0.9)).column_names
        ['day', 'ahead', 'sold_0.1', 'sold_0.9']

        Args:
            X, jumps, n, horizon, seed: as `forecast` takes them.
            quantiles: as `forecast` takes them, a column each; None gives futures, numbered from 0 in a column
                `future`, a row each.

        Returns:
            A frame of the kind of X: the id of the sequence unless there is one series alone, the time if the data have
            times, how far ahead it is (in steps, or as `jumps` count), and the values.

        Raises:
            SfumatoError: as `forecast` does.
        """
        schema, lengths = self._sequences(), self._jumps(jumps, horizon)
        raw = self._latest(X)
        values = self._forecast(raw, lengths, n, quantiles, True, seed)
        flat = values.reshape(*values.shape[:3], -1)
        count, draws, steps, _ = flat.shape
        # A row for each future too, or the quantiles side by side.
        index = np.indices((count, draws if quantiles is None else 1, steps)).reshape(3, -1)
        columns: dict[str, Any] = {
            key: [names[place] for place in index[0]] for key, names in schema.series_names(raw, X).items()
        }
        columns |= {key: each.take(index[0] * steps + index[2]) for key, each in schema.after(raw, lengths).items()}
        if quantiles is None:
            columns["future"] = index[1]
        ends = np.arange(1, steps + 1) if jumps is None else np.cumsum(lengths)
        columns["ahead"] = ends[index[2]]
        for channel, name in enumerate(schema.names):
            if quantiles is None:
                columns[name] = flat[..., channel].ravel()
            else:
                columns |= {f"{name}_{q:g}": flat[:, place, :, channel].ravel() for place, q in enumerate(quantiles)}
        table, X = pa.table(columns), with_index(X)
        return frames.give(table, frames.read(X)[1]) if frames.is_frame(X) else table

    def forecast_panels(
        self,
        X: Any,
        values: np.ndarray,
        jumps: Sequence[float | str] | None = None,
        *,
        horizon: int | str | None = None,
    ) -> list[ForecastPanel]:
        """Each sequence of X with what `forecast` gave for it, for a figure."""
        schema, lengths, raw = self._sequences(), self._jumps(jumps, horizon), self._latest(X)
        names = schema.series_names(raw, X)
        called = [f"{key} {name}" for key, each in names.items() for name in each] or [""] * len(raw)
        flat, panels = values.reshape(*values.shape[:3], -1), []
        time, ends = schema.axis(raw, lengths)
        for row, name in enumerate(called):
            inside = ~np.isnat(time[row]) if time.dtype.kind == "M" else ~np.isnan(time[row])
            panels.append(
                ForecastPanel(name, schema.names, time[row][inside], raw.x[row][inside], ends[row], flat[row])
            )
        return panels

    @isolated
    def forecast_video(
        self,
        X: Any,
        out: str | os.PathLike[str],
        jumps: Sequence[float | str] | None = None,
        n: int = 1,
        *,
        horizon: int | str | None = None,
        seed: int | None = None,
    ) -> int:
        """Write sequences of images as videos: what was seen of each, and then futures, each from there on.

        Args:
            X, jumps, n, horizon, seed: as `forecast` takes them; frames are the modes of p(x | z).
            out: a `.gif` or `.mp4` with all videos beside each other, or a folder.

        Returns:
            How many videos: n for each sequence.

        Raises:
            SfumatoError: as `forecast` does, and if the data are no sequences of images.
        """
        schema, raw = self._sequences(), self._latest(X)
        futures = self._forecast(raw, self._jumps(jumps, horizon), n, None, False, seed)
        futures = futures.reshape(*futures.shape[:3], -1)
        longest = raw.x.shape[1] + futures.shape[2]
        clips = np.full((len(raw), futures.shape[1], longest, raw.x.shape[2]), np.nan)
        for row, seen in enumerate(raw.x):
            end = int(np.flatnonzero(~np.isnan(seen).all(1))[-1]) + 1
            clips[row, :, :end] = seen[:end]
            clips[row, :, end : end + futures.shape[2]] = futures[row]
        schema.write_clips(clips.reshape(-1, longest, *(schema.image_shape or (raw.x.shape[2],))), out)
        return len(raw) * futures.shape[1]

    @isolated
    def belief(self, X: Any, n: int = 100, *, seed: int | None = None) -> Belief:
        """What the model believes of the state after the last observed step of each sequence, as draws z ~ p_B(z | b).

        >>> from sfumato import Autoencoder
        >>> X = np.sin(np.arange(12) + np.random.default_rng(0).uniform(0, 6, (40, 1)))
        >>> auto = Autoencoder("td_vae", sequences=True, latent_dim=4, steps=5).fit(X)
        >>> auto.belief(X[:2, :8], n=10).states.shape  # two layers of 4, and the time
        (2, 10, 9)

        Args:
            X: the sequences, as `forecast` takes them.
            n: draws for each.
            seed: the same seed gives the same draws; None draws new ones each time.

        Raises:
            SfumatoError: if the model has no states that can be moved in time, or n is not above 0.
        """
        self._sequences()
        check_number(n, "draw")
        model, seed = inference.exact(self._model()), chosen_seed(seed)
        encodes = require(model, Imagines, "imagine", "td_vae")
        raw, states = self._latest(X), []
        with seeded(next(model.parameters()).device, seed, model), torch.inference_mode():
            for batch in self._batches(raw, None, n):
                belief = encodes.encode(batch)
                states.append(torch.stack([belief.sample() for _ in range(n)], 1).cpu())
        return Belief(torch.cat(states).numpy(), raw)

    @isolated
    def imagine(
        self, belief: Belief, jumps: Sequence[float | str], *, noise: bool = False, seed: int | None = None
    ) -> Imagined:
        """The states that follow a belief after jumps, z ← p_T(z | z, δ), and what would be observed there.

        Each jump starts where the previous one ended, each draw of the belief has a future of its own, and what is
        imagined can be imagined on from: `imagine(imagined.after(), jumps)`.

        >>> from sfumato import Autoencoder
        >>> X = np.sin(np.arange(12) + np.random.default_rng(0).uniform(0, 6, (40, 1)))
        >>> auto = Autoencoder("td_vae", sequences=True, steps=5).fit(X)
        >>> near = auto.imagine(auto.belief(X[:2, :6], n=10), jumps=(1, 1))
        >>> auto.imagine(near.after(), jumps=(3,)).values.shape
        (2, 10, 1)

        Args:
            belief: of `belief`, or of `Imagined.after`.
            jumps: lengths of the jumps, as `forecast` takes them.
            noise: draw observations; False gives the mode of p(x | z).
            seed: the same seed gives the same states; None draws new ones each time.

        Raises:
            SfumatoError: if the model has no states that can be moved in time, or a jump is not above 0.
        """
        schema = self._sequences()
        lengths = [length / schema.unit for length in self._jumps(jumps, None)]
        model, seed = inference.exact(self._model()), chosen_seed(seed)
        imagines, device = require(model, Imagines, "imagine", "td_vae"), next(model.parameters()).device
        count, draws, size = belief.states.shape
        with seeded(device, seed, model), torch.inference_mode():
            start = torch.as_tensor(belief.states, device=device, dtype=torch.float64)
            codes = imagines.imagine(start.reshape(-1, size), lengths)
            p = imagines.decode(codes.flatten(0, 1))
            x = (p.sample() if noise else p.mode()).cpu()
        values = schema.decode_futures(x.view(count, draws, len(lengths), -1), belief.series)
        return Imagined(codes.cpu().numpy().reshape(count, draws, len(lengths), size), values, belief.series)

    def _forecast(
        self,
        raw: Series,
        lengths: Sequence[float],
        n: int | None,
        quantiles: Sequence[float] | None,
        noise: bool,
        seed: int | None,
    ) -> np.ndarray:
        """Futures of sequences that were read, or quantiles of them, as `forecast` gives them."""
        self._warn_beyond(lengths)
        schema, model, seed = self._sequences(), inference.exact(self._model()), chosen_seed(seed)
        forecasts = require(model, Forecasts, "forecast", "td_vae")
        shares = None if quantiles is None else _shares(quantiles)
        n = (1 if shares is None else FUTURES_OF_QUANTILES) if n is None else n
        check_number(n, "future")
        jumps, parts, row = [length / schema.unit for length in lengths], [], 0
        with seeded(next(model.parameters()).device, seed, model), torch.inference_mode():
            for batch in self._batches(raw, None, n):
                some = schema.take(raw, range(row, row + len(batch)))
                futures = forecasts.forecast(batch, jumps, n, noise=noise, chained=shares is None)
                values = schema.decode_futures(futures.cpu(), some)
                parts.append(values if shares is None else np.moveaxis(np.quantile(values, shares, axis=1), 0, 1))
                row += len(batch)
        return np.concatenate(parts)

    def _sequences(self) -> SequenceSchema:
        require(self._model(), Forecasts, "forecast", "td_vae")
        if not isinstance(self.schema_, SequenceSchema):
            raise SfumatoError("forecast is for models of sequences")
        return self.schema_

    def _latest(self, X: Any) -> Series:
        return self._sequences().latest(named_set(self.config_, self.schema_, X))

    def _jumps(self, jumps: Sequence[float | str] | None, horizon: int | str | None) -> list[float]:
        """The lengths of jumps in time."""
        schema = self._sequences()
        if jumps is not None:
            if horizon is not None:
                raise SfumatoError("jumps and horizon are both given and say how far ahead; leave one out")
            return schema.lengths(jumps)
        return schema.horizon(horizon)

    def _warn_beyond(self, lengths: Sequence[float]) -> None:
        """Warn of a forecast beyond the horizon that was trained."""
        schema = self._sequences()
        steps = round(sum(lengths) / schema.unit)
        if schema.windows is not None and steps > schema.windows.horizon:
            logger.warning(
                "forecasts %d steps ahead are extrapolated beyond the %d that were trained; to train them, fit with "
                "horizon %d",
                steps,
                schema.windows.horizon,
                steps,
            )


def _shares(quantiles: Sequence[float]) -> list[float]:
    shares = [float(q) for q in quantiles]
    if not shares or not all(0 < q < 1 for q in shares):
        raise SfumatoError(f"quantiles are {', '.join(map(str, quantiles)) or 'none'}: give shares between 0 and 1")
    return shares
