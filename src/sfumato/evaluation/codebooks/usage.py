"""Discrete codes: how much of each codebook is used."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from sfumato.evaluation.measure import Measure, mean_and_error
from sfumato.evaluation.settings import EvaluationSettings
from sfumato.evaluation.subject import Subject, array
from sfumato.models.protocols import Codebooks


def measures(subject: Subject, how: EvaluationSettings) -> list[Measure]:
    """Entries in use and perplexity of each codebook, and bits a code; none where codes are continuous."""
    results = []
    for book in used(subject):
        results += [
            Measure(
                f"codes in use{book.name}",
                book.used,
                f"of {book.size} entries",
                f"Entries of the codebook that at least one example of the {subject.part} uses.",
                "codes",
                better="higher",
            ),
            Measure(
                f"perplexity{book.name}",
                book.perplexity,
                "entries",
                "Number of equally frequent entries that would have the same entropy.",
                "codes",
                better="higher",
            ),
        ]
    return results + ([length(subject)] if results else [])


def length(subject: Subject) -> Measure:
    """−log₂ p(k|c) for each number k of a code, under the learned prior; as many bits as it has without one."""
    assert isinstance(subject.model, Codebooks)
    lengths = subject.chunked(lambda batch: -subject.model.log_weight_parts(batch, 1)[1][:, 0])
    # A code that is none of the codebook's marks an end.
    counts = (subject.means() < np.array(subject.model.code_sizes)).sum(1)
    return Measure(
        "bits a code",
        **mean_and_error(array(lengths) / (counts * math.log(2))),
        unit="bits",
        meaning="Code length per discrete code under the learned prior; the lower, the better the prior predicts "
        "codes.",
        family="codes",
        reference=float(np.mean(np.log2(subject.model.code_sizes))),
        reference_is="uniform prior",
        better="lower",
    )


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


def used(subject: Subject) -> list[Book]:
    """One book for each level of the codes; none where codes are continuous."""
    if not isinstance(subject.model, Codebooks):
        return []
    levels = subject.model.levels
    codes = subject.means().astype(int)
    sizes = np.array(subject.model.code_sizes).reshape(levels, -1)
    books = []
    for level, (part, size) in enumerate(zip(np.split(codes, levels, 1), sizes, strict=True), 1):
        name = f" (level {level})" if levels > 1 else ""
        books.append(Book(name, np.bincount(part[part < size.max()], minlength=int(size.max()))))
    return books
