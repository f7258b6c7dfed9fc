"""Pictures of runs beside each other: what they trade for what, and their samples drawn with one seed."""

from __future__ import annotations

from math import ceil
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sfumato.data.registry import kind_of
from sfumato.report.figures.run_samples import subject_of
from sfumato.report.figures.style import FIGURE_WIDTH, Picture, Theme, figure, legend, place, save, short, tidy
from sfumato.report.kinds import figures_of
from sfumato.studies import Comparison
from sfumato.studies.comparison import Row, RunGroup

SEPARATE = ("MIG", "DCI disentanglement", "modularity", "FactorVAE score", "BetaVAE score", "SAP", "UDR")
"""Scores of disentanglement, the first of which there is one is drawn; they go by factors, the last by seeds."""
MARKS = "os^Dv"
SHOWN = 12
"""Configurations whose samples are drawn, at most."""


def draw(found: Comparison, folder: Path, *, seed: int = 0) -> list[Picture]:
    """The rate–distortion plane, disentanglement against distortion, and samples; each where it applies."""
    distortion, rate = found.row("distortion"), found.row("rate")
    pictures = []
    if distortion is not None and rate is not None and not distortion.unlike:
        pictures.append(_rate_distortion(found, folder))
    score = next((row for name in SEPARATE if (row := found.row(name)) is not None), None)
    if distortion is not None and score is not None and not distortion.unlike:
        pictures.append(_trade(found, score, folder))
    return [*pictures, *_samples(found, folder, seed)]


def _samples(found: Comparison, folder: Path, seed: int) -> list[Picture]:
    """Samples of the first run of each configuration, all with one seed; none where the kinds of data differ."""
    groups = [group for group in found.groups if group.members[0].data is not None][:SHOWN]
    if len(groups) < 2:
        return []
    subjects = [subject_of(group, seed) for group in groups]
    kinds = {kind.name: kind for kind in (kind_of(subject.schema) for subject in subjects)}
    figures = figures_of(next(iter(kinds.values()))) if len(kinds) == 1 else None
    return [] if figures is None else figures.compare(groups, subjects, folder)


def _values(group: RunGroup, name: str) -> np.ndarray:
    return np.array([run.measures[name].value for run in group.members])


def _points(axes: Axes, found: Comparison, x: str, y: str, look: Theme) -> None:
    """Every run as a point in the colour of its configuration; numbers beside them where there is no legend."""
    for place_, group in enumerate(found.groups):
        across, up = _values(group, x), _values(group, y)
        mark = MARKS[place_ // len(look.colours) % len(MARKS)]
        axes.scatter(across, up, s=34, marker=mark, color=look.of(place_), edgecolors=look.paper, linewidths=0.6)
        if not _named(found):
            at = float(np.median(across)), float(np.median(up))
            axes.annotate(str(place_ + 1), at, (4, 4), textcoords="offset points", fontsize=7.5, color=look.ink)


def _named(found: Comparison) -> bool:
    """Whether there are few enough configurations for a legend."""
    return len(found.groups) <= 10


def _sheet(found: Comparison, look: Theme, height: float = 4.2) -> tuple[Figure, Axes]:
    names = [(group.name, look.of(place_)) for place_, group in enumerate(found.groups)]
    lines = len(names) if _named(found) else 0
    side = 3.1 if lines else 0.0
    sheet = figure(FIGURE_WIDTH, height + 0.75, look)
    axes = place(sheet, 0.7, 0.2, FIGURE_WIDTH - side - 0.9, height)
    axes.grid(color=look.line, linewidth=0.5, alpha=0.7)
    for line, entry in enumerate(names[:lines]):
        legend(sheet, [(short(entry[0], 38), entry[1])], look, top=0.3 + 0.22 * line, left=FIGURE_WIDTH - side)
    return sheet, axes


def _numbers(found: Comparison) -> str:
    return "" if _named(found) else " The numbers are those of the table's columns."


def _rate_distortion(found: Comparison, folder: Path) -> Picture:
    def drawn(look: Theme) -> Figure:
        sheet, axes = _sheet(found, look)
        tidy(axes, look, "", "distortion (nats per example)", "rate (nats per example)")
        _points(axes, found, "distortion", "rate", look)
        _frame(axes)
        _lines_of_equal_bound(axes, look)
        return sheet

    bound = found.row("−ELBO")
    best = [] if bound is None else [g.name for g, cell in zip(found.groups, bound.cells, strict=True) if cell.best]
    said = f" The best −ELBO has {' and '.join(best)}." if best else ""
    return save(
        folder,
        "rate-distortion",
        drawn,
        title="What is lost against what the code costs",
        alt=f"Scatter plot of rate and distortion: {len(found.runs)} runs of {len(found.groups)} configurations.{said}",
        caption="Every run is a point. Along a dashed line rate + distortion, which is −ELBO, is the same; lower left "
        "is better. Down along a line the code says less and more is lost; at rate 0 the code is not used at all."
        + _numbers(found),
    )


def _frame(axes: Axes) -> None:
    """Limits with a margin, the rate from 0 where it is near."""
    low, high = axes.get_ylim()
    if low < 0.35 * high:
        axes.set_ylim(min(low, -0.02 * high), high)


def _lines_of_equal_bound(axes: Axes, look: Theme) -> None:
    """Dashed lines rate + distortion = constant, with the constant at their upper end."""
    (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    lowest, highest = left + bottom, right + top
    step = _round((highest - lowest) / 7)
    for total in np.arange(ceil(lowest / step) * step, highest, step):
        axes.plot([total - top, total - bottom], [top, bottom], color=look.quiet, linewidth=0.6, linestyle=(0, (4, 4)))
        x, y = (total - top, top) if total - top > left else (left, total - left)
        if x < right - 0.06 * (right - left):
            axes.annotate(f"{total:.6g}", (x, y), (2, -8), textcoords="offset points", fontsize=6.5, color=look.quiet)
    axes.set_xlim(left, right)
    axes.set_ylim(bottom, top)


def _round(step: float) -> float:
    """1, 2 or 5 times a power of ten, near `step`.

    >>> _round(0.37), _round(8.0), _round(130)
    (0.5, 10.0, 100.0)
    """
    power = 10.0 ** np.floor(np.log10(step))
    return float(min((1, 2, 5, 10), key=lambda digit: abs(np.log(digit * power / step))) * power)


def _trade(found: Comparison, score: Row, folder: Path) -> Picture:
    name = score.measure.name

    def drawn(look: Theme) -> Figure:
        sheet, axes = _sheet(found, look)
        tidy(axes, look, "", "distortion (nats per example)", name)
        _points(axes, found, "distortion", name, look)
        return sheet

    return save(
        folder,
        "disentanglement",
        drawn,
        title="Disentanglement against reconstruction",
        alt=f"Scatter plot of {name} and distortion of {len(found.runs)} runs.",
        caption=f"Every run is a point. {score.measure.meaning} Upper left is better: separate latents that lose "
        "little." + _numbers(found),
    )
