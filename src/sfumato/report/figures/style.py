"""The style of all figures: a light and a dark theme, with a palette that is safe for colour blindness."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LinearSegmentedColormap, to_hex, to_rgb
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from PIL import Image

from sfumato import files

FIGURE_WIDTH = 9.0
"""Width of a picture in inches: 900 pixels on the page, twice as many in the file."""
DOTS = 200
LEGEND_COLUMNS = 6

# The ten colours of M. Petroff, "Accessible Color Sequences for Data Visualization", 2021.
PETROFF = (
    "#3f90da", "#ffa90e", "#bd1f01", "#832db6", "#92dadd",
    "#e76300", "#a96b59", "#b9ac70", "#717581", "#94a4a2",
)  # fmt: skip


@dataclass(frozen=True)
class Theme:
    """The colours of a theme.

    Attributes:
        paper: background; ink: titles and lines that matter; quiet: ticks and notes; line: grids and frames.
        real, model: data, and the output of the model, where the two are compared.
        colours: one for each class.
    """

    name: str
    paper: str
    ink: str
    quiet: str
    line: str
    real: str
    model: str
    colours: tuple[str, ...]

    def of(self, place: int) -> str:
        """The colour of the item at a place in a list; ten colours repeat."""
        return self.colours[place % len(self.colours)]

    @property
    def diverging(self) -> LinearSegmentedColormap:
        """Amber below zero, the background at zero, blue above."""
        return LinearSegmentedColormap.from_list("diverging", ["#d9730d", self.paper, "#2f7fd1"])


def _lighter(colour: str, share: float) -> str:
    red, green, blue = (c + (1 - c) * share for c in to_rgb(colour))
    return to_hex((red, green, blue))


LIGHT = Theme("light", "#ffffff", "#1c2128", "#5b6470", "#dfe3e8", "#a9b1bb", "#1f6fc4", PETROFF)
DARK = Theme(
    "dark", "#161b22", "#e6e9ee", "#a3adba", "#343c47", "#69737f", "#6cb1f5",
    tuple(_lighter(colour, 0.22) for colour in PETROFF),
)  # fmt: skip


class Clip(NamedTuple):
    """A sound that belongs to a figure.

    Attributes:
        name: above its player.
        path: a WAV or Ogg file.
    """

    name: str
    path: Path


@dataclass(frozen=True)
class ReportFigure:
    """A figure with its title, caption and alternative text.

    Attributes:
        path: the PNG in the light theme; `dark` is the same in the dark theme.
        title: a few words.
        alt: the alternative text.
        caption: what it shows and what to look for.
        clips: sounds to listen to below it.
        clips_across: players beside each other.
    """

    path: Path
    title: str
    alt: str
    caption: str
    clips: tuple[Clip, ...] = ()
    clips_across: int = 1

    @property
    def dark(self) -> Path:
        """The same figure in the dark theme."""
        return self.path.parent / "dark" / self.path.name


def figure(width: float, height: float, theme: Theme) -> Figure:
    """An empty figure, sizes in inches, without pyplot's global state."""
    sheet = Figure(figsize=(width, height), dpi=DOTS, facecolor=theme.paper)
    FigureCanvasAgg(sheet)
    return sheet


def place(sheet: Figure, left: float, top: float, width: float, height: float) -> Axes:
    """Axes at a place given in inches from the upper left corner."""
    w, h = sheet.get_size_inches()
    return sheet.add_axes((left / w, 1 - (top + height) / h, width / w, height / h))


def tidy(axes: Axes, theme: Theme, title: str = "", x: str = "", y: str = "") -> Axes:
    """Apply the style to axes: a thin frame below and left, small ticks, the title on the left; no TeX parsing."""
    axes.set_facecolor("none")
    for side, spine in axes.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color(theme.line)
        spine.set_linewidth(0.8)
    axes.tick_params(colors=theme.quiet, labelsize=7.5, length=2.5, width=0.6, color=theme.line, pad=2.5)
    axes.set_axisbelow(True)
    axes.set_title(title, loc="left", fontsize=9.5, color=theme.ink, pad=6, parse_math=False)
    axes.set_xlabel(x, fontsize=8, color=theme.quiet, parse_math=False)
    axes.set_ylabel(y, fontsize=8, color=theme.quiet, parse_math=False)
    return axes


