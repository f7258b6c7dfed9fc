"""Bounds on log p(x) as a family of measures."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sfumato.evaluation.families import Family

if TYPE_CHECKING:
    from sfumato.evaluation.measure import Measure
    from sfumato.evaluation.settings import How
    from sfumato.evaluation.subject import Subject


def measure(subject: Subject, how: How) -> list[Measure]:
    """All that apply; torch is imported with them, not before."""
    from sfumato.evaluation.likelihood import bounds

    return bounds.measures(subject, how)


FAMILY = Family(
    name="bounds",
    title="How well it explains examples",
    help="how surprising held-out examples are: distortion, rate, −ELBO, NLL",
    reference="the same bound in the units of the data",
    measures=measure,
    order=10,
    settings=("k", "annealing"),
    thorough=("k", "annealing"),
)
