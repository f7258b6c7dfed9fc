"""Figures of a comparison: trade-offs between measures, and samples of each configuration with one seed."""

from __future__ import annotations

from math import ceil
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sfumato.data.registry import kind_of
from sfumato.report.figures.run_samples import subject_of
from sfumato.report.figures.style import FIGURE_WIDTH, ReportFigure, Theme, figure, legend, place, save, short, tidy
from sfumato.report.kinds import figures_of
from sfumato.studies import Comparison
from sfumato.studies.comparison import Row, RunGroup

SEPARATE = ("MIG", "DCI disentanglement", "modularity", "FactorVAE score", "BetaVAE score", "SAP", "UDR")
"""Disentanglement scores; the first available one is drawn. The last needs seeds, the others factors."""
MARKS = "os^Dv"
SHOWN = 12
"""Largest number of configurations whose samples are drawn."""


def draw(comparison: Comparison, folder: Path, *, seed: int = 0) -> list[ReportFigure]:
    """The rate–distortion plane, disentanglement against distortion, and samples; each where it applies."""
    distortion, rate = comparison.row("distortion"), comparison.row("rate")
    figures = []
    if distortion is not None and rate is not None and not distortion.not_comparable:
        figures.append(_rate_distortion(comparison, folder))
    score = next((row for name in SEPARATE if (row := comparison.row(name)) is not None), None)
    if distortion is not None and score is not None and not distortion.not_comparable:
        figures.append(_trade(comparison, score, folder))
    return [*figures, *_samples(comparison, folder, seed)]


def _samples(comparison: Comparison, folder: Path, seed: int) -> list[ReportFigure]:
    """Samples of the first run of each configuration, all with one seed; none if the kinds of data differ."""
    groups = [group for group in comparison.groups if group.members[0].data is not None][:SHOWN]
    if len(groups) < 2:
        return []
    subjects = [subject_of(group, seed) for group in groups]
    kinds = {kind.name: kind for kind in (kind_of(subject.schema) for subject in subjects)}
    figures = figures_of(next(iter(kinds.values()))) if len(kinds) == 1 else None
    return [] if figures is None else figures.compare(groups, subjects, folder)


def _values(group: RunGroup, name: str) -> np.ndarray:
    return np.array([run.measures[name].value for run in group.members])


def _points(axes: Axes, comparison: Comparison, x: str, y: str, theme: Theme) -> None:
    """Every run as a point in the colour of its configuration; numbered if there is no legend."""
    for position, group in enumerate(comparison.groups):
        across, up = _values(group, x), _values(group, y)
        mark = MARKS[position // len(theme.colours) % len(MARKS)]
        axes.scatter(across, up, s=34, marker=mark, color=theme.of(position), edgecolors=theme.paper, linewidths=0.6)
        if not _named(comparison):
            at = float(np.median(across)), float(np.median(up))
            axes.annotate(str(position + 1), at, (4, 4), textcoords="offset points", fontsize=7.5, color=theme.ink)


def _named(comparison: Comparison) -> bool:
    """Whether there are few enough configurations for a legend."""
    return len(comparison.groups) <= 10


def _sheet(comparison: Comparison, theme: Theme, height: float = 4.2) -> tuple[Figure, Axes]:
    names = [(group.name, theme.of(position)) for position, group in enumerate(comparison.groups)]
    lines = len(names) if _named(comparison) else 0
    side = 3.1 if lines else 0.0
    sheet = figure(FIGURE_WIDTH, height + 0.75, theme)
    axes = place(sheet, 0.7, 0.2, FIGURE_WIDTH - side - 0.9, height)
    axes.grid(color=theme.line, linewidth=0.5, alpha=0.7)
    for line, entry in enumerate(names[:lines]):
        legend(sheet, [(short(entry[0], 38), entry[1])], theme, top=0.3 + 0.22 * line, left=FIGURE_WIDTH - side)
    return sheet, axes


def _numbers(comparison: Comparison) -> str:
    return "" if _named(comparison) else " Numbers refer to the columns of the table."


def _rate_distortion(comparison: Comparison, folder: Path) -> ReportFigure:
    def drawn(theme: Theme) -> Figure:
        sheet, axes = _sheet(comparison, theme)
        tidy(axes, theme, "", "distortion (nats per example)", "rate (nats per example)")
        _points(axes, comparison, "distortion", "rate", theme)
        _frame(axes)
        _lines_of_equal_bound(axes, theme)
        return sheet

    bound = comparison.row("−ELBO")
    best = (
        [] if bound is None else [g.name for g, cell in zip(comparison.groups, bound.cells, strict=True) if cell.best]
    )
    best_note = f" Best −ELBO: {' and '.join(best)}." if best else ""
    return save(
        folder,
        "rate-distortion",
        drawn,
        title="Rate and distortion",
        alt=f"Scatter plot of rate and distortion: {len(comparison.runs)} runs of {len(comparison.groups)} "
        f"configurations.{best_note}",
        caption="Each point is a run. Rate + distortion = −ELBO is constant along each dashed line; lower left is "
        "better. Further down a line, the code carries less and reconstructions lose more; at rate 0 the code is "
        "unused." + _numbers(comparison),
    )


def _frame(axes: Axes) -> None:
    """Axis limits with a margin; the rate starts at 0 if that is near."""
    low, high = axes.get_ylim()
    if low < 0.35 * high:
        axes.set_ylim(min(low, -0.02 * high), high)


def _lines_of_equal_bound(axes: Axes, theme: Theme) -> None:
    """Dashed lines rate + distortion = constant, with the constant at their upper end."""
    (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    lowest, highest = left + bottom, right + top
    step = _round((highest - lowest) / 7)
    for total in np.arange(ceil(lowest / step) * step, highest, step):
        axes.plot([total - top, total - bottom], [top, bottom], color=theme.quiet, linewidth=0.6, linestyle=(0, (4, 4)))
        x, y = (total - top, top) if total - top > left else (left, total - left)
        if x < right - 0.06 * (right - left):
            axes.annotate(f"{total:.6g}", (x, y), (2, -8), textcoords="offset points", fontsize=6.5, color=theme.quiet)
    axes.set_xlim(left, right)
    axes.set_ylim(bottom, top)


def _round(step: float) -> float:
    """1, 2 or 5 times a power of ten, near `step`.

    >>> _round(0.37), _round(8.0), _round(130)
    (0.5, 10.0, 100.0)
    """
    power = 10.0 ** np.floor(np.log10(step))
    return float(min((1, 2, 5, 10), key=lambda digit: abs(np.log(digit * power / step))) * power)


def _trade(comparison: Comparison, score: Row, folder: Path) -> ReportFigure:
    name = score.measure.name

    def drawn(theme: Theme) -> Figure:
        sheet, axes = _sheet(comparison, theme)
        tidy(axes, theme, "", "distortion (nats per example)", name)
        _points(axes, comparison, "distortion", name, theme)
        return sheet

    return save(
        folder,
        "disentanglement",
        drawn,
        title="Disentanglement against reconstruction",
        alt=f"Scatter plot of {name} and distortion of {len(comparison.runs)} runs.",
        caption=f"Each point is a run. {score.measure.meaning} Upper left is better: disentangled latents with a low "
        "distortion." + _numbers(comparison),
    )
