"""The command that puts runs beside each other."""

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
    """Put runs of one data set beside each other: their measures, the best of each marked, pictures with -o.

    Runs that differ in their seeds alone are one column: the median, and the lowest and highest. Measures are those of
    sfumato evaluate where every run has them, otherwise quick ones made on the spot.

    Args:
        runs: folders of runs, or their names under runs/; two or more
    """
    if out.out is not None and out.out.suffix not in (PAGE, DATA):
        raise SfumatoError(f"{out.out}: a comparison is written as {PAGE} or {DATA}; choose one of them")
    out.check()
    from sfumato import studies

    found = studies.compare(runs, seed=seed, device=device)
    if out.out is not None:
        write(found, out.out, seed)
    told = found.to_dict() | ({} if out.out is None else {"out": str(out.out)})
    say.result(told, lambda: text(found) + ("" if out.out is None else f"\n\nWritten to {out.out}"))


def write(found: Comparison, path: Path, seed: int = 0) -> None:
    """A comparison as a page, or as JSON."""
    if path.suffix == DATA:
        from sfumato.files import write_json

        write_json(path, found.to_dict())
    else:
        from sfumato import report

        report.compared(found, path, seed=seed)


def text(found: Comparison) -> str:
    """A comparison as tables of the terminal's width, a row for each measure and a column for each configuration."""
    names = [f"{group.name}{f' ({len(group.members)} seeds)' * (len(group.members) > 1)}" for group in found.groups]
    cells = [[_said(cell) for cell in row.cells] for row in found.rows]
    first = max((len(row.measure.name) for row in found.rows), default=0) + 2
    widths = [max(len(name), *(len(row[place]) for row in cells), 0) + 2 for place, name in enumerate(names)]
    parts = [f"Runs of {found.data}"]
    for columns in _blocks(widths, shutil.get_terminal_size((100, 24)).columns - first):
        rows = [[row.measure.name, *(said[i] for i in columns)] for row, said in zip(found.rows, cells, strict=True)]
        parts.append(table(rows, ["", *(names[i] for i in columns)]))
    if any(cell.best for row in found.rows for cell in row.cells):
        parts.append("* best, or not told apart from the best (2 standard errors)")
    if any(len(group.members) > 1 for group in found.groups):
        parts.append("Of several seeds: the median, and [the lowest, the highest]")
    unlike = [f"{row.measure.name} not compared: {row.unlike}" for row in found.rows if row.unlike]
    left = f"Not of all runs, so not shown: {', '.join(found.left_out)}" if found.left_out else ""
    return "\n\n".join([*parts, "\n".join([*unlike, *found.notes, *([left] if left else [])])]).rstrip()


def _said(cell: Cell) -> str:
    value = with_error(cell.value, cell.error if cell.runs == 1 else None)
    spread = f" [{number(cell.low)}, {number(cell.high)}]" if cell.runs > 1 else ""
    return f"{value}{spread}{' *' if cell.best else ''}"


def _blocks(widths: list[int], room: int) -> list[list[int]]:
    """Columns that fit beside each other.

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
