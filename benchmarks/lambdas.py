"""The λ of the Wasserstein autoencoder: a small one leaves codes where the prior draws none, a large one empties them.

python benchmarks/lambdas.py --data DIR
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import sfumato
from doctor import DIGITS, MOONS, PENGUINS, mnist
from machine import describe

GRID: tuple[tuple[str, Any, dict[str, Any], tuple[float, ...]], ...] = (
    ("moons", MOONS, {}, (20, 100, 320, 1000)),
    ("penguins", PENGUINS, {}, (20, 112, 320, 1000)),
    ("8×8 digits", DIGITS, {}, (32, 100, 320, 1000, 3000)),
    ("5,000 digits of MNIST", mnist(5000), {"likelihood": "bernoulli", "epochs": 20}, (112, 400, 1000)),
)
MEASURES = ("MMD² of codes and prior", "active units", "coverage", "distortion", "rate")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--seed", type=int, default=0)
    told = parser.parse_args()
    print(describe(), f"seed {told.seed}\n", sep="\n")
    print(f"| data | λ | {' | '.join(MEASURES)} | doctor |\n|---|---|{'---|' * (len(MEASURES) + 1)}")
    for name, source, options, weights in GRID:
        for lam in weights:
            auto = sfumato.fit(source(told.data), model="wae", lam=float(lam), seed=told.seed, **options)
            found = {one.name: one.value for one in auto.evaluate(seed=told.seed)}
            cells = [f"{found[measure]:.3g}" if measure in found else "–" for measure in MEASURES]
            first = auto.diagnose()[0].name.replace("_", " ")
            print(f"| {name} | {lam:g} | {' | '.join(cells)} | {first} |", flush=True)


if __name__ == "__main__":
    main()
