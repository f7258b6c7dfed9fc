"""Measures of forecasts as a family."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sfumato.evaluation.families import Family

if TYPE_CHECKING:
    from sfumato.evaluation.measure import Measure
    from sfumato.evaluation.settings import How
    from sfumato.evaluation.subject import Subject


def measure(subject: Subject, how: How) -> list[Measure]:
    """All that apply; torch is imported with them, not before."""
    from sfumato.evaluation.forecasts import measures

    return measures.measures(subject, how)


FAMILY = Family(
    name="forecasts",
    title="How good its forecasts are",
    help="how near forecasts come to what came, where the model makes any",
    reference="the best of the last value, the last season and a linear regression",
    measures=measure,
    order=60,
)
