"""The step of every model beside a hand-written loop of the same mathematics.

    python benchmarks/speed_models.py                     # all models, one thread
    python benchmarks/speed_models.py vae_gan factor_vae

784-256-256-16 on 28 × 28 pictures, batch 128, unless the model wants other data. Repeats are interleaved and
medians compared; the target is a ratio of at most 1.15. Exit code 1 if one is missed.
"""

from __future__ import annotations

import argparse
import time

import torch
from torch import Tensor

import hand_models
from machine import describe
from sfumato.data.core.batching.batches import Resident
from sfumato.models import build
from sfumato.models.base import Model
from sfumato.spec import DataSpec, Field
from sfumato.training import Settings, fit
from speed import interleaved, line

TARGET = 1.15
PICTURE = DataSpec((1, 28, 28), (Field("level", 256),), likelihood="mse", examples=10_000)
GIVEN = DataSpec((1, 28, 28), (Field("level", 256),), (Field("category", 10),), likelihood="mse", examples=10_000)
TABLE = DataSpec((20,), (Field("real"),), examples=10_000)
SERIES = DataSpec((20, 4), (Field("real"),), examples=10_000)
SETTINGS: dict[str, tuple[DataSpec, dict[str, object], int]] = {
    "vae": (PICTURE, {}, 300),
    "beta_vae": (PICTURE, {"beta": 4.0}, 300),
    "cvae": (GIVEN, {}, 300),
    "info_vae": (PICTURE, {}, 200),
    "m2": (GIVEN, {"lead": 0, "smoothness": 0.0}, 40),
    "m1_m2": (GIVEN, {"lead": 0, "smoothness": 0.0}, 40),
    "wae": (PICTURE, {}, 200),
    "beta_tcvae": (PICTURE, {}, 150),
    "factor_vae": (PICTURE, {}, 200),
    "vae_gan": (PICTURE, {"network": "mlp"}, 100),
    "sparse_vae": (PICTURE, {"spike_steps": 0, "slab_steps": 0}, 200),
    "sparse_decoder_vae": (TABLE, {}, 150),
    "vq_vae": (PICTURE, {"network": "conv", "width": 16, "prior_dropout": 0.0}, 12),
    "hierarchical_vae": (PICTURE, {"network": "mlp", "warmup": 0}, 150),
    "td_vae": (SERIES, {"warmup": 0, "waves": 0, "prediction": 0.0, "sigma": 0.3, "pairs": 2}, 100),
}
"""Data, options and steps of each model."""


def made(name: str, rows: int = 10_000, width: int = 256) -> tuple[Model, Tensor, Tensor | None]:
    """The built model of seed 0 and its data."""
    torch.manual_seed(0)
    spec, options, _ = SETTINGS[name]
    model = build(name, spec, **{"width": width, "depth": 2, "latent_dim": 16, **options})
    pixels = spec.fields[0].kind == "level"
    x = torch.randint(0, 256, (rows, *spec.shape), dtype=torch.uint8) if pixels else torch.randn(rows, *spec.shape)
    given = torch.randint(0, 10, (rows, 1)).float() if spec.given else None
    if given is not None and name in ("m2", "m1_m2"):
        given[torch.rand(rows) < 0.9] = torch.nan
    return model, x, given


def fit_seconds(name: str, batch: int) -> float:
    """Wall seconds of `fit` of the built model."""
    model, x, given = made(name)
    steps = SETTINGS[name][2]
    settings = Settings(steps=steps, batch_size=batch, lr=1e-3, schedule="constant", device="cpu")
    data = Resident(x, given)
    start = time.perf_counter()
    fit(model, data, settings=settings)
    return time.perf_counter() - start


def hand_seconds(name: str, batch: int) -> float:
    """Wall seconds of the hand-written loop on the same layers."""
    model, x, given = made(name)
    if name == "vq_vae":  # k-means once, which `fit` does in its first step
        start = time.perf_counter()
        with torch.no_grad():
            model.train().quantizer(model.encoder(x[:batch], None))
        begun = time.perf_counter() - start
    else:
        begun = 0.0
    start = time.perf_counter()
    hand_models.train(name, model, x, given, steps=SETTINGS[name][2], batch=batch)
    return time.perf_counter() - start + begun


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"any of {', '.join(SETTINGS)}; all if none is named")
    parser.add_argument("--repeats", type=int, default=5, help="turns after the first (default 5)")
    parser.add_argument("--threads", type=int, default=1, help="threads of both sides (default 1)")
    options = parser.parse_args()
    unknown = [name for name in options.names if name not in SETTINGS]
    if unknown:
        parser.error(f"name some of {', '.join(SETTINGS)}, not {unknown[0]}")
    torch.set_num_threads(options.threads)
    print(describe() + "\n\n| model: fit, hand (ms a step) | ratio | target | |\n|---|---|---|---|", flush=True)
    held, batch = True, 128
    for name in options.names or SETTINGS:
        sides = {"fit": lambda: fit_seconds(name, batch), "hand": lambda: hand_seconds(name, batch)}  # noqa: B023
        found = interleaved(sides, options.repeats)
        each = {side: seconds / SETTINGS[name][2] * 1e3 for side, seconds in found.items()}
        ratio = found["fit"] / found["hand"]
        what = f"{name}: {each['fit']:.2f}, {each['hand']:.2f}"
        held &= line(what, f"{ratio:.3f}", f"≤ {TARGET}", ratio <= TARGET)
    raise SystemExit(int(not held))


if __name__ == "__main__":
    main()
