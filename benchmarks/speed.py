"""Speed, side by side in one run: `fit`, a hand-written loop, pythae, the machine's matrix products, and TVAE.

    python benchmarks/speed.py --peers ~/peers            # makes the peers' environments if they are not there
    python benchmarks/speed.py                            # without peers
    python benchmarks/speed.py --peers ~/peers --adult    # also TVAE on Adult: a quarter of an hour, once

Everything, peers too, runs on one thread unless --threads says otherwise. Repeats are interleaved, so that a busy
moment of the machine falls on all sides alike, and medians are compared. Exit code 1 if a target is missed.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

import hand
import sources
from machine import describe
from peers import python_of
from sfumato.data.core.batching.batches import Resident
from sfumato.models import build
from sfumato.spec import DataSpec, Field
from sfumato.training import Settings, fit

WIDTH, DEPTH, LATENT = 512, 2, 16
PICTURE = DataSpec((1, 28, 28), (Field("level", 256),), likelihood="mse", examples=60_000)
POINT = DataSpec((2,), (Field("real"),), likelihood="gaussian", examples=10_000)
TARGETS = {"hand": 1.10, "pythae": 1.8, "matrix": 0.85}


def digits(folder: Path) -> Tensor:
    """MNIST's training digits, (60000, 1, 28, 28) uint8; noise of the same size where the file is absent."""
    path = folder / "mnist.npz"
    if path.exists():
        return sources.pictures(sources.digits(path)["x_train"])
    return torch.randint(0, 256, (60_000, 1, 28, 28), dtype=torch.uint8)


def fit_seconds(spec: DataSpec, x: Tensor, *, steps: int, batch: int, width: int, latent: int) -> float:
    """Wall seconds of `fit`, from a built model to its best weights, for one pass schedule of `steps`."""
    model = build("vae", spec, network="mlp", width=width, depth=DEPTH, latent_dim=latent)
    settings = Settings(steps=steps, batch_size=batch, lr=1e-3, schedule="constant", device="cpu")
    start = time.perf_counter()
    fit(model, Resident(x), settings=settings)
    return time.perf_counter() - start


def hand_seconds(x: Tensor, *, steps: int, batch: int, width: int, latent: int, pixels: bool) -> float:
    """Wall seconds of the hand-written loop on the same network."""
    flat = x.flatten(1)
    model = hand.HandVAE(flat.shape[1], width, DEPTH, latent, pixels=pixels)
    start = time.perf_counter()
    hand.train(model, flat, steps=steps, batch=batch)
    return time.perf_counter() - start


def products(batch: int) -> list[tuple[Tensor, Tensor]]:
    """The matrix products of one step, laid out as linear layers hold them.

    Forward, and backward to the weights and (but for the first layer) to the inputs.
    """
    sizes = [(784, WIDTH), (WIDTH, WIDTH), (WIDTH, 2 * LATENT), (LATENT, WIDTH), (WIDTH, WIDTH), (WIDTH, 784)]
    found = []
    for layer, (before, after) in enumerate(sizes):
        x, weight, gradient = torch.randn(batch, before), torch.randn(after, before), torch.randn(batch, after)
        found += [(x, weight.T), (gradient.T, x)]
        if layer:
            found.append((gradient, weight))
    return found


def operations(batch: int) -> float:
    """Floating-point operations of one step's matrix products."""
    return sum(2.0 * a.shape[0] * a.shape[1] * b.shape[1] for a, b in products(batch))


def matrix_seconds(batch: int, repeats: int) -> float:
    """Wall seconds of one step's matrix products and nothing else."""
    pairs = products(batch)
    start = time.perf_counter()
    for _ in range(repeats):
        for a, b in pairs:
            torch.matmul(a, b)
    return (time.perf_counter() - start) / repeats


