"""Which columns each latent drives: a heat map of latents × columns."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from sfumato.report.figures.style import FIGURE_WIDTH, LIGHT, Theme, figure, place, short, tidy, write

CELL = 0.28
MOST_COLUMNS = 60


def save_effects(effects: np.ndarray, latents: list[str], columns: list[str], path: Path) -> None:
    """Draw effects (L, C) from 0 to 1 and write them as PNG, whole or not at all; at most 60 columns, the strongest."""
    write(drawn_effects(effects, latents, columns, LIGHT), path)


def save_effect_maps(maps: np.ndarray, latents: list[str], path: Path) -> None:
    """Draw the effects of latents on the pixels of images, (L, H, W), a map for each, and write them as PNG."""
    write(drawn_maps(maps, latents, LIGHT), path)


def drawn_effects(effects: np.ndarray, latents: list[str], columns: list[str], theme: Theme) -> Figure:
    """A square for each latent and column, the darker the more of the column's variance moves with the latent."""
    strongest = np.sort(np.argsort(-effects.max(0), kind="stable")[:MOST_COLUMNS])
    shown = effects[:, strongest]
    sheet = figure(FIGURE_WIDTH, CELL * len(latents) + 1.9, theme)
    axes = place(sheet, 0.7, 0.35, FIGURE_WIDTH - 0.9, CELL * len(latents))
    tidy(axes, theme, "share of each column's variance that moves with each latent")
    axes.imshow(shown, cmap=_shades(theme), vmin=0, vmax=1, aspect="auto")
    shown_columns = [short(columns[c], 18) for c in strongest]
    axes.set_xticks(range(len(strongest)), shown_columns, rotation=90, fontsize=7, parse_math=False)
    axes.set_yticks(range(len(latents)), latents, fontsize=7)
    for row, column in np.argwhere(shown >= 0.05):
        if len(strongest) <= 25:
            colour = theme.paper if shown[row, column] > 0.5 else theme.ink
            axes.text(column, row, f"{shown[row, column]:.2f}", ha="center", va="center", fontsize=6, color=colour)
    return sheet


def drawn_maps(maps: np.ndarray, latents: list[str], theme: Theme) -> Figure:
    """A map of the image for each latent, six in a row."""
    across = 6
    side = (FIGURE_WIDTH - 0.4) / across
    sheet = figure(FIGURE_WIDTH, side * -(-len(latents) // across) + 0.3, theme)
    for number, (values, name) in enumerate(zip(maps, latents, strict=True)):
        left, top = 0.2 + side * (number % across), 0.3 + side * (number // across)
        axes = place(sheet, left, top, side - 0.15, side - 0.35)
        tidy(axes, theme, name)
        axes.imshow(values, cmap=_shades(theme), vmin=0, vmax=1)
        axes.set_xticks([])
        axes.set_yticks([])
    return sheet


def _shades(theme: Theme) -> LinearSegmentedColormap:
    return LinearSegmentedColormap.from_list("effects", [theme.paper, theme.model])
