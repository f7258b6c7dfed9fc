"""Measures of the codes as a family."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sfumato.evaluation.families import Family

if TYPE_CHECKING:
    from sfumato.evaluation.measure import Measure
    from sfumato.evaluation.settings import How
    from sfumato.evaluation.subject import Subject


def measure(subject: Subject, how: How) -> list[Measure]:
    """All that apply; torch is imported with them, not before."""
    from sfumato.evaluation.representation import layers, measures

    return [*measures.measures(subject, how), *layers.measures(subject, how)]


FAMILY = Family(
    name="representation",
    title="What its codes hold",
    help="what codes hold of the examples, and how they match the prior",
    reference="chance, or draws from the prior",
    measures=measure,
    order=30,
)
