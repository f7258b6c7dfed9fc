"""Pictures and the report: what is drawn, what is said, and that a user's words cannot break them."""

from __future__ import annotations

import re
import shutil
from datetime import date
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch
from PIL import Image

import sfumato
from sfumato.artifacts import Run
from sfumato.errors import SfumatoError
from sfumato.evaluation import Measure
from sfumato.evaluation.metrics.columns import ColumnPair, associations, columns
from sfumato.report import ReportFigure, draw_figures, write_report
from sfumato.report.figures.curves import curves, series
from sfumato.report.figures.image_grids import coloured, sheet_of
from sfumato.report.figures.scatter import Prior, decoder_map, latents, limits, panels, shape_of
from sfumato.report.figures.style import DARK, LIGHT, groups, save, short
from sfumato.report.kinds.column_charts import distances, marginals, pair_associations
from sfumato.report.page import commands
from sfumato.report.rendering import measured

NASTY = "<script>alert(1)</script> $x_1^ 漢 & \"'"


def all_drawn(found: list[ReportFigure]) -> dict[str, ReportFigure]:
    for picture in found:
        for path in (picture.path, picture.dark):
            with Image.open(path) as image:
                pixels = np.asarray(image.convert("L"))
            assert pixels.std() > 1, f"{path} is blank"
        assert picture.title
        assert len(picture.alt) > 40
        assert len(picture.caption) > 60
    return {picture.path.stem: picture for picture in found}


def test_two_numeric_columns_get_panels_map_latents_and_curves(plane_pictures):
    found = all_drawn(plane_pictures)
    assert list(found) == ["data-reconstructions-samples", "decoder-map", "latent-space", "curves"]
    assert "label" in found["data-reconstructions-samples"].caption
    assert "2 grids" in found["decoder-map"].alt


def test_pictures_get_pairs_samples_by_class_traversals_and_interpolations(picture_run, tmp_path):
    found = all_drawn(draw_figures(picture_run, picture_run.data_, tmp_path))
    assert list(found) == ["reconstructions", "samples", "traversals", "interpolations", "latent-space", "curves"]
    assert "a row for each of 0, 1, 2" in found["samples"].alt


@pytest.mark.parametrize("constant", [[2], [0, 2]])
def test_wider_data_get_columns_compared_and_constant_ones_are_left_out(tmp_path, fitted, constant):
    x = np.random.default_rng(0).normal(size=(200, 4))
    x[:, constant] = 5.0
    auto = fitted(x, tmp_path, "wide")
    found = all_drawn(draw_figures(auto, auto.data_, tmp_path / "drawn"))
    assert list(found)[:3] == ["distances", "marginals", "associations"]
    assert f"{4 - len(constant)} columns" in found["marginals"].alt


def test_drawing_again_gives_the_same_files_and_leaves_noise_and_model_alone(plane_run, plane_pictures, tmp_path):
    plane_run.model_.train()
    before = torch.get_rng_state()
    again = draw_figures(plane_run, plane_run.data_, tmp_path)
    assert torch.equal(before, torch.get_rng_state())
    assert plane_run.model_.training
    plane_run.model_.eval()
    assert [one.path.read_bytes() for one in plane_pictures] == [two.path.read_bytes() for two in again]


def test_measures_add_up_and_count_active_units(plane_run):
    found = {measure.name: measure for measure in plane_run.evaluate(quick=True)}
    assert found["−ELBO"].value == pytest.approx(found["distortion"].value + found["rate"].value)
    assert found["active units"].unit == "of 2 latents"
    assert "bits per dimension" not in found
    assert all(len(measure.meaning) > 30 for measure in found.values())


def test_bits_per_dimension_are_told_where_levels_have_probabilities(tmp_path, fitted):
    x = np.random.default_rng(0).integers(0, 2, (100, 4, 4), np.uint8)
    auto = fitted(x, tmp_path, "bits", likelihood="bernoulli")
    found = {measure.name: measure.value for measure in auto.evaluate(quick=True)}
    assert found["bits per dimension"] == pytest.approx(found["−ELBO"] / (16 * np.log(2)))


