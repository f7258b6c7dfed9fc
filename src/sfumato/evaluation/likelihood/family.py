"""Bounds on log p(x) as a family of measures."""

from __future__ import annotations

from sfumato.evaluation.families import Family, measures_of

FAMILY = Family(
    name="bounds",
    title="How well it explains examples",
    help="how surprising held-out examples are: distortion, rate, −ELBO, NLL",
    reference="the same bound in the units of the data",
    measures=measures_of("likelihood.bounds"),
    order=10,
    settings=("k", "sampler", "annealing"),
    thorough=("k", "annealing"),
)
