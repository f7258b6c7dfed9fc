"""Steps a second with one thread, with all, and with the number that is chosen; alone and beside a busy process.

Steps are those of a training, and trees those of the classifiers by which samples are judged.

Every cell is the median over `--rounds` trainings of `--seconds` each, one number of threads after the other. The busy
processes do nothing but hold a core each.

    python benchmarks/threads.py
    python benchmarks/threads.py --rounds 5 --only table conv
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any
from unittest.mock import patch

import sfumato  # before torch, as it says how torch's threads wait

# isort: split

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from sfumato.evaluation.metrics import classifiers
from sfumato.training.hardware import threads
from sfumato.training.monitoring.callbacks import Callback

SPIN = "while True: pass"


def lending(rows: int = 7885) -> pd.DataFrame:
    """A table like one of loans: 23 columns, of amounts, rates and codes."""
    random = np.random.default_rng(0)
    hidden = random.normal(size=(rows, 3))
    numbers = {f"amount_{k}": np.exp(hidden @ random.normal(size=3) + random.normal(size=rows)) for k in range(12)}
    codes = {f"code_{k}": random.choice(list("abcdefghij"), rows) for k in range(11)}
    return pd.DataFrame(numbers | codes)


def series(rows: int = 1000) -> np.ndarray:
    """Sine waves of 24 steps that begin anywhere."""
    return np.sin(np.arange(24) + np.random.default_rng(0).uniform(0, 6, (rows, 1)))


SOURCES: dict[str, tuple[Callable[[], Any], dict[str, Any]]] = {
    "table": (lending, {}),
    "digits, mlp": (lambda: "digits", {"network": "mlp"}),
    "digits, conv": (lambda: "digits", {"network": "conv"}),
    "digits, conv, wide": (lambda: "digits", {"network": "conv", "width": 64}),
    "series": (series, {"model": "td_vae", "sequences": True}),
}


class Count(Callback):
    """Steps a second from the first line of metrics on, which is past the warm-up."""

    def __init__(self) -> None:
        self.lines: list[tuple[int, float]] = []

    def on_log(self, model: Any, line: Any) -> None:
        self.lines.append((line["step"], line["seconds"]))

    @property
    def rate(self) -> float:
        (first, begun), (last, ended) = self.lines[0], self.lines[-1]
        return (last - first) / max(ended - begun, 1e-9) if last > first else last / ended


def rate(source: Any, options: dict[str, Any], number: int | None, seconds: float) -> float:
    """Steps a second with `number` threads; None is left to training."""
    count = Count()

    def fixed(self: threads.Threads, *args: Any) -> None:
        made(self, *args)
        self.chosen, self._candidates = number or 1, [number or 1]

    made = threads.Threads.__init__
    with patch.object(threads.Threads, "__init__", made if number is None else fixed):
        limit = {"max_time": f"{seconds}s", "epochs": 10**6, "patience": 0, "validate_every": 20}
        sfumato.fit(source, callbacks=[count], **limit, **options)
    return count.rate


TREES = {"trees, 300 × 8": (300, 8), "trees, 20,000 × 15": (20_000, 15), "trees, 200,000 × 15": (200_000, 15)}
"""Rows and columns that trees learn from."""


def tree_rate(shape: tuple[int, int], number: int | None, seconds: float) -> float:
    """Trees a second with `number` threads; None is left to the classifier."""
    random = np.random.default_rng(0)
    rows = random.normal(size=shape)
    classes = (rows[:, 0] + random.normal(size=len(rows)) > 0).astype(int)
    trees, begun = 0, time.perf_counter()
    with patch.object(
        classifiers,
        "tree_threads",
        classifiers.tree_threads if number is None else lambda rows: threadpool_limits(number, user_api="openmp"),
    ):
        while time.perf_counter() < begun + seconds:
            classifiers.predict(rows, classes, rows[:10], 2, iterations=10)
            trees += 10
    return trees / (time.perf_counter() - begun)


@contextmanager
def beside(busy: int) -> Iterator[None]:
    """So many processes hold a core each."""
    running = [subprocess.Popen([sys.executable, "-c", SPIN]) for _ in range(busy)]
    try:
        yield
    finally:
        for process in running:
            process.kill()
            process.wait()


def main(words: Sequence[str] | None = None) -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", nargs="*", default=[], help="parts of names of sources")
    told = parser.parse_args(words)
    numbers: tuple[int | None, ...] = (1, os.cpu_count(), None)
    print(f"a second with {numbers[0]} thread, {numbers[1]} threads, and as chosen; best ÷ chosen")
    for name in (*SOURCES, *TREES):
        if told.only and not any(part in name for part in told.only):
            continue
        if name in SOURCES:
            make, options = SOURCES[name]
            source = make()
            measure = partial(rate, source, options)
        else:
            measure = partial(tree_rate, TREES[name])
        for busy in (0, 1):
            found: dict[int | None, list[float]] = {number: [] for number in numbers}
            with beside(busy):
                for _ in range(told.rounds):
                    for number in numbers:
                        found[number].append(measure(number, told.seconds))
            one, every, chosen = (statistics.median(rates) for rates in found.values())
            where = "beside a busy process" if busy else "alone"
            print(
                f"{name:20} {where:22} {one:8.1f} {every:8.1f} {chosen:8.1f}   {max(one, every) / chosen:.2f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