def legend(sheet: Figure, entries: Sequence[tuple[str, str]], theme: Theme, *, top: float, left: float) -> None:
    """One row (or more) of coloured dots with their names, `top` and `left` in inches."""
    w, h = sheet.get_size_inches()
    dots = [Line2D([], [], linestyle="", marker="o", markersize=5, color=colour) for _, colour in entries]
    drawn = sheet.legend(
        dots,
        [short(name, 48 if len(entries) < 5 else 18) for name, _ in entries],
        loc="upper left",
        bbox_to_anchor=(left / w, 1 - top / h),
        ncols=min(len(entries), LEGEND_COLUMNS),
        frameon=False,
        fontsize=8,
        labelcolor=theme.ink,
        handletextpad=0.1,
        columnspacing=1.2,
        borderpad=0,
        borderaxespad=0,
    )
    for text in drawn.get_texts():
        text.set_parse_math(False)


def short(text: object, length: int) -> str:
    """`text` on one line, cut to `length` characters.

    >>> short("a very long name", 8)
    'a very …'
    """
    line = " ".join(str(text).split())
    return line if len(line) <= length else line[: length - 1] + "…"


@dataclass(frozen=True)
class LabelGroup:
    """The examples of one label: its name, its colour and their rows."""

    name: str
    colour: str
    rows: np.ndarray


def groups(labels: np.ndarray | None, names: Sequence[str], count: int, theme: Theme) -> list[LabelGroup]:
    """The rows of each label, at most ten groups; rarer labels are merged, unknown ones (−1) are grey.

    Without labels all `count` rows are one unnamed group, in a colour of its own.
    """
    if labels is None:
        return [LabelGroup("", theme.quiet, np.arange(count))]
    present, sizes = np.unique(labels[labels >= 0], return_counts=True)
    limit = len(theme.colours)
    kept = present
    if len(present) > limit:
        kept = np.sort(present[np.argsort(-sizes, kind="stable")[: limit - 1]])
    label_groups = [
        LabelGroup(str(names[label]), theme.colours[place], np.flatnonzero(labels == label))
        for place, label in enumerate(kept)
    ]
    rest = np.flatnonzero((labels >= 0) & ~np.isin(labels, kept))
    if len(rest):
        label_groups.append(LabelGroup(f"{len(present) - len(kept)} others", theme.colours[-1], rest))
    unknown = np.flatnonzero(labels < 0)
    if len(unknown):
        label_groups.append(LabelGroup("unknown", theme.line, unknown))
    return label_groups


@contextmanager
def _without_warnings_of_glyphs() -> Iterator[None]:
    with warnings.catch_warnings():
        # A column's name may contain letters that the font lacks; a box is drawn for them.
        warnings.filterwarnings("ignore", message=r"(?s).*Glyph.*missing from.*")
        yield


def write(sheet: Figure, path: Path) -> None:
    """Write a figure as PNG, whole or not at all."""
    with _without_warnings_of_glyphs(), files.replacing(path) as temporary:
        sheet.savefig(temporary, format="png", dpi=DOTS)


def save(
    folder: Path,
    name: str,
    draw: Callable[[Theme], Figure],
    *,
    title: str,
    alt: str,
    caption: str,
    exact: bool = False,
) -> ReportFigure:
    """Draw a figure in the light and the dark theme and write both as PNG, atomically.

    Args:
        exact: keep every colour (for photographs); otherwise 256 of them, a third of the size.
    """
    result = ReportFigure(folder / f"{name}.png", title, alt, caption)
    result.dark.parent.mkdir(parents=True, exist_ok=True)
    for theme, path in ((LIGHT, result.path), (DARK, result.dark)):
        with _without_warnings_of_glyphs():
            canvas = FigureCanvasAgg(draw(theme))
            canvas.draw()
        image = Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")
        if not exact:
            image = image.quantize(256, dither=Image.Dither.NONE)
        with files.replacing(path) as temporary:
            image.save(temporary, format="PNG", dpi=(DOTS, DOTS), optimize=not exact)
    return result
