"""Make the picture of paths between digits: straight, geodesic, and with an attribute put on.

python benchmarks/docs_interpolation.py
"""

from __future__ import annotations

import numpy as np
from sklearn.datasets import load_digits

import sfumato
from docs_latents import keep
from sfumato.report.figures.image_grids import sheet_of

PAIRS = ((0, 4), (3, 8), (6, 1))
STEPS = 11


def main() -> None:
    x, y = load_digits(return_X_y=True)
    images = (x.reshape(-1, 8, 8) / 16 * 255).astype(np.uint8)
    auto = sfumato.fit(images, steps=2000, seed=0)
    first = {label: images[np.flatnonzero(y == label)[:1]] for label in range(10)}
    cells, names = [], []
    for a, b in PAIRS:
        for path in ("straight", "geodesic"):
            cells.append(list(auto.interpolate(first[a], first[b], steps=STEPS, path=path)))
            names.append(path)
    seven = 1.5 * auto.direction(images, y == 7)
    for label in (0, 4):
        cells.append(list(auto.interpolate(first[label], add=seven, steps=STEPS)))
        names.append(f"{label} + seven")
    keep("interpolation-digits", lambda look: sheet_of(cells, look, rows=names, breaks=(2, 4, 6)))


if __name__ == "__main__":
    main()
