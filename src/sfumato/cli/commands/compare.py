"""The command that compares runs."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from sfumato.cli.output import DEVICE, NOWHERE, SEED_FLAG, TALK, Device, Out, Say, table
from sfumato.errors import SfumatoError
from sfumato.formatting import number, with_error

if TYPE_CHECKING:
    from sfumato.studies.comparison import Cell, Comparison

PAGE, DATA = ".html", ".json"


def compare(
    *runs: str,
    seed: Annotated[int, SEED_FLAG] = 0,
    device: Annotated[Device, DEVICE] = "auto",
    out: Out = NOWHERE,
    say: Say = TALK,
) -> None:
    """Compare runs on one data set: a table of measures with the best of each marked, and figures with -o.

    Runs that differ only in their seeds share a column: the median, and the lowest and highest. Measures come from
    sfumato evaluate if every run has them; otherwise quick ones are computed.

    Args:
        runs: folders of runs, or their names under runs/; two or more
    """
    if out.out is not None and out.out.suffix not in (PAGE, DATA):
        raise SfumatoError(f"{out.out}: a comparison is written as {PAGE} or {DATA}; use one of these extensions")
    out.check()
    from sfumato import studies

    comparison = studies.compare(runs, seed=seed, device=device)
    if out.out is not None:
        write(comparison, out.out, seed)
    result = comparison.to_dict() | ({} if out.out is None else {"out": str(out.out)})
    say.result(result, lambda: text(comparison) + ("" if out.out is None else f"\n\nWritten to {out.out}"))


def write(comparison: Comparison, path: Path, seed: int = 0) -> None:
    """Write a comparison as an HTML page or as JSON."""
    if path.suffix == DATA:
        from sfumato.files import write_json

        write_json(path, comparison.to_dict())
    else:
        from sfumato import report

        report.write_comparison(comparison, path, seed=seed)


def text(comparison: Comparison) -> str:
    """A comparison as tables of the terminal's width, a row for each measure and a column for each configuration."""
    names = [
        f"{group.name}{f' ({len(group.members)} seeds)' * (len(group.members) > 1)}" for group in comparison.groups
    ]
    cells = [[_cell_text(cell) for cell in row.cells] for row in comparison.rows]
    first = max((len(row.measure.name) for row in comparison.rows), default=0) + 2
    widths = [max(len(name), *(len(row[place]) for row in cells), 0) + 2 for place, name in enumerate(names)]
    parts = [f"Runs of {comparison.data}"]
    for columns in _blocks(widths, shutil.get_terminal_size((100, 24)).columns - first):
        rows = [
            [row.measure.name, *(row_cells[i] for i in columns)]
            for row, row_cells in zip(comparison.rows, cells, strict=True)
        ]
        parts.append(table(rows, ["", *(names[i] for i in columns)]))
    if any(cell.best for row in comparison.rows for cell in row.cells):
        parts.append("* best, or not distinguishable from the best (2 standard errors)")
    if any(len(group.members) > 1 for group in comparison.groups):
        parts.append("Several seeds: median [lowest, highest]")
    unlike = [row for row in comparison.rows if row.not_comparable]
    reasons = [f"{row.measure.name} is not compared: {row.not_comparable}" for row in unlike]
    left = f"Not shown, as not all runs have them: {', '.join(comparison.left_out)}" if comparison.left_out else ""
    return "\n\n".join([*parts, "\n".join([*reasons, *comparison.notes, *([left] if left else [])])]).rstrip()


def _cell_text(cell: Cell) -> str:
    value = with_error(cell.value, cell.error if cell.runs == 1 else None)
    spread = f" [{number(cell.low)}, {number(cell.high)}]" if cell.runs > 1 else ""
    return f"{value}{spread}{' *' if cell.best else ''}"


def _blocks(widths: list[int], room: int) -> list[list[int]]:
    """Groups of columns that fit side by side.

    >>> _blocks([10, 10, 10], 25)
    [[0, 1], [2]]
    """
    blocks: list[list[int]] = [[]]
    used = 0
    for place, width in enumerate(widths):
        if blocks[-1] and used + width > room:
            blocks.append([])
            used = 0
        blocks[-1].append(place)
        used += width
    return blocks
