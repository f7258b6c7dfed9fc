"""The built-in sprites: images of one shape each, drawn by formula from known factors of variation.

The factors are those of dSprites (Matthey et al. 2017): 3 shapes, 6 scales, 40 rotations round the whole circle and
32 × 32 positions. As there, a square looks the same after a quarter turn and an ellipse after half a turn. The images
are made here and are not the published ones, so scores are not comparable with tables on that set.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

FACTOR_SIZES = {"shape": 3, "scale": 6, "rotation": 40, "x": 32, "y": 32}
"""How many values each factor has; they are 0, 1, 2, …"""
SPRITE_SHAPES = ("square", "ellipse", "heart")
COLOURS = {"red": (1, 0, 0), "yellow": (1, 1, 0), "green": (0, 1, 0), "cyan": (0, 1, 1), "blue": (0, 0, 1)}
"""Colours by name: which of red, green and blue they are made of."""
DEFAULT_SIDE, MIN_SIDE = 32, 16
SPRITES_AT_A_TIME = 4096
"""Images drawn together."""


def factors(*, coloured: bool = False) -> dict[str, int]:
    """The factors and how many values each has, in order.

    >>> factors(coloured=True)
    {'shape': 3, 'scale': 6, 'rotation': 40, 'x': 32, 'y': 32, 'colour': 5}
    """
    return FACTOR_SIZES | ({"colour": len(COLOURS)} if coloured else {})


def draw(rows: int, seed: int, *, coloured: bool = False) -> dict[str, np.ndarray]:
    """Values of the factors for `rows` images, each uniform and independent of the others; name to (rows,) int64."""
    import numpy as np

    random = np.random.default_rng(seed)
    return {name: random.integers(count, size=rows) for name, count in factors(coloured=coloured).items()}


def grid(every: Mapping[str, int] | None = None, *, coloured: bool = False) -> dict[str, np.ndarray]:
    """Every n-th value of each factor in all combinations, the last factor fastest; without n, every one.

    >>> len(grid({"x": 2, "y": 2})["shape"])
    184320
    """
    import numpy as np

    steps = every or {}
    values = {name: np.arange(0, count, steps.get(name, 1)) for name, count in factors(coloured=coloured).items()}
    mesh = np.meshgrid(*values.values(), indexing="ij")
    return {name: axis.reshape(-1) for name, axis in zip(values, mesh, strict=True)}


def named(values: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The values of factors for display: shapes and colours by name, since they have no order.

    >>> named({"shape": [2, 0], "scale": [5, 1]})
    {'shape': array(['heart', 'square'], dtype='<U7'), 'scale': array([5, 1])}
    """
    import numpy as np

    names = {"shape": SPRITE_SHAPES, "colour": tuple(COLOURS)}
    whole = {name: np.asarray(codes) for name, codes in values.items()}
    return {name: np.array(names[name])[codes] if name in names else codes for name, codes in whole.items()}


def render(values: Mapping[str, np.ndarray], side: int = DEFAULT_SIDE) -> np.ndarray:
    """Images of 0 and 1 in uint8: (N, side, side), or (N, side, side, 3) where the factors hold a colour.

    On 32 pixels the half width of a sprite goes from 3 to 6, its angle round the circle and its centre from 8 to 23.5;
    on other sides in proportion.

    Args:
        values: name of each factor to (N,) whole numbers.
        side: height and width in pixels.

    >>> some = draw(10, seed=0)
    >>> render(some).shape, render(some, 64).shape
    ((10, 32, 32), (10, 64, 64))
    """
    import numpy as np

    total = len(values["shape"])
    coloured = "colour" in values
    images = np.zeros((total, side, side, 3) if coloured else (total, side, side), np.uint8)
    for start in range(0, total, SPRITES_AT_A_TIME):
        part = {name: np.asarray(codes[start : start + SPRITES_AT_A_TIME]) for name, codes in values.items()}
        u, v = _own_axes(part, side)
        for number, inside in enumerate((_square, _ellipse, _heart)):
            rows = np.flatnonzero(part["shape"] == number)
            drawn = inside(u[rows], v[rows])
            if coloured:
                paint = np.array([*COLOURS.values()], bool)[part["colour"][rows]]
                drawn = drawn[..., None] & paint[:, None, None, :]
            images[start + rows] = drawn
    return images


def _own_axes(part: Mapping[str, np.ndarray], side: int) -> tuple[np.ndarray, np.ndarray]:
    """Every pixel in the sprite's own axes, in half widths to its right and below its centre; each (N, side, side)."""
    import numpy as np

    scale, turn, x, y = (part[name].reshape(-1, 1, 1) for name in ("scale", "rotation", "x", "y"))
    place = (np.arange(side, dtype=np.float32) + 0.5) * (DEFAULT_SIDE / side) - 0.5
    radius = np.float32(3) + np.float32(3) * scale.astype(np.float32) / (FACTOR_SIZES["scale"] - 1)
    angle = (2 * np.pi / FACTOR_SIZES["rotation"] * turn).astype(np.float32)
    right = (place - (8 + x / 2)).astype(np.float32)
    down = (place[:, None] - (8 + y / 2)).astype(np.float32)
    cos, sin = np.cos(angle) / radius, np.sin(angle) / radius
    return cos * right + sin * down, cos * down - sin * right


def _square(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    inside: np.ndarray = (abs(u) <= 0.8) & (abs(v) <= 0.8)
    return inside


def _ellipse(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    inside: np.ndarray = u * u + 4 * v * v <= 1
    return inside


def _heart(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    a2, b = 1.5625 * u * u, -1.25 * v
    ring = a2 + b * b - 1
    inside: np.ndarray = ring * ring * ring <= a2 * b * b * b
    return inside
