"""Output of commands: results on stdout, everything else on stderr, JSON on request."""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from sfumato.cli.flags import OUTPUT, whole
from sfumato.errors import SfumatoError
from sfumato.files import finite

Device = Literal["auto", "cpu", "cuda", "mps"]
DEVICE = Parameter(group=OUTPUT, help="where to compute", metavar="auto|cpu|cuda|mps", show_choices=False)
SEED_FLAG = Parameter(group=OUTPUT, help="random seed", metavar="N", converter=whole)
FRESH = Parameter(group=OUTPUT, help="random seed", metavar="N", converter=whole, show_default="a new one each time")


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Say:
    """How a command prints its output."""

    quiet: Annotated[bool, Parameter(negative="", group=OUTPUT, help="print only the result", show_default=False)] = (
        False
    )
    json: Annotated[
        bool,
        Parameter(negative="", group=OUTPUT, help="print the result as JSON on stdout", show_default=False),
    ] = False

    def note(self, text: str) -> None:
        """Print a message to the user on stderr."""
        if not self.quiet:
            print(text, file=sys.stderr, flush=True)

    @contextmanager
    def drawing(self, seed: int | None) -> Iterator[int]:
        """The seed to draw with: `seed`, or a new one, which is printed after the draw so that it can be repeated."""
        from sfumato.randomness.generators import chosen_seed

        chosen = chosen_seed(seed)
        yield chosen
        if seed is None:
            self.note(f"Drawn with --seed {chosen}")

    def result(self, values: Mapping[str, Any], text: Callable[[], str]) -> None:
        """Print the result, as JSON with `--json`, otherwise as text."""
        print(json.dumps(finite(values), ensure_ascii=False, default=str) if self.json else text())

    def written(self, values: Mapping[str, Any], text: Callable[[], str]) -> None:
        """Print the result of a command that wrote a file; nothing with `--quiet`."""
        if self.json or not self.quiet:
            self.result(values, text)


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Out:
    """The output file of a command."""

    out: Annotated[
        Path | None,
        Parameter(
            name=("--out", "-o"), metavar="FILE", group=OUTPUT, help="output file; its extension sets the format"
        ),
    ] = None
    overwrite: Annotated[
        bool, Parameter(negative="", group=OUTPUT, help="replace FILE if it exists", show_default=False)
    ] = False

    def check(self) -> None:
        """Refuse, before any work is done, to overwrite a file or to write to a missing folder.

        Raises:
            SfumatoError: if so.
        """
        if self.out is None:
            return
        if self.out.exists() and not self.overwrite:
            raise SfumatoError(f"{self.out}: exists already; choose another name or add --overwrite")
        if not self.out.parent.is_dir():
            raise SfumatoError(f"{self.out}: there is no folder {self.out.parent}; create it first")


TALK = Say()
NOWHERE = Out()


def table(rows: Sequence[Sequence[str]], header: Sequence[str] = (), indent: str = "") -> str:
    """Aligned columns; the last one is wrapped to the width of the terminal.

    >>> print(table([["a", "1"], ["bc", "2"]], ["name", "n"]))
    name  n
    a     1
    bc    2
    """
    lines = [list(row) for row in ([header] if header else []) + list(rows)]
    if not lines:
        return ""
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]) - 1)]
    start = len(indent) + sum(widths) + 2 * len(widths)
    room = max(30, shutil.get_terminal_size((100, 24)).columns - start)
    out = []
    for line in lines:
        first = indent + "".join(cell.ljust(width + 2) for cell, width in zip(line, widths, strict=False))
        # Paths are copied and pasted, so no word is broken.
        last, *more = textwrap.wrap(line[-1], room, break_long_words=False, break_on_hyphens=False) or [""]
        out.append((first + last).rstrip())
        out += [" " * start + part for part in more]
    return "\n".join(out)


def as_text(write: Callable[[Path], None], ending: str = ".csv") -> str:
    """The text that `write` writes to a file with this extension."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"out{ending}"
        write(path)
        return path.read_text(encoding="utf-8")
