"""Ctrl-C waits for the step to be finished and the run to be saved, and then goes where it would have gone."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType
from typing import Any


class Interrupt:
    """Within this block SIGINT raises the flag `asked`, and `deliver` hands it to the handler that was there before.

    A second SIGINT goes to that handler at once. Outside the main thread, where Python lets nobody handle signals, and
    where SIGINT is ignored (as under nohup), it does nothing.
    """

    def __init__(self) -> None:
        self.requested = False
        self._before: Any = None

    def __enter__(self) -> Interrupt:
        if threading.current_thread() is threading.main_thread():
            before = signal.getsignal(signal.SIGINT)
            if before not in (None, signal.SIG_IGN):
                self._before = before
                signal.signal(signal.SIGINT, self._ask)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)

    def deliver(self) -> BaseException | None:
        """Let the handler from before have the signal, and lower the flag.

        Returns:
            What it raised, which is KeyboardInterrupt for Python's own; None if it did not, and training goes on.
        """
        self.requested = False
        if self._before is None:
            return KeyboardInterrupt()
        try:
            self._hand_over()
        except BaseException as error:
            return error
        return None

    def _hand_over(self) -> None:
        signal.signal(signal.SIGINT, self._before)
        try:
            signal.raise_signal(signal.SIGINT)
        finally:
            # The handler may have put another in its place.
            self._before = signal.getsignal(signal.SIGINT)
            signal.signal(signal.SIGINT, self._ask)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        if self.requested:
            self._hand_over()
        self.requested = True
