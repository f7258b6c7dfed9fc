"""Files that a model writes, beside what they take without one: digits, a census, molecules."""

from __future__ import annotations

import io
import lzma
import os
import subprocess
import sys
import tempfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

import sfumato
import sources
from registry import Measure, Setting, system

TRAINED, PACKED = 20_000, 2_000
"""Digits that are trained on, and those of the test split that are compressed."""
STEPS = 3_000
DECODE = """
import sys, torch, sfumato
torch.set_num_threads(2)
sfumato.load(sys.argv[1], device="cpu").decompress(sys.argv[2], sys.argv[3])
"""


def measures(name: str, *more: Measure, ratio: float = 1.02) -> tuple[Measure, ...]:
    """What is measured of one set."""
    return (
        Measure(f"{name}: comes back in another process, 2 threads", low=1.0),
        Measure(f"{name}: coded bits / −ELBO", high=ratio),
        Measure(f"{name}: bits an example"),
        *more,
        Measure(f"{name}: file / xz", "xz of the same", high=1.0),
        Measure(f"{name}: file / zlib", "zlib of the same", high=1.0),
    )


@system(
    "compression-binary",
    *measures("binary digits", Measure("binary digits: bits a pixel", high=0.18), Measure("binary digits: file / PNG")),
)
def binary(setting: Setting) -> dict[str, float]:
    """MNIST drawn to black and white once, by intensity; a `vae` of the defaults, 3,000 steps on 20,000 images."""
    noise = np.random.default_rng(setting.seed)
    train, test = ((noise.integers(0, 255, part.shape) < part).astype(np.uint8) for part in digits(setting))
    found = packed("binary digits", setting, train, test, lambda run, file: np.load(file), {})
    return found | pixels("binary digits", found, test, 255 * test)


@system(
    "compression-grey",
    *measures("grey digits", Measure("grey digits: bits a pixel"), Measure("grey digits: file / PNG", high=1.0)),
)
def grey(setting: Setting) -> dict[str, float]:
    """MNIST of 256 levels; a `vae` with the likelihood logistic_mixture, 3,000 steps on 20,000 images."""
    train, test = digits(setting)
    options = {"likelihood": "logistic_mixture"}
    found = packed("grey digits", setting, train, test, lambda run, file: np.load(file), options)
    return found | pixels("grey digits", found, test, test)


@system("compression-adult", *measures("adult"))
def adult(setting: Setting) -> dict[str, float]:
    """The census; a `vae` of the defaults, 3,000 steps; rows of the test file, all columns."""
    train = pd.read_csv(setting.data / "adult_train.csv")
    test = pd.read_csv(setting.data / "adult_test.csv").head(PACKED)
    return packed("adult", setting, train, test, lambda run, file: pd.read_csv(file), {})


@system("compression-smiles", *measures("molecules"))
def molecules(setting: Setting) -> dict[str, float]:
    """Lines of text; a `vae` of the defaults with 0.25 free bits, 3,000 steps on 20,000 lines."""
    train, test = ((setting.data / f"smiles_{part}.txt").read_text().split() for part in ("train", "test"))
    options = {"free_bits": 0.25}
    read = lambda run, file: Path(file).read_text().split()  # noqa: E731
    return packed("molecules", setting, train[:TRAINED], test[: PACKED // 4], read, options)


def digits(setting: Setting) -> tuple[np.ndarray, np.ndarray]:
    """Images to train on and to compress."""
    parts = sources.digits(setting.data / "mnist.npz")
    return parts["x_train"][:TRAINED], parts["x_test"][:PACKED]


def packed(
    name: str, setting: Setting, train: Any, test: Any, read: Callable[[Any, str], Any], options: dict[str, Any]
) -> dict[str, float]:
    """Train, compress, decode in another process, and compare with the standard library."""
    with tempfile.TemporaryDirectory() as folder:
        run, file = f"{folder}/run", f"{folder}/packed.sfz"
        auto = sfumato.fit(train, model="vae", steps=STEPS, seed=setting.seed, run=run, **options)
        ending = {np.ndarray: ".npy", pd.DataFrame: ".csv"}.get(type(test), ".txt")
        back = f"{folder}/back{ending}"
        result = auto.compress(test, file)
        threads = {"OMP_NUM_THREADS": "2", "MKL_NUM_THREADS": "2"}
        subprocess.run([sys.executable, "-c", DECODE, run, file, back], check=True, env=os.environ | threads)
        same = read(run, back)
    plain = as_bytes(test)
    return {
        f"{name}: comes back in another process, 2 threads": float(equal(same, test)),
        f"{name}: coded bits / −ELBO": result.coded / result.bound,
        f"{name}: bits an example": 8 * result.size / len(test),
        f"{name}: file / xz": result.size / len(lzma.compress(plain, preset=9 | lzma.PRESET_EXTREME)),
        f"{name}: file / zlib": result.size / len(zlib.compress(plain, 9)),
    }


def pixels(name: str, found: dict[str, float], test: np.ndarray, shown: np.ndarray) -> dict[str, float]:
    """Bits a pixel, and the file beside one PNG of all images (of one bit a pixel where these are of two levels)."""
    sheet = Image.fromarray(np.asarray(shown, np.uint8).reshape(-1, shown.shape[2]))
    memory = io.BytesIO()
    (sheet if test.max() > 1 else sheet.convert("1")).save(memory, "PNG", optimize=True)
    size = found[f"{name}: bits an example"]
    return {
        f"{name}: bits a pixel": size / test[0].size,
        f"{name}: file / PNG": size * len(test) / 8 / len(memory.getvalue()),
    }


def as_bytes(test: Any) -> bytes:
    """What other compressors are given: packed bits of images of two levels, bytes of others, text."""
    if isinstance(test, np.ndarray):
        return np.packbits(test).tobytes() if test.max() <= 1 else test.tobytes()
    if isinstance(test, pd.DataFrame):
        return test.to_csv(index=False).encode()
    return "".join(f"{line}\n" for line in test).encode()


def equal(first: Any, second: Any) -> bool:
    """Whether all values are the same."""
    if isinstance(second, pd.DataFrame):
        return bool(first.equals(second.reset_index(drop=True)))
    return bool(np.array_equal(first, second))
