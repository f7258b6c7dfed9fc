"""Scores of disentanglement as a family of measures."""

from __future__ import annotations

from sfumato.evaluation.families import Family, measures_of

FAMILY = Family(
    name="disentanglement",
    title="How separate its latents are",
    help="whether each latent means one thing, where factors of variation are known",
    reference="",
    measures=measures_of("disentanglement.measures"),
    order=40,
    settings=("factors",),
)
