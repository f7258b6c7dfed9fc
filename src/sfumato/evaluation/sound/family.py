"""Measures of sound as a family."""

from __future__ import annotations

from sfumato.evaluation.families import Family, measures_of

FAMILY = Family(
    name="sound",
    title="How sounds are reconstructed",
    help="signal-to-noise ratio, mel distance and bit rate, for sound",
    reference="the level of the sounds themselves, for the distance: silence in their place",
    measures=measures_of("sound.measures"),
    order=15,
)
