"""Discrete codes: which entries of each codebook are used, and how often."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from sfumato.models._protocols import Codebooks
from sfumato.report.look import WIDTH, Look, Picture, figure, place, save, tidy
from sfumato.report.shown import Shown


@dataclass(frozen=True)
class Book:
    """The use of one codebook.

    Attributes:
        name: what is added to a title where there are several: " (level 2)"; otherwise empty.
        counts: how often each entry was taken, (K,).
    """

    name: str
    counts: np.ndarray

    @property
    def size(self) -> int:
        """Number of entries K."""
        return len(self.counts)

    @property
    def used(self) -> int:
        """Entries taken at least once."""
        return int((self.counts > 0).sum())

    @property
    def perplexity(self) -> float:
        """exp of the entropy of the frequencies.

        >>> round(Book("", np.array([5, 5, 0])).perplexity, 6)
        2.0
        """
        share = self.counts[self.counts > 0] / self.counts.sum()
        return float(np.exp(-(share * np.log(share)).sum()))


def used(shown: Shown) -> list[Book]:
    """One book for each level of the codes; none where codes are points of a space."""
    if not isinstance(shown.model, Codebooks):
        return []
    levels = shown.model.levels
    codes = shown.means().astype(int)
    sizes = np.array(shown.model.code_sizes).reshape(levels, -1)
    books = []
    for level, (part, size) in enumerate(zip(np.split(codes, levels, 1), sizes, strict=True), 1):
        name = f" (level {level})" if levels > 1 else ""
        books.append(Book(name, np.bincount(part.ravel(), minlength=int(size.max()))))
    return books


def draw(shown: Shown, folder: Path) -> list[Picture]:
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


def _bars(books: list[Book], look: Look) -> Figure:
    height = 1.7
    sheet = figure(WIDTH, len(books) * (height + 0.75) + 0.1, look)
    for row, book in enumerate(books):
        axes = place(sheet, 0.6, row * (height + 0.75) + 0.35, WIDTH - 0.8, height)
        share = np.sort(book.counts)[::-1] / book.counts.sum()
        axes.fill_between(np.arange(book.size + 1), [*share, share[-1]], step="post", color=look.made, linewidth=0)
        axes.axhline(1 / book.size, color=look.quiet, linewidth=0.8, linestyle=(0, (4, 3)))
        axes.set_xlim(0, book.size)
        title = f"{book.used} of {book.size} entries in use, perplexity {book.perplexity:.3g}{book.name}"
        tidy(axes, look, title=title, x="entry", y="share")
    return sheet