def pythae_rate(python: Path, x: Tensor, batch: int) -> float:
    """Examples a second of pythae's trainer, in its own environment and process."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "pictures.npy"
        np.save(path, x[:20_000].numpy())
        script = Path(__file__).with_name("peer_pythae.py")
        command = [str(python), str(script), str(path), "--batch", str(batch)]
        environment = {**os.environ, "OMP_NUM_THREADS": str(torch.get_num_threads())}
        told = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    return float(json.loads(told.stdout.splitlines()[-1])["rate"])


def interleaved(sides: dict[str, Callable[[], float]], repeats: int) -> dict[str, float]:
    """The median of each side, measured in turns after one turn of warming up."""
    found: dict[str, list[float]] = {name: [] for name in sides}
    for turn in range(repeats + 1):
        for name, side in sides.items():
            value = side()
            if turn:
                found[name].append(value)
    return {name: statistics.median(values) for name, values in found.items()}


def line(what: str, value: str, target: str, held: bool | None) -> bool:
    """Print one row; False if its target is missed."""
    print(
        f"| {what} | {value} | {target} | {'' if held is None else 'held' if held else 'missed'} |",
        flush=True,
    )
    return held is not False


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder of data sets (default $SFUMATO_DATA or ../shared/data)")
    parser.add_argument("--peers", type=Path, help="folder of the peers' environments, made if absent")
    parser.add_argument("--adult", action="store_true", help="also TVAE on Adult")
    parser.add_argument("--cache", type=Path, default=Path.home() / ".cache" / "sfumato-benchmarks")
    parser.add_argument("--repeats", type=int, default=7, help="turns after the first (default 7)")
    parser.add_argument("--threads", type=int, default=1, help="threads of every side (default 1)")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    folder = sources.folder(options.data)
    x = digits(folder)
    points = torch.randn(10_000, 2)
    print(describe() + "\n\n| what | measured | target | |\n|---|---|---|---|")

    steps, batch = 400, 128
    mnist = {"steps": steps, "batch": batch, "width": WIDTH, "latent": LATENT}
    sides = {
        "fit": lambda: fit_seconds(PICTURE, x, **mnist),
        "hand": lambda: hand_seconds(x, pixels=True, **mnist),
    }
    if options.peers:
        python = python_of("pythae", options.peers)
        sides["pythae"] = lambda: steps * batch / pythae_rate(python, x, batch)
    found = interleaved(sides, options.repeats)
    rate = {name: steps * batch / seconds for name, seconds in found.items()}
    ratio = found["fit"] / found["hand"]
    what = f"784-{WIDTH}-{WIDTH}-{LATENT}, batch {batch}"
    for name, value in rate.items():
        line(f"{what}: {name}", f"{value:,.0f} examples/s", "", None)
    held = line(f"{what}: time of fit over hand", f"{ratio:.3f}", f"≤ {TARGETS['hand']}", ratio <= TARGETS["hand"])
    if "pythae" in rate:
        gain = rate["fit"] / rate["pythae"]
        target = TARGETS["pythae"]
        held &= line(f"{what}: examples/s of fit over pythae", f"{gain:.2f}", f"≥ {target}", gain >= target)

    batch, steps = 1024, 60
    large = {"steps": steps, "batch": batch, "width": WIDTH, "latent": LATENT}
    sides = {
        "fit": lambda: fit_seconds(PICTURE, x, **large) / steps,
        "matmul": lambda: matrix_seconds(batch, steps // 3),
    }
    found = interleaved(sides, options.repeats)
    speed = {name: operations(batch) / seconds / 1e9 for name, seconds in found.items()}
    share = speed["fit"] / speed["matmul"]
    line(f"batch {batch}: torch.matmul at the layers' shapes", f"{speed['matmul']:.1f} GFLOP/s", "", None)
    line(f"batch {batch}: matrix products of fit", f"{speed['fit']:.1f} GFLOP/s", "", None)
    target = TARGETS["matrix"]
    held &= line(f"batch {batch}: fit over matmul", f"{share:.3f}", f"≥ {target}", share >= target)

    steps, batch = 2000, 128
    small = {"steps": steps, "batch": batch, "width": 64, "latent": 2}
    sides = {
        "fit": lambda: fit_seconds(POINT, points, **small),
        "hand": lambda: hand_seconds(points, pixels=False, **small),
    }
    found = interleaved(sides, options.repeats)
    for name, seconds in found.items():
        line(f"2-64-64-2, batch {batch}: {name}", f"{seconds / steps * 1e3:.3f} ms a step", "", None)
    ratio = found["fit"] / found["hand"]
    held &= line(
        f"2-64-64-2, batch {batch}: time of fit over hand",
        f"{ratio:.3f}",
        f"≤ {TARGETS['hand']}",
        ratio <= TARGETS["hand"],
    )
    if options.adult:
        held &= adult(folder, options.peers, options.cache)
    raise SystemExit(int(not held))


def adult(folder: Path, peers: Path | None, cache: Path) -> bool:
    """TVAE on Adult against sfumato, as in the acceptance run `adult`, one seed."""
    from census import adult as entry
    from registry import HEADER, Setting, rows, timed

    result, seconds = timed(entry.run, Setting(0, "cpu", folder, peers, cache))
    lines = rows(entry, [result], [seconds])
    print("\n" + HEADER + "\n" + "\n".join(lines), flush=True)
    return not any("| missed |" in text for text in lines)


if __name__ == "__main__":
    main()
