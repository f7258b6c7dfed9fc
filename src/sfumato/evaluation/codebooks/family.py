"""Measures of discrete codes as a family."""

from __future__ import annotations

from sfumato.evaluation.families import Family, measures_of

FAMILY = Family(
    name="codes",
    title="Codebooks",
    help="how much of each codebook is used, for discrete codes",
    reference="uniform use",
    measures=measures_of("codebooks.usage"),
    order=50,
)
