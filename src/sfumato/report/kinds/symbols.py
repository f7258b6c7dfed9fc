"""Sequences of symbols: some as they are, as the model spells them again, and new ones."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from sfumato.evaluation.subject import Subject, rows, some
from sfumato.report.figures.run_samples import drawn_samples, row_names, saved
from sfumato.report.figures.style import FIGURE_WIDTH, Picture, Theme, figure, legend, place, save, short, tidy
from sfumato.studies.comparison import RunGroup

LINE_PAIRS, NEW = 6, 10
SPELLED = 4
"""Sampled sequences of symbols spelled out for each configuration."""
LINE, LONGEST = 0.24, 96


def draw(shown: Subject, folder: Path) -> list[Picture]:
    """Pairs of sequences and their reconstructions, and samples."""
    chosen = rows(shown.batch, some(len(shown), LINE_PAIRS, shown.seed).numpy())
    pairs = [spelled(shown.raw(chosen)), spelled(shown.decoded(shown.model.reconstruct(chosen), chosen.given))]
    new = spelled(shown.decoded(shown.draw(shown.conditions(NEW), NEW, noise=True), None))
    pairs_picture = save(
        folder,
        "reconstructions",
        lambda look: sheet_of_lines([line for one in zip(*pairs, strict=True) for line in enumerate(one)], look),
        title="Sequences, and what the model makes of them",
        alt=f"{len(pairs[0])} sequences, each above its reconstruction. " + " / ".join(pairs[0][:2]),
        caption=f"Sequences of the {shown.part}, each above the likeliest spelling of its code. The decoder also reads "
        "what it has spelled so far; where all spellings look alike, the code says little.",
    )
    new_picture = save(
        folder,
        "samples",
        lambda look: sheet_of_lines([(1, row) for row in new], look),
        title="New sequences",
        alt=f"{len(new)} sequences drawn from the model. " + " / ".join(new[:2]),
        caption="Drawn from the prior and spelled symbol by symbol.",
    )
    return [pairs_picture, new_picture]


def compare(groups: Sequence[RunGroup], subjects: Sequence[Subject], folder: Path) -> list[Picture]:
    """Lines of data, then some of each configuration."""
    first = subjects[0]
    chosen = rows(first.batch, np.arange(min(SPELLED, len(first))))
    names, key = row_names(groups)
    width = max(map(len, ["data", *names])) + 2
    lines = [(0, "data".ljust(width) + line) for line in spelled(first.raw(chosen))]
    for name, subject in zip(names, subjects, strict=True):
        made = spelled(drawn_samples(subject, SPELLED, noise=True)[1])
        lines += [(1, name.ljust(width) + line) for line in made]
    picture = saved(
        folder,
        lambda look: sheet_of_lines(lines, look),
        alt=f"{SPELLED} sequences of data, then {SPELLED} new ones of each of {len(groups)} configurations.{key}",
        caption=f"Sequences of the {first.part}, then as many new ones of the first run of each configuration.{key}",
    )
    return [picture]


def spelled(raw: Any) -> list[str]:
    """Text as it is, numbers apart by spaces.

    >>> spelled(np.array([[1.0, 2.0, np.nan]]))
    ['1 2']
    """
    if raw.dtype.kind == "O":
        return [short(row, LONGEST) for row in raw]
    return [short(" ".join(f"{value:.0f}" for value in row if not np.isnan(value)), LONGEST) for row in raw]


def sheet_of_lines(lines: list[tuple[int, str]], look: Theme) -> Figure:
    """Lines of text one under the other; 0 marks those that are data, 1 the model's."""
    top = 0.42
    sheet = figure(FIGURE_WIDTH, top + LINE * len(lines) + 0.1, look)
    both = [("as it is", look.ink), ("by the model", look.made)]
    legend(sheet, both if any(kind == 0 for kind, _ in lines) else both[1:], look, top=0.1, left=0.1)
    axes = tidy(place(sheet, 0.1, top, FIGURE_WIDTH - 0.2, LINE * len(lines)), look)
    axes.axis("off")
    axes.set_ylim(len(lines), 0)
    for number, (kind, row) in enumerate(lines):
        colour = (look.ink, look.made)[kind]
        axes.text(
            0, number + 0.5, row, color=colour, family="DejaVu Sans Mono", fontsize=8, va="center", parse_math=False
        )
    return sheet
