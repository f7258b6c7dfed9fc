"""Scores of disentanglement as a family of measures."""

from __future__ import annotations

from sfumato.evaluation.families import Family, measures_of

FAMILY = Family(
    name="disentanglement",
    title="Disentanglement",
    help="whether each latent represents one factor of variation, if factors are known",
    reference="",
    measures=measures_of("disentanglement.measures"),
    order=40,
    settings=("factors",),
)
