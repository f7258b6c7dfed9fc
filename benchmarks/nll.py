"""The importance-weighted NLL of MNIST's test split: how long `evaluate` takes, and pythae's `get_nll` beside it.

    python benchmarks/nll.py --peers ~/peers              # a 200-200-50 net, k = 5000, 10,000 pictures
    python benchmarks/nll.py --peers ~/peers --part       # the comparison alone: a minute

Both sides judge the same weights and pictures with the same k on the same threads, by turns. pythae judges a few
pictures, as it takes each by itself, and its time is told for each picture; ours is told for the same few, and for the
whole test split. The answers agree if they differ by less than three errors of the draws, Σ 1/effective draws.
Exit code 1 if a target is missed.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

import sfumato
import sources
from machine import describe
from peers import python_of
from sfumato.batch import Batch
from sfumato.estimator import Autoencoder
from sfumato.evaluation.likelihood.importance import weigh

OPTIONS = {"network": "mlp", "width": 200, "depth": 2, "latent_dim": 50}
MINUTES, FASTER = 10.0, 5.0
ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Few:
    """What one side made of a few pictures: seconds for each, by the clock and on a processor, and their mean NLL."""

    seconds: float
    busy: float
    nll: float
    error: float = 0.0


def ours(auto: Autoencoder, x: torch.Tensor, k: int, seed: int) -> Few:
    """By the streamed weights that `evaluate` reports."""
    start, begun = time.perf_counter(), time.process_time()
    with torch.no_grad():
        found = weigh(auto.model_, Batch(x), k, seed=seed)
    seconds, busy = time.perf_counter() - start, time.process_time() - begun
    # Var of log mean w is Var(w)/(k E[w]²) = 1/effective − 1/k.
    error = float(np.sqrt((1 / found.effective - 1 / k).sum())) / len(x)
    return Few(seconds / len(x), busy / len(x), -float(found.evidence.mean()), error)


def theirs(python: Path, folder: Path, count: int, k: int, threads: int) -> Few:
    """By pythae's `get_nll` with its own chunks of 100, in its own environment."""
    command = [str(python), str(ROOT / "benchmarks" / "peer_pythae_nll.py"), str(folder / "weights.npz")]
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": str(threads)}
    told = [*command, "--k", str(k), "--threads", str(threads)]
    done = subprocess.run(told, check=True, capture_output=True, text=True, env=environment)
    found = json.loads(done.stdout.strip().splitlines()[-1])
    return Few(found["seconds"] / count, found["busy"] / count, found["nll"])


def hand_over(auto: Autoencoder, x: torch.Tensor, folder: Path) -> None:
    """Weights, spec and pictures, for the other environment to read."""
    np.savez(folder / "weights.npz", **{name: value.numpy() for name, value in auto.model_.state_dict().items()})
    (folder / "spec.json").write_text(json.dumps({"spec": auto.schema_.spec.to_dict(), "options": OPTIONS}))
    np.save(folder / "x.npy", x.numpy())


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peers", type=Path, help="folder that holds the peers' environments")
    parser.add_argument("--data", type=Path, help="folder that holds mnist.npz")
    parser.add_argument("--k", type=int, default=5000)
    parser.add_argument("--few", type=int, default=32, help="pictures that both sides judge")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--part", action="store_true", help="leave out the whole test split")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    print(describe())
    path = sources.folder(options.data) / "mnist.npz"
    auto = sfumato.fit(
        path, binarise="stochastic", epochs=options.epochs, batch_size=100, device="cpu", seed=0, **OPTIONS
    )
    data = auto.data_
    assert data is not None
    x = data.test.take(torch.arange(options.few)).x.float()
    missed = []
    if options.peers:
        python = python_of("pythae", options.peers)
        with tempfile.TemporaryDirectory() as name:
            hand_over(auto, x, Path(name))
            mine, peer = [], []
            for repeat in range(options.repeats):
                mine.append(ours(auto, x, options.k, repeat))
                peer.append(theirs(python, Path(name), len(x), options.k, options.threads))
        factor = statistics.median(b.seconds / a.seconds for a, b in zip(mine, peer, strict=True))
        gap = abs(mine[0].nll - peer[0].nll)
        error = 2**0.5 * mine[0].error
        print(f"{options.few} pictures, k = {options.k}, {options.threads} threads, {options.repeats} repeats by turns")
        for name, side in (("sfumato", mine), ("pythae", peer)):
            clock, busy = (statistics.median(getattr(one, what) for one in side) for what in ("seconds", "busy"))
            print(f"  {name:8} {clock:.3f} s a picture, {busy:.3f} s of processor, NLL {side[0].nll:.3f}")
        spared = statistics.median(b.busy / a.busy for a, b in zip(mine, peer, strict=True))
        print(f"  {factor:.1f} times as fast by the clock (target {FASTER:g}), {spared:.1f} by processor")
        print(f"  answers {gap:.3f} apart, error {error:.3f}")
        missed += ["speed"] * (factor < FASTER) + ["agreement"] * (gap > 3 * error)
    if not options.part:
        start, begun = time.perf_counter(), time.process_time()
        found = auto.evaluate(families=("bounds",), k=options.k)
        minutes, busy = (time.perf_counter() - start) / 60, (time.process_time() - begun) / 60
        print(f"{len(data.test):,} test pictures, k = {options.k}, {options.threads} threads")
        print(f"  {minutes:.1f} minutes, of which {busy:.1f} on a processor (target {MINUTES:g})")
        for one in found:
            print(f"  {one.name:20} {one.value:10.3f} ± {one.error or 0:.3f}  {one.unit}")
        missed += ["minutes"] * (minutes > MINUTES)
    print("missed: " + ", ".join(missed) if missed else "all targets met")
    return 1 if missed else 0


if __name__ == "__main__":
    raise SystemExit(main())
