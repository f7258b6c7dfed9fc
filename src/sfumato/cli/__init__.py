"""The command line: a thin layer over `estimator`, `artifacts` and `report`."""

from __future__ import annotations

import signal
import sys
from collections.abc import Sequence

from sfumato.extensions import import_extensions

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run `sfumato` with `arguments` (those of the process if None) and return its exit code.

    0: success. 1: stdout was closed by its reader. 2: an error the user can fix, reported in one line on stderr.
    130: stopped by Ctrl-C, or by SIGTERM, which is handled like Ctrl-C.
    """
    if arguments is None and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, lambda number, frame: signal.raise_signal(signal.SIGINT))
    words = sys.argv[1:] if arguments is None else list(arguments)
    if words and not words[0].startswith("-"):
        # Before the commands are imported, whose help lists what is registered.
        import_extensions()
    from sfumato.cli.app import run

    return run(words)
