"""The command that says what is wrong with a run, and cures it."""

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
    """Say in plain words what is wrong with a run, by what numbers, and what to type to cure it.

    Args:
        run: folder of a run, or its name under runs/
        apply: fit again with the cures, as a new run, and show both side by side; the first run stays as it is
    """
    from sfumato.diagnostics.remedies import free
    from sfumato.estimator import load
    from sfumato.files import named

    auto = load(run, device=device)
    assert auto.run_ is not None, "it was loaded from there"
    findings = auto.diagnose(seed=seed)
    name, called = auto.run_.name, auto.run_.called
    told = {"run": auto.run_.path, "findings": [one.to_dict() for one in findings]}
    if not apply or findings[0].is_healthy:
        say.result(told, lambda: text(name, findings, called))
        return
    from sfumato.studies.refit import cure, cures_of

    if not cures_of(findings):
        raise SfumatoError(f"{name}: {findings[0].name.replace('_', ' ')}, and no option cures it; leave --apply out")
    say.note(text(name, findings) + "\n")
    found = cure(auto, findings=findings, run=named(next(free(auto.run_.path))), seed=seed, progress=not say.quiet)
    say.result(told | _told(found), lambda: _beside(found))


def text(name: str, findings: Sequence[Finding], called: str = "") -> str:
    """A diagnosis for a person; with how the run is typed, also the command that applies all of it."""
    first = findings[0]
    if first.is_healthy:
        words = first.words.removeprefix("Looks well: ")
        # A Greek letter is the name of a number: a capital one is another's.
        words = words[:1].upper() + words[1:] if words[:1].isascii() else words
        return f"{name} looks well.\n" + _wrapped(words, "  ")
    parts = [f"{name}: {_counted(findings)}"]
    for place, one in enumerate(findings, 1):
        line = f"     {one.command}" if one.command else "     No option of this model cures that."
        parts.append(f"{place}. {_wrapped(one.words, '   ').strip()}\n{line}")
    if called and any(one.cure for one in findings):
        parts.append(f"All of it in one, with a look at before and after:\n     sfumato doctor {called} --apply")
    return "\n\n".join(parts)


def in_short(called: str, findings: Sequence[Finding]) -> str:
    """A diagnosis in a line or two, for the end of the fit of a run that is typed so."""
    first, *rest = findings
    if first.is_healthy:
        return _wrapped(f"Doctor: {first.words[0].lower()}{first.words[1:]}")
    lines = [_wrapped(f"Doctor: {first.words}"), *([f"  {first.command}"] if first.command else [])]
    if rest:
        others = ", ".join(one.name.replace("_", " ") for one in rest)
        lines.append(f"  and {others}: sfumato doctor {called}")
    return "\n".join(lines)


def _counted(findings: Sequence[Finding]) -> str:
    serious = sum(one.severity == "serious" for one in findings)
    parts = [f"{count} {what}" for count, what in ((serious, "serious"), (len(findings) - serious, "minor")) if count]
    return f"{' and '.join(parts)} finding{'' if len(findings) == 1 else 's'}"


def _told(found: Cured) -> dict[str, Any]:
    assert found.after.run_ is not None
    numbers = found.numbers
    return {
        "changed": found.changed,
        "cured": found.after.run_.path,
        "helped": found.helped,
        "number": {"name": found.found[0][0].number, "before": numbers[0], "after": numbers[1]} if numbers else None,
        "gone": found.gone,
        "new": found.new,
        "findings_after": [one.to_dict() for one in found.found[1]],
        "measures": {one.after.name: {"before": one.before.value, "after": one.after.value} for one in found.changes},
    }


def _beside(found: Cured) -> str:
    assert found.after.run_ is not None
    marks = {True: "better", False: "worse", None: ""}
    rows = [
        [one.after.name, *(with_error(x.value, x.error) for x in (one.before, one.after)), marks[one.better], unit]
        for one, unit in zip(found.changes, map(_unit, found.changes), strict=True)
    ]
    findings = [", ".join(one.name.replace("_", " ") for one in side) for side in found.found]
    rows.append(["doctor", *findings, "", ""])
    changed = ", ".join(f"{name} {value}" for name, value in found.changed.items())
    return "\n".join(
        [
            f"Changed: {changed}",
            table(rows, ["", "before", "after", "", ""], indent="  "),
            found.words,
            f"The new run is {found.after.run_.path}; the old one is as it was.",
        ]
    )


def _unit(change: Change) -> str:
    """What both are in; where that changed too, as the number of latents may, what each was in."""
    before, after = change.before.unit, change.after.unit
    return after if before == after else f"{before}, then {after}"


def _wrapped(words: str, indent: str = "") -> str:
    return textwrap.fill(words, TEXT_WIDTH, initial_indent=indent, subsequent_indent=indent or "  ")
