"""Families of measures: each one object, registered by its own subpackage of `sfumato.evaluation`."""

from __future__ import annotations

import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sfumato.evaluation.measure import Measure
    from sfumato.evaluation.settings import EvaluationSettings
    from sfumato.evaluation.subject import Subject


@dataclass(frozen=True)
class Family:
    """A family of measures.

    Its subpackage registers it in a module called `family`, which imports nothing heavy: the command line reads it for
    `--help`. Another package calls `register`.

    Attributes:
        name: as options, `Measure.family` and `evaluation.json` have it.
        title: its heading in reports and comparisons.
        help: what it measures, in one line for the command line.
        reference: what values are compared with, in one line; "" if there is none.
        measures: a model with its examples and the settings to measures; none where they do not apply.
        order: families are shown in ascending order.
        settings: fields of `EvaluationSettings` on which the values depend, besides `quick`. Values of different
            settings are not compared, and an option that sets one is refused where the family is not requested.
        thorough: those of `settings` that a quick evaluation cannot heed.
    """

    name: str
    title: str
    help: str
    reference: str
    measures: Callable[[Subject, EvaluationSettings], list[Measure]]
    order: int = 50
    settings: tuple[str, ...] = ()
    thorough: tuple[str, ...] = ()


def measures_of(*modules: str) -> Callable[[Subject, EvaluationSettings], list[Measure]]:
    """The measures of several modules of `sfumato.evaluation`, each from its function `measures`.

    The modules are imported on first use, as they need torch and the list of families does not.
    """

    def measures(subject: Subject, how: EvaluationSettings) -> list[Measure]:
        results = [import_module(f"sfumato.evaluation.{module}").measures(subject, how) for module in modules]
        return [measure for family in results for measure in family]

    return measures


_REGISTERED: dict[str, Family] = {}


@cache
def _shipped() -> tuple[Family, ...]:
    """The `FAMILY` of every subpackage that has a module `family`."""
    package = import_module("sfumato.evaluation")
    modules = [
        f"{package.__name__}.{item.name}.family" for item in pkgutil.iter_modules(package.__path__) if item.ispkg
    ]
    return tuple(import_module(name).FAMILY for name in modules if find_spec(name) is not None)


def registered_families() -> dict[str, Family]:
    """All families by name, in the order they are shown.

    >>> next(iter(registered_families())), "samples" in registered_families()
    ('bounds', True)
    """
    known = sorted((*_shipped(), *_REGISTERED.values()), key=lambda family: (family.order, family.name))
    return {family.name: family for family in known}


def register(family: Family) -> None:
    """Add a family that another package defines.

    Raises:
        ValueError: if there is another family of this name.
    """
    if family.name in registered_families() and _REGISTERED.get(family.name) != family:
        raise ValueError(f"there is a family {family.name!r} already; choose another name")
    _REGISTERED[family.name] = family
