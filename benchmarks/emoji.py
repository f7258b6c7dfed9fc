"""Emoji at 32 pixels: samples of a VAE at a fixed number of steps, and whether upsampling left a grid in them."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image

from registry import Measure, Setting, system
from sfumato import Autoencoder

SIDE, STEPS, SAMPLES = 32, 300, 300


@cache
def emoji(folder: Path) -> np.ndarray:
    """All pictures on white, (N, 3, 32, 32), uint8."""
    if not folder.is_dir():
        raise SystemExit(f"{folder} is missing: put folders of pictures there, or name the folder above with --data")
    small = []
    for path in sorted(folder.rglob("*.png")):
        with Image.open(path) as opened:
            picture = opened.convert("RGBA")
        white = Image.new("RGBA", picture.size, "white")
        white.alpha_composite(picture)
        small.append(np.asarray(white.convert("RGB").resize((SIDE, SIDE), Image.Resampling.BOX)))
    return np.stack(small).transpose(0, 3, 1, 2)


def energies(images: np.ndarray) -> np.ndarray:
    """Share of the energy of grey images (N, C, H, W) at each frequency along either axis, (H/2 + 1,), without a mean.

    >>> stripes = np.tile([0.0, 1.0], (1, 1, 8, 4))
    >>> energies(stripes).round(2)
    array([0., 0., 0., 0., 1.])
    """
    grey = images.mean(1)
    power = (np.abs(np.fft.fft2(grey - grey.mean((1, 2), keepdims=True))) ** 2).mean(0)
    power /= power.sum()
    columns, rows = power.sum(0), power.sum(1)
    half = len(power) // 2 + 1
    along = columns[:half] + rows[:half]
    along[0] = 0.0
    return along


@system(
    "emoji-grid",
    Measure("energy of samples at a period of 2 pixels, over that of the data", low=0.0, high=1.0),
    Measure("the same over their own energy at a period of 2.3 pixels", high=1.0),
    Measure("−ELBO on the validation split (nats)"),
)
def grid(setting: Setting) -> dict[str, float]:
    """The default VAE for 300 steps; a grid that the last upsampling leaves has a period of 2 pixels."""
    images = emoji(setting.data / "emoji")
    fitted = Autoencoder("vae", steps=STEPS, random_state=setting.seed, device=setting.device).fit(images)
    made, real = (energies(np.asarray(each, float)) for each in (fitted.sample(SAMPLES, seed=setting.seed), images))
    best = fitted.history_.best
    return grid.named((made[-1] / real[-1], made[-1] / made[-3], best))
