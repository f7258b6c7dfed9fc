"""One short training of every model on one seed, as a digest of its weights and its history.

Two commits train alike, bit for bit, if this prints the same lines on both (on one machine, with one build of torch):

    git worktree add ../before COMMIT
    PYTHONPATH=../before/src OMP_NUM_THREADS=1 python benchmarks/bit_equal.py > before.txt
    PYTHONPATH=src OMP_NUM_THREADS=1 python benchmarks/bit_equal.py > after.txt
    diff before.txt after.txt
"""

from __future__ import annotations

import argparse
import hashlib
import json
import logging
from typing import Any

import numpy as np
import torch

import sfumato
from sfumato import models

STEPS = 40
IMAGES = ("vae_gan", "vq_vae")
LABELS = ("cvae", "m2", "m1_m2")
SEQUENCES = ("td_vae",)
RECORDS = ("multimodal_vae",)


def source(name: str) -> Any:
    """Data of the kind that the model is made for."""
    random = np.random.default_rng(0)
    if name in SEQUENCES:  # without an option it would be read as images
        return random.normal(size=(60, 8, 2)).cumsum(1)
    if name in IMAGES:
        return random.integers(0, 256, size=(120, 12, 12), dtype=np.uint8)
    if name in RECORDS:
        return {"number": random.normal(size=90), "word": ["ab", "bca", "c"] * 30}
    x = random.normal(size=(200, 2)) @ random.normal(size=(2, 5)) + 0.1 * random.normal(size=(200, 5))
    return (x, (x[:, 0] > 0).astype(int)) if name in LABELS else x


def digest(name: str) -> tuple[str, str]:
    """SHA-256 of the trained weights, and of the history but for the time it took."""
    kind: dict[str, Any] = {"sequences": True} if name in SEQUENCES else {}
    kind |= {"kinds": {"word": "text"}} if name in RECORDS else {}
    auto = sfumato.fit(source(name), model=name, steps=STEPS, seed=0, device="cpu", **kind)
    weights = hashlib.sha256()
    for key, tensor in sorted(auto.model_.state_dict().items()):
        weights.update(key.encode())
        weights.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    lines = [{key: value for key, value in line.items() if key != "seconds"} for line in auto.history_.lines]
    history = hashlib.sha256(json.dumps(lines, sort_keys=True, default=str).encode())
    return weights.hexdigest()[:16], history.hexdigest()[:16]


def main() -> None:
    """Print a line for each model."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("names", nargs="*", help="models; all unless given")
    logging.getLogger("sfumato").setLevel(logging.ERROR)
    for name in parser.parse_args().names or models.names():
        weights, history = digest(name)
        print(f"{name:20} weights {weights}  history {history}", flush=True)


if __name__ == "__main__":
    main()
