"""The page of a comparison: its pictures for every kind of data, and that a user's words cannot break it."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from sfumato.report import write_comparison
from sfumato.report.figures import comparison_figures
from sfumato.studies import compare

NOISE = np.random.default_rng(0)

WORDS = ["anna", "bert", "carla", "dora", "emil", "fritz", "gustav", "heidi"] * 5
KINDS = {
    "image": (NOISE.integers(0, 256, (40, 5, 5), np.uint8), {"model": "vae"}),
    "plane": (NOISE.normal(size=(40, 2)), {"model": "vae"}),
    "table": (pd.DataFrame({"a": NOISE.normal(size=40), "b": ["x", "y"] * 20, "c": NOISE.normal(size=40)}), {}),
    "sequence": (NOISE.normal(size=(40, 6, 2)), {"model": "td_vae", "sequences": True}),
    "symbols": (WORDS, {"model": "vae"}),
}


@pytest.mark.parametrize("kind", KINDS)
def test_samples_of_every_kind_are_drawn_side_by_side(kind, fitted, tmp_path):
    data, told = KINDS[kind]
    for latents in (1, 2):
        fitted(data, tmp_path, str(latents), latent_dim=latents, **{"model": "vae", **told, "steps": 3})
    found = compare([str(tmp_path / "1"), str(tmp_path / "2")], data)
    pictures = {picture.path.stem: picture for picture in comparison_figures.draw(found, tmp_path / "drawn")}
    assert set(pictures) == {"rate-distortion", "samples"}
    for picture in pictures.values():
        for path in (picture.path, picture.dark):
            with Image.open(path) as image:
                assert np.asarray(image.convert("L")).std() > 1, f"{path} is blank"
    key = f"1: {found.groups[0].name}; 2: {found.groups[1].name}."
    assert (key in pictures["samples"].caption) is (kind != "table")
    again = comparison_figures.draw(found, tmp_path / "again", seed=0)[-1].path.read_bytes()
    assert again == pictures["samples"].path.read_bytes()


def test_a_row_of_rate_and_distortion_lies_on_lines_of_equal_bound():
    assert [comparison_figures._round(step) for step in (0.037, 0.6, 23.0)] == [0.05, 0.5, 20.0]


def test_words_of_a_user_are_never_markup_and_nothing_is_asked_of_the_network(fitted, tmp_path):
    nasty = "<script>alert(1)</script> & \"'"
    frame = pd.DataFrame({nasty: NOISE.normal(size=40), "b": NOISE.normal(size=40), "c": NOISE.normal(size=40)})
    for beta in (1, 2):
        fitted(frame, tmp_path, f"<b>{beta}", model="beta_vae", beta=beta, steps=3)
    found = compare([str(tmp_path / "<b>1"), str(tmp_path / "<b>2")], frame)
    text = write_comparison(found, tmp_path / "c.html").read_text(encoding="utf-8")
    assert not re.search(r"<(script|b|i)\b", text)
    assert not re.search(r"(src|href|srcset)=\"(?!data:|#)", text)
    assert "&lt;b&gt;1" in text
    assert len(text) < 5_000_000


def test_bounds_that_are_not_compared_keep_their_unit(fitted, tmp_path):
    x = NOISE.integers(0, 256, (40, 5, 5), np.uint8)
    np.save(tmp_path / "x.npy", x)
    for likelihood in ("gaussian", "bernoulli"):
        fitted(tmp_path / "x.npy", tmp_path, likelihood, model="vae", likelihood=likelihood, steps=3)
    found = compare([str(tmp_path / "gaussian"), str(tmp_path / "bernoulli")])
    bound = found.row("−ELBO")
    assert bound is not None
    assert bound.not_comparable
    text = write_comparison(found, tmp_path / "c.html").read_text(encoding="utf-8")
    for name in ("distortion", "−ELBO"):
        assert f"{name} <small>nats per example, lower is better</small> <small>not comparable" in text
    told = [replace(row, one_unit=False) for row in found.rows]
    text = write_comparison(replace(found, rows=tuple(told)), tmp_path / "c.html").read_text(encoding="utf-8")
    assert "nats per example" not in text.partition("What they mean")[0].partition('id="measures"')[2]
