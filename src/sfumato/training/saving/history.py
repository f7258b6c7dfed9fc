"""What training said as it went: the lines of `metrics.jsonl`."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

from sfumato.errors import SfumatoError
from sfumato.files import finite, write_text
from sfumato.training.private.ledger import Ledger

PLACE = ("step", "epoch", "split", "seconds")
"""The keys of a line that are not measurements."""
TOTAL, SAMPLES = "total", "energy_distance"
"""What weights are chosen by, lower is better: the loss, and how far samples are from validation examples."""


@dataclass
class History:
    """The course of one training.

    Attributes:
        lines: one dict for each line of `metrics.jsonl`: step, epoch, split ("train" or "valid"), seconds, one key for
            each term in nats per example, and total.
        best_step: the step whose weights were kept.
        best: its validation measure, that of `judged_by`; None without a validation split.
        stop: why training ended: "epochs", "patience", "max_time", "interrupted" or "callback".
        privacy: the ledger of a private training, see `training.private.ledger`; None of any other.
        skipped: steps that were not applied because a loss or gradient was not finite, or a gradient too long.
    """

    lines: list[dict[str, Any]] = field(default_factory=list)
    best_step: int = 0
    best: float | None = None
    stop: str = ""
    skipped: int = 0
    privacy: Ledger | None = None

    def best_summary(self) -> str:
        """The best measure and its step as text; "" if nothing was validated.

        >>> History([{"split": "valid", "total": 1.5}], best_step=20, best=1.5).best_summary()
        '1.500 nats per example at step 20'
        """
        if self.best is None:
            return ""
        by = judged_by(self.of("valid")[-1:])
        measure = f"{self.best:.3f} nats per example" if by == TOTAL else f"{words(by)} of samples {self.best:.3g}"
        return f"{measure} at step {self.best_step}"

    def of(self, split: str) -> list[dict[str, Any]]:
        """The lines of one split."""
        return [line for line in self.lines if line["split"] == split]


def judged_by(lines: Sequence[Mapping[str, Any]]) -> str:
    """The name of what the weights of a training with these validation lines are chosen by.

    A model whose validation measures samples is judged by them, any other by its loss.

    >>> judged_by([{"total": 1.0}]), judged_by([{"total": 1.0, "energy_distance": 0.1}])
    ('total', 'energy_distance')
    """
    return SAMPLES if any(SAMPLES in line for line in lines) else TOTAL


def words(name: str) -> str:
    """A measure's name in words."""
    return name.replace("_", " ")


def best_line(lines: Sequence[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """The validation line of the weights that were kept; None where nothing was validated."""
    by = judged_by(lines)
    valid = [line for line in lines if line["split"] == "valid" and line.get(by) is not None]
    return min(valid, key=lambda line: line[by], default=None)


class Journal:
    """Appends lines to a history and, where there is a path, to its file."""

    def __init__(self, history: History, path: Path | None) -> None:
        self.history = history
        self._file: TextIO | None = None
        if path is None:
            return
        try:
            write_text(path, "".join(as_json(line) for line in history.lines))
            self._file = path.open("a", encoding="utf-8")
        except OSError as error:
            raise SfumatoError(f"{path}: cannot write here ({error.strerror}); choose another folder") from None

    def add(self, line: dict[str, Any]) -> None:
        """Append one line; it is in the file when this returns."""
        self.history.lines.append(line)
        if self._file:
            self._file.write(as_json(line))
            self._file.flush()

    def sync(self) -> None:
        """Bring all lines to the disk, so that a checkpoint never counts lines that a crash could take."""
        if self._file:
            os.fsync(self._file.fileno())

    def close(self) -> None:
        """Close the file."""
        if self._file:
            self._file.close()


def read_lines(path: Path, count: int) -> list[dict[str, Any]]:
    """The first `count` lines of a metrics file.

    Raises:
        SfumatoError: if it has fewer, or they are damaged.
    """
    try:
        text = path.read_text(encoding="utf-8") if count else ""
        lines = [json.loads(line) for line in text.splitlines()[:count]]
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise SfumatoError(f"{path}: damaged or missing ({error}); restore it, or start a new run") from None
    if len(lines) < count:
        raise SfumatoError(
            f"{path}: {count} lines were written and {len(lines)} are left; restore it from a copy, or start a new run"
        )
    return lines


def as_json(line: Mapping[str, Any]) -> str:
    """One line of JSON, which has no word for NaN and infinity: they become null."""
    return json.dumps(finite(line), ensure_ascii=False) + "\n"
