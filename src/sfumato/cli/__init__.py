"""The command line: a thin door. What it does is done by `estimator`, `artifacts` and `report`."""

from __future__ import annotations

import signal
from collections.abc import Sequence

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run `sfumato` with `arguments` (those of the process if None) and return its exit code.

    0: done. 1: the reader of our output went away. 2: a mistake the person can mend, said in one line on stderr.
    130: stopped by Ctrl-C, or by SIGTERM, which `kill` and batch systems send, and which a process takes for Ctrl-C.
    """
    if arguments is None and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, lambda number, frame: signal.raise_signal(signal.SIGINT))
    from sfumato.cli.app import run

    return run(arguments)
