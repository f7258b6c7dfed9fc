"""Traversals of the models of `factors.py`, each latent named by the factors it says most of.

python benchmarks/factors_picture.py docs/images/sprites-traversals.png --seed 0
"""

from __future__ import annotations

import argparse
from pathlib import Path

import matplotlib
import numpy as np
import torch

from factors import COMPARED, JUDGED, SMALL, encoded, pictures, trained
from registry import Setting
from sfumato.data.builtin import sprites
from sfumato.evaluation.disentanglement.intervention_scores import moves
from sfumato.evaluation.disentanglement.scores import shared

matplotlib.use("Agg")
from matplotlib import pyplot as plt

ROWS, REACH, STEPS = 6, 2.0, 9
ENOUGH = 0.1
"""Share of a factor's entropy from which on a latent is named by it."""


def start() -> torch.Tensor:
    """A large heart in the middle."""
    values = {"shape": 2, "scale": 5, "rotation": 0, "x": 16, "y": 16}
    return torch.from_numpy(sprites.render({name: np.array([value]) for name, value in values.items()}))[:, None]


def rows(setting: Setting, name: str) -> list[tuple[str, np.ndarray]]:
    """For each of the latents that move most, what it says and its traversal, (STEPS, side, side)."""
    model, _ = trained(setting, name)
    _, factors = pictures(SMALL.side)
    codes = encoded(setting, name)
    some = np.arange(0, len(codes.means), max(len(codes.means) // JUDGED, 1))
    found = shared(codes.draws[some], [factor.at(some) for factor in factors])
    told = found.information / found.entropy
    widest = moves(codes.means)
    widest = widest[np.argsort(-told[widest].max(1))][:ROWS]
    with torch.no_grad():
        code = model.encoder(start()).mode()
        made = []
        for latent in widest:
            z = code.repeat(STEPS, 1)
            z[:, latent] = torch.linspace(-REACH, REACH, STEPS)
            best = [at for at in np.argsort(-told[latent])[:2] if told[latent, at] >= ENOUGH]
            named = ", ".join(f"{factors[at].name} {told[latent, at]:.0%}" for at in best)
            made.append((f"z{latent + 1}: " + (named or "–"), model.decode(z).mode()[:, 0].numpy()))
    return made


def draw(setting: Setting, path: Path) -> None:
    """All models beside one another, two by two."""
    figure, axes = plt.subplots(2, 2, figsize=(12, 9))
    for axis, name in zip(axes.flat, COMPARED, strict=True):
        found = rows(setting, name)
        strip = np.vstack([np.hstack(list(pictures_of)) for _, pictures_of in found])
        axis.imshow(strip, cmap="gray", vmin=0, vmax=1)
        side = strip.shape[0] / len(found)
        axis.set_yticks([side * (row + 0.5) for row in range(len(found))], [label for label, _ in found], fontsize=8)
        axis.set_xticks([])
        axis.set_title(name, fontsize=10)
    figure.tight_layout()
    figure.savefig(path, dpi=80)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("path", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--cache", type=Path, default=Path.home() / ".cache" / "sfumato-benchmarks")
    options = parser.parse_args()
    draw(Setting(options.seed, "cpu", Path(), None, options.cache), options.path)


if __name__ == "__main__":
    main()
