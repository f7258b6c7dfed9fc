"""How training goes, on a terminal or as plain lines."""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Mapping
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, TextColumn
from rich.progress import Progress as Bar

from sfumato.training.metrics import Meter
from sfumato.training.saving.history import PLACE, TOTAL, judged_by, words
from sfumato.training.settings import Settings, seconds

REFRESH_SECONDS, LINE_SECONDS = 0.2, 5.0
"""Seconds between two pictures on a terminal, and between two plain lines elsewhere."""
ESTIMATE_AFTER, SHORT_TRAINING = 3.0, 20.0
"""Seconds of training after which it is said how long all of it takes, and what is too short to be said."""
TERMS = 4


class Progress:
    """A bar with epoch, step, terms in nats per example, examples per second and time left.

    After the first seconds a line says how long the training takes. Not on a terminal it prints a plain line at most
    every five seconds. When not `wanted` it prints nothing, and `due` is never reached.

    Attributes:
        due: the time (`time.perf_counter`) at which `update` wants to be called next.
    """

    def __init__(
        self, wanted: bool, plan: Settings, per_epoch: int, total: int, console: Console | None = None
    ) -> None:
        self._console = console or Console(stderr=True)
        self._wanted = wanted
        self._plan, self._per_epoch, self._total = plan, per_epoch, total
        self._bar: Bar | None = None
        self._terms = self._valid = ""
        self._begun = self._last = time.perf_counter()
        self._start = self._last_step = 0
        self._rate = 0.0
        self._first: tuple[int, float] | None = None
        self._foretold = False
        self.due = -math.inf if wanted else math.inf

    def __enter__(self) -> Progress:
        if self._wanted and self._console.is_terminal:
            self._bar = Bar(
                TextColumn("{task.description}"),
                BarColumn(bar_width=24),
                TextColumn("{task.fields[text]}"),
                console=self._console,
            )
            self._task = self._bar.add_task("", total=self._total, text="")
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar:
            self._bar.stop()

    def say(self, line: str) -> None:
        """Print one line above the bar; as a warning where no progress is shown."""
        if not self._wanted:
            warnings.warn(line, RuntimeWarning, stacklevel=2)
            return
        self._console.print(line, style="yellow", highlight=False, markup=False)

    def begin(self, step: int) -> None:
        """Training starts, or goes on, at `step`."""
        self._start = self._last_step = step
        self._begun = self._last = time.perf_counter()

    def logged(self, line: Mapping[str, Any]) -> None:
        """Show the means of a training line, or what a validation is judged by, until there are newer ones."""
        if line["split"] == "valid":
            by = judged_by([line])
            self._valid = f"  valid {'' if by == TOTAL else words(by) + ' '}{line[by]:.4g}"
        else:
            self._show({name: value for name, value in line.items() if name not in PLACE})

    def _show(self, means: Mapping[str, float]) -> None:
        if means:
            names = [name for name in means if name != "total"][: TERMS - 1]
            self._terms = "  ".join(f"{name} {means[name]:.4g}" for name in ["total", *names])

    def update(self, step: int, meter: Meter, now: float) -> None:
        """Show where training stands."""
        if not self._wanted:
            return
        if step > self._last_step:
            rate = (step - self._last_step) * (self._plan.batch_size or 1) / max(now - self._last, 1e-9)
            self._rate = 0.8 * self._rate + 0.2 * rate if self._rate else rate
        self._last, self._last_step = now, step
        self._show(meter.means())
        self._foretell(step, now)
        epoch = min(step // self._per_epoch + 1, math.ceil(self._total / self._per_epoch))
        where = f"epoch {epoch}/{math.ceil(self._total / self._per_epoch)}  step {step}/{self._total}"
        text = f"{self._terms}{self._valid}  {_count(self._rate)}/s  {self._left(step, now)} left"
        if self._bar:
            self._bar.update(self._task, completed=step, description=where, text=text)
            self.due = now + REFRESH_SECONDS
        else:
            self._console.print(f"{where}  {text}", highlight=False, markup=False, soft_wrap=True)
            self.due = now + (LINE_SECONDS if self._foretold else min(ESTIMATE_AFTER, LINE_SECONDS))

    def _foretell(self, step: int, now: float) -> None:
        """Say once how long the training takes, by the pace of its steps but the first, which is slow."""
        if self._first is None:
            self._first = (step, now)
        begun, since = self._first
        if self._foretold or step <= begun or now - since < min(ESTIMATE_AFTER, LINE_SECONDS) * 0.9:
            return
        self._foretold = True
        pace = (now - since) / (step - begun)
        length = pace * (self._total - self._start)
        most = seconds(self._plan.max_time)
        if min(length, most) < SHORT_TRAINING:
            return
        words = f"Training takes about {_in_words(min(length, most))}"
        if length > most:
            words += f", its time limit: about {round(most / pace):,} of {self._total:,} steps"
        elif self._plan.patience != 0:
            words += f" for {self._total - self._start:,} steps, less if validation gets no better"
        self._console.print(words, highlight=False, markup=False)

    def _left(self, step: int, now: float) -> str:
        spent = now - self._begun
        by_steps = spent / max(step - self._start, 1) * (self._total - step)
        left = max(0.0, min(by_steps, seconds(self._plan.max_time) - spent))
        minutes, rest = divmod(round(left), 60)
        hours, minutes = divmod(minutes, 60)
        return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def _count(number: float) -> str:
    """A number to three digits.

    >>> _count(18432.0), _count(950.2)
    ('18.4k', '950')
    """
    for size, letter in ((1e6, "M"), (1e3, "k")):
        if number >= size:
            return f"{number / size:.3g}{letter}"
    return f"{number:.3g}"


def _in_words(time: float) -> str:
    """A length of time in seconds, as one would say it.

    >>> _in_words(47), _in_words(61), _in_words(250), _in_words(7900)
    ('50 seconds', '1 minute', '4 minutes', '2.2 hours')
    """
    if time < 55:
        return f"{round(time, -1):.0f} seconds"
    minutes = round(time / 60)
    if minutes < 90:
        return f"{minutes} minute{'s' * (minutes != 1)}"
    return f"{time / 3600:.1f} hours"
