"""Rows of numbers that follow one another, as lines over each other, from the first to the last."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from sfumato.report.figures.style import FIGURE_WIDTH, LIGHT, Theme, figure, place, tidy, write

STRIP_HEIGHT = 1.5


def save_step_lines(values: np.ndarray, path: Path, across: int, names: Sequence[str]) -> None:
    """Draw strips of `across` rows of numbers, a chart for each, and write them as PNG, whole or not at all.

    Args:
        values: (N, D), or sequences (N, T, …), of which the channel that varies most is drawn.
        path: where to.
        across: rows of a strip.
        names: of the strips.
    """
    series = values.reshape(*values.shape[:2], -1)
    channel = int(np.argmax(np.nanvar(series, (0, 1))))
    strips = series[:, :, channel].reshape(-1, across, values.shape[1])
    write(drawn_steps(strips, names, LIGHT), path)


def drawn_steps(strips: np.ndarray, names: Sequence[str], theme: Theme) -> Figure:
    """A chart for each strip (S, across, D), its first line quiet and its last one coloured."""
    colours = LinearSegmentedColormap.from_list("steps", [theme.line, theme.model])
    sheet = figure(FIGURE_WIDTH, STRIP_HEIGHT * len(strips) + 0.2, theme)
    for number, (lines, name) in enumerate(zip(strips, names, strict=True)):
        axes = place(sheet, 0.6, 0.3 + number * STRIP_HEIGHT, FIGURE_WIDTH - 0.8, STRIP_HEIGHT - 0.55)
        tidy(axes, theme, name)
        for step, line in enumerate(lines):
            axes.plot(np.arange(len(line)), line, color=colours(step / max(len(lines) - 1, 1)), linewidth=1.0)
    return sheet
