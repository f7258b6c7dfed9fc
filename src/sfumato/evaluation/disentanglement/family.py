"""Scores of disentanglement as a family of measures."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sfumato.evaluation.families import Family

if TYPE_CHECKING:
    from sfumato.evaluation.measure import Measure
    from sfumato.evaluation.settings import How
    from sfumato.evaluation.subject import Subject


def measure(subject: Subject, how: How) -> list[Measure]:
    """All that apply; torch is imported with them, not before."""
    from sfumato.evaluation.disentanglement import measures

    return measures.measures(subject, how)


FAMILY = Family(
    name="disentanglement",
    title="How separate its latents are",
    help="whether each latent means one thing, where factors of variation are known",
    reference="",
    measures=measure,
    order=40,
    settings=("factors",),
)
