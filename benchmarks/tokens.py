"""A tokenizer of one's own: is all of the vocabulary used, and is every number finite?"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

import sfumato
from emoji import emoji
from registry import Measure, Setting, system
from sources import digits

STEPS = 300
ROWS = 4000
"""Images of clothes that are trained on."""
QUANTIZERS: dict[str, dict[str, Any]] = {
    "codebook": {},
    "two levels": {"levels": 2},
    "finite scalars": {"quantizer": "fsq"},
}


def clothes(folder: Path) -> np.ndarray:
    """The first `ROWS` images of Fashion-MNIST."""
    return digits(folder / "fashion_mnist.npz")["x_train"][:ROWS]


def measured(name: str, source: Any, setting: Setting) -> dict[str, float]:
    """For each quantizer the least share of its vocabulary, of any level, that examples have, and the error.

    A run with a loss or reconstruction that is not finite has a share of 0.
    """
    values = {}
    for quantizer, options in QUANTIZERS.items():
        auto = sfumato.fit(source, model="vq_vae", steps=STEPS, seed=setting.seed, device=setting.device, **options)
        tokens = auto.tokenize(source)
        back = auto.detokenize(tokens[:500]).astype(float)
        finite = np.isfinite(back).all() and all(np.isfinite(line["total"]) for line in auto.history_.lines)
        size = auto.model_.code_sizes[0]
        share = min(len(np.unique(tokens[:, level])) / size for level in range(tokens.shape[1]))
        values[f"{name}, {quantizer}: share of the vocabulary that occurs"] = share if finite else 0.0
        real = np.asarray(source)[:500].astype(float)
        error = ((back - real) ** 2).mean() / ((real - real.mean(0)) ** 2).mean()
        values[f"{name}, {quantizer}: squared error / variance"] = float(error)
    return values


def measures(name: str) -> list[Measure]:
    """Those of `measured`."""
    pairs = [
        (
            Measure(f"{name}, {quantizer}: share of the vocabulary that occurs", low=0.95),
            Measure(f"{name}, {quantizer}: squared error / variance"),
        )
        for quantizer in QUANTIZERS
    ]
    return [measure for pair in pairs for measure in pair]


@system("tokenizer-emoji", *measures("emoji"))
def of_emoji(setting: Setting) -> dict[str, float]:
    """3,786 emoji at 32 pixels, defaults."""
    return measured("emoji", emoji(setting.data / "emoji"), setting)


@system("tokenizer-clothes", *measures("clothes"))
def of_clothes(setting: Setting) -> dict[str, float]:
    """4,000 clothes, defaults."""
    return measured("clothes", clothes(setting.data), setting)
