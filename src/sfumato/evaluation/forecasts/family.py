"""Measures of forecasts as a family."""

from __future__ import annotations

from sfumato.evaluation.families import Family, measures_of

FAMILY = Family(
    name="forecasts",
    title="How good its forecasts are",
    help="how near forecasts come to what came, where the model makes any",
    reference="the best of the last value, the last season and a linear regression",
    measures=measures_of("forecasts.measures"),
    order=60,
)
