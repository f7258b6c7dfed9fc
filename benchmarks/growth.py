"""Cost as data grows: seconds an example and peak memory of a streamed fit, from 10^4 to 10^7 rows of 20 floats.

    python benchmarks/growth.py                       # up to 10^7 rows, 800 MB in the temporary folder
    python benchmarks/growth.py --rows 10000 100000

Each size is a process of its own, so that its peak of resident memory is its own.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from numpy.lib.format import open_memmap

COLUMNS, CHUNK, LIMIT_GB = 20, 100_000, 2.0
ROWS = (10**4, 10**5, 10**6, 10**7)
STEPS, BATCH = 2000, 1024
"""At least so many steps, and at least one whole pass over the rows."""


def write(path: Path, rows: int, seed: int = 0) -> None:
    """A float32 table with dependent columns, made a chunk at a time."""
    noise = np.random.default_rng(seed)
    mixing = noise.normal(size=(4, COLUMNS)).astype(np.float32)
    table = open_memmap(path, mode="w+", dtype=np.float32, shape=(rows, COLUMNS))
    for start in range(0, rows, CHUNK):
        count = min(CHUNK, rows - start)
        hidden = noise.standard_normal((count, 4), dtype=np.float32)
        table[start : start + count] = hidden @ mixing + 0.1 * noise.standard_normal((count, COLUMNS), dtype=np.float32)
    table.flush()


def measure(path: Path) -> dict[str, float]:
    """Seconds to open, seconds an example to fit, and peak resident memory in GB, all in this process."""
    from sfumato import data
    from sfumato.data.core.options import DataOptions
    from sfumato.models import build
    from sfumato.training import Settings, fit

    start = time.perf_counter()
    found = data.open(path, options=DataOptions(streaming="yes"))
    opened = time.perf_counter() - start
    model = build("vae", found.schema.spec, latent_dim=8, width=64, depth=2)
    steps = max(STEPS, -(-len(found.train) // BATCH))
    for count in (100, steps):
        start = time.perf_counter()
        settings = Settings(steps=count, batch_size=BATCH, validate_every=count, device="cpu")
        fit(model, found.train, settings=settings)
        seconds = time.perf_counter() - start
    unit = 1e6 if sys.platform != "darwin" else 1e9
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
    return {"open": opened, "example": seconds / (steps * BATCH), "peak": peak}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=ROWS, help="numbers of rows")
    parser.add_argument("--one", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(measure(options.one)))
        return
    from machine import describe

    print(describe() + "\n")
    print(f"| rows × {COLUMNS} | open (s) | fit (µs an example) | peak memory (GB) |\n|---|---|---|---|")
    found = []
    for rows in options.rows:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "table.npy"
            write(path, rows)
            told = subprocess.run(
                [sys.executable, __file__, "--one", str(path)], check=True, capture_output=True, text=True
            )
        found.append(json.loads(told.stdout.splitlines()[-1]))
        last = found[-1]
        print(
            f"| {rows:,} | {last['open']:.1f} | {last['example'] * 1e6:.2f} | {last['peak']:.2f} |",
            flush=True,
        )
    slowest, fastest = (pick(one["example"] for one in found) for pick in (max, min))
    peak = max(one["peak"] for one in found)
    held = "held" if peak < LIMIT_GB and slowest < 1.25 * fastest else "missed"
    print(
        f"\nslowest over fastest {slowest / fastest:.2f} (flat: below 1.25), "
        f"peak {peak:.2f} GB (below {LIMIT_GB:g}): {held}"
    )


if __name__ == "__main__":
    main()
