"""All measures of a model."""

from __future__ import annotations

from typing import cast

from torch import nn

from sfumato.evaluation.families import registered_families
from sfumato.evaluation.measure import Measure
from sfumato.evaluation.settings import EvaluationSettings
from sfumato.evaluation.subject import Subject, frozen_eval
from sfumato.isolation import isolated


@isolated
def evaluate(subject: Subject, how: EvaluationSettings | None = None) -> list[Measure]:
    """All measures of the selected families, in display order; a function of `how.seed`.

    Raises:
        ValueError: if a family gives a measure under the name of another family.
    """
    how = how or EvaluationSettings()
    measures = []
    for name, family in registered_families().items():
        if name in how.families:
            with frozen_eval(cast(nn.Module, subject.model), how.seed):
                own = family.measures(subject, how)
            if strangers := [measure.name for measure in own if measure.family != name]:
                raise ValueError(f"{strangers[0]}: measured by the family {name!r} under the name of another one")
            measures += own
    return measures
