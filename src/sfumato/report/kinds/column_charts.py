"""Charts of tables: real and sampled columns, dependence between columns, and the columns that match worst."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, MaxNLocator

from sfumato.evaluation.metrics.columns import ColumnPair
from sfumato.report.figures.style import FIGURE_WIDTH, Theme, figure, legend, place, short, tidy

MAX_COLUMN_PANELS = 24
"""Columns in one picture, at most."""
CATEGORY_BARS = 6
"""Categories of a column that get bars of their own; the rest are one."""
MISSING_LABEL = "missing"
SPIKE_SHARE = 0.05
"""A single number that so large a share of the rows holds is drawn apart."""


def marginals(table: Sequence[ColumnPair], theme: Theme, *, real: str = "real") -> Figure:
    """One small panel per column, real filled and sampled as a line; `real` is the legend of the former."""
    across, left, top, gap, panel = 4, 0.2, 0.5, 0.28, 1.18
    width = (FIGURE_WIDTH - left - 0.1 - gap * (across - 1)) / across
    step = panel + 0.68
    rows = ceil(len(table) / across)
    sheet = figure(FIGURE_WIDTH, top + rows * step + 0.02, theme)
    for index, column in enumerate(table):
        x = left + (index % across) * (width + gap)
        y = top + (index // across) * step + 0.26
        gutter = 0.82 if column.levels else 0.0
        axes = tidy(place(sheet, x + gutter, y, width - gutter, panel), theme)
        _heading(sheet, x, y, width, column, theme)
        if column.levels:
            _bars(axes, column, theme)
        else:
            _histogram(axes, column, theme)
    legend(sheet, [(real, theme.real), ("sampled", theme.model)], theme, top=0.1, left=left)
    return sheet


def _heading(sheet: Figure, x: float, y: float, width: float, column: ColumnPair, theme: Theme) -> None:
    w, h = sheet.get_size_inches()
    style: dict[str, Any] = {"va": "bottom", "parse_math": False}
    sheet.text(x / w, 1 - (y - 0.07) / h, short(column.name, 21), fontsize=8.5, color=theme.ink, **style)
    measure = f"{'TV' if column.levels else 'KS'} {column.distance:.2f}"
    sheet.text((x + width) / w, 1 - (y - 0.07) / h, measure, fontsize=7.5, color=theme.quiet, ha="right", **style)


def _bars(axes: Axes, column: ColumnPair, theme: Theme) -> None:
    real, sampled = column.shares(column.real), column.shares(column.sampled)
    order = np.argsort(-np.maximum(real, sampled), kind="stable")
    order = order[(order < len(column.levels)) | (real[order] + sampled[order] > 0)]
    kept = order if len(order) <= CATEGORY_BARS + 1 else order[:CATEGORY_BARS]
    names = [short((*column.levels, MISSING_LABEL)[level], 13) for level in kept]
    heights = [real[kept], sampled[kept]]
    if len(kept) < len(order):
        names.append(f"{len(order) - len(kept)} other")
        heights = [np.append(part, 1 - part.sum()) for part in heights]
    places = np.arange(len(names))
    axes.barh(places - 0.2, heights[0], height=0.38, color=theme.real)
    axes.barh(places + 0.2, heights[1], height=0.38, color=theme.model)
    axes.set_yticks(places, names, parse_math=False)
    axes.set_ylim(max(len(names), 3) - 0.4, -0.6)
    axes.set_xlim(0, max(float(np.max(heights)), 0.01) * 1.05)
    axes.xaxis.set_major_locator(MaxNLocator(3))
    axes.xaxis.set_major_formatter(lambda share, _: f"{share:.0%}")
    axes.tick_params(axis="y", length=0, labelsize=7)
    axes.spines["left"].set_visible(False)


def _histogram(axes: Axes, column: ColumnPair, theme: Theme) -> None:
    real, sampled = column.real[np.isfinite(column.real)], column.sampled[np.isfinite(column.sampled)]
    both = np.concatenate([real, sampled])
    axes.spines["left"].set_visible(False)
    axes.set_yticks([])
    if not len(both):
        axes.text(0.5, 0.5, "no values", transform=axes.transAxes, ha="center", fontsize=8, color=theme.quiet)
        axes.set_xticks([])
        return
    spikes = _spikes(real, sampled)
    edges = _edges(real[~np.isin(real, spikes)], both[~np.isin(both, spikes)], both)
    heights = [_shares(part, spikes, edges) for part in (real, sampled)]
    top = max(float(np.max(heights)), 1e-9) * (1.35 if len(spikes) else 1.08)
    axes.stairs(heights[0], edges, fill=True, color=theme.real, alpha=0.75, linewidth=0)
    axes.stairs(heights[1], edges, color=theme.model, linewidth=1.3)
    span = edges[-1] - edges[0]
    low, high = min(edges[0], *spikes, np.inf), max(edges[-1], *spikes, -np.inf)
    if len(spikes):
        _pins(axes, real, sampled, spikes, top, span, theme)
    axes.set_ylim(0, top)
    axes.set_xlim(low - 0.04 * span, high + 0.04 * span)
    _number_ticks(axes, column.dated, high, low)
    missing = [float(np.isnan(values).mean()) for values in (column.real, column.sampled)]
    if any(missing):
        note = f"{MISSING_LABEL} {missing[0]:.0%} · {missing[1]:.0%}"
        axes.text(1, 1, note, transform=axes.transAxes, fontsize=6.5, color=theme.quiet, ha="right", va="top")


def _spikes(real: np.ndarray, sampled: np.ndarray) -> np.ndarray:
    """At most two values that many rows share, in a column whose values are mostly different."""
    values, counts = np.unique(real, return_counts=True)
    if len(values) <= 40 or not len(sampled):
        return np.empty(0)
    order = np.argsort(-counts)[:2]
    shares = counts[order] / len(real)
    usual = np.median(counts) / len(real)
    return np.asarray(values[order[(shares > SPIKE_SHARE) & (shares > 8 * usual)]])


def _edges(real: np.ndarray, rest: np.ndarray, both: np.ndarray) -> np.ndarray:
    """Bin edges: one per integer if there are few, else up to forty, fewer for few rows.

    For long tails, they span all but half a per cent at each end.
    """
    rest = rest if len(rest) else both
    real = real if len(real) else rest
    low, high = float(rest.min()), float(rest.max())
    bins = int(np.clip(2.5 * len(real) ** 0.45, 8, 40))
    if np.all(rest == np.round(rest)) and high - low <= bins:
        return np.arange(low - 0.5, high + 1)
    near, far = np.percentile(real, [0.5, 99.5])
    if high - low > 2 * (far - near) > 0:
        low, high = float(near), float(far)
    if low == high:
        low, high = low - 0.5, high + 0.5
    if np.all(rest == np.round(rest)):
        width = max(round((high - low) / bins), 1)
        return np.arange(np.floor(low) - 0.5, np.ceil(high) + width, width)
    return np.linspace(low, high, bins + 1)


def _shares(values: np.ndarray, spikes: np.ndarray, edges: np.ndarray) -> np.ndarray:
    kept = values[~np.isin(values, spikes)]
    counts, _ = np.histogram(np.clip(kept, edges[0], edges[-1]), edges)
    return np.asarray(counts / max(len(values), 1))


def _pins(
    axes: Axes, real: np.ndarray, sampled: np.ndarray, spikes: np.ndarray, top: float, span: float, theme: Theme
) -> None:
    """A pair of pins for each spike, on their own scale, with the shares as text."""
    shares = [[float(np.mean(values == spike)) for values in (real, sampled)] for spike in spikes]
    highest = max(max(pair) for pair in shares)
    words = []
    for spike, pair in zip(spikes, shares, strict=True):
        for share, colour, shift in zip(pair, (theme.real, theme.model), (-0.006, 0.006), strict=True):
            reach = share / highest * top * 0.78
            axes.plot([spike + shift * span] * 2, [0, reach], color=colour, linewidth=2.2, solid_capstyle="butt")
        words.append(f"{spike:g}: {pair[0]:.0%} real, {pair[1]:.0%} sampled")
    axes.text(0.03, 1.0, "\n".join(words), transform=axes.transAxes, fontsize=6.5, color=theme.quiet, va="top")


def _number_ticks(axes: Axes, dated: bool, high: float, low: float) -> None:
    if dated:
        ticks = AutoDateLocator(minticks=2, maxticks=4)
        axes.xaxis.set_major_locator(ticks)
        axes.xaxis.set_major_formatter(ConciseDateFormatter(ticks))
        return
    axes.xaxis.set_major_locator(MaxNLocator(4))
    if max(abs(high), abs(low)) >= 1e4:
        axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    else:
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:.4g}")


def pair_associations(names: Sequence[str], real: np.ndarray, sampled: np.ndarray, theme: Theme) -> Figure:
    """Three matrices (D, D): real, sampled, and sampled − real."""
    left, top, gap = 1.15, 0.36, 0.14
    side = (FIGURE_WIDTH - left - 0.75 - 2 * gap) / 3
    labels = [short(name, 16) for name in names]
    size = 7.5 if len(names) <= 14 else 5.6
    sheet = figure(FIGURE_WIDTH, top + side + 0.2 + max(map(len, labels)) * size * 0.0092, theme)
    places = np.arange(len(names))
    shown = (("real (training split)", real), ("sampled", sampled), ("difference", sampled - real))
    for index, (title, matrix) in enumerate(shown):
        axes = tidy(place(sheet, left + index * (side + gap), top, side, side), theme, title)
        picture = axes.imshow(matrix, vmin=-1, vmax=1, cmap=theme.diverging, interpolation="nearest")
        axes.set_xticks(places, labels, rotation=90, parse_math=False)
        axes.set_yticks(places, labels if index == 0 else [""] * len(names), parse_math=False)
        axes.tick_params(length=0, labelsize=size)
        axes.spines[:].set_visible(True)
    scale = place(sheet, FIGURE_WIDTH - 0.62, top, 0.12, side)
    bar = sheet.colorbar(picture, cax=scale, ticks=[-1, -0.5, 0, 0.5, 1])
    bar.outline.set_visible(False)
    scale.tick_params(colors=theme.quiet, labelsize=7, length=0)
    return sheet


def distances(table: Sequence[ColumnPair], chance: Sequence[float], theme: Theme) -> Figure:
    """A line for each column: the distance between sampled and real, and the distance by chance."""
    left, top, row = 1.75, 0.5, 0.235
    tall = max(len(table), 3) * row
    sheet = figure(FIGURE_WIDTH * 0.8, top + tall + 0.5, theme)
    axes = place(sheet, left, top, FIGURE_WIDTH * 0.8 - left - 0.2, tall)
    tidy(axes, theme, "", "distance between sampled and real (0 = the same, 1 = nothing in common)")
    places = np.arange(len(table))
    measured = [column.distance for column in table]
    axes.hlines(places, 0, measured, color=theme.line, linewidth=1.2)
    axes.scatter(chance, places, s=26, facecolors=theme.paper, edgecolors=theme.quiet, linewidths=1.1, zorder=3)
    axes.scatter(measured, places, s=30, color=theme.model, linewidths=0, zorder=4)
    labels = [f"{short(column.name, 20)}  {'TV' if column.levels else 'KS'}" for column in table]
    axes.set_yticks(places, labels, parse_math=False)
    axes.set_ylim(len(table) - 0.5, -0.5)
    axes.set_xlim(0, min(max([*measured, *chance, 0.1]) * 1.08, 1.02))
    axes.grid(axis="x", color=theme.line, linewidth=0.5)
    axes.spines["left"].set_visible(False)
    axes.tick_params(axis="y", length=0, labelsize=8, labelcolor=theme.ink)
    legend(
        sheet,
        [("sampled", theme.model), ("training split (by chance alone)", theme.quiet)],
        theme,
        top=0.12,
        left=left,
    )
    return sheet
