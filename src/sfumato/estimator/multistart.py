"""Training from several seeds, of which the best is kept."""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from sfumato import training
from sfumato.data.core.dataset import Dataset
from sfumato.files import replacing
from sfumato.models.base import Model
from sfumato.training import Callback, History, Settings
from sfumato.training.saving.folder import CHECKPOINTS, METRICS_FILE, WEIGHTS_FILE


def train(
    make: Callable[[int], Model],
    dataset: Dataset,
    settings: Settings,
    *,
    folder: Path | None = None,
    writes: bool = True,
    resume: bool = False,
    callbacks: Sequence[Callback] = (),
    progress: bool = False,
) -> tuple[Model, History]:
    """Train `settings.restarts` models, the first from `settings.seed` and each from the seed after the last one's.

    The one that validation finds best is kept (the lowest training loss, without a validation part). Each trains in a
    folder of its own under `checkpoints/`; metrics and weights of the best so far are copied to `folder`.

    Args:
        make: seed → an untrained model.
        dataset: to train and validate on.
        settings: of each training.
        folder: where to write, if anywhere.
        writes: whether this process is the one that writes.
        resume: go on with what is in `folder`: a training that has ended is not repeated.
        callbacks: told of what happens in every training.
        progress: show how each goes.

    Returns:
        The best model, and the course of its training.
    """
    valid = dataset.valid if len(dataset.valid) else None

    def once(plan: Settings, place: Path | None) -> tuple[Model, History]:
        model = make(plan.seed)
        told = {"settings": plan, "folder": place, "resume": resume, "callbacks": callbacks, "progress": progress}
        return model, training.fit(model, dataset.train, valid, **told)  # type: ignore[arg-type]

    if settings.restarts == 1:
        return once(settings, folder)
    kept: tuple[Model, History] | None = None
    for start in range(settings.restarts):
        own = None if folder is None else folder / CHECKPOINTS / f"start-{start + 1}"
        found = once(replace(settings, restarts=1, seed=settings.seed + start), own)
        if kept is None or _reached(found[1]) < _reached(kept[1]):
            kept = found
            if own is not None and folder is not None and writes:
                for name in (METRICS_FILE, WEIGHTS_FILE):
                    with replacing(folder / name) as new:
                        shutil.copyfile(own / name, new)
        if found[1].stop == "interrupted":
            kept[1].stop = "interrupted"
            break
    assert kept is not None
    return kept


def _reached(history: History) -> float:
    """The loss a training is judged by."""
    if history.best is not None:
        return history.best
    lines = history.of("train")
    return float(lines[-1]["total"]) if lines else math.inf
