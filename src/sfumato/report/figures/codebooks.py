"""Discrete codes: which entries of each codebook are used, and how often."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from sfumato.evaluation.codebooks.usage import Book, used
from sfumato.evaluation.subject import Subject
from sfumato.report.figures.style import FIGURE_WIDTH, Picture, Theme, figure, place, save, tidy


def draw(shown: Subject, folder: Path) -> list[Picture]:
    """The share of each entry, the most frequent first; nothing where codes are points of a space."""
    books = used(shown)
    if not books:
        return []
    said = "; ".join(f"{book.used} of {book.size} in use{book.name}" for book in books)
    return [
        save(
            folder,
            "codebook",
            lambda look: _bars(books, look),
            title="The use of the codebook",
            alt=f"Bars of the share of each entry of the codebook, the most frequent first: {said}.",
            caption=f"How often each entry is taken by the examples of the {shown.part}, the most frequent first. The "
            "dashed line is the share if all were taken equally often. Entries that are never taken are dead: they "
            "cost nothing, but the model works with a smaller codebook than it was given.",
        )
    ]


def _bars(books: list[Book], look: Theme) -> Figure:
    height = 1.7
    sheet = figure(FIGURE_WIDTH, len(books) * (height + 0.75) + 0.1, look)
    for row, book in enumerate(books):
        axes = place(sheet, 0.6, row * (height + 0.75) + 0.35, FIGURE_WIDTH - 0.8, height)
        share = np.sort(book.counts)[::-1] / book.counts.sum()
        axes.fill_between(np.arange(book.size + 1), [*share, share[-1]], step="post", color=look.made, linewidth=0)
        axes.axhline(1 / book.size, color=look.quiet, linewidth=0.8, linestyle=(0, (4, 3)))
        axes.set_xlim(0, book.size)
        title = f"{book.used} of {book.size} entries in use, perplexity {book.perplexity:.3g}{book.name}"
        tidy(axes, look, title=title, x="entry", y="share")
    return sheet
