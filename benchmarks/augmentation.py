"""Rare classes: a classifier on real rows as they are, weighted, repeated, interpolated (SMOTE), and augmented."""

from __future__ import annotations

import numpy as np
import pandas as pd

from registry import Measure, Setting, system
from sfumato.data.core.labels import Examples
from sfumato.studies.augmentation import SPLIT
from sfumato.studies.augmentation_check import AUGMENTED, NOTHING, Labelled, compare_ways
from sources import digits

WAYS = (NOTHING, "class weights", "oversampling", "SMOTE", AUGMENTED)
RARE, MANY = 200, 5000
"""Rows of each class of adult."""
CUT, KEPT, TESTED = 50, 500, 4000
"""Images of two classes of clothes, of each of the others, and those that are tested."""
SHIRT, BAG = 6, 8


def measures(names: tuple[str, ...]) -> tuple[Measure, ...]:
    """Of each name each way."""
    return tuple(Measure(f"{name}: {way}") for name in names for way in WAYS)


def named(names: tuple[str, ...], ways: dict[str, dict[str, float]]) -> dict[str, float]:
    """The values of `measures`; a name is that of a set and that of a measure."""
    return {f"{name}: {way}": ways[way][name.split(", ")[1]] for name in names for way in WAYS}


ADULT = ("adult, balanced accuracy", "adult, average precision", "adult, F1")
PENGUINS = ("penguins, balanced accuracy", "penguins, F1")
CLOTHES = ("clothes, balanced accuracy", "clothes, average precision", "clothes, F1")


@system("augmentation-adult", *measures(ADULT))
def adult(setting: Setting) -> dict[str, float]:
    """200 rows of >50K and 5,000 of ≤50K of adult's training file, tested on its test file; boosted trees."""
    train, test = (pd.read_csv(setting.data / f"adult_{part}.csv") for part in ("train", "test"))
    test["income"] = test["income"].str.strip(". ")
    classes = ["<=50K", ">50K"]
    parts = [
        train[train["income"] == label].sample(size, random_state=setting.seed)
        for label, size in zip(classes, (MANY, RARE), strict=True)
    ]
    return _tables(ADULT, pd.concat(parts), test, "income", classes, setting)


@system("augmentation-penguins", *measures(PENGUINS))
def penguins(setting: Setting) -> dict[str, float]:
    """Half of the penguins with 10 Chinstrap, tested on the other half; boosted trees."""
    frame = pd.read_csv(setting.data / "penguins.csv").sample(frac=1, random_state=setting.seed)
    train, test = frame[: len(frame) // 2], frame[len(frame) // 2 :]
    rare = train["species"] == "Chinstrap"
    train = pd.concat([train[~rare], train[rare][:10]])
    return _tables(PENGUINS, train, test, "species", sorted(frame["species"].unique()), setting)


def _tables(
    names: tuple[str, ...], train: pd.DataFrame, test: pd.DataFrame, target: str, classes: list[str], setting: Setting
) -> dict[str, float]:
    real, tested = (
        Labelled(frame.reset_index(drop=True), frame[target].map(classes.index).to_numpy()) for frame in (train, test)
    )
    how = {"model": "cvae", "given": target, "split": SPLIT, "seed": setting.seed, "device": setting.device}
    return named(names, compare_ways(real, tested, target, classes, **how))


@system("augmentation-clothes", *measures(CLOTHES))
def clothes(setting: Setting) -> dict[str, float]:
    """Fashion-MNIST with 500 images a class, shirts and bags cut to 50, tested on 4,000; a support vector machine."""
    x, y, x_test, y_test = digits(setting.data / "fashion_mnist.npz").values()
    noise = np.random.default_rng(setting.seed)
    sizes = [CUT if label in (SHIRT, BAG) else KEPT for label in range(10)]
    rows = np.concatenate([noise.permutation(np.flatnonzero(y == label))[:size] for label, size in enumerate(sizes)])
    real = Labelled(Examples(x[rows], y[rows]), y[rows].astype(int))
    tested = Labelled(Examples(x_test[:TESTED], y_test[:TESTED]), y_test[:TESTED].astype(int))
    how = {"model": "cvae", "given": "label", "split": SPLIT, "seed": setting.seed, "device": setting.device}
    return named(CLOTHES, compare_ways(real, tested, "label", list(range(10)), **how))
