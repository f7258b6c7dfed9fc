"""Make the pictures of the docs again: fit what the pages speak of and copy what the reports show.

    python benchmarks/docs_images.py [FOLDER OF DATA SETS]

The table lies in the folder of data sets (default: ../shared/data); without it only built-in sets are made.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

import sfumato
from records import STEPS, digits, written
from sfumato.report import draw_figures

DOCS = Path(__file__).resolve().parent.parent / "docs" / "images"
PANELS = "data-reconstructions-samples"


def make(source: str, model: str, wanted: dict[str, str], **options: Any) -> None:
    """Fit and copy: `wanted` is name in the report → name in the docs."""
    auto = sfumato.fit(source, model=model, progress=True, **options)
    with tempfile.TemporaryDirectory() as folder:
        made = {picture.path.stem: picture.path for picture in draw_figures(auto, auto.data_, Path(folder))}
        for name, target in wanted.items():
            shutil.copyfile(made[name], DOCS / f"{target}.png")
            print(DOCS / f"{target}.png")


def make_records() -> None:
    """Digits with their word and number, each part from the others."""
    images, numbers = digits(0)
    with tempfile.TemporaryDirectory() as folder:
        path = written(Path(folder) / "digits", images, numbers, np.full(len(numbers), -1))
        make(str(path), "multimodal_vae", {"parts": "records-parts"}, kinds={"word": "text"}, steps=STEPS)


def main(folder: Path) -> None:
    DOCS.mkdir(parents=True, exist_ok=True)
    make("moons", "vae", {PANELS: "vae-moons", "decoder-map": "vae-moons-map"})
    make("moons", "cvae", {PANELS: "cvae-moons"})
    make("digits", "beta_vae", {"traversals": "beta_vae-traversals"}, beta=4.0, steps=4000)
    make_records()
    if not folder.is_dir():
        print(f"{folder}: no such folder, so no picture of a table")
        return
    make(str(folder / "penguins.csv"), "cvae", {"marginals": "cvae-penguins"}, given=("species",))
    make(str(folder / "pbmc700.h5ad"), "vae", {"columns": "counts-columns"}, label="cell_type", steps=600)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path("../shared/data"))
