"""Measures of discrete codes as a family."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sfumato.evaluation.families import Family

if TYPE_CHECKING:
    from sfumato.evaluation.measure import Measure
    from sfumato.evaluation.settings import How
    from sfumato.evaluation.subject import Subject


def measure(subject: Subject, how: How) -> list[Measure]:
    """All that apply; torch is imported with them, not before."""
    from sfumato.evaluation.codebooks import usage

    return usage.measures(subject, how)


FAMILY = Family(
    name="codes",
    title="How its codebooks are used",
    help="how much of each codebook is used, where codes are discrete",
    reference="all entries alike",
    measures=measure,
    order=50,
)
