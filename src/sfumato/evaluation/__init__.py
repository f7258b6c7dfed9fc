"""Evaluation of models: families of measures, each computed where it applies."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from sfumato.evaluation.families import Family, register, registered_families

if TYPE_CHECKING:
    from sfumato.evaluation.evaluating import evaluate
    from sfumato.evaluation.measure import Measure
    from sfumato.evaluation.settings import EvaluationOptions, EvaluationSettings
    from sfumato.evaluation.store import read, write
    from sfumato.evaluation.subject import Subject, frozen_eval

__all__ = [
    "EvaluationOptions",
    "EvaluationSettings",
    "Family",
    "Measure",
    "Subject",
    "evaluate",
    "frozen_eval",
    "read",
    "register",
    "registered_families",
    "write",
]

_MODULES = {
    "EvaluationOptions": "settings",
    "EvaluationSettings": "settings",
    "Measure": "measure",
    "Subject": "subject",
    "evaluate": "evaluating",
    "read": "store",
    "frozen_eval": "subject",
    "write": "store",
}


def __getattr__(name: str) -> Any:
    """Import what needs torch on first use, so that the families can be listed without it."""
    if name in _MODULES:
        return getattr(import_module(f"sfumato.evaluation.{_MODULES[name]}"), name)
    raise AttributeError(f"module 'sfumato.evaluation' has no attribute {name!r}")
