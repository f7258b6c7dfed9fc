"""Unsupervised disentanglement ranking: whether the seeds of a configuration learn the same latents."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, cast

from torch import nn

from sfumato.evaluation import Measure
from sfumato.evaluation.disentanglement.udr import udr
from sfumato.evaluation.subject import Subject, frozen_eval
from sfumato.studies.compared_run import ComparedRun

UDR_NAME = "UDR"
ENOUGH = 4
"""Seeds of each configuration from which on one can be called better."""
MEANING = "How well each latent of a run matches one latent of the runs with other seeds of its configuration."


def add_udr(groups: Sequence[Sequence[ComparedRun]]) -> None:
    """Add the unsupervised disentanglement ranking to the measures of each run.

    Only if every group has several seeds, all on the same split of the data, and continuous codes.
    """
    if any(len(members) < 2 for members in groups):
        return
    # The values of few seeds share their pairs, so their spread does not measure chance.
    better: Literal["higher"] | None = "higher" if all(len(members) >= ENOUGH for members in groups) else None
    for members in groups:
        subjects = [Subject.of(run.auto.model_, run.auto.schema_, run.data, 0) for run in members if run.data]
        if len(subjects) < len(members) or any(run.space is None for run in subjects):
            return
        if any(run.data is not members[0].data for run in members):
            return
        codes, rates = [], []
        for subject in subjects:
            with frozen_eval(cast(nn.Module, subject.model), 0):
                codes.append(subject.means())
                rates.append(subject.rates())
        for run, value in zip(members, udr(codes, rates), strict=True):
            run.measures[UDR_NAME] = Measure(UDR_NAME, float(value), "", MEANING, "disentanglement", better=better)
