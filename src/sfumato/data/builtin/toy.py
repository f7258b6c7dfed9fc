"""The sets that come built in: toys that are drawn, and those that scikit-learn ships."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sfumato.data.builtin import markov, sprites
from sfumato.errors import SfumatoError, did_you_mean

if TYPE_CHECKING:
    import numpy as np

DEFAULT_ROWS = 10_000
SPRITES = 20_000
"""Images, of the 737,280 there are."""
RING, RING_STEPS, RING_SPREAD = 16, 20, 1.0

SUMMARIES = {
    "moons": "two interleaved half circles in the plane, 2 labels, noise 0.05",
    "circles": "a circle inside a circle in the plane, 2 labels, noise 0.05",
    "blobs": "three Gaussian clouds in the plane, 3 labels",
    "digits": "1,797 handwritten digits, 8x8 images of 17 levels, 10 labels",
    "ring": "a bump that moves around a ring of 16 pixels, sequences of 20 steps, 2 labels: its direction",
    "sprites": "squares, ellipses, hearts of known scale, rotation and place, 32x32 or --size 64, 3 labels: shape",
    "coloured_sprites": "the same in five colours",
    "markov": "sequences of 20 symbols from one of 8 Markov chains, 10 symbols, 8 labels: the chain",
    "iris": "150 flowers, 4 measurements, 3 labels",
    "wine": "178 wines, 13 measurements, 3 labels",
    "breast_cancer": "569 tumours, 30 measurements, 2 labels",
    "diabetes": "442 patients, 10 measurements and the progression of the disease",
}

GAUSSIAN = ("moons", "circles", "blobs")
"""Sets of two numbers that are modelled by normal densities unless another likelihood is requested."""


@dataclass(frozen=True)
class BuiltIn:
    """A built-in set.

    Attributes:
        values: (N, D), (N, H, W), sequences (N, T, D), or whole numbers (N, T) that are symbols.
        columns: names of the D columns; none for images.
        labels: (N,) index into `label_names`, or None.
        label_names: names of the labels.
        levels: number of levels of a pixel; 0 for all else.
        symbols: whether values are sequences of symbols.
        factors: known factors of variation, name to (N,) numbers or names; empty where they are not known.
    """

    values: np.ndarray
    columns: tuple[str, ...] = ()
    labels: np.ndarray | None = None
    label_names: tuple[str, ...] = ()
    levels: int = 0
    symbols: bool = False
    factors: dict[str, np.ndarray] = field(default_factory=dict)


def make(name: str, *, rows: int | None = None, seed: int = 0, size: int | None = None) -> BuiltIn:
    """The built-in set `name`; `rows` and `seed` are of the toy sets, which are drawn, `size` of the sprites.

    Raises:
        SfumatoError: if there is no set of this name, or `rows` is given for a set that is not generated.

    >>> make("moons", rows=4).values.shape
    (4, 2)
    """
    if name not in SUMMARIES:
        raise unknown(name)
    if name in ("sprites", "coloured_sprites"):
        return _sprites(SPRITES if rows is None else rows, seed, size, coloured=name == "coloured_sprites")
    if name == "ring":
        return _ring(DEFAULT_ROWS if rows is None else rows, seed)
    if name == "markov":
        values, labels = markov.draw(DEFAULT_ROWS if rows is None else rows, seed)
        return BuiltIn(values, (), labels, tuple(map(str, range(markov.MARKOV_CLASSES))), symbols=True)
    if name in GAUSSIAN:
        return _drawn(name, DEFAULT_ROWS if rows is None else rows, seed)
    if rows is not None:
        raise SfumatoError(f"rows={rows}: {name} is not drawn, it has the rows it has; leave rows out")
    return _shipped(name)


def unknown(name: str) -> SfumatoError:
    """The error that says that nothing has this name."""
    return SfumatoError(f"no file and no built-in set is called {name!r}; {did_you_mean(name, SUMMARIES)}")


def _drawn(name: str, rows: int, seed: int) -> BuiltIn:
    import numpy as np
    from sklearn import datasets

    if name == "moons":
        values, labels = datasets.make_moons(rows, noise=0.05, random_state=seed % 2**32)
    elif name == "circles":
        values, labels = datasets.make_circles(rows, noise=0.05, factor=0.5, random_state=seed % 2**32)
    else:
        # The centres do not depend on the seed, so that two draws are of the same distribution.
        centers = np.array([[-2.0, -1.2], [2.0, -1.2], [0.0, 2.2]])
        values, labels = datasets.make_blobs(rows, centers=centers, cluster_std=0.6, random_state=seed % 2**32)
    names = tuple(str(number) for number in range(int(labels.max()) + 1))
    return BuiltIn(values, ("x1", "x2"), labels.astype(np.int64), names)


def _ring(rows: int, seed: int) -> BuiltIn:
    import numpy as np

    random = np.random.default_rng(seed)
    start, labels = random.integers(RING, size=rows), random.integers(2, size=rows)
    centre = start[:, None] + (2 * labels - 1)[:, None] * np.arange(RING_STEPS)
    apart = (np.arange(RING) - centre[:, :, None]) % RING
    values = np.exp(-0.5 * (np.minimum(apart, RING - apart) / RING_SPREAD) ** 2)
    columns = tuple(f"pixel{number}" for number in range(RING))
    return BuiltIn(values, columns, labels.astype(np.int64), ("back", "forth"))


def _sprites(rows: int, seed: int, size: int | None, *, coloured: bool) -> BuiltIn:
    side = sprites.DEFAULT_SIDE if size is None else size
    if side < sprites.MIN_SIDE:
        raise SfumatoError(
            f"size={side}: sprites cannot be told apart on so few pixels; give {sprites.MIN_SIDE} or more"
        )
    factors = sprites.draw(rows, seed, coloured=coloured)
    images = sprites.render(factors, side)
    return BuiltIn(images, (), factors["shape"], sprites.SPRITE_SHAPES, levels=2, factors=sprites.named(factors))


def _shipped(name: str) -> BuiltIn:
    import numpy as np
    from sklearn import datasets

    if name == "diabetes":
        bunch: Any = datasets.load_diabetes(scaled=False)
        values = np.column_stack([bunch.data, bunch.target])
        return BuiltIn(values, (*bunch.feature_names, "progression"))
    bunch = getattr(datasets, f"load_{name}")()
    labels = bunch.target.astype(np.int64)
    label_names = tuple(str(name) for name in bunch.target_names)
    if name == "digits":
        return BuiltIn(bunch.images.astype(np.uint8), (), labels, label_names, levels=17)
    columns = tuple(name.replace(" (cm)", "").replace(" ", "_") for name in bunch.feature_names)
    return BuiltIn(bunch.data, columns, labels, label_names)
