"""Figures of single commands: what a column may be called."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from sfumato.report.figures.uses.effects import save_effects


def test_names_with_dollars_and_letters_that_the_font_lacks_are_drawn_as_they_are(tmp_path: Path) -> None:
    path = tmp_path / "effects.png"
    save_effects(np.array([[0.9, 0.1]]), ["z1"], [r"$\price$", "价格"], path)
    with Image.open(path) as opened:
        assert opened.width > 1000
