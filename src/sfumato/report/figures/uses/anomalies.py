"""What makes anomalies anomalous: columns as bars, pixels as maps of nats, steps of series along their values."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from sfumato.report.figures.style import FIGURE_WIDTH, LIGHT, figure, place, short, tidy, write

MOST_DRAWN = 6
ROW_HEIGHT, TILE = 1.4, 1.7
MOST_CHANNELS = 4


def save_reasons(reasons: Sequence[Sequence[tuple[str, float]]], names: Sequence[str], path: Path) -> None:
    """A chart of bars for each row: its columns and the nats they cost, the costliest above.

    Args:
        reasons: of each row, (column, nats) pairs, the costliest first.
        names: of the rows.
        path: of the PNG.
    """
    shown = [[*each][:MOST_DRAWN] for each in reasons[:MOST_DRAWN]]
    most = max((nats for each in shown for _, nats in each), default=1.0)
    sheet = figure(FIGURE_WIDTH, ROW_HEIGHT * max(len(shown), 1) + 0.4, LIGHT)
    for number, (each, name) in enumerate(zip(shown, names, strict=False)):
        axes = place(sheet, 2.6, 0.35 + number * ROW_HEIGHT, FIGURE_WIDTH - 2.9, ROW_HEIGHT - 0.6)
        tidy(axes, LIGHT, name, "nats" if number == len(shown) - 1 else "")
        axes.barh(range(len(each)), [nats for _, nats in each], color=LIGHT.model, height=0.7)
        axes.set_yticks(range(len(each)), [short(column, 36) for column, _ in each], parse_math=False)
        axes.set_xlim(0, most)
        axes.invert_yaxis()
    write(sheet, path)


def save_images(images: np.ndarray, costs: np.ndarray, names: Sequence[str], path: Path) -> None:
    """Each image above the nats that its pixels cost.

    Args:
        images: (R, C, H, W) levels.
        costs: (R, H, W) nats.
        names: of the images.
        path: of the PNG.
    """
    count = min(len(images), MOST_DRAWN)
    sheet = figure(TILE * count + 0.3, 2 * TILE + 0.4, LIGHT)
    shown = np.moveaxis(images[:count].astype(float), 1, 3)
    shown = shown / max(shown.max(), 1.0)
    shown = shown if shown.shape[3] in (3, 4) else shown[..., 0]
    for number in range(count):
        for row, picture in enumerate((shown[number], costs[number])):
            axes = place(sheet, 0.15 + number * TILE, 0.3 + row * TILE, TILE - 0.1, TILE - 0.1)
            tidy(axes, LIGHT, names[number] if row == 0 else "")
            kind = "gray" if row == 0 else "magma"
            axes.imshow(picture, cmap=kind, interpolation="nearest", vmin=0, vmax=max(float(picture.max()), 1e-9))
            axes.set_axis_off()
    write(sheet, path)


def save_steps(
    values: np.ndarray, costs: np.ndarray, names: Sequence[str], channels: Sequence[str], path: Path
) -> None:
    """Each series, a chart for each of its costliest channels, with the nats that steps cost as dots of that size.

    Args:
        values: (R, T, D).
        costs: (R, T, D) nats.
        names: of the series.
        channels: names of the D channels.
        path: of the PNG.
    """
    charts = [
        (row, channel)
        for row, by_channel in enumerate(costs[:MOST_DRAWN].sum(1))
        for channel in np.sort(np.argsort(-by_channel, kind="stable")[:MOST_CHANNELS]).tolist()
    ]
    sheet = figure(FIGURE_WIDTH, ROW_HEIGHT * len(charts) + 0.3, LIGHT)
    steps = np.arange(1, values.shape[1] + 1)
    for number, (row, channel) in enumerate(charts):
        axes = place(sheet, 0.6, 0.3 + number * ROW_HEIGHT, FIGURE_WIDTH - 0.8, ROW_HEIGHT - 0.55)
        tidy(axes, LIGHT, names[row] if len(channels) == 1 else f"{names[row]}: {channels[channel]}")
        line, sizes = values[row, :, channel], 12 * np.clip(costs[row, :, channel], 0, 5)
        axes.plot(steps, line, color=LIGHT.quiet, linewidth=0.9)
        axes.scatter(steps, line, s=sizes, color=LIGHT.colours[2], linewidths=0)
    write(sheet, path)


def save_long_series(
    values: np.ndarray, channels: Sequence[str], scores: np.ndarray, anomalous: np.ndarray, path: Path
) -> None:
    """The channels of a long series, the score of each step below, and stretches that are anomalies shaded.

    Args:
        values: (T, D).
        channels: names of the D channels.
        scores: of the steps, (T,).
        anomalous: which steps are part of an anomaly, (T,).
        path: of the PNG.
    """
    lines = [*values.T[:MOST_CHANNELS], scores]
    titles = [*channels[:MOST_CHANNELS], "score, nats"]
    sheet = figure(FIGURE_WIDTH, ROW_HEIGHT * len(lines) + 0.3, LIGHT)
    edges = np.flatnonzero(np.diff(np.concatenate([[False], anomalous.astype(bool), [False]]).astype(int)))
    for number, (line, title) in enumerate(zip(lines, titles, strict=True)):
        axes = place(sheet, 0.6, 0.3 + number * ROW_HEIGHT, FIGURE_WIDTH - 0.8, ROW_HEIGHT - 0.55)
        tidy(axes, LIGHT, title)
        for start, end in edges.reshape(-1, 2):
            axes.axvspan(start + 1, end, color=LIGHT.colours[2], alpha=0.25, linewidth=0)
        colour = LIGHT.model if number == len(lines) - 1 else LIGHT.quiet
        axes.plot(np.arange(1, len(line) + 1), line, color=colour, linewidth=0.8)
    write(sheet, path)
