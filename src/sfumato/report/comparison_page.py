"""The page of a comparison: one HTML file that needs nothing else."""

from __future__ import annotations

import shlex
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from sfumato.formatting import time_taken
from sfumato.isolation import isolated
from sfumato.report.figures import comparison_figures
from sfumato.report.page import by_family, plain
from sfumato.report.rendering import embedded, write
from sfumato.studies import Comparison
from sfumato.studies.comparison import RunGroup

NUMBERED = 10
"""More configurations than this are told apart by numbers, and folded away where each has a place of its own."""


@isolated
def compared(found: Comparison, path: Path, *, seed: int = 0) -> Path:
    """Write a comparison as a page: what is best, pictures, measures, runs, what to type next.

    Everything a user named is escaped.

    Args:
        found: the comparison.
        path: of the file.
        seed: of the samples, the same for all runs.

    Raises:
        SfumatoError: if the file cannot be written.
    """
    with tempfile.TemporaryDirectory() as folder:
        pictures = [embedded(picture) for picture in comparison_figures.draw(found, Path(folder), seed=seed)]
    return write(
        "comparison.html.jinja",
        path,
        runs=len(found.runs),
        data=Path(found.data).name,
        made=datetime.now(UTC).strftime("%-d %B %Y, %H:%M UTC"),
        seeds=any(len(group.members) > 1 for group in found.groups),
        best=_best(found),
        pictures=pictures,
        families=by_family(found.rows, lambda row: row.measure.family),
        notes=[*found.notes, *_left_out(found)],
        numbered=len(found.groups) > NUMBERED,
        groups=[_told(group) for group in found.groups],
        commands=_commands(found),
    )


def _best(found: Comparison) -> list[tuple[str, str]]:
    """Which configuration each measure is best for, where one can be told."""
    named = [
        (row.measure.name, [group.name for group, cell in zip(found.groups, row.cells, strict=True) if cell.best])
        for row in found.rows
    ]
    return [(name, "; ".join(best)) for name, best in named if best]


def _left_out(found: Comparison) -> list[str]:
    if not found.left_out:
        return []
    return [f"Measured for some of the runs only, and so left out: {', '.join(found.left_out)}."]


def _told(group: RunGroup) -> dict[str, str]:
    """What a person wants to know of a configuration."""
    first = group.members[0]
    model = first.auto.config_.to_dict()["model"]
    seconds = [run.seconds for run in group.members if run.seconds is not None]
    lines = [run.auto.history_.lines[-1]["step"] for run in group.members if run.auto.history_.lines]
    steps = f"{min(lines):,} steps" if len(set(lines)) == 1 else f"{min(lines):,} to {max(lines):,} steps" * bool(lines)
    took = time_taken(max(seconds)) + (" at most" if len(seconds) > 1 else "") if seconds else ""
    return {
        "name": group.name,
        "runs": ", ".join(f"{run.name} (seed {run.seed})" for run in group.members),
        "options": " · ".join(f"{name} {plain(value)}" for name, value in model.items() if name != "name") or "–",
        "parameters": f"{first.parameters:,}",
        "trained": ", ".join(part for part in (steps, took) if part) or "–",
    }


def _commands(found: Comparison) -> list[tuple[str, str]]:
    runs = [shlex.quote(run.name) for run in found.runs]
    first = runs[0]
    again = [("This comparison again", f"sfumato compare {' '.join(runs)} -o compare.html")]
    return [
        *(again if len(runs) <= NUMBERED else []),
        ("Everything that can be measured of a run, for a fuller table", f"sfumato evaluate {first}"),
        ("The report of a run", f"sfumato report {first}"),
    ]
