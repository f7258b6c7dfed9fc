"""Where a private training begins: at what rows have taught that cost nothing."""

from __future__ import annotations

from sfumato import training
from sfumato.data.core.batching.batches import Batches
from sfumato.models.base import Model
from sfumato.training.settings import Settings

BEGINNING_EPOCHS = 20
"""Passes over the drawn rows."""


def begin(model: Model, drawn: Batches, plan: Settings) -> None:
    """Train on rows that follow from noisy counts alone, as without privacy, and leave the last weights.

    Args:
        model: to be trained.
        drawn: the rows.
        plan: of the private training, of which seed and device are taken.
    """
    settings = Settings(epochs=BEGINNING_EPOCHS, patience=0, seed=plan.seed, device=plan.device)
    training.fit(model, drawn, settings=settings)
    model.train()
