"""The page of a comparison: one self-contained HTML file."""

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
"""With more configurations than this, they are numbered, and the list of runs is folded."""


@isolated
def write_comparison(comparison: Comparison, path: Path, *, seed: int = 0) -> Path:
    """Write a comparison as an HTML page: the best, figures, measures, runs, next commands.

    All names from the user are escaped.

    Args:
        comparison: the comparison.
        path: path of the file.
        seed: of the samples, the same for all runs.

    Raises:
        SfumatoError: if the file cannot be written.
    """
    with tempfile.TemporaryDirectory() as folder:
        figures = [embedded(figure) for figure in comparison_figures.draw(comparison, Path(folder), seed=seed)]
    return write(
        "comparison.html.jinja",
        path,
        runs=len(comparison.runs),
        data=Path(comparison.data).name,
        created=datetime.now(UTC).strftime("%-d %B %Y, %H:%M UTC"),
        seeds=any(len(group.members) > 1 for group in comparison.groups),
        best=_best(comparison),
        figures=figures,
        families=by_family(comparison.rows, lambda row: row.measure.family),
        notes=[*comparison.notes, *_left_out(comparison)],
        numbered=len(comparison.groups) > NUMBERED,
        groups=[_group_values(group) for group in comparison.groups],
        commands=_commands(comparison),
    )


def _best(comparison: Comparison) -> list[tuple[str, str]]:
    """The best configurations by each measure, where there is a clear one."""
    named = [
        (row.measure.name, [group.name for group, cell in zip(comparison.groups, row.cells, strict=True) if cell.best])
        for row in comparison.rows
    ]
    return [(name, "; ".join(best)) for name, best in named if best]


def _left_out(comparison: Comparison) -> list[str]:
    if not comparison.left_out:
        return []
    return [f"Left out, as not all runs have them: {', '.join(comparison.left_out)}."]


def _group_values(group: RunGroup) -> dict[str, str]:
    """The values shown for a configuration."""
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


def _commands(comparison: Comparison) -> list[tuple[str, str]]:
    runs = [shlex.quote(run.name) for run in comparison.runs]
    first = runs[0]
    again = [("Repeat this comparison", f"sfumato compare {' '.join(runs)} -o compare.html")]
    return [
        *(again if len(runs) <= NUMBERED else []),
        ("Compute all measures of a run, for a fuller table", f"sfumato evaluate {first}"),
        ("Write the report of a run", f"sfumato report {first}"),
    ]
