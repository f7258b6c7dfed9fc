"""Logs for TensorBoard."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sfumato.errors import need
from sfumato.models.base import Model
from sfumato.training.monitoring.callbacks import Callback
from sfumato.training.saving.history import PLACE, History
from sfumato.training.settings import Settings


class TensorBoard(Callback):
    """Writes every term of every line as `<split>/<term>` into `folder`.

    Raises:
        SfumatoError: if tensorboard is not installed.
    """

    def __init__(self, folder: Path) -> None:
        need("tensorboard", "tensorboard", "writing TensorBoard logs")
        self._folder = folder
        self._writer: Any = None

    def on_start(self, model: Model, settings: Settings) -> None:
        """Open the log; what an earlier, resumed training wrote after its checkpoint is hidden by the new lines."""
        from torch.utils.tensorboard import SummaryWriter

        self._writer = SummaryWriter(str(self._folder))

    def on_log(self, model: Model, line: Mapping[str, Any]) -> bool | None:
        """Write a training line."""
        self._write(line)
        return None

    def on_validation(self, model: Model, line: Mapping[str, Any]) -> bool | None:
        """Write a validation line."""
        self._write(line)
        return None

    def on_end(self, model: Model, history: History) -> None:
        """Close the log."""
        self._writer.close()

    def _write(self, line: Mapping[str, Any]) -> None:
        for name, value in line.items():
            if name not in PLACE:
                self._writer.add_scalar(f"{line['split']}/{name}", value, line["step"])
