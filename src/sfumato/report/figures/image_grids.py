"""Grids of images at pixel resolution: pairs, samples, traversals, interpolations."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil

import numpy as np
from matplotlib.artist import Artist
from matplotlib.backend_bases import RendererBase
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from sfumato.report.figures.style import DOTS, FIGURE_WIDTH, Theme, figure, short

CELL_MARGIN = 0.08


class Tiles(Artist):
    """An image drawn pixel for pixel; `Figure.figimage` resamples it first, which takes ten times as long."""

    def __init__(self, image: np.ndarray) -> None:
        super().__init__()
        opaque = np.full((*image.shape[:2], 1), 255, np.uint8)
        self.image = np.concatenate([image, opaque], -1)

    def draw(self, renderer: RendererBase) -> None:
        """Draw the image from the lower left corner."""
        pen = renderer.new_gc()
        renderer.draw_image(pen, 0, 0, self.image[::-1])
        pen.restore()


def coloured(images: np.ndarray, theme: Theme) -> np.ndarray:
    """(N, H, W) grey, or (N, H, W, C) with C = 1…4, of uint8 as (N, H, W, 3); transparency shows the background.

    One channel is grey, two are grey with alpha, three are RGB, four RGBA.
    """
    values = images if images.ndim == 4 else images[..., None]
    values = values.astype(np.float32) / 255
    channels = values.shape[-1]
    inks = values[..., : channels - 1 + channels % 2]
    inks = np.repeat(inks, 3, axis=-1) if inks.shape[-1] == 1 else inks
    if channels % 2 == 0:
        alpha = values[..., -1:]
        inks = inks * alpha + np.asarray(to_rgb(theme.paper), np.float32) * (1 - alpha)
    return np.asarray(np.round(inks * 255), np.uint8)


def sheet_of(
    cells: Sequence[Sequence[np.ndarray | None]],
    theme: Theme,
    *,
    rows: Sequence[str] = (),
    columns: Sequence[str] = (),
    breaks: Sequence[int] = (),
) -> Figure:
    """A figure of images in rows and columns.

    A pixel of an image is a whole number of pixels of the figure and is never blurred, unless the image is larger than
    its cell.

    Args:
        cells: rows of images (H, W) or (H, W, C), uint8; None leaves a cell empty.
        rows: a name at the left of each row.
        columns: a name above each column.
        breaks: rows before which there is more space.
    """
    across = max(len(row) for row in cells)
    example = next(cell for row in cells for cell in row if cell is not None)
    height, width = example.shape[:2]
    longest = max((len(short(name, 14)) for name in rows), default=-1)
    left = round((CELL_MARGIN + 0.1 + longest * 0.085) * DOTS)
    top = round((0.34 if columns else CELL_MARGIN) * DOTS)
    gap = round(0.03 * DOTS)
    room = int(FIGURE_WIDTH * DOTS) - left - round(CELL_MARGIN * DOTS) - gap * (across - 1)
    largest = min(room // across, round(0.95 * DOTS))
    scale = max(largest // max(width, height), 1)
    shrink = ceil(max(width, height) / largest)
    wide, high = width * scale // shrink, height * scale // shrink
    padding = round(0.09 * DOTS)
    tall = top + len(cells) * (high + gap) + padding * len(breaks) + round(CELL_MARGIN * DOTS)
    whole = left + across * (wide + gap) - gap + round(CELL_MARGIN * DOTS)
    canvas = np.empty((tall, whole, 3), np.uint8)
    canvas[:] = np.round(np.array(to_rgb(theme.paper)) * 255)
    middles = []
    down = top
    for index, row in enumerate(cells):
        down += padding if index in breaks else 0
        for column, cell in enumerate(row):
            if cell is None:
                continue
            tile = _scaled(coloured(cell[None], theme)[0], scale, shrink)
            start = left + column * (wide + gap)
            canvas[down : down + high, start : start + wide] = tile[:high, :wide]
        middles.append(down + high / 2)
        down += high + gap
    sheet = figure(whole / DOTS, tall / DOTS, theme)
    sheet.add_artist(Tiles(canvas))
    for name, middle in zip(rows, middles, strict=False):
        _text(
            sheet, (left / DOTS - 0.08) / (whole / DOTS), 1 - middle / tall, short(name, 14), theme, "right", "center"
        )
    for column, name in enumerate(columns):
        centre = left + column * (wide + gap) + wide / 2
        _text(sheet, centre / whole, 1 - (top - 8) / tall, short(name, 8), theme, "center", "bottom")
    return sheet


def pairs(data: np.ndarray, reconstruction: np.ndarray, theme: Theme, *, across: int = 12) -> Figure:
    """Rows of images, each above its reconstruction."""
    cells: list[list[np.ndarray | None]] = []
    names: list[str] = []
    for start in range(0, len(data), across):
        cells += [list(data[start : start + across]), list(reconstruction[start : start + across])]
        names += ["data", "model"]
    return sheet_of(cells, theme, rows=names, breaks=range(2, len(cells), 2))


def _scaled(image: np.ndarray, scale: int, shrink: int) -> np.ndarray:
    if shrink == 1:
        return image.repeat(scale, 0).repeat(scale, 1)
    height, width = (side // shrink * shrink for side in image.shape[:2])
    blocks = image[:height, :width].reshape(height // shrink, shrink, width // shrink, shrink, -1)
    return np.asarray(blocks.mean((1, 3)).round(), np.uint8)


def _text(sheet: Figure, x: float, y: float, text: str, theme: Theme, across: str, up: str) -> None:
    sheet.text(x, y, text, fontsize=8, color=theme.quiet, ha=across, va=up, parse_math=False)
