"""Acceptance runs by name: what each measures, the band its median must fall in, and the table it ends in."""

from __future__ import annotations

import argparse
import math
import statistics
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import sources
from machine import describe


@dataclass(frozen=True)
class Measure:
    """One number a run reports for each seed.

    Attributes:
        name: what it is, with its unit.
        reference: the paper's or the pilot's number, in words.
        low, high: the band the median over seeds must fall in; infinite on both sides where it is only told.
    """

    name: str
    reference: str = "–"
    low: float = -math.inf
    high: float = math.inf

    @property
    def band(self) -> str:
        """The band in words."""
        if math.isinf(self.low):
            return "–" if math.isinf(self.high) else f"≤ {self.high:g}"
        return f"≥ {self.low:g}" if math.isinf(self.high) else f"{self.low:g} – {self.high:g}"

    def verdict(self, value: float) -> str:
        """`held`, `missed`, or nothing where there is no band."""
        if self.band == "–":
            return ""
        return "held" if self.low <= value <= self.high else "missed"


@dataclass(frozen=True)
class Setting:
    """What a run is told: its seed, where to compute, where data sets, peers and peers' samples lie."""

    seed: int
    device: str
    data: Path
    peers: Path | None
    cache: Path


@dataclass(frozen=True)
class System:
    """A named acceptance run: `run` returns one value for each of `measures`."""

    name: str
    measures: tuple[Measure, ...]
    run: Callable[[Setting], Mapping[str, float]]

    def named(self, values: Iterable[float]) -> dict[str, float]:
        """Values in the order of `measures`, by their names."""
        return dict(zip((measure.name for measure in self.measures), values, strict=True))


SYSTEMS: dict[str, System] = {}


def system(name: str, *measures: Measure) -> Callable[[Callable[[Setting], Mapping[str, float]]], System]:
    """Enter the decorated function as acceptance run `name`; its docstring says data and configuration."""

    def enter(run: Callable[[Setting], Mapping[str, float]]) -> System:
        SYSTEMS[name] = System(name, measures, run)
        return SYSTEMS[name]

    return enter


def timed(run: Callable[[Setting], Mapping[str, float]], setting: Setting) -> tuple[Mapping[str, float], float]:
    """What `run` found, and its seconds."""
    start = time.perf_counter()
    return run(setting), time.perf_counter() - start


COLUMNS = ("system", "measure", "reference", "seeds", "median", "band", "", "seconds a seed")
HEADER = f"| {' | '.join(COLUMNS)} |\n{'|---' * len(COLUMNS)}|"


def rows(entry: System, found: list[Mapping[str, float]], seconds: list[float]) -> list[str]:
    """The table's rows for one system: every seed, the median and whether it holds."""
    lines = []
    for measure in entry.measures:
        values = [result[measure.name] for result in found]
        middle = statistics.median(values)
        each = ", ".join(f"{value:.4g}" for value in values)
        cells = (
            entry.name,
            measure.name,
            measure.reference,
            each,
            f"{middle:.4g}",
            measure.band,
            measure.verdict(middle),
            f"{statistics.median(seconds):.0f}",
        )
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def _named(name: str) -> list[str]:
    """The run of that name, or else those that begin with it and a hyphen; the name itself if there is none."""
    if name in SYSTEMS:
        return [name]
    return [known for known in SYSTEMS if known.startswith(f"{name}-")] or [name]


def main(description: str) -> None:
    """Run those that the command line names, and print their table; the exit code is 1 if a median misses its band."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help=f"any of {', '.join(SYSTEMS)}, or what some of them begin with"
    )
    parser.add_argument("--all", action="store_true", help="all of them")
    parser.add_argument("--seeds", type=int, default=3, help="how many seeds, from 0 (default 3)")
    parser.add_argument("--device", default="cpu", help="cpu, cuda or mps (default cpu)")
    parser.add_argument("--data", type=Path, help="folder of data sets (default $SFUMATO_DATA or ../shared/data)")
    parser.add_argument("--peers", type=Path, help="folder of the peers' environments, made if absent")
    parser.add_argument("--cache", type=Path, default=Path.home() / ".cache" / "sfumato-benchmarks")
    options = parser.parse_args()
    names = list(SYSTEMS) if options.all else [system for name in options.names for system in _named(name)]
    unknown = [name for name in names if name not in SYSTEMS]
    if unknown or not names:
        parser.error(f"name some of {', '.join(SYSTEMS)}" + (f", not {unknown[0]}" if unknown else ""))
    print(describe(options.device) + "\n\n" + HEADER, flush=True)
    missed = False
    for name in names:
        entry, found, seconds = SYSTEMS[name], [], []
        for seed in range(options.seeds):
            setting = Setting(seed, options.device, sources.folder(options.data), options.peers, options.cache)
            result, took = timed(entry.run, setting)
            found.append(result)
            seconds.append(took)
        lines = rows(entry, found, seconds)
        missed |= any("| missed |" in line for line in lines)
        print("\n".join(lines), flush=True)
    raise SystemExit(int(missed))
