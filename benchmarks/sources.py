"""Where the benchmarks' data sets lie, and their examples as Batches."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from sfumato.data.core.batching.batches import Batches, Resident
from sfumato.data.core.batching.transforms import Binarised


def folder(chosen: Path | None = None) -> Path:
    """The folder of data sets: the one chosen, else $SFUMATO_DATA, else ../shared/data beside the project."""
    default = Path(__file__).resolve().parents[2] / "shared" / "data"
    return chosen or Path(os.environ.get("SFUMATO_DATA", default))


@cache
def digits(path: Path) -> dict[str, np.ndarray]:
    """x_train, y_train, x_test, y_test of an .npz in MNIST's form."""
    if not path.exists():
        raise SystemExit(f"{path} is missing: put MNIST's (or Fashion-MNIST's) .npz there, or name it with --data")
    with np.load(path) as held:
        return {name: held[name] for name in ("x_train", "y_train", "x_test", "y_test")}


def pictures(x: np.ndarray) -> Tensor:
    """(N, H, W) to (N, 1, H, W), uint8."""
    return torch.from_numpy(x).unsqueeze(1)


def mean_of(part: Batches, chunk: int = 5000) -> Tensor:
    """The mean of x over a part, shape of x."""
    return sum(batch.x.sum(0, dtype=torch.float64) for batch in part.epoch(chunk)).float() / len(part)


def grey(path: Path, held_out: int = 5000) -> tuple[Resident, Resident, Resident]:
    """Training, validation (its last `held_out` examples) and test, as grey levels."""
    found = digits(path)
    x, test = pictures(found["x_train"]), pictures(found["x_test"])
    return Resident(x[:-held_out]), Resident(x[-held_out:]), Resident(test)


def binary(path: Path) -> tuple[Resident, Resident]:
    """All training examples binarised afresh at every pass; test examples binarised once."""
    found = digits(path)
    return tuple(Resident(pictures(found[name]), transform=Binarised(256)) for name in ("x_train", "x_test"))
