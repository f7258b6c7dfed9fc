"""Measures of the parts of mixed records as a family."""

from __future__ import annotations

from sfumato.evaluation.families import Family, measures_of

FAMILY = Family(
    name="parts",
    title="Parts of records",
    help="what each part of a mixed record costs, says of the code, and how well it follows from the others",
    reference="the part from the prior, as if nothing else were known",
    measures=measures_of("parts.measures"),
    order=15,
)
