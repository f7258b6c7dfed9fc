"""What a training leaves on disk: `metrics.jsonl`, `model.safetensors` and `checkpoints/`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from sfumato.errors import SfumatoError
from sfumato.files import write_json, write_tensors
from sfumato.training.private.ledger import Ledger
from sfumato.training.saving.checkpoint import Checkpoints, make_folder
from sfumato.training.saving.history import Journal, read_lines
from sfumato.training.saving.state import TrainingState

METRICS_FILE, WEIGHTS_FILE, CHECKPOINTS = "metrics.jsonl", "model.safetensors", "checkpoints"
LEDGER_FILE = "privacy.json"


class Folder:
    """The files of one training; without a path, the lines are kept in memory alone.

    A checkpoint is one file that holds the whole state, so a kill at any moment leaves one that is whole.

    Args:
        path: the run folder; made if it is not there.
        state: the training; with `resume` it is put back to the newest whole checkpoint.
        writes: whether this process is the one that writes.
        checkpoints: whether the state is kept, so that the training can be resumed.

    Raises:
        SfumatoError: if there are checkpoints and `resume` is False, or they are of another training, or damaged.
    """

    def __init__(
        self, path: Path | None, state: TrainingState, *, writes: bool, resume: bool, checkpoints: bool = True
    ) -> None:
        self._state = state
        self._path = Path(path) if path is not None and writes else None
        self._written: int | None = None
        resumed = path is not None and self._find(Path(path), resume)
        state.group.wait()
        self._checkpoints = Checkpoints(self._path / CHECKPOINTS) if self._path and checkpoints else None
        if self._path:
            make_folder(self._path / CHECKPOINTS if checkpoints else self._path)
            # A writer that was killed leaves its temporary file behind.
            for left in [*self._path.glob(f".{METRICS_FILE}.*"), *self._path.glob(f".{WEIGHTS_FILE}.*")]:
                left.unlink(missing_ok=True)
        self._journal = Journal(state.history, self._path / METRICS_FILE if self._path else None)
        if not resumed:
            self.save(0.0)

    def _find(self, path: Path, resume: bool) -> bool:
        checkpoints = Checkpoints(path / CHECKPOINTS)
        if not resume:
            if checkpoints.paths():
                raise SfumatoError(f"{path}: holds a training already; resume it, or choose another folder")
            return False
        saved = checkpoints.load()
        if saved is None:
            return False
        self._state.restore(*saved)
        self._state.history.lines = read_lines(path / METRICS_FILE, saved[1]["lines"])
        return True

    def add(self, line: dict[str, Any]) -> None:
        """Append a line of metrics."""
        self._journal.add(line)

    def save(self, elapsed: float) -> None:
        """Write the best weights, if there are better ones, and a checkpoint."""
        if self._path:
            self._journal.sync()
            self.save_weights()
        if self._checkpoints:
            self._checkpoints.save(self._state.step, self._state.tensors(), self._state.numbers(elapsed))

    def save_weights(self) -> None:
        """Write `model.safetensors`: the best weights, or the present ones as long as there are none."""
        best = self._state.best_weights
        if self._path and (not best or self._written != self._state.history.best_step):
            write_tensors(self._path / WEIGHTS_FILE, best or self._state.weights())
            self._written = self._state.history.best_step if best else None

    def save_ledger(self, ledger: Ledger) -> None:
        """Write `privacy.json`."""
        if self._path:
            write_json(self._path / LEDGER_FILE, ledger.to_dict())

    def save_final(self, weights: Mapping[str, Tensor]) -> None:
        """Write the weights of the finished model as `model.safetensors`, with what `Model.finish` has fitted."""
        if self._path:
            write_tensors(self._path / WEIGHTS_FILE, weights)

    def close(self) -> None:
        """Close the files."""
        self._journal.close()
