"""Rendering of templates to self-contained HTML files."""

from __future__ import annotations

import base64
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from PIL import Image, features

from sfumato._version import __version__
from sfumato.files import write_text
from sfumato.formatting import rounded
from sfumato.report.figures.style import DOTS, ReportFigure

LARGE = 200_000
"""Size of a PNG in bytes above which the page embeds a WebP instead."""

NARROW = 480
"""Widest figure on the page that is still readable when shrunk to a phone; a wider one scrolls sideways."""


def write(template: str, path: Path, **values: Any) -> Path:
    """Render a template and write it atomically; all values are escaped.

    Raises:
        SfumatoError: if it cannot be written.
    """
    write_text(path, _environment().get_template(template).render(version=__version__, **values))
    return path


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("sfumato.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"measured": measured, "plus_minus": plus_minus}
    return environment


def measured(value: float | None, error: float | None = None) -> str:
    """A number rounded for display, or to the precision of its standard error.

    >>> measured(103.4567), measured(-0.012345), measured(7), measured(None), measured(-103.4567, 1.2)
    ('103.46', '−0.01235', '7', '–', '−103.5')
    """
    if value is None:
        return "–"
    if (both := rounded(value, error)) is not None:
        text = both[0]
    else:
        text = str(value) if isinstance(value, int) else f"{value:.5g}" if abs(value) >= 1 else f"{value:.4g}"
    return text.replace("-", "−")


def plus_minus(error: float | None, value: float) -> str:
    """The standard error for display; empty if there is none.

    >>> plus_minus(0.01234, 0.5), plus_minus(123.0, 1000.0), plus_minus(1e-17, 1.0)
    ('± 0.012', '± 120', '')
    """
    both = rounded(value, error)
    return f"± {both[1]}" if both is not None else ""


def embedded(figure: ReportFigure) -> dict[str, Any]:
    """A figure as the templates use it, with its file embedded."""
    with Image.open(figure.path) as image:
        width, height = image.size
    return {
        "title": figure.title,
        "alt": figure.alt,
        "caption": figure.caption,
        "anchor": figure.path.stem,
        "light": _data(figure.path),
        "dark": _data(figure.dark) if figure.dark.exists() else None,
        "width": round(width * 100 / DOTS),
        "height": round(height * 100 / DOTS),
        "wide": width * 100 > NARROW * DOTS,
        "clips": [{"name": clip.name, "audio": _audio(clip.path)} for clip in figure.clips],
        "clips_across": figure.clips_across,
    }


def _audio(path: Path) -> str:
    """A sound as a data URL."""
    return f"data:audio/{path.suffix[1:]};base64," + base64.b64encode(path.read_bytes()).decode("ascii")


def _data(path: Path) -> str:
    """The figure as a data URL; a large one (photographs) as WebP of high quality."""
    kind, content = "png", path.read_bytes()
    if len(content) > LARGE and features.check("webp"):
        buffer = BytesIO()
        with Image.open(path) as image:
            image.save(buffer, format="WEBP", quality=90, method=3)
        kind, content = "webp", buffer.getvalue()
    return f"data:image/{kind};base64," + base64.b64encode(content).decode("ascii")
