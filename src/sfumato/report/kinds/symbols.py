"""Figures of sequences of symbols: data, reconstructions and samples."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from sfumato.evaluation.subject import Subject, rows, some
from sfumato.report.figures.run_samples import drawn_samples, row_names, save_samples
from sfumato.report.figures.style import FIGURE_WIDTH, ReportFigure, Theme, figure, legend, place, save, short, tidy
from sfumato.studies.comparison import RunGroup

LINE_PAIRS, NEW = 6, 10
SPELLED = 4
"""Sampled sequences shown for each configuration."""
LINE, LONGEST = 0.24, 96


def draw(shown: Subject, folder: Path) -> list[ReportFigure]:
    """Pairs of sequences and their reconstructions, and samples."""
    chosen = rows(shown.batch, some(len(shown), LINE_PAIRS, shown.seed).numpy())
    pairs = [spelled(shown.raw(chosen)), spelled(shown.decoded(shown.model.reconstruct(chosen), chosen.given))]
    new = spelled(shown.decoded(shown.draw(shown.conditions(NEW), NEW, noise=True), None))
    pairs_figure = save(
        folder,
        "reconstructions",
        lambda theme: sheet_of_lines([line for pair in zip(*pairs, strict=True) for line in enumerate(pair)], theme),
        title="Data and reconstructions",
        alt=f"{len(pairs[0])} sequences, each above its reconstruction. " + " / ".join(pairs[0][:2]),
        caption=f"Sequences of the {shown.part}, each above the most likely decoding of its code. The decoder also "
        "conditions on its own previous symbols; if all reconstructions look alike, the code carries little.",
    )
    samples_figure = save(
        folder,
        "samples",
        lambda theme: sheet_of_lines([(1, row) for row in new], theme),
        title="Samples",
        alt=f"{len(new)} sequences drawn from the model. " + " / ".join(new[:2]),
        caption="Codes drawn from the prior and decoded symbol by symbol.",
    )
    return [pairs_figure, samples_figure]


def compare(groups: Sequence[RunGroup], subjects: Sequence[Subject], folder: Path) -> list[ReportFigure]:
    """Lines of data, then samples of each configuration."""
    first = subjects[0]
    chosen = rows(first.batch, np.arange(min(SPELLED, len(first))))
    names, key = row_names(groups)
    width = max(map(len, ["data", *names])) + 2
    lines = [(0, "data".ljust(width) + line) for line in spelled(first.raw(chosen))]
    for name, subject in zip(names, subjects, strict=True):
        samples = spelled(drawn_samples(subject, SPELLED, noise=True)[1])
        lines += [(1, name.ljust(width) + line) for line in samples]
    figure_ = save_samples(
        folder,
        lambda theme: sheet_of_lines(lines, theme),
        alt=f"{SPELLED} sequences of data, then {SPELLED} new ones of each of {len(groups)} configurations.{key}",
        caption=f"Sequences of the {first.part}, then as many samples of the first run of each configuration.{key}",
    )
    return [figure_]


def spelled(raw: Any) -> list[str]:
    """Text unchanged, numbers separated by spaces.

    >>> spelled(np.array([[1.0, 2.0, np.nan]]))
    ['1 2']
    """
    if raw.dtype.kind == "O":
        return [short(row, LONGEST) for row in raw]
    return [short(" ".join(f"{value:.0f}" for value in row if not np.isnan(value)), LONGEST) for row in raw]


def sheet_of_lines(lines: list[tuple[int, str]], theme: Theme) -> Figure:
    """Lines of text below each other; 0 marks data, 1 output of the model."""
    top = 0.42
    sheet = figure(FIGURE_WIDTH, top + LINE * len(lines) + 0.1, theme)
    both = [("data", theme.ink), ("model", theme.model)]
    legend(sheet, both if any(kind == 0 for kind, _ in lines) else both[1:], theme, top=0.1, left=0.1)
    axes = tidy(place(sheet, 0.1, top, FIGURE_WIDTH - 0.2, LINE * len(lines)), theme)
    axes.axis("off")
    axes.set_ylim(len(lines), 0)
    for number, (kind, row) in enumerate(lines):
        colour = (theme.ink, theme.model)[kind]
        axes.text(
            0, number + 0.5, row, color=colour, family="DejaVu Sans Mono", fontsize=8, va="center", parse_math=False
        )
    return sheet
