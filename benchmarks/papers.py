"""Acceptance runs of the papers' numbers.

    python benchmarks/papers.py vae iwae                 # three seeds each, medians against bands
    python benchmarks/papers.py --all --device cuda

Prints one Markdown table; a run whose median falls outside its band is told as missed, and the exit code is 1.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import beta
import causes
import census
import clothes
import codes
import coding
import digits
import factors
import few
import gans
import ladders
import matching
import registry
import sequences
import sources
import text
import toys
from machine import describe

KNOWN = (
    digits,
    toys,
    beta,
    factors,
    clothes,
    census,
    codes,
    ladders,
    gans,
    text,
    matching,
    coding,
    causes,
    sequences,
    few,
)
"""Importing a module enters its runs in the registry."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"any of {', '.join(registry.SYSTEMS)}")
    parser.add_argument("--all", action="store_true", help="all of them")
    parser.add_argument("--seeds", type=int, default=3, help="how many seeds, from 0 (default 3)")
    parser.add_argument("--device", default="cpu", help="cpu, cuda or mps (default cpu)")
    parser.add_argument("--data", type=Path, help="folder of data sets (default $SFUMATO_DATA or ../shared/data)")
    parser.add_argument("--peers", type=Path, help="folder of the peers' environments, made if absent")
    parser.add_argument("--cache", type=Path, default=Path.home() / ".cache" / "sfumato-benchmarks")
    options = parser.parse_args()
    names = list(registry.SYSTEMS) if options.all else options.names
    unknown = [name for name in names if name not in registry.SYSTEMS]
    if unknown or not names:
        parser.error(f"name some of {', '.join(registry.SYSTEMS)}" + (f", not {unknown[0]}" if unknown else ""))
    print(describe(options.device) + "\n\n" + registry.HEADER, flush=True)
    missed = False
    for name in names:
        entry, found, seconds = registry.SYSTEMS[name], [], []
        for seed in range(options.seeds):
            setting = registry.Setting(seed, options.device, sources.folder(options.data), options.peers, options.cache)
            result, took = registry.timed(entry.run, setting)
            found.append(result)
            seconds.append(took)
        lines = registry.rows(entry, found, seconds)
        missed |= any("| missed |" in line for line in lines)
        print("\n".join(lines), flush=True)
    raise SystemExit(int(missed))


if __name__ == "__main__":
    main()
