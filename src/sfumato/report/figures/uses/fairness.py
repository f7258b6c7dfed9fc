"""What representations tell of a protected column and of a target: a point for each."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure

from sfumato.report.figures.style import LIGHT, Theme, figure, place, tidy, write

SIDE = 3.4


def save_fairness(points: Sequence[tuple[str, float, float]], protected: str, target: str, path: Path) -> None:
    """Draw named points (name, AUC of the protected column, AUC of the target), and write them as PNG."""
    write(drawn_fairness(points, protected, target, LIGHT), path)


def drawn_fairness(points: Sequence[tuple[str, float, float]], protected: str, target: str, theme: Theme) -> Figure:
    """The target upwards, the protected column to the right: the upper left is fair and useful."""
    sheet = figure(SIDE + 2.6, SIDE + 1.0, theme)
    axes = place(sheet, 0.8, 0.35, SIDE + 1.6, SIDE)
    tidy(axes, theme, "", f"{protected}: AUC (0.5 is not told)", f"{target}: AUC")
    axes.axvline(0.5, color=theme.line, linewidth=0.8)
    for place_, (name, across, up) in enumerate(points):
        axes.scatter(across, up, s=36, color=theme.of(place_))
        axes.annotate(name, (across, up), (5, 4), textcoords="offset points", fontsize=7.5, color=theme.ink)
    axes.margins(x=0.25, y=0.15)
    return sheet
