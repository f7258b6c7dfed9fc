"""Measures of samples as a family."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sfumato.evaluation.families import Family

if TYPE_CHECKING:
    from sfumato.evaluation.measure import Measure
    from sfumato.evaluation.settings import How
    from sfumato.evaluation.subject import Subject


def measure(subject: Subject, how: How) -> list[Measure]:
    """All that apply; torch is imported with them, not before."""
    from sfumato.evaluation.samples import measures

    return measures.measures(subject, how)


FAMILY = Family(
    name="samples",
    title="How good its samples are",
    help="how like real examples samples are, how varied and how new",
    reference="what as many training examples score against the same held-out ones",
    measures=measure,
    order=20,
    settings=("samples", "target"),
    thorough=("target",),
)
