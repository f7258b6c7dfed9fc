"""Measures of discrete codes as a family."""

from __future__ import annotations

from sfumato.evaluation.families import Family, measures_of

FAMILY = Family(
    name="codes",
    title="How its codebooks are used",
    help="how much of each codebook is used, where codes are discrete",
    reference="all entries alike",
    measures=measures_of("codebooks.usage"),
    order=50,
)
