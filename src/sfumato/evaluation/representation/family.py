"""Measures of the codes as a family."""

from __future__ import annotations

from sfumato.evaluation.families import Family, measures_of

FAMILY = Family(
    name="representation",
    title="Representation",
    help="information in the codes, and their match with the prior",
    reference="chance, or draws from the prior",
    measures=measures_of("representation.measures", "representation.layers"),
    order=30,
)
