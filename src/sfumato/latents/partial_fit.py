"""The partial encoder of a fitted model: trained on its training split, kept in its run."""

from __future__ import annotations

import math
from pathlib import Path

import torch

from sfumato import training
from sfumato.data.core.dataset import Dataset
from sfumato.errors import SfumatoError
from sfumato.files import read_json, read_tensors, write_json, write_tensors
from sfumato.latents.partial_encoder import PartialEncoder
from sfumato.models.base import Model
from sfumato.models.protocols import LatentSpace, require
from sfumato.randomness.generators import redirected, seeded
from sfumato.spec import DataSpec
from sfumato.training import Settings

PARTIAL_ENCODER_FOLDER, SIZES_FILE, TENSORS_FILE = "partial_encoder", "sizes.json", "partial_encoder.safetensors"
"""Of a run, and the files in it."""
FEWEST_STEPS, MOST_STEPS, LARGEST_BATCH = 100, 2000, 256
"""Steps of the training, at least and at most, and examples in each at most."""
NARROW_BELOW = 2000
"""Training examples below which the network is half as wide."""


def fit_partial_encoder(
    model: Model,
    data: Dataset,
    *,
    seed: int = 0,
    steps: int = MOST_STEPS,
    seconds: float = math.inf,
    progress: bool = False,
) -> PartialEncoder:
    """A partial encoder trained on the frozen model, with the training split; validation says when to stop.

    Args:
        model: the first stage.
        data: what it was trained on.
        seed: of the training.
        steps: how many, within `FEWEST_STEPS` and `MOST_STEPS`.
        seconds: what it may take.
        progress: show how it goes.

    Raises:
        SfumatoError: if the model has no codes with a density.
    """
    space, device = require(model, LatentSpace, "complete examples"), next(model.parameters()).device
    spec, few = data.schema.spec, len(data.train) < NARROW_BELOW
    with seeded(torch.device("cpu"), seed), redirected():
        encoder = PartialEncoder(spec, space.code_size, width=128 if few else 256)
    # Without an annealed rate a training may end at any step: it is averaged instead.
    settings = Settings(
        steps=min(max(steps, FEWEST_STEPS), MOST_STEPS),
        batch_size=min(LARGEST_BATCH, max(len(data.train) // 4, 1)),
        lr=2e-3,
        schedule="constant",
        lr_warmup=50,
        ema=0.995,
        validate_every=100,
        patience=4,
        max_time=None if math.isinf(seconds) else max(seconds, 0.1),
        seed=seed,
        device=device.type,
    )
    model.eval()
    with encoder.matching(space):
        training.fit(encoder, data.train, data.valid, settings=settings, progress=progress)
    return encoder.requires_grad_(False)


def save(encoder: PartialEncoder, folder: Path, weights: str) -> None:
    """Write a partial encoder into `folder`; `weights` is the hash of the first stage's weights."""
    folder.mkdir(exist_ok=True)
    write_tensors(folder / TENSORS_FILE, encoder.state_dict())
    write_json(folder / SIZES_FILE, {**encoder.sizes, "weights": weights})


def load(folder: Path, weights: str, spec: DataSpec, latent_dim: int) -> PartialEncoder | None:
    """Back from `save`; None where nothing was saved, or what was is of other weights.

    Raises:
        SfumatoError: if a file is damaged.
    """
    if not (folder / SIZES_FILE).is_file():
        return None
    sizes = read_json(folder / SIZES_FILE)
    try:
        if sizes.pop("weights") != weights:
            return None
        encoder = PartialEncoder(spec, latent_dim, **sizes)
        encoder.load_state_dict(read_tensors(folder / TENSORS_FILE)[0])
    except (KeyError, TypeError, RuntimeError) as error:
        raise SfumatoError(f"{folder}: damaged ({error}); delete it, and it is fitted again") from None
    return encoder.eval().requires_grad_(False)
