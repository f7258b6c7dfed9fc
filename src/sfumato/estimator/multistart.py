"""Training from several seeds; the best model is kept."""

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
from sfumato.training.private.beginning import begin
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

    The one with the best validation loss is kept (training loss, without a validation split). Each trains in its own
    folder under `checkpoints/`; metrics and weights of the best so far are copied to `folder`.

    Args:
        make: builds an untrained model from a seed.
        dataset: to train and validate on.
        settings: of each training.
        folder: where to write, if anywhere.
        writes: whether this process is the one that writes.
        resume: continue from `folder`: a training that has finished is not repeated.
        callbacks: called during every training.
        progress: show the progress of each.

    Returns:
        The best model and its history.
    """
    valid = dataset.valid if len(dataset.valid) else None

    def once(plan: Settings, place: Path | None) -> tuple[Model, History]:
        model = make(plan.seed)
        if dataset.drawn is not None:
            begin(model, dataset.drawn, plan)
        arguments = {"settings": plan, "folder": place, "resume": resume, "callbacks": callbacks, "progress": progress}
        return model, training.fit(model, dataset.train, valid, charge=dataset.charge, **arguments)  # type: ignore[arg-type]

    if settings.restarts == 1:
        return once(settings, folder)
    kept: tuple[Model, History] | None = None
    for start in range(settings.restarts):
        own = None if folder is None else folder / CHECKPOINTS / f"start-{start + 1}"
        result = once(replace(settings, restarts=1, seed=settings.seed + start), own)
        if kept is None or _final_loss(result[1]) < _final_loss(kept[1]):
            kept = result
            if own is not None and folder is not None and writes:
                for name in (METRICS_FILE, WEIGHTS_FILE):
                    with replacing(folder / name) as new:
                        shutil.copyfile(own / name, new)
        if result[1].stop == "interrupted":
            kept[1].stop = "interrupted"
            break
    assert kept is not None
    return kept


def _final_loss(history: History) -> float:
    """The loss that trainings are compared by."""
    if history.best is not None:
        return history.best
    lines = history.of("train")
    return float(lines[-1]["total"]) if lines else math.inf
