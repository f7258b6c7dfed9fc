"""Measures of samples as a family."""

from __future__ import annotations

from sfumato.evaluation.families import Family, measures_of

FAMILY = Family(
    name="samples",
    title="How good its samples are",
    help="how like real examples samples are, how varied and how new",
    reference="what as many training examples score against the same held-out ones",
    measures=measures_of("samples.measures"),
    order=20,
    settings=("samples", "target"),
    thorough=("target",),
)
