"""Figure of discrete codes: how often each entry of a codebook is used."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from sfumato.evaluation.codebooks.usage import Book, used
from sfumato.evaluation.subject import Subject
from sfumato.report.figures.style import FIGURE_WIDTH, ReportFigure, Theme, figure, place, save, tidy


def draw(shown: Subject, folder: Path) -> list[ReportFigure]:
    """The share of each entry, the most frequent first; nothing for continuous codes."""
    books = used(shown)
    if not books:
        return []
    usage = "; ".join(f"{book.used} of {book.size} in use{book.name}" for book in books)
    return [
        save(
            folder,
            "codebook",
            lambda theme: _bars(books, theme),
            title="Codebook usage",
            alt=f"Bars of the share of each entry of the codebook, the most frequent first: {usage}.",
            caption=f"How often examples of the {shown.part} use each entry, the most frequent first. The dashed line "
            "is "
            "the share under uniform use. Entries that are never used are dead: they cost nothing, but the effective "
            "codebook is smaller than configured.",
        )
    ]


def _bars(books: list[Book], theme: Theme) -> Figure:
    height = 1.7
    sheet = figure(FIGURE_WIDTH, len(books) * (height + 0.75) + 0.1, theme)
    for row, book in enumerate(books):
        axes = place(sheet, 0.6, row * (height + 0.75) + 0.35, FIGURE_WIDTH - 0.8, height)
        share = np.sort(book.counts)[::-1] / book.counts.sum()
        axes.fill_between(np.arange(book.size + 1), [*share, share[-1]], step="post", color=theme.model, linewidth=0)
        axes.axhline(1 / book.size, color=theme.quiet, linewidth=0.8, linestyle=(0, (4, 3)))
        axes.set_xlim(0, book.size)
        title = f"{book.used} of {book.size} entries in use, perplexity {book.perplexity:.3g}{book.name}"
        tidy(axes, theme, title=title, x="entry", y="share")
    return sheet
