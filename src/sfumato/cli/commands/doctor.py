"""The command that diagnoses a run and applies remedies."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from sfumato.cli.output import DEVICE, SEED_FLAG, TALK, Device, Say, table
from sfumato.errors import SfumatoError
from sfumato.formatting import with_error

if TYPE_CHECKING:
    from sfumato.diagnostics import Finding
    from sfumato.studies.refit import Change, Cured

TEXT_WIDTH = 100


def doctor(
    run: str,
    /,
    *,
    apply: Annotated[bool, Parameter(negative="", show_default=False)] = False,
    seed: Annotated[int, SEED_FLAG] = 0,
    device: Annotated[Device, DEVICE] = "auto",
    say: Say = TALK,
) -> None:
    """Diagnose a run: what is wrong, the numbers behind it, and the command that fixes it.

    Args:
        run: folder of a run, or its name under runs/
        apply: fit again with the remedies, as a new run, and compare both; the first run does not change
    """
    from sfumato.diagnostics.remedies import free
    from sfumato.estimator import load
    from sfumato.files import named

    auto = load(run, device=device)
    assert auto.run_ is not None, "loaded runs have a folder"
    findings = auto.diagnose(seed=seed)
    name, called = auto.run_.name, auto.run_.called
    result = {"run": auto.run_.path, "findings": [finding.to_dict() for finding in findings]}
    if not apply or findings[0].is_healthy:
        say.result(result, lambda: text(name, findings, called))
        return
    from sfumato.studies.refit import cure, cures_of

    if not cures_of(findings):
        raise SfumatoError(f"{name}: {findings[0].name.replace('_', ' ')}, and no option fixes it; leave out --apply")
    say.note(text(name, findings) + "\n")
    cured = cure(auto, findings=findings, run=named(next(free(auto.run_.path))), seed=seed, progress=not say.quiet)
    say.result(result | _values(cured), lambda: _comparison(cured))


def text(name: str, findings: Sequence[Finding], called: str = "") -> str:
    """A diagnosis as text; with `called`, also the command that applies all remedies."""
    first = findings[0]
    if first.is_healthy:
        words = first.words.removeprefix("Healthy: ")
        # A leading Greek letter is a symbol, and must not be capitalised.
        words = words[:1].upper() + words[1:] if words[:1].isascii() else words
        return f"{name} is healthy.\n" + _wrapped(words, "  ")
    parts = [f"{name}: {_counted(findings)}"]
    for place, finding in enumerate(findings, 1):
        line = f"     {finding.command}" if finding.command else "     No option of this model fixes that."
        parts.append(f"{place}. {_wrapped(finding.words, '   ').strip()}\n{line}")
    if called and any(finding.cure for finding in findings):
        parts.append(f"To apply all remedies and compare before and after:\n     sfumato doctor {called} --apply")
    return "\n\n".join(parts)


def summary(called: str, findings: Sequence[Finding]) -> str:
    """A diagnosis in a line or two, for the end of `sfumato fit`."""
    first, *rest = findings
    if first.is_healthy:
        return _wrapped(f"Doctor: {first.words[0].lower()}{first.words[1:]}")
    lines = [_wrapped(f"Doctor: {first.words}"), *([f"  {first.command}"] if first.command else [])]
    if rest:
        others = ", ".join(finding.name.replace("_", " ") for finding in rest)
        lines.append(f"  Also: {others}; see sfumato doctor {called}")
    return "\n".join(lines)


def _counted(findings: Sequence[Finding]) -> str:
    serious = sum(finding.severity == "serious" for finding in findings)
    parts = [f"{count} {what}" for count, what in ((serious, "serious"), (len(findings) - serious, "minor")) if count]
    return f"{' and '.join(parts)} finding{'' if len(findings) == 1 else 's'}"


def _values(cured: Cured) -> dict[str, Any]:
    assert cured.after.run_ is not None
    numbers = cured.numbers
    return {
        "changed": cured.changed,
        "cured": cured.after.run_.path,
        "helped": cured.helped,
        "number": {"name": cured.findings[0][0].number, "before": numbers[0], "after": numbers[1]} if numbers else None,
        "gone": cured.gone,
        "new": cured.new,
        "findings_after": [finding.to_dict() for finding in cured.findings[1]],
        "measures": {
            finding.after.name: {"before": finding.before.value, "after": finding.after.value}
            for finding in cured.changes
        },
    }


def _comparison(cured: Cured) -> str:
    assert cured.after.run_ is not None
    marks = {True: "better", False: "worse", None: ""}
    rows = [
        [
            change.after.name,
            *(with_error(x.value, x.error) for x in (change.before, change.after)),
            marks[change.better],
            unit,
        ]
        for change, unit in zip(cured.changes, map(_unit, cured.changes), strict=True)
    ]
    findings = [", ".join(change.name.replace("_", " ") for change in side) for side in cured.findings]
    rows.append(["doctor", *findings, "", ""])
    changed = ", ".join(f"{name} {value}" for name, value in cured.changed.items())
    return "\n".join(
        [
            f"Changed: {changed}",
            table(rows, ["", "before", "after", "", ""], indent="  "),
            cured.words,
            f"The new run is {cured.after.run_.path}; the old one is unchanged.",
        ]
    )


def _unit(change: Change) -> str:
    """The unit of both; if it changed, as the number of latents may, that of each."""
    before, after = change.before.unit, change.after.unit
    return after if before == after else f"{before}, then {after}"


def _wrapped(words: str, indent: str = "") -> str:
    return textwrap.fill(words, TEXT_WIDTH, initial_indent=indent, subsequent_indent=indent or "  ")
