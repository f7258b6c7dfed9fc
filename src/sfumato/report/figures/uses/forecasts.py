"""Forecasts: what was seen of sequences, and the quantiles or futures that follow."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

from sfumato import files
from sfumato.estimator.methods.uses.forecasts import ForecastPanel
from sfumato.report.figures.style import DOTS, FIGURE_WIDTH, LIGHT, figure, place, short, tidy

MOST_SEQUENCES, MOST_CHANNELS = 4, 4
PANEL_HEIGHT = 2.0


def save_forecasts(panels: Sequence[ForecastPanel], shares: Sequence[float] | None, path: Path) -> None:
    """A chart for each of the first sequences and channels: the past, then the median between bands, or the futures.

    Args:
        panels: the sequences.
        shares: of the quantiles; None where futures were drawn.
        path: of the PNG.
    """
    rows = [
        (panel, channel) for panel in panels[:MOST_SEQUENCES] for channel in range(len(panel.channels))[:MOST_CHANNELS]
    ]
    sheet = figure(FIGURE_WIDTH, PANEL_HEIGHT * len(rows) + 0.3, LIGHT)
    for number, (panel, channel) in enumerate(rows):
        axes = place(sheet, 0.7, 0.3 + number * PANEL_HEIGHT, FIGURE_WIDTH - 0.9, PANEL_HEIGHT - 0.65)
        name = " ".join(filter(None, (panel.name, panel.channels[channel])))
        tidy(axes, LIGHT, short(name, 60))
        axes.plot(panel.past_times, panel.past[:, channel], color=LIGHT.ink, linewidth=0.9, marker=".", markersize=2)
        lines = panel.values[:, :, channel]
        order = [] if shares is None else np.argsort(shares).tolist()
        for low, high in zip(order, order[::-1], strict=True):
            if low == high or shares is None or shares[low] >= shares[high]:
                break
            axes.fill_between(panel.times, lines[low], lines[high], color=LIGHT.model, alpha=0.2, linewidth=0)
        middle = [] if shares is None else [min(range(len(shares)), key=lambda place: abs(shares[place] - 0.5))]
        for line in lines if shares is None else lines[middle]:
            axes.plot(
                panel.times, line, color=LIGHT.model, linewidth=1.4 if middle else 0.7, alpha=1.0 if middle else 0.4
            )
        if np.issubdtype(panel.times.dtype, np.datetime64):
            locator = AutoDateLocator()
            axes.xaxis.set_major_locator(locator)
            axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))
            axes.xaxis.get_offset_text().set(fontsize=7.5, color=LIGHT.quiet)
    with files.replacing(path) as temporary:
        sheet.savefig(temporary, format="png", dpi=DOTS)