class Page(HTMLParser):
    """The parts of a page that the tests ask for."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words = ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.words += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def test_report_is_one_file_with_everything_in_it(plane_run, plane_pictures):
    found = plane_pictures
    path = write_report(plane_run.run_, found, plane_run.evaluate(quick=True))
    text = path.read_text(encoding="utf-8")
    page = Page(text)
    assert path.stat().st_size < 5_000_000
    assert len(page.all("img")) == len(page.all("source")) == len(found)
    for image in page.all("img"):
        assert str(image["src"]).startswith("data:image/png;base64,")
        assert image["alt"]
    assert not re.search(r"(src|href|srcset)=\"(?!data:|#)", text)
    assert "url(" not in text
    assert len(page.all("h1")) == 1
    for said in ("−ELBO", "active units", "config.toml", "warmup", "sfumato sample", "cvae"):
        assert said in text or said in page.words
    assert [attributes["id"] for attributes in page.all("h2")] == [
        link["href"][1:] for link in page.all("a") if link["href"]
    ]


def test_words_of_a_user_are_never_markup(plane_run):
    found = Measure(NASTY, 1.0, "<i>", "<u>")
    text = write_report(plane_run.run_, [], [found]).read_text(encoding="utf-8")
    tags = {tag for tag, _ in Page(text).tags}
    assert not tags & {"script", "i", "u", "b"}
    assert "two <b> lumps" in Page(text).words


def test_commands_are_filled_in_with_names_that_exist(plane_run):
    lines = [line for _, line in commands(plane_run.run_, plane_run.run_.config(), plane_run.schema_)]
    first = plane_run.schema_.label_names[0]
    assert any("--given" in line and "label=" in line and first[:7] in line for line in lines)
    assert "two <b> lumps'" in lines[0]
    compile(lines[-1], "python", "exec")


def test_commands_read_the_data_as_the_run_did(tmp_path):
    run = sfumato.fit("sprites", likelihood="gaussian", rows=300, steps=5, run=tmp_path / "d").run_
    again = next(line for _, line in commands(run, run.config(), run.schema()) if " sweep " in line)
    assert again == "sfumato sweep sprites --models vae --likelihood gaussian --rows 300 --steps 5 --seeds 5"
    told = {"beta": 2.0, "latent_dim": 3, "batch_size": 16}
    other = sfumato.fit("moons", model="beta_vae", rows=200, steps=5, run=tmp_path / "o", **told).run_
    again = next(line for _, line in commands(other, other.config(), other.schema()) if " sweep " in line)
    flags = "--rows 200 --latent-dim 3 --beta 2 --steps 5 --batch-size 16"
    assert again == f"sfumato sweep moons --models beta_vae {flags} --seeds 5"
    days = pa.table(
        {"s": [1] * 4 + [2] * 4 + [3] * 4, "t": [date(2024, 1, n) for n in (1, 2, 3, 4)] * 3, "v": range(12)}
    )
    dated = sfumato.fit(days, model="td_vae", id="s", time="t", steps=2, run=tmp_path / "days").run_
    assert "--jumps 1d,4d,8d" in commands(dated, dated.config(), dated.schema())[0][1]


def test_report_stands_or_is_not_there(plane_run, tmp_path):
    copied = Run(Path(shutil.copytree(plane_run.run_.path, tmp_path / "copy")))
    (copied.path / "config.toml").write_text("[model", encoding="utf-8")
    (copied.path / "report.html").unlink(missing_ok=True)
    with pytest.raises(SfumatoError, match=r"config\.toml"):
        write_report(copied, [])
    assert not (copied.path / "report.html").exists()


def test_distances_are_those_of_their_definitions():
    numbers = ColumnPair("n", np.array([0.0, 1, 2, 3, np.nan]), np.array([10.0, 11, 12]))
    assert numbers.distance == 1
    shifted = ColumnPair("n", np.arange(100.0), np.arange(100.0) + 25)
    assert shifted.distance == pytest.approx(0.25)
    category = ColumnPair("c", np.array([0.0, 0, 1, np.nan]), np.array([0.0, 1, 2]), ("a", "b", "c"))
    assert category.distance == pytest.approx((abs(2 / 4 - 1 / 3) + abs(1 / 4 - 1 / 3) + 1 / 3 + 1 / 4) / 2)


def test_associations_are_those_of_their_definitions():
    chooser = np.random.default_rng(0)
    number, group = chooser.normal(size=400), chooser.integers(0, 3, 400).astype(float)
    other = number * 2 + chooser.normal(size=400)
    table = [
        ColumnPair("x", number, number),
        ColumnPair("y", other, other),
        ColumnPair("g", group, group, ("a", "b", "c")),
        ColumnPair("h", (group + 1) % 3, (group + 1) % 3, ("a", "b", "c")),
        ColumnPair("z", group * 5, group * 5),
    ]
    found = associations(table)
    assert found[0, 1] == pytest.approx(np.corrcoef(number, other)[0, 1])
    assert found[2, 3] == pytest.approx(1)
    assert found[2, 4] == pytest.approx(1)
    assert found[0, 2] < 0.2
    np.testing.assert_array_equal(found, found.T)


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_columns_of_any_dataframe_are_compared_by_their_kind(library):
    frame = pd.DataFrame(
        {
            "number": [1.5, None, 3.0],
            "code": [1, 2, 2],
            "word": ["a", "b", None],
            "flag": [True, False, True],
            "when": pd.to_datetime(["2024-01-01", "2024-01-02", None]),
        }
    )
    table = frame if library == "pandas" else __import__("polars").from_pandas(frame)
    found = {column.name: column for column in columns(table, table, categories=["code"], leave=["nothing"])}
    assert [bool(column.levels) for column in found.values()] == [False, True, True, True, False]
    assert found["when"].dated
    assert found["when"].real[1] - found["when"].real[0] == 1
    assert all(column.distance == 0 for column in found.values())
    assert np.isnan(found["number"].real[1])
    assert np.isnan(found["word"].real[2])


def awkward_columns() -> list[ColumnPair]:
    chooser = np.random.default_rng(0)
    spike = np.where(chooser.random(500) < 0.9, 0.0, chooser.exponential(5000, 500))
    many = chooser.integers(0, 300, 500).astype(float)
    return [
        ColumnPair(NASTY, spike, spike[::-1]),
        ColumnPair("empty", np.full(5, np.nan), np.full(5, np.nan)),
        ColumnPair("constant", np.ones(5), np.ones(5)),
        ColumnPair("many", many, many, tuple(f"{NASTY} {i}" for i in range(300))),
        ColumnPair("dates", many + 19_000, many + 19_000, dated=True),
        ColumnPair("huge", spike * 1e12, spike * 1e12),
        ColumnPair("none sampled", spike, np.full(500, np.nan)),
    ]


def test_awkward_columns_are_drawn_without_a_warning(tmp_path):
    table = awkward_columns()
    values = np.random.default_rng(0).uniform(-1, 1, (len(table), len(table)))
    values[0, 1] = np.nan
    words = {"title": "t", "alt": "a", "caption": "c"}
    save(tmp_path, "m", lambda look: marginals(table, look), **words)
    save(tmp_path, "d", lambda look: distances(table, [0.1] * len(table), look), **words)
    save(tmp_path, "a", lambda look: pair_associations([c.name for c in table], values, -values, look), **words)
    assert len(list(tmp_path.rglob("*.png"))) == 6


def test_panels_share_one_frame_with_equal_scales():
    chooser = np.random.default_rng(0)
    data = chooser.normal(size=(50, 2)) * [1, 3]
    sheet = panels(data, data, data + 1, LIGHT)
    frames = [(axes.get_xlim(), axes.get_ylim()) for axes in sheet.axes]
    assert len(frames) == 3
    assert len(set(frames)) == 1
    width, height = sheet.get_size_inches()
    box = sheet.axes[0].get_position()
    (left, right), (bottom, top) = frames[0]
    assert (top - bottom) / (box.height * height) == pytest.approx((right - left) / (box.width * width))
    assert shape_of(limits(data * [100, 1])) == pytest.approx(0.5)


def test_latent_spaces_of_one_two_and_many_latents_are_drawn():
    chooser = np.random.default_rng(0)
    labels = chooser.integers(0, 13, 80)
    names = [f"class {i}" for i in range(13)]
    for count in (1, 2, 40):
        prior = [Prior(np.zeros(2), np.ones(2))]
        means, rates = chooser.normal(size=(80, count)), np.linspace(0, 1, count)
        sheet = latents(means, rates, DARK, labels=labels, names=names, priors=prior)
        assert len(sheet.axes[1].patches) == min(count, 24)
    sheet = latents(means, rates, DARK, priors=prior)
    assert sheet.axes[0].get_xlabel() == "z40"


def test_decoder_map_draws_both_families_of_lines_and_a_curve_for_one_latent():
    grid = np.stack(np.meshgrid(np.arange(9.0), np.arange(9.0)), -1)
    sheet = decoder_map([(grid, -1)], np.zeros((5, 2)), LIGHT, every=4)
    drawn = [len(lines.get_segments()) for lines in sheet.axes[0].collections[1:]]
    assert drawn == [3, 3]
    sheet = decoder_map([(grid[:1], -1)], np.zeros((5, 2)), LIGHT)
    assert [len(lines.get_segments()) for lines in sheet.axes[0].collections[1:]] == [1, 0]


def test_rare_labels_are_joined_and_unknown_ones_told_apart():
    labels = np.concatenate([np.repeat(np.arange(14), np.arange(14, 0, -1)), [-1]])
    found = groups(labels, [str(i) for i in range(14)], len(labels), LIGHT)
    assert [group.name for group in found[-2:]] == ["5 others", "unknown"]
    assert sorted(np.concatenate([group.rows for group in found])) == list(range(len(labels)))
    assert len({group.colour for group in found}) == 11


def test_pixels_stay_whole_pixels():
    checks = np.indices((8, 8)).sum(0).astype(np.uint8) % 2 * 255
    sheet = sheet_of([[checks] * 12], LIGHT)
    drawn = np.array(sheet.artists[0].image[..., 0])
    tile = drawn[16 : 16 + 8 * (drawn.shape[1] // 13 // 8), 16:]
    assert set(np.unique(tile[:, :100])) == {0, 255}


def test_large_pictures_are_reduced_to_their_place_and_small_ones_never_exceed_the_page():
    for height, width in ((700, 500), (3, 9), (40, 1)):
        sheet = sheet_of([[np.full((height, width, 3), 9, np.uint8)] * 12], LIGHT, rows=["a"], columns=["b"] * 12)
        across, down = sheet.get_size_inches()
        assert across <= 9
        assert down < 9
        assert (sheet.artists[0].image == 9).any()


def test_one_example_is_enough_to_draw_and_measure(tmp_path, fitted):
    x = np.random.default_rng(0).normal(size=(40, 2))
    auto = fitted(x, tmp_path, "few", split=(0.9, 0.075, 0.025))
    assert len(auto.data_.test) == 1
    assert len(all_drawn(draw_figures(auto, auto.data_, tmp_path / "drawn"))) == 4
    assert {measure.name: measure.value for measure in auto.evaluate(quick=True)}["active units"] == 0


def test_transparent_pixels_show_the_paper():
    clear = np.zeros((1, 2, 2, 4), np.uint8)
    assert (coloured(clear, LIGHT) == 255).all()
    assert tuple(coloured(clear, DARK)[0, 0, 0]) == (0x16, 0x1B, 0x22)
    grey = np.full((1, 2, 2), 7, np.uint8)
    assert (coloured(grey, LIGHT) == 7).all()


def test_curves_show_warm_up_and_survive_gaps():
    rows = [
        {
            "step": step,
            "split": split,
            "total": None if step == 20 else 10.0 - step / 50,
            "rate": 1.0,
            "distortion": 2.0,
        }
        for step in range(0, 200, 10)
        for split in ("train", "valid")
    ]
    sheet = curves(rows, LIGHT, warmup=[(0, 50), (100, 150)], best=190)
    assert len(sheet.axes) == 3
    assert len(sheet.axes[0].patches) == 2
    assert len(series(rows, "valid", "total")[0]) == 19
    assert len(curves(rows[:1], LIGHT).axes) == 3


def test_numbers_and_names_are_kept_short():
    assert measured(float("nan")) == "nan"
    assert short("two\nlines", 20) == "two lines"
