"""Steps a second with one thread, with all, and with the number that training chooses; alone and beside a busy process.

Every cell is the median over `--rounds` trainings of `--seconds` each, one number of threads after the other. The busy
processes do nothing but hold a core each.

    python benchmarks/threads.py
    python benchmarks/threads.py --rounds 5 --only table conv
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import sfumato  # before torch, as it says how torch's threads wait

# isort: split

import numpy as np
import pandas as pd
import torch

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
    numbers: tuple[int | None, ...] = (1, torch.get_num_threads(), None)
    print(f"steps a second with {numbers[0]} thread, {numbers[1]} threads, and as chosen; best ÷ chosen")
    for name, (make, options) in SOURCES.items():
        if told.only and not any(part in name for part in told.only):
            continue
        source = make()
        for busy in (0, 1):
            found: dict[int | None, list[float]] = {number: [] for number in numbers}
            with beside(busy):
                for _ in range(told.rounds):
                    for number in numbers:
                        found[number].append(rate(source, options, number, told.seconds))
            one, every, chosen = (statistics.median(rates) for rates in found.values())
            where = "beside a busy process" if busy else "alone"
            print(
                f"{name:20} {where:22} {one:8.1f} {every:8.1f} {chosen:8.1f}   {max(one, every) / chosen:.2f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
