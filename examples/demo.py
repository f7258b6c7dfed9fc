"""Train a VAE and a conditional VAE on moons, circles and blobs, and say where figures and reports lie."""

from __future__ import annotations

import sys
from pathlib import Path

from sfumato.cli import main

SETS = ("moons", "circles", "blobs")
MODELS = ("vae", "cvae")
LONGEST = "30s"
"""Longest training of each model, so that the whole stays within minutes on a slow machine too."""


def free(folder: Path) -> Path:
    """`folder`, or the first of folder-2, folder-3, … that is not there yet."""
    number = 1
    place = folder
    while place.exists():
        number += 1
        place = folder.with_name(f"{folder.name}-{number}")
    return place


def demo() -> int:
    """Train all of them into one new folder; the exit code of the first that fails, or 0."""
    folder = free(Path("runs/demo"))
    for source in SETS:
        for model in MODELS:
            run = str(folder / f"{source}-{model}")
            code = main(["fit", source, "--model", model, "--max-time", LONGEST, "--device", "cpu", "--run", run])
            if code:
                return code
            print()
    print(f"Figures:   {folder}/*/figures/*.png")
    print("Reports (one file each, open them in a browser):")
    for source in SETS:
        for model in MODELS:
            print(f"  {folder / f'{source}-{model}' / 'report.html'}")
    print("\nTo go on by yourself: source .venv/bin/activate, then sfumato --help")
    return 0


if __name__ == "__main__":
    sys.exit(demo())
