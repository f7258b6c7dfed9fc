"""Diagnosis of a run: what is wrong, the numbers behind it, and the option that fixes it."""

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
from sfumato.diagnostics.finding import HEALTHY, Finding, Passed
from sfumato.evaluation.subject import Subject, frozen_eval
from sfumato.files import named
from sfumato.isolation import isolated

__all__ = ["CHECKS", "HEALTHY", "Case", "Finding", "Passed", "diagnose", "run_check"]

Check = Callable[[Case], Finding | Passed | None]
"""Checks for one problem: a `Finding` if it is there, `Passed` if not, None where it does not apply."""

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
"""In order of cause: an earlier problem may cause a later one."""

_LOST = ("dependence_lost", "rare_class_lost")
_SAMPLES = ("low_variety", "classes_missing", "conditions_ignored", *_LOST)
_WITHOUT_CODE = ("decoder_ignores_code", "over_regularised", *_SAMPLES, "latents_carry_condition")
CAUSES: dict[str, tuple[str, ...]] = {
    "exploding_steps": tuple(check.__name__ for check in CHECKS[1:]),
    "scale_mismatched": ("posterior_collapse", *_WITHOUT_CODE),
    "adversary_wins": ("too_short", "under_regularised", *_WITHOUT_CODE),
    "shifted_parts": ("memorising", "low_variety", "dependence_lost", "copies"),
    "too_short": _LOST,
    "posterior_collapse": _WITHOUT_CODE,
    "decoder_ignores_code": _WITHOUT_CODE[1:],
    "under_regularised": _SAMPLES,
    "code_prior_lost": _SAMPLES,
    "over_regularised": ("low_variety", "classes_missing", *_LOST),
    "conditions_ignored": ("latents_carry_condition", "dependence_lost"),
    "memorising": ("copies",),
    "classes_missing": ("low_variety", "rare_class_lost"),
    "low_variety": _LOST,
}
"""Problem → its consequences, which are not reported besides it."""


@isolated
def diagnose(
    subject: Subject,
    lines: Sequence[Mapping[str, Any]],
    config: Mapping[str, Any],
    *,
    run: str = "",
    stop: str = "",
    skipped: int = 0,
    quick: bool = False,
) -> list[Finding]:
    """The problems of a run, the worst first; a single finding named "healthy" if there are none.

    Args:
        subject: the model with its data.
        lines: of `metrics.jsonl`.
        config: the tables of `config.toml`.
        run: path of the run folder, for the commands; empty if there is none.
        stop: why training ended, as in `History`; empty if unknown.
        skipped: steps that were not applied.
        quick: use 400 examples instead of 2000, as at the end of a training.
    """
    case = Case(subject, lines, config, stop, skipped, quick)
    findings: list[Finding] = []
    passed: list[str] = []
    explained: set[str] = set()
    with frozen_eval(cast(nn.Module, subject.model), subject.seed):
        for check in CHECKS:
            if check.__name__ in explained:
                continue
            answer = check(case)
            if isinstance(answer, Finding):
                findings.append(answer)
                explained.update(CAUSES.get(answer.name, ()))
            elif answer is not None:
                passed.append(answer.words)
    if not findings:
        return [Finding(HEALTHY, "healthy", f"Healthy: {'; '.join(passed)}.")]
    ordered = sorted(findings, key=lambda finding: finding.severity != "serious")
    names = map(named, remedies.free(Path(run or "model")))
    return [
        replace(
            finding, command=remedies.command(finding.cure, run, next(names), finding.model) if finding.cure else ""
        )
        for finding in ordered
    ]


@isolated
def run_check(
    name: str,
    subject: Subject,
    lines: Sequence[Mapping[str, Any]],
    config: Mapping[str, Any],
    *,
    stop: str = "",
    skipped: int = 0,
) -> Finding | Passed | None:
    """Run a single check, whatever else may be wrong.

    Args:
        name: of one of `CHECKS`.
        subject, lines, config, stop, skipped: as in `diagnose`.

    Returns:
        A finding, `Passed` with the numbers, or None where the check does not apply.
    """
    check = next(check for check in CHECKS if check.__name__ == name)
    with frozen_eval(cast(nn.Module, subject.model), subject.seed):
        return check(Case(subject, lines, config, stop, skipped))
