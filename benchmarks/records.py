"""Mixed records: a digit's image, its word as text, and its number; each part from the others, some parts missing."""

from __future__ import annotations

import csv
import tempfile
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image
from sklearn.datasets import load_digits
from sklearn.svm import SVC

import sfumato
from registry import Measure, Setting, system

WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
PARTS = ("image", "word", "number")
TRAIN, STEPS = 1437, 4000
SHARE_MISSING = 0.5


def digits(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """The 1,797 digits of scikit-learn in random order, 8 × 8 pixels from 0 to 255, and which they are."""
    source = load_digits()
    order = np.random.default_rng(seed).permutation(len(source.target))
    return (source.images[order] * (255 / 16)).round().astype(np.uint8), source.target[order]


def written(folder: Path, images: np.ndarray, numbers: np.ndarray, hidden: np.ndarray) -> Path:
    """records.csv and its images in `folder`; of each row the part `hidden` says is left out, −1 for none."""
    (folder / "digits").mkdir(parents=True)
    path = folder / "records.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(PARTS)
        for row, (image, number) in enumerate(zip(images, numbers, strict=True)):
            name = f"digits/{row:04d}.png"
            Image.fromarray(image).save(folder / name)
            cells = [name, WORDS[number], str(number)]
            rows.writerow(["" if part == hidden[row] else cell for part, cell in enumerate(cells)])
    return path


def fitted(folder: Path, setting: Setting, share_missing: float) -> sfumato.Autoencoder:
    """The defaults on the training rows, of which a share lacks one part, drawn at random."""
    images, numbers = digits(setting.seed)
    random = np.random.default_rng(setting.seed)
    hidden = np.where(random.random(TRAIN) < share_missing, random.integers(0, len(PARTS), TRAIN), -1)
    path = written(folder, images[:TRAIN], numbers[:TRAIN], hidden)
    return sfumato.fit(path, kinds={"word": "text"}, steps=STEPS, seed=setting.seed, device=setting.device)


def asked(auto: sfumato.Autoencoder, images: np.ndarray, numbers: np.ndarray, judge: SVC) -> dict[str, float]:
    """Share of test rows whose part is that of the digit, drawn given all other parts and given one of them."""
    rows = pd.DataFrame({"image": list(images), "word": [WORDS[number] for number in numbers], "number": numbers})
    shares = {}
    for wanted in PARTS:
        others = [part for part in PARTS if part != wanted]
        for known in (others, *([part] for part in others)):
            drawn = auto.complete(rows[known], particles=16, seed=0)
            shares[f"{wanted} from {' and '.join(known)}"] = float(np.mean(_digits(drawn, wanted, judge) == numbers))
    return shares


def _digits(drawn: pd.DataFrame, part: str, judge: SVC) -> np.ndarray:
    """Which digit a part says; −1 where it says none."""
    if part == "image":
        return np.asarray(judge.predict(np.stack(list(drawn["image"])).reshape(len(drawn), -1) / 255))
    if part == "word":
        return np.array([WORDS.index(word) if word in WORDS else -1 for word in drawn["word"]])
    return drawn["number"].to_numpy(float)


@cache
def results(setting: Setting, share_missing: float) -> dict[str, float]:
    """`asked` of a model that is trained on such rows."""
    images, numbers = digits(setting.seed)
    judge = SVC(C=10).fit(images[:TRAIN].reshape(TRAIN, -1) / 255, numbers[:TRAIN])
    with tempfile.TemporaryDirectory() as folder:
        auto = fitted(Path(folder) / "data", setting, share_missing)
    found = asked(auto, images[TRAIN:], numbers[TRAIN:], judge)
    real = judge.predict(images[TRAIN:].reshape(len(images) - TRAIN, -1) / 255)
    return found | {"judge of images, on real ones": float(np.mean(real == numbers[TRAIN:]))}


BANDS = {"image from word and number": 0.97, "word from image and number": 0.97, "number from image and word": 0.99}
CASES = tuple(
    f"{wanted} from {known}"
    for wanted, others in (
        ("image", ("word and number", "word", "number")),
        ("word", ("image and number", "image", "number")),
        ("number", ("image and word", "image", "word")),
    )
    for known in others
)


@system(
    "records",
    Measure("judge of images, on real ones"),
    *(Measure(case, low=BANDS.get(case, float("-inf"))) for case in CASES),
    *(Measure(f"{case}, points lost by parts missing", high=2.0) for case in BANDS),
)
def records(setting: Setting) -> dict[str, float]:
    """Test rows whose part is that of their digit; then the same where half of the training rows lack one part."""
    whole, partly = results(setting, 0.0), results(setting, SHARE_MISSING)
    lost = {f"{case}, points lost by parts missing": 100 * (whole[case] - partly[case]) for case in BANDS}
    return whole | lost
