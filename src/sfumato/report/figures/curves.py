"""Training curves: total, distortion and rate over steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from sfumato.report.figures.style import FIGURE_WIDTH, Theme, figure, legend, place, tidy

NATS_TERMS = ("total", "distortion", "rate")
Rows = Sequence[Mapping[str, Any]]


def series(metrics: Rows, split: str, term: str) -> tuple[np.ndarray, np.ndarray]:
    """Steps and values of one term on one split; values that are not finite become gaps."""
    rows = [row for row in metrics if row.get("split") == split and row.get(term) is not None]
    steps = np.array([float(row["step"]) for row in rows])
    values = np.array([float(row[term]) for row in rows])
    return steps, np.where(np.isfinite(values), values, np.nan)


def terms(metrics: Rows) -> list[str]:
    """The terms to draw: the total, distortion, rate, and the energy distance of samples."""
    known = {key for row in metrics for key in row}
    return [term for term in (*NATS_TERMS, "energy_distance") if term in known]


def curves(metrics: Rows, theme: Theme, *, warmup: Sequence[tuple[int, int]] = (), best: int | None = None) -> Figure:
    """One panel per term, training thin and validation thick, `NATS_TERMS` in nats per example.

    Args:
        metrics: rows of metrics.jsonl.
        warmup: (first, last) steps over which the rate's weight grows; they are shaded.
        best: the step whose weights were kept.
    """
    shown = terms(metrics)
    count = max(len(shown), 1)
    gap, left, top, height = 0.62, 0.6, 0.66, 2.35
    width = (FIGURE_WIDTH - left - 0.15 - gap * (count - 1)) / count
    sheet = figure(FIGURE_WIDTH, top + height + 0.5, theme)
    for index, term in enumerate(shown):
        axes = place(sheet, left + index * (width + gap), top, width, height)
        tidy(axes, theme, term, "step", "nats per example" if index == 0 else "")
        axes.grid(color=theme.line, linewidth=0.5, alpha=0.7)
        seen: list[np.ndarray] = []
        last = 0.0
        for split, colour, thick in (("train", theme.real, 1.2), ("valid", theme.model, 1.8)):
            steps, values = series(metrics, split, term)
            if not len(steps):
                continue
            mark = "o" if len(steps) == 1 else None
            axes.plot(steps, values, color=colour, linewidth=thick, marker=mark, solid_capstyle="round")
            seen.append(values)
            last = max(last, float(steps[-1]))
            if split == "valid" and best is not None and best in steps:
                kept = values[np.flatnonzero(steps == best)[-1]]
                axes.plot([best], [kept], "o", color=colour, markersize=5.5, markeredgecolor=theme.paper)
        if seen:
            axes.set_ylim(*_range(seen))
        if last > 0:
            axes.set_xlim(0, last * 1.02)
        for start, end in warmup:
            if start < last:
                axes.axvspan(start, min(end, last), color=theme.line, alpha=0.45, linewidth=0)
        axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
        axes.yaxis.set_major_locator(MaxNLocator(5))
    entries = [("training", theme.real)]
    if any(row.get("split") == "valid" for row in metrics):
        entries.append(("validation", theme.model))
    if warmup:
        entries.append(("warm-up of the rate", theme.line))
    if best is not None:
        entries.append(("dot: weights kept", theme.model))
    legend(sheet, entries, theme, top=0.12, left=left)
    return sheet


def _range(seen: Sequence[np.ndarray]) -> tuple[float, float]:
    """Axis limits that cut off the initial drop, which would flatten the rest."""
    everything = np.concatenate(seen)
    later = np.concatenate([values[len(values) // 20 :] for values in seen])
    finite = later[np.isfinite(later)]
    if not len(finite):
        return 0.0, 1.0
    low = float(np.nanmin(everything))
    high = float(np.percentile(finite, 98)) if len(finite) > 20 else float(finite.max())
    margin = max((high - low) * 0.08, 1e-3)
    return low - margin, high + margin
