"""The sprites show the factors they are drawn from."""

from __future__ import annotations

import numpy as np
import pytest

from sfumato import data
from sfumato.data import DataOptions
from sfumato.data.builtin import sprites
from sfumato.errors import SfumatoError


def one(shape: int = 0, scale: int = 5, rotation: int = 0, x: int = 16, y: int = 16, side: int = 32) -> np.ndarray:
    values = {"shape": shape, "scale": scale, "rotation": rotation, "x": x, "y": y}
    return sprites.render({name: np.array([value]) for name, value in values.items()}, side)[0].astype(float)


def test_the_grid_holds_every_combination_once_and_the_last_factor_is_fastest() -> None:
    grid = sprites.grid({"scale": 5, "rotation": 20, "x": 16, "y": 16}, coloured=True)
    rows = np.stack(list(grid.values()), 1)
    assert list(grid) == ["shape", "scale", "rotation", "x", "y", "colour"]
    assert rows.shape == (3 * 2**4 * 5, 6)
    assert len(np.unique(rows, axis=0)) == len(rows)
    assert rows[1].tolist() == [0, 0, 0, 0, 0, 1]


def test_positions_move_the_centre_by_half_a_pixel_and_scale_doubles_the_width() -> None:
    place = np.arange(64)
    for axis, name in enumerate(("y", "x")):
        seen = [one(**{name: value}, side=64).sum(1 - axis) for value in (0, 31)]
        centres = [(place * column).sum() / column.sum() for column in seen]
        assert centres[1] - centres[0] == pytest.approx(31, abs=0.5)
    assert one(scale=5, side=64).sum() == pytest.approx(4 * one(scale=0, side=64).sum(), rel=0.1)


def test_rotations_go_round_the_circle_and_symmetric_shapes_come_back_early() -> None:
    turned = [[one(shape, rotation=turn, side=63, x=15, y=15) for turn in (0, 10, 20)] for shape in range(3)]
    (square, quarter, half), (ellipse, upright, flat), (heart, sideways, down) = turned
    assert (square == quarter).mean() > 0.99
    assert (square == half).mean() > 0.99
    assert (ellipse == upright).mean() < 0.97
    assert (ellipse == flat).mean() > 0.99
    assert (heart == sideways).mean() < 0.99
    assert (heart == down).mean() < 0.99
    assert (np.rot90(heart, 2) == down).mean() > 0.97


def test_the_same_factors_look_alike_at_twice_the_side() -> None:
    small, large = one(2, rotation=7), one(2, rotation=7, side=64)
    shrunk = large.reshape(32, 2, 32, 2).mean((1, 3))
    assert abs(shrunk - small).mean() < 0.02


def test_the_built_in_set_brings_labels_and_the_factors_of_each_part() -> None:
    opened = data.open("sprites", options=DataOptions(rows=300, size=40))
    assert opened.schema.spec.shape == (1, 40, 40)
    assert opened.schema.spec.likelihood == "bernoulli"
    for batches, factors in zip((opened.train, opened.valid, opened.test), opened.factors, strict=True):
        assert list(factors) == list(sprites.FACTOR_SIZES)
        numbers = {**factors, "shape": np.array([sprites.SPRITE_SHAPES.index(shape) for shape in factors["shape"]])}
        assert (batches.take(slice(None)).x.numpy()[:, 0] == sprites.render(numbers, 40)).all()
        assert batches.labels is not None
        assert (np.array(opened.schema.label_names)[batches.labels] == factors["shape"]).all()


def test_colours_are_a_factor_of_their_own() -> None:
    opened = data.open("coloured_sprites", options=DataOptions(rows=200))
    x, colours = opened.train.take(slice(None)).x, opened.factors[0]["colour"]
    lit = x.amax((2, 3)).numpy()
    assert (lit == [sprites.COLOURS[colour] for colour in colours]).all()


def test_too_few_pixels_are_refused() -> None:
    with pytest.raises(SfumatoError, match="size=8: sprites cannot be told apart"):
        data.open("sprites", options=DataOptions(size=8))
