"""Scatter plots of data with two numeric columns, and of latent spaces."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.patches import Ellipse
from matplotlib.patheffects import withStroke
from matplotlib.ticker import MaxNLocator

from sfumato.report.figures.style import (
    FIGURE_WIDTH,
    LEGEND_COLUMNS,
    LabelGroup,
    Theme,
    figure,
    groups,
    legend,
    place,
    short,
    tidy,
)

POINTS = 2000
"""Largest number of points in a panel; more would hide each other."""
CROWD = 4
"""With more priors than this, each is drawn with one ring."""
RATE_BARS = 24
"""Largest number of latents whose rate is drawn."""


@dataclass(frozen=True)
class Prior:
    """A normal prior over the two latents shown: mean (2,), deviation (2,), and the label it belongs to (or −1)."""

    mean: np.ndarray
    deviation: np.ndarray
    label: int = -1


Frame = tuple[tuple[float, float], tuple[float, float]]


def limits(points: np.ndarray, *, corners: Sequence[np.ndarray] = (), square: bool = False) -> Frame:
    """Axis limits around all but a few outliers, with a margin: ((left, right), (bottom, top)).

    Its height is between half and all of its width, so that panels with equal scales on both axes fit the page.

    Args:
        points: (N, 2).
        corners: points (2,) that are always inside.
        square: height equal to width.
    """
    finite = points[np.isfinite(points).all(1)]
    low = np.min([np.percentile(finite, 0.1, axis=0), *corners], axis=0)
    high = np.max([np.percentile(finite, 99.9, axis=0), *corners], axis=0)
    middle, half = (low + high) / 2, np.maximum((high - low) / 2 * 1.14, 1e-6)
    across = max(half[0], half[1])
    up = across if square else max(half[1], 0.5 * across)
    return (
        (float(middle[0] - across), float(middle[0] + across)),
        (float(middle[1] - up), float(middle[1] + up)),
    )


def shape_of(frame: Frame) -> float:
    """Height over width."""
    (left, right), (bottom, top) = frame
    return (top - bottom) / (right - left)


def scatter(axes: Axes, points: np.ndarray, parts: Sequence[LabelGroup]) -> None:
    """Dots of all groups in a fixed random order, so that no group covers another; fewer dots are larger."""
    size = float(np.clip(7000 / max(len(points), 1), 7, 22))
    colours = np.empty(len(points), dtype=object)
    for part in parts:
        colours[part.rows] = part.colour
    order = np.random.default_rng(0).permutation(len(points))[:POINTS]
    axes.scatter(points[order, 0], points[order, 1], s=size, c=list(colours[order]), alpha=0.75, linewidths=0)


def panels(
    data: np.ndarray,
    reconstruction: np.ndarray,
    samples: np.ndarray,
    theme: Theme,
    *,
    labels: np.ndarray | None = None,
    sample_labels: np.ndarray | None = None,
    names: Sequence[str] = (),
    axis_names: tuple[str, str] = ("x1", "x2"),
) -> Figure:
    """Data, their reconstructions and new samples, (N, 2) each, side by side on the same axes."""
    parts = groups(labels, names, len(data), theme)
    frame = limits(np.concatenate([data, samples]))
    side, gap, top = 2.68, 0.22, _head(parts)
    tall = side * shape_of(frame)
    sheet = figure(FIGURE_WIDTH, top + tall + 0.5, theme)
    sample_parts = groups(sample_labels, names, len(samples), theme)
    shown = (("data", data, parts), ("reconstructions", reconstruction, parts), ("samples", samples, sample_parts))
    for index, (title, points, its_parts) in enumerate(shown):
        axes = place(sheet, 0.5 + index * (side + gap), top, side, tall)
        tidy(axes, theme, title, axis_names[0], axis_names[1] if index == 0 else "")
        axes.set_xlim(*frame[0])
        axes.set_ylim(*frame[1])
        axes.grid(color=theme.line, linewidth=0.4, alpha=0.6)
        if index:
            axes.tick_params(labelleft=False)
        scatter(axes, points, its_parts)
    if _named(parts):
        legend(sheet, [(part.name, part.colour) for part in parts], theme, top=0.1, left=0.5)
    return sheet


def decoder_map(
    grids: Sequence[tuple[np.ndarray, int]],
    data: np.ndarray,
    theme: Theme,
    *,
    names: Sequence[str] = (),
    axis_names: tuple[str, str] = ("x1", "x2"),
    every: int = 1,
) -> Figure:
    """Where the decoder puts the lines of a square grid of latents.

    Args:
        grids: (mapped, label) for each condition (label −1 when there is none); `mapped` is (R, C, 2): the decoded
            point of each latent of an R × C grid; (1, C, 2) when there is one latent only.
        data: (N, 2), drawn faintly below.
        every: draw one in `every` lines, counted from the middle one; the rest keep the lines smooth.
    """
    labelled = [label for _, label in grids if label >= 0]
    parts = groups(np.array(labelled), names, len(labelled), theme) if labelled else []
    colours = {labelled[row]: part.colour for part in parts for row in part.rows}
    top, side = _head(parts), 6.2
    frame = limits(np.concatenate([data, *(mapped.reshape(-1, 2) for mapped, _ in grids)]))
    tall = side * shape_of(frame)
    sheet = figure(side + 0.9, top + tall + 0.5, theme)
    axes = tidy(place(sheet, 0.6, top, side, tall), theme, "the decoder's map", *axis_names)
    axes.set_xlim(*frame[0])
    axes.set_ylim(*frame[1])
    axes.scatter(data[:POINTS, 0], data[:POINTS, 1], s=6, c=theme.real, alpha=0.45, linewidths=0)
    for mapped, label in grids:
        rows, columns = mapped.shape[:2]
        first = colours.get(label, theme.colours[0])
        second = colours.get(label, theme.colours[5])
        for lines, colour, middle in (
            (list(mapped), first, rows // 2),
            (list(mapped.transpose(1, 0, 2)) if rows > 1 else [], second, columns // 2),
        ):
            kept = [index for index in range(len(lines)) if (index - middle) % every == 0]
            widths = [1.9 if index == middle else 0.8 for index in kept]
            drawn = [lines[index] for index in kept]
            axes.add_collection(LineCollection(drawn, colors=colour, linewidths=widths, alpha=0.85))
    if _named(parts):
        legend(sheet, [(part.name, part.colour) for part in parts], theme, top=0.1, left=0.6)
    return sheet


def latents(
    means: np.ndarray,
    rates: np.ndarray,
    theme: Theme,
    *,
    labels: np.ndarray | None = None,
    names: Sequence[str] = (),
    priors: Sequence[Prior] = (),
) -> Figure:
    """The two most active latents of each example, and how many nats each latent carries.

    Args:
        means: (N, L) means of q(z|x).
        rates: (L,) mean KL from the prior of each latent, in nats.
        priors: drawn as rings at one and two deviations (one if there are many), over the two most active latents.
    """
    order = np.argsort(-rates, kind="stable")
    across = int(order[0])
    up = int(order[1]) if len(order) > 1 else None
    parts = groups(labels, names, len(means), theme)
    top, side = _head(parts), 4.3
    sheet = figure(FIGURE_WIDTH, top + side + 0.5, theme)
    axes = place(sheet, 0.55, top, side, side)
    if up is None:
        tidy(axes, theme, "latent space", f"z{across + 1}", "share of examples")
        _histograms(axes, means[:, across], parts, theme)
    else:
        tidy(axes, theme, "latent space", f"z{across + 1}", f"z{up + 1}")
        points = means[:, [across, up]]
        colours = {int(labels[part.rows[0]]): part.colour for part in parts} if labels is not None else {}
        corners = [prior.mean + sign * prior.deviation for prior in priors for sign in (-2, 2)]
        frame = limits(points, corners=corners, square=True)
        axes.set_xlim(*frame[0])
        axes.set_ylim(*frame[1])
        scatter(axes, points, parts)
        if 4 < len(parts) <= 12:
            _name_groups(axes, points, parts, theme)
        for prior in priors:
            for rings in (1, 2) if len(priors) <= CROWD else (1,):
                width, height = 2 * rings * prior.deviation
                colour = colours.get(prior.label, theme.ink)
                ring = Ellipse(tuple(prior.mean), width, height, fill=False, edgecolor=colour)
                ring.set_linestyle((0, (4, 3)))
                axes.add_patch(ring)
    bars = min(side, 0.28 * min(len(rates), RATE_BARS) + 0.2)
    _rate_bars(place(sheet, 5.75, top, 3.0, bars), rates, order, theme)
    if _named(parts):
        legend(sheet, [(part.name, part.colour) for part in parts], theme, top=0.1, left=0.55)
    return sheet


def _named(parts: Sequence[LabelGroup]) -> bool:
    return len(parts) > 1


def _head(parts: Sequence[LabelGroup]) -> float:
    """Inches above the panels: a title, and the rows of the legend if there is one."""
    rows = ceil(len(parts) / LEGEND_COLUMNS) if _named(parts) else 0
    return 0.36 + (0.08 + 0.18 * rows if rows else 0)


def _name_groups(axes: Axes, points: np.ndarray, parts: Sequence[LabelGroup], theme: Theme) -> None:
    """The name of each group at its median, for readers who cannot rely on colour."""
    for part in parts:
        x, y = np.median(points[part.rows], axis=0)
        text = axes.text(x, y, short(part.name, 12), fontsize=8.5, color=theme.ink, ha="center", va="center")
        text.set_parse_math(False)
        text.set_path_effects([withStroke(linewidth=2.6, foreground=theme.paper)])


def _histograms(axes: Axes, values: np.ndarray, parts: Sequence[LabelGroup], theme: Theme) -> None:
    edges = np.linspace(min(-3.0, values.min()), max(3.0, values.max()), 49)
    for part in parts:
        weights = np.full(len(part.rows), 1 / len(values))
        axes.hist(
            values[part.rows], bins=list(edges), weights=weights, histtype="step", color=part.colour, linewidth=1.4
        )
    axes.grid(axis="y", color=theme.line, linewidth=0.4)


def _rate_bars(axes: Axes, rates: np.ndarray, order: np.ndarray, theme: Theme) -> None:
    shown = order[:RATE_BARS]
    note = (
        "rate of each latent"
        if len(rates) <= RATE_BARS
        else f"rate of the {RATE_BARS} most active of {len(rates)} latents"
    )
    tidy(axes, theme, note, "nats per example")
    places = np.arange(len(shown))
    axes.barh(places, np.maximum(rates[shown], 0), color=theme.model, height=0.7)
    axes.set_yticks(places, [short(f"z{index + 1}", 6) for index in shown])
    axes.set_ylim(len(shown) - 0.4, -0.6)
    axes.set_xlim(0, max(float(rates.max()) * 1.05, 0.1))
    axes.grid(axis="x", color=theme.line, linewidth=0.5)
    axes.xaxis.set_major_locator(MaxNLocator(4))
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
