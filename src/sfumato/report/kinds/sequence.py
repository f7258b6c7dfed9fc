"""Figures of sequences: forecasts after the first half, or reconstructions; and samples."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sfumato.data.sequences.schema import SequenceSchema
from sfumato.evaluation.subject import Subject, array, rows, some
from sfumato.models.protocols import Forecasts
from sfumato.report.figures.run_samples import drawn_samples, row_names, save_samples
from sfumato.report.figures.style import FIGURE_WIDTH, ReportFigure, Theme, figure, place, save, short, tidy
from sfumato.studies.comparison import RunGroup

EXAMPLES_SHOWN, CHANNELS_SHOWN, FUTURES_SHOWN = 3, 4, 100
OVERLAID = 12
"""Sequences overlaid in one chart."""
SAMPLES_SHOWN = 30
"""Sampled sequences drawn for each configuration."""
QUANTILES = (0.05, 0.5, 0.95)
HEIGHT = 1.7


def draw(shown: Subject, folder: Path) -> list[ReportFigure]:
    """Forecasts if the model makes them, else reconstructions; and samples. Of the channels that vary most."""
    raw = shown.raw(shown.batch)
    real = raw.reshape(*raw.shape[:2], -1)
    assert isinstance(shown.schema, SequenceSchema)
    chosen = np.argsort(-np.nanvar(real, (0, 1)), kind="stable")[:CHANNELS_SHOWN]
    names = [short(shown.schema.names[channel], 24) for channel in chosen]
    first = _futures if isinstance(shown.model, Forecasts) else _reconstructions
    return [*first(shown, folder, real, chosen, names), _samples(shown, folder, real, chosen, names)]


def compare(groups: Sequence[RunGroup], subjects: Sequence[Subject], folder: Path) -> list[ReportFigure]:
    """The channel that varies most, of data and of samples."""
    real = _flat(subjects[0].raw(rows(subjects[0].batch, slice(0, SAMPLES_SHOWN))))
    channel = int(np.argmax(np.nanvar(real, (0, 1))))
    samples = [_flat(drawn_samples(subject, SAMPLES_SHOWN, noise=True)[1]) for subject in subjects]
    sets = [values[:, :, channel] for values in (real, *samples)]
    names, key = row_names(groups)
    titles = ["data", *names]
    low, high = float(np.nanmin(sets[0])), float(np.nanmax(sets[0]))

    def drawn(theme: Theme) -> Figure:
        across = min(3, len(sets))
        side = (FIGURE_WIDTH - 0.6 - 0.2 * (across - 1)) / across
        sheet = figure(FIGURE_WIDTH, ceil(len(sets) / across) * 2.2 + 0.2, theme)
        for index, (title, values) in enumerate(zip(titles, sets, strict=True)):
            down, along = divmod(index, across)
            axes = place(sheet, 0.5 + along * (side + 0.2), 0.3 + down * 2.2, side, 1.6)
            tidy(axes, theme, title)
            colour = theme.quiet if index == 0 else theme.of(index - 1)
            axes.plot(values.T, color=colour, linewidth=0.7, alpha=0.55)
            axes.set_ylim(low - 0.15 * (high - low), high + 0.15 * (high - low))
            axes.tick_params(labelleft=along == 0)
        return sheet

    saved_figure = save_samples(
        folder,
        drawn,
        alt=f"Line charts of {SAMPLES_SHOWN} sequences of data, then of samples of {len(groups)} configurations.{key}",
        caption=f"The channel that varies most: sequences of the {subjects[0].part}, then as many samples of the first "
        f"run of each configuration, on the same scale.{key}",
    )
    return [saved_figure]


def _futures(
    shown: Subject, folder: Path, real: np.ndarray, chosen: np.ndarray, names: list[str]
) -> list[ReportFigure]:
    """Forecasts after the first half of a few sequences, or after what is seen of windows."""
    assert isinstance(shown.model, Forecasts)
    assert isinstance(shown.schema, SequenceSchema)
    half = shown.schema.seen if shown.schema.windows else max(real.shape[1] // 2, 1)
    seen = f"first {half} steps" if shown.schema.windows else "first half"
    panels = []
    for example in some(len(shown), EXAMPLES_SHOWN, shown.seed).tolist():
        sequence = rows(shown.batch, slice(example, example + 1))
        time = np.arange(real.shape[1], dtype=float) if sequence.time is None else array(sequence.time)[0].astype(float)
        if half >= len(time):
            return []
        time_left, mask = (None if v is None else v[:, :half] for v in (sequence.time, sequence.mask))
        before = type(sequence)(sequence.x[:, :half], None, mask, time_left)
        if mask is not None and not bool(mask.flatten(2).any(2)[:, -1].all()):
            continue
        jumps = np.diff(time)[half - 1 :].tolist()
        futures = shown.decoded(shown.model.forecast(before, jumps, FUTURES_SHOWN, chained=False), None)
        panels.append(
            (time, real[example], np.quantile(futures.reshape(FUTURES_SHOWN, len(time) - half, -1), QUANTILES, axis=0))
        )
    if not panels:
        return []

    def drawn(theme: Theme) -> Figure:
        sheet, grid = _grid(theme, len(panels), names)
        for (time, values, fan), row in zip(panels, grid, strict=True):
            for axes, channel in zip(row, chosen, strict=True):
                low, middle, high = fan[:, :, channel]
                axes.fill_between(time[half:], low, high, color=theme.model, alpha=0.25, linewidth=0)
                axes.plot(time[half:], middle, color=theme.model, linewidth=1.4)
                axes.plot(time, values[:, channel], color=theme.ink, linewidth=0.9, marker="o", markersize=2)
        return sheet

    return [
        save(
            folder,
            "futures",
            drawn,
            title="Forecasts",
            alt=f"Line charts of {len(panels)} sequences with a fan of {FUTURES_SHOWN} futures after their {seen}.",
            caption=f"Sequences of the {shown.part} (dark) and {FUTURES_SHOWN} futures that the model draws from their "
            f"{seen}: the median, and a band with 90% of them. The dark line should stay inside the band.",
        )
    ]


def _reconstructions(
    shown: Subject, folder: Path, real: np.ndarray, chosen: np.ndarray, names: list[str]
) -> list[ReportFigure]:
    """A few sequences and their reconstructions."""
    index = some(len(shown), EXAMPLES_SHOWN, shown.seed).numpy()
    batch = rows(shown.batch, index)
    decoded = shown.points(shown.model.encode(batch).mode(), batch.given)
    reconstructions = shown.decoded(decoded, batch.given).reshape(len(index), *real.shape[1:])
    # Reconstructions are cut at the end of the sequence.
    seen = np.isfinite(real[index]).any(2)
    reconstructions[np.cumsum(seen[:, ::-1], 1)[:, ::-1] == 0] = np.nan
    times = np.tile(np.arange(real.shape[1]), (len(index), 1)) if batch.time is None else array(batch.time)

    def drawn(theme: Theme) -> Figure:
        sheet, grid = _grid(theme, len(index), names)
        for example, reconstruction, time, row in zip(index, reconstructions, times, grid, strict=True):
            for axes, channel in zip(row, chosen, strict=True):
                axes.plot(time, real[example, :, channel], color=theme.ink, linewidth=0.9, marker="o", markersize=2)
                axes.plot(time, reconstruction[:, channel], color=theme.model, linewidth=1.4)
        return sheet

    return [
        save(
            folder,
            "reconstructions",
            drawn,
            title="Data and reconstructions",
            alt=f"Line charts of {len(index)} sequences, each with its reconstruction over it.",
            caption=f"Sequences of the {shown.part} (dark) and their reconstructions (coloured). The lines should "
            "agree, except for noise.",
        )
    ]


def _samples(shown: Subject, folder: Path, real: np.ndarray, chosen: np.ndarray, names: list[str]) -> ReportFigure:
    """Some real sequences and as many samples, on one scale."""
    index = some(len(shown), OVERLAID, shown.seed).numpy()
    count = len(index)
    given = shown.conditions(count)
    sampled = shown.decoded(shown.draw(given, count, noise=True), given).reshape(count, *real.shape[1:])

    def drawn(theme: Theme) -> Figure:
        sheet, grid = _grid(theme, 2, names)
        for sequences, colour, row in zip((real[index], sampled), (theme.ink, theme.model), grid, strict=True):
            for axes, channel in zip(row, chosen, strict=True):
                lines = sequences[:, :, channel].T
                axes.plot(
                    np.arange(len(lines)), lines, color=colour, linewidth=0.9, alpha=0.7, marker=".", markersize=2
                )
        for upper, lower in zip(*grid, strict=True):
            lower.sharey(upper)
            upper.autoscale()
        return sheet

    return save(
        folder,
        "samples",
        drawn,
        title="Data and samples",
        alt=f"Line charts of {count} real sequences, and below them of {count} drawn from the model.",
        caption=f"Above: {count} sequences of the {shown.part} (dark). Below: as many samples (coloured), on the same "
        "scale, by step and not by time. Samples should have the same shapes and the same variety.",
    )


def _grid(theme: Theme, count: int, names: list[str]) -> tuple[Figure, list[list[Axes]]]:
    """A sheet of charts, `count` rows with one for each channel; the names are above the first."""
    sheet = figure(FIGURE_WIDTH, HEIGHT * count + 0.3, theme)
    width = (FIGURE_WIDTH - 0.6) / len(names)
    grid = []
    for row in range(count):
        line = []
        for column, name in enumerate(names):
            axes = place(sheet, 0.5 + column * width, 0.3 + row * HEIGHT, width - 0.35, HEIGHT - 0.6)
            tidy(axes, theme, name if row == 0 else "", "", "")
            line.append(axes)
        grid.append(line)
    return sheet, grid


def _flat(values: object) -> np.ndarray:
    array = np.asarray(values, float)
    return array.reshape(*array.shape[:2], -1)
