"""Measures of the codes as a family."""

from __future__ import annotations

from sfumato.evaluation.families import Family, measures_of

FAMILY = Family(
    name="representation",
    title="What its codes hold",
    help="what codes hold of the examples, and how they match the prior",
    reference="chance, or draws from the prior",
    measures=measures_of("representation.measures", "representation.layers"),
    order=30,
)
