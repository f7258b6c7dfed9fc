"""Shared by the figures of a comparison: samples of each run drawn with one seed, names, and captions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

from matplotlib.figure import Figure
from torch import Tensor, nn

from sfumato.evaluation.subject import Subject, frozen_eval
from sfumato.report.figures.style import ReportFigure, Theme, save
from sfumato.studies.comparison import RunGroup


def subject_of(group: RunGroup, seed: int) -> Subject:
    """The first run of a configuration with its test split."""
    run = group.members[0]
    assert run.data is not None, "runs without data are not drawn"
    return run.auto.subject(run.data, seed)


def drawn_samples(subject: Subject, n: int, *, noise: bool) -> tuple[Tensor, Any]:
    """n samples in the units of the spec and in those of the user; they depend only on the subject's seed."""
    with frozen_eval(cast(nn.Module, subject.model), subject.seed):
        given = subject.conditions(n)
        x = subject.draw(given, n, noise=noise)
        return x, subject.decoded(x, given)


def row_names(groups: Sequence[RunGroup]) -> tuple[list[str], str]:
    """Names of rows, and a key that explains them if the names are too long."""
    if all(len(group.name) <= 14 for group in groups):
        return [group.name for group in groups], ""
    numbers = [str(number) for number in range(1, len(groups) + 1)]
    return numbers, " " + "; ".join(f"{n}: {group.name}" for n, group in zip(numbers, groups, strict=True)) + "."


def save_samples(
    folder: Path, drawn: Callable[[Theme], Figure], *, alt: str, caption: str, exact: bool = False
) -> ReportFigure:
    """The figure of samples side by side, in light and dark."""
    return save(
        folder,
        "samples",
        drawn,
        title="Samples",
        alt=alt,
        caption=caption + " All are drawn with the same seed.",
        exact=exact,
    )
