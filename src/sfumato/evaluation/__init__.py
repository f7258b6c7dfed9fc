"""Whether a model is any good: measures by family, everything that applies and nothing that does not."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from torch import nn

from sfumato.evaluation.codebooks import usage
from sfumato.evaluation.disentanglement import measures as disentanglement
from sfumato.evaluation.forecasts import measures as forecasts
from sfumato.evaluation.likelihood import bounds
from sfumato.evaluation.measure import FAMILIES, Measure
from sfumato.evaluation.representation import layers
from sfumato.evaluation.representation import measures as representation
from sfumato.evaluation.samples import measures as samples
from sfumato.evaluation.settings import Asked, How
from sfumato.evaluation.store import read, write
from sfumato.evaluation.subject import Subject, still
from sfumato.isolation import isolated

__all__ = ["FAMILIES", "Asked", "How", "Measure", "Subject", "evaluate", "read", "still", "write"]

BY_FAMILY: dict[str, tuple[Callable[[Subject, How], list[Measure]], ...]] = {
    "bounds": (bounds.measures,),
    "samples": (samples.measures,),
    "representation": (representation.measures, layers.measures),
    "disentanglement": (disentanglement.measures,),
    "codes": (usage.measures,),
    "forecasts": (forecasts.measures,),
}
"""Each asks for what the model can do and what the data are, and gives no measure where it does not apply."""


@isolated
def evaluate(subject: Subject, how: How | None = None) -> list[Measure]:
    """All measures of the families asked for, in the order of `FAMILIES`; a function of `how.seed`."""
    how = how or How()
    found = []
    for family in FAMILIES:
        for measures in BY_FAMILY.get(family, ()) if family in how.families else ():
            with still(cast(nn.Module, subject.model), how.seed):
                found += measures(subject, how)
    return found
