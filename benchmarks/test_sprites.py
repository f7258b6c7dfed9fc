"""The sprites show the factors they are drawn from."""

from __future__ import annotations

import torch

import sprites


def test_the_grid_is_ordered_as_its_sizes_say() -> None:
    pictures, sizes = sprites.grid((1, 5, 20, 16, 16))
    assert sizes == (3, 2, 2, 2, 2)
    assert pictures.shape == (48, 1, 32, 32)
    assert torch.equal(pictures[-1:], sprites.render(torch.tensor([[2, 5, 20, 16, 16]])))


def test_positions_move_the_centre_and_scales_grow_the_area() -> None:
    left, right, large = sprites.render(torch.tensor([[0, 0, 0, 0, 8], [0, 0, 0, 31, 8], [0, 5, 0, 0, 8]])).double()
    columns = torch.arange(32.0, dtype=torch.double)
    centres = [(picture.sum((0, 1)) * columns).sum() / picture.sum() for picture in (left, right)]
    assert abs(float(centres[1] - centres[0]) - 15.5) < 0.6
    assert large.sum() > 3 * left.sum()


def test_shapes_and_orientations_are_told_apart() -> None:
    pictures = sprites.render(torch.tensor([[0, 5, 3, 9, 9], [1, 5, 3, 9, 9], [2, 5, 3, 9, 9], [1, 5, 13, 9, 9]]))
    assert len(torch.unique(pictures.flatten(1), dim=0)) == 4
