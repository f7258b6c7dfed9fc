"""A diagnosis in plain words: what is wrong with a run, the numbers behind it, and the option that cures it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from torch import nn

from sfumato.diagnostics import (
    code_checks,
    codebook_checks,
    condition_checks,
    dependence_checks,
    likelihood_checks,
    remedies,
    sample_checks,
    split_checks,
    training_checks,
)
from sfumato.diagnostics.case import Case
from sfumato.diagnostics.finding import HEALTHY, Finding, Well
from sfumato.evaluation.subject import Subject, frozen_eval
from sfumato.files import named
from sfumato.isolation import isolated

__all__ = ["CHECKS", "HEALTHY", "Case", "Finding", "Well", "diagnose", "look_for"]

Check = Callable[[Case], Finding | Well | None]
"""One sickness: a finding if it is there, words on how well it looks if not, None where it cannot be."""

CHECKS: tuple[Check, ...] = (
    training_checks.exploding_steps,
    likelihood_checks.scale_mismatched,
    likelihood_checks.scale_at_floor,
    split_checks.shifted_parts,
    training_checks.adversary_wins,
    training_checks.too_short,
    code_checks.posterior_collapse,
    code_checks.decoder_ignores_code,
    code_checks.under_regularised,
    codebook_checks.code_prior_lost,
    split_checks.memorising,
    code_checks.over_regularised,
    sample_checks.conditions_ignored,
    condition_checks.latents_carry_condition,
    sample_checks.classes_missing,
    sample_checks.low_variety,
    dependence_checks.dependence_lost,
    dependence_checks.rare_class_lost,
    sample_checks.copies,
    codebook_checks.dead_codes,
    likelihood_checks.not_binary,
)
"""The most basic first: what comes before may be the cause of what comes after."""

_LOST = ("dependence_lost", "rare_class_lost")
_NOT_MADE = ("low_variety", "classes_missing", "conditions_ignored", *_LOST)
_WITHOUT_CODE = ("decoder_ignores_code", "over_regularised", *_NOT_MADE, "latents_carry_condition")
CAUSES: dict[str, tuple[str, ...]] = {
    "exploding_steps": tuple(check.__name__ for check in CHECKS[1:]),
    "scale_mismatched": ("posterior_collapse", *_WITHOUT_CODE),
    "adversary_wins": ("too_short", "under_regularised", *_WITHOUT_CODE),
    "shifted_parts": ("memorising", "low_variety", "dependence_lost", "copies"),
    "too_short": _LOST,
    "posterior_collapse": _WITHOUT_CODE,
    "decoder_ignores_code": _WITHOUT_CODE[1:],
    "under_regularised": _NOT_MADE,
    "code_prior_lost": _NOT_MADE,
    "over_regularised": ("low_variety", "classes_missing", *_LOST),
    "conditions_ignored": ("latents_carry_condition", "dependence_lost"),
    "memorising": ("copies",),
    "classes_missing": ("low_variety", "rare_class_lost"),
    "low_variety": _LOST,
}
"""What one sickness brings with it is not told beside it."""


@isolated
def diagnose(
    subject: Subject,
    lines: Sequence[Mapping[str, Any]],
    told: Mapping[str, Any],
    *,
    run: str = "",
    stop: str = "",
    skipped: int = 0,
    quick: bool = False,
) -> list[Finding]:
    """What is wrong with a run, the worst first; one finding called "healthy" if nothing is.

    Args:
        subject: the model with its data.
        lines: of `metrics.jsonl`.
        told: the tables of `config.toml`.
        run: path of the run folder, for the commands; empty if there is none.
        stop: why training ended, as in `History`; empty if it is not known.
        skipped: steps that were not applied.
        quick: look at 400 examples instead of 2000, as at the end of a training.
    """
    case = Case(subject, lines, told, stop, skipped, quick)
    found: list[Finding] = []
    well: list[str] = []
    explained: set[str] = set()
    with frozen_eval(cast(nn.Module, subject.model), subject.seed):
        for check in CHECKS:
            if check.__name__ in explained:
                continue
            answer = check(case)
            if isinstance(answer, Finding):
                found.append(answer)
                explained.update(CAUSES.get(answer.name, ()))
            elif answer is not None:
                well.append(answer.words)
    if not found:
        return [Finding(HEALTHY, "healthy", f"Looks well: {'; '.join(well)}.")]
    ordered = sorted(found, key=lambda finding: finding.severity != "serious")
    names = map(named, remedies.free(Path(run or "model")))
    return [
        replace(one, command=remedies.command(one.cure, run, next(names), one.model) if one.cure else "")
        for one in ordered
    ]


@isolated
def look_for(
    name: str,
    subject: Subject,
    lines: Sequence[Mapping[str, Any]],
    told: Mapping[str, Any],
    *,
    stop: str = "",
    skipped: int = 0,
) -> Finding | Well | None:
    """One sickness alone, whatever else may be wrong: a finding, how well it looks, or None where it cannot be.

    Args:
        name: of one of `CHECKS`.
        subject, lines, told, stop, skipped: as `diagnose` takes them.
    """
    check = next(check for check in CHECKS if check.__name__ == name)
    with frozen_eval(cast(nn.Module, subject.model), subject.seed):
        return check(Case(subject, lines, told, stop, skipped))
