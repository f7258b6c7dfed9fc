"""Paths between the codes of digits and of penguins: is the speed constant, and is what lies between valid?"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import torch
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import load_digits
from sklearn.svm import SVC

import sfumato
from registry import Measure, Setting, system
from sfumato.estimator.inference import exact
from sfumato.tasks import geodesic, straight, stretch_lengths
from sfumato.tasks.geodesics import MOST_NEAR

PAIRS, STRETCHES, FINE = 30, 8, 16
"""Paths for each seed, stretches whose lengths are compared, and pieces that each is measured in."""
HELD_OUT = 600
REAL = 0.05
"""Share of real examples that are less sure, or farther out, than what is taken as valid."""
NUMBERS = ["bill_length_mm", "bill_depth_mm", "flipper_length_mm", "body_mass_g"]

KINDS = ("straight", "geodesic", "geodesic near data")
PATHS = (
    *(Measure(f"{kind}: longest stretch / shortest, worst path", high=1.1) for kind in KINDS[1:]),
    Measure("straight: longest stretch / shortest, median path"),
    Measure("length in data, geodesic / straight", high=1.0),
)
"""What is measured of paths of all kinds."""
VALID = tuple(Measure(f"valid middles: {kind}") for kind in KINDS)


def paths(
    auto: sfumato.Autoencoder, starts: np.ndarray, ends: np.ndarray, train: np.ndarray
) -> tuple[dict[str, float], dict[str, Any]]:
    """The measures of `PATHS`, and the decoded middles of each kind of path."""
    decode = exact(auto.model_).decode
    walks = (straight, partial(geodesic, decode), partial(geodesic, decode, near=torch.from_numpy(train)))
    steps = STRETCHES * FINE + 1
    lengths, middles = {}, {}
    for kind, walk in zip(KINDS, walks, strict=True):
        codes = [
            walk(start, end, steps) for start, end in zip(torch.from_numpy(starts), torch.from_numpy(ends), strict=True)
        ]
        lengths[kind] = torch.stack([stretch_lengths(decode, path, 1).view(STRETCHES, FINE).sum(1) for path in codes])
        middles[kind] = auto.decode(torch.stack(codes)[:, steps // 2].numpy())
    ratios = {kind: values.amax(1) / values.amin(1) for kind, values in lengths.items()}
    shorter = lengths["geodesic"].sum(1) / lengths["straight"].sum(1)
    values = (
        ratios["geodesic"].max(),
        ratios["geodesic near data"].max(),
        ratios["straight"].median(),
        shorter.median(),
    )
    return {measure.name: float(value) for measure, value in zip(PATHS, values, strict=True)}, middles


@system(
    "interpolation",
    *(Measure(f"digits, {m.name}", m.reference, m.low, m.high) for m in (*PATHS, *VALID)),
    Measure("digits, valid: blends of pixels", "the mean of both images"),
    *(Measure(f"penguins, {m.name}", m.reference, m.low, m.high) for m in (*PATHS, *VALID)),
    Measure("penguins, valid: means of rows", "the mean of both rows, of the species of one"),
)
def interpolation(setting: Setting) -> dict[str, float]:
    """30 pairs of different classes each; a `vae` of the defaults with 2,000 steps.

    A middle is valid if a support vector machine that learned from real digits is as sure of its class as it is of 95%
    of real digits that it has not seen; a penguin if all four measures lie within the middle 95% of those of its
    species, of which all are counted together, so that fewer than 95% of real ones are.
    """
    return {f"digits, {name}": value for name, value in digits(setting).items()} | {
        f"penguins, {name}": value for name, value in penguins(setting).items()
    }


def pairs(labels: np.ndarray, seed: int) -> np.ndarray:
    """`PAIRS` pairs of rows with different labels, (PAIRS, 2)."""
    noise = np.random.default_rng(seed)
    chosen = noise.integers(0, len(labels), (20 * PAIRS, 2))
    return chosen[labels[chosen[:, 0]] != labels[chosen[:, 1]]][:PAIRS]


def digits(setting: Setting) -> dict[str, float]:
    """scikit-learn's digits; pairs are of those that neither model nor judge has seen."""
    images, y = eight_by_eight()
    judge = CalibratedClassifierCV(SVC(C=10), ensemble=False).fit(flat(images[HELD_OUT:]), y[HELD_OUT:])
    held_out, labels = images[:HELD_OUT], y[:HELD_OUT]
    least = np.quantile(judge.predict_proba(flat(held_out)).max(1), REAL)
    auto = sfumato.fit(images[HELD_OUT:], model="vae", steps=2000, seed=setting.seed, device=setting.device)
    index = pairs(labels, setting.seed)
    codes = auto.encode(held_out)
    told, middles = paths(auto, codes[index[:, 0]], codes[index[:, 1]], auto.encode(images[HELD_OUT:])[:MOST_NEAR])
    middles["blends"] = held_out[index].mean(1)
    valid = {kind: float((judge.predict_proba(flat(made)).max(1) >= least).mean()) for kind, made in middles.items()}
    blends = valid.pop("blends")
    return (
        told | {f"valid middles: {kind}": share for kind, share in valid.items()} | {"valid: blends of pixels": blends}
    )


def eight_by_eight() -> tuple[np.ndarray, np.ndarray]:
    """scikit-learn's digits as images of 8 × 8, and their labels."""
    x, y = load_digits(return_X_y=True)
    return (x.reshape(-1, 8, 8) / 16 * 255).astype(np.uint8), y


def flat(images: object) -> np.ndarray:
    """As rows of numbers from 0 to 1."""
    values = np.asarray(images, dtype=float)
    return values.reshape(len(values), -1) / 255


def penguins(setting: Setting) -> dict[str, float]:
    """Palmer penguins, pairs of two species."""
    frame = pd.read_csv(setting.data / "penguins.csv").dropna().reset_index(drop=True)
    auto = sfumato.fit(frame, model="vae", steps=2000, seed=setting.seed, device=setting.device)
    index = pairs(frame["species"].to_numpy(), setting.seed)
    codes = auto.encode(frame)
    told, middles = paths(auto, codes[index[:, 0]], codes[index[:, 1]], codes)
    both = [frame.iloc[index[:, side]].reset_index(drop=True) for side in (0, 1)]
    means = both[0].assign(**((both[0][NUMBERS] + both[1][NUMBERS]) / 2))
    low, high = (frame.groupby("species")[NUMBERS].quantile(level) for level in (REAL / 2, 1 - REAL / 2))

    def valid(rows: pd.DataFrame) -> float:
        values, species = rows[NUMBERS].to_numpy(), rows["species"]
        inside = (values >= low.loc[species].to_numpy()) & (values <= high.loc[species].to_numpy())
        return float(inside.all(1).mean())

    shares = {f"valid middles: {kind}": valid(rows) for kind, rows in middles.items()}
    return told | shares | {"valid: means of rows": valid(means)}
