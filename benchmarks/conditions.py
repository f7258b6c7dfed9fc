"""Digits shown under another label by a cvae: does the digit asked for appear, and does the hand stay?

    python benchmarks/conditions.py                       # scikit-learn's digits, five settings: five quiet minutes
    python benchmarks/conditions.py --mnist --steps 4000  # 10,000 of MNIST

The first rows are held out from a support vector machine that learns from the others what digits are; it is the judge.
"asked" is how often it sees the digit asked for in a reconstruction under another label, "old" how often still the one
that was there, "samples" how often samples are what was asked for. Correlations are those of pixels with the original:
of its reconstruction, of it under the other label, and of a sample of that label, which has another hand.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.datasets import load_digits
from sklearn.svm import SVC

import sfumato
import sources
from machine import describe

HELD = 600
SETTINGS: dict[str, dict[str, Any]] = {
    "prior learned": {"prior": "learned"},
    "β 1, codes first": {"beta": 1.0, "conditions_first": 0},
    "β 2, codes first": {"beta": 2.0, "conditions_first": 0},
    "β 2, codes first, 4 latents": {"beta": 2.0, "conditions_first": 0, "latent_dim": 4},
    "default": {},
}


def flat(images: np.ndarray) -> np.ndarray:
    """As rows of numbers from 0 to 1."""
    return np.asarray(images, dtype=float).reshape(len(images), -1) / 255


def likeness(one: np.ndarray, two: np.ndarray) -> float:
    """Mean correlation of pixels, picture by picture."""
    return float(np.mean([np.corrcoef(a, b)[0, 1] for a, b in zip(flat(one), flat(two), strict=True)]))


def measured(images: np.ndarray, labels: np.ndarray, judge: SVC, options: Mapping[str, Any]) -> list[float]:
    """asked, old, samples, and the three correlations."""
    model = sfumato.fit((images, labels), model="cvae", **options)
    x, y = images[:HELD], labels[:HELD]
    to = (y + 1 + np.random.default_rng(0).integers(0, 9, HELD)) % 10
    changed = np.asarray(model.reconstruct((x, y), {"label": to.tolist()}))
    again = np.asarray(model.reconstruct((x, y)))
    made = np.asarray(model.sample(HELD, {"label": to.tolist()}, noise=False, seed=0))
    told, drawn = judge.predict(flat(changed)), judge.predict(flat(made))
    shares = [float((told == to).mean()), float((told == y).mean()), float((drawn == to).mean())]
    return [*shares, likeness(again, x), likeness(changed, x), likeness(made, x)]


def main() -> None:
    """A line for each setting."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mnist", action="store_true")
    parser.add_argument("--steps", type=int, default=2500)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--data", type=Path)
    chosen = parser.parse_args()
    if chosen.mnist:
        found = sources.digits(sources.folder(chosen.data) / "mnist.npz")
        images, labels = found["x_train"][:10_000], found["y_train"][:10_000].astype(int)
    else:
        x, labels = load_digits(return_X_y=True)
        images = (x.reshape(-1, 8, 8) / 16 * 255).astype(np.uint8)
    judge = SVC(C=10).fit(flat(images[HELD:]), labels[HELD:])
    print(f"{describe()}; {chosen.steps} steps, seed {chosen.seed}; the judge on real ones", end=" ")
    print(f"{judge.score(flat(images[:HELD]), labels[:HELD]):.3f}\n", flush=True)
    print("| setting | asked | old | samples | likeness: again | changed | sample |\n|---|---|---|---|---|---|---|")
    for name, options in SETTINGS.items():
        values = measured(images, labels, judge, {"steps": chosen.steps, "seed": chosen.seed, **options})
        print(f"| {name} | " + " | ".join(f"{value:.3f}" for value in values) + " |", flush=True)


if __name__ == "__main__":
    main()
