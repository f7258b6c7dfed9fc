"""Figures of examples, one module for each kind of data, looked up by `sfumato.data.core.kinds.Kind.figures`."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Protocol, cast

from sfumato.data.core.kinds import Kind
from sfumato.evaluation.subject import Subject
from sfumato.report.figures.style import ReportFigure
from sfumato.studies.comparison import RunGroup


class Figures(Protocol):
    """Draws the examples of a kind of data: a module of this package, or a registered object."""

    def draw(self, shown: Subject, folder: Path) -> list[ReportFigure]:
        """Draw the figures of one fitted model, for its report."""

    def compare(self, groups: Sequence[RunGroup], subjects: Sequence[Subject], folder: Path) -> list[ReportFigure]:
        """Draw samples of several configurations; `subjects` are their first runs."""


_REGISTERED: dict[str, Figures] = {}


def register(name: str, figures: Figures) -> None:
    """Add figures from another package, for kinds of data whose `Kind.figures`, or name, is this one."""
    _REGISTERED[name] = figures


def figures_of(kind: Kind) -> Figures | None:
    """The figures of a kind of data; None if there are none, so that a report shows only codes and training."""
    name = kind.figures or kind.name
    if name in _REGISTERED:
        return _REGISTERED[name]
    module = f"{__name__}.{name}"
    return cast(Figures, import_module(module)) if find_spec(module) is not None else None
