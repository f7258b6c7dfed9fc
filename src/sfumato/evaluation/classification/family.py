"""Measures of predicted classes as a family."""

from __future__ import annotations

from sfumato.evaluation.families import Family, measures_of

FAMILY = Family(
    name="classification",
    title="Predicted classes",
    help="how often predicted classes are right, and whether probabilities can be believed, where the model predicts "
    "them",
    reference="the most frequent class, or calibrated probabilities by chance",
    measures=measures_of("classification.measures"),
    order=55,
)
