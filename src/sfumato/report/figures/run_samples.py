"""What the figures of runs beside each other share: samples of each drawn with one seed, names, and the words below."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

from matplotlib.figure import Figure
from torch import Tensor, nn

from sfumato.evaluation.subject import Subject, frozen_eval
from sfumato.report.figures.style import Picture, Theme, save
from sfumato.studies.comparison import RunGroup


def subject_of(group: RunGroup, seed: int) -> Subject:
    """The first run of a configuration with its test part."""
    run = group.members[0]
    assert run.data is not None, "only what has its data is drawn"
    return Subject.of(run.auto.model_, run.auto.schema_, run.data, seed)


def drawn_samples(subject: Subject, n: int, *, noise: bool) -> tuple[Tensor, Any]:
    """n samples in the units of the spec and as the user's own, a function of the subject's seed alone."""
    with frozen_eval(cast(nn.Module, subject.model), subject.seed):
        given = subject.conditions(n)
        x = subject.draw(given, n, noise=noise)
        return x, subject.decoded(x, given)


def row_names(groups: Sequence[RunGroup]) -> tuple[list[str], str]:
    """Names of rows, and what they stand for where the names are too long to stand there."""
    if all(len(group.name) <= 14 for group in groups):
        return [group.name for group in groups], ""
    numbers = [str(number) for number in range(1, len(groups) + 1)]
    return numbers, " " + "; ".join(f"{n}: {group.name}" for n, group in zip(numbers, groups, strict=True)) + "."


def saved(folder: Path, drawn: Callable[[Theme], Figure], *, alt: str, caption: str, exact: bool = False) -> Picture:
    """The figure of samples side by side, in light and dark."""
    return save(
        folder,
        "samples",
        drawn,
        title="Samples side by side",
        alt=alt,
        caption=caption + " All are drawn with the same seed.",
        exact=exact,
    )
