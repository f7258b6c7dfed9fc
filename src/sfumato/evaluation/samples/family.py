"""Measures of samples as a family."""

from __future__ import annotations

from sfumato.evaluation.families import Family, measures_of

FAMILY = Family(
    name="samples",
    title="Samples",
    help="how realistic, varied and new samples are",
    reference="training examples in place of samples, against the same held-out ones",
    measures=measures_of("samples.measures"),
    order=20,
    settings=("samples", "sampler", "target"),
    thorough=("target",),
)
