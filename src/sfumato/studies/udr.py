"""Disentanglement where no factors are known: whether the seeds of a configuration find the same latents."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, cast

from torch import nn

from sfumato.evaluation import Measure
from sfumato.evaluation.disentanglement.udr import udr
from sfumato.evaluation.subject import Subject, frozen_eval
from sfumato.studies.compared_run import Contender

UDR_NAME = "UDR"
ENOUGH = 4
"""Seeds of each configuration from which on one is called better."""
MEANING = "How well the latents of each run are found again, one by one, in the other seeds of its configuration."


def add_udr(groups: Sequence[Sequence[Contender]]) -> None:
    """Give each run its unsupervised disentanglement ranking among the seeds of its group.

    Only where every group has several seeds, all on the same split of the data, and codes that are points of a space.
    """
    if any(len(members) < 2 for members in groups):
        return
    # The values of few seeds are of the same pairs, and how far they lie apart says nothing of chance.
    better: Literal["higher"] | None = "higher" if all(len(members) >= ENOUGH for members in groups) else None
    for members in groups:
        subjects = [Subject.of(one.auto.model_, one.auto.schema_, one.data, 0) for one in members if one.data]
        if len(subjects) < len(members) or any(one.space is None for one in subjects):
            return
        if any(one.data is not members[0].data for one in members):
            return
        codes, rates = [], []
        for subject in subjects:
            with frozen_eval(cast(nn.Module, subject.model), 0):
                codes.append(subject.means())
                rates.append(subject.rates())
        for one, value in zip(members, udr(codes, rates), strict=True):
            one.measures[UDR_NAME] = Measure(UDR_NAME, float(value), "", MEANING, "disentanglement", better=better)
