"""interpolate, traverse, neighbours and transfer: what goes in and what comes out."""

from __future__ import annotations

import csv
import io
import json

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from sfumato import Autoencoder
from sfumato.cli.commands.uses.attributes import has_value
from sfumato.errors import SfumatoError

QUICK = {"latent_dim": 2, "width": 16, "depth": 1, "steps": 5, "device": "cpu"}


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


@pytest.fixture(scope="module")
def shapes(tmp_path_factory: pytest.TempPathFactory):
    """Images of four labels, their file, and a VAE on them that was hardly trained."""
    folder = tmp_path_factory.mktemp("shapes")
    y = np.arange(40) % 4
    x = np.random.default_rng(0).integers(0, 60, (40, 8, 8), dtype=np.uint8)
    for image, label in zip(x, y, strict=True):
        image[2 * label : 2 * label + 2] = 255
    np.savez(folder / "shapes.npz", x=x, y=y)
    Autoencoder(**QUICK).fit((x, y)).save(folder / "run")
    return folder / "run", folder / "shapes.npz", x


def test_a_table_comes_as_rows_with_their_step(cli, birds, table):
    said = cli("interpolate", birds, table, "--rows", 1, 4, 5, "--steps", 4)
    assert said.code == 0, said.err
    lines = rows(said.out)
    assert list(lines[0])[:4] == ["from", "to", "step", "species"]
    assert [(line["from"], line["to"], line["step"]) for line in lines[:5]] == [
        *(("1", "4", str(step)) for step in (1, 2, 3, 4)),
        ("4", "5", "1"),
    ]
    assert [line["species"] for line in lines] == ["Adelie"] * 2 + ["Gentoo"] * 6
    told = json.loads(cli("interpolate", birds, table, "--rows", 1, 4, 5, "--steps", 4, "--json").out)["steps"]
    assert [str(line["body_mass_g"]) for line in told] == [line["body_mass_g"] for line in lines]


def test_the_path_ends_at_the_reconstructions(cli, birds, table):
    said = rows(cli("interpolate", birds, table, "--rows", 2, 3, "--steps", 2).out)
    again = rows(cli("reconstruct", birds, table).out)[1:3]
    assert [{name: line[name] for name in again[0]} for line in said] == again


def test_images_come_as_a_sheet_as_a_gif_and_in_a_folder(cli, shapes, tmp_path):
    run, file, _ = shapes
    for out in ("strip.png", "moving.gif", "folder"):
        said = cli("interpolate", run, file, "--rows", 1, 2, 3, "--steps", 5, "-o", out)
        assert (said.code, said.out) == (0, f"10 steps written to {out}\n"), said.err
    with Image.open(tmp_path / "strip.png") as strip, Image.open(tmp_path / "moving.gif") as moving:
        assert strip.size == (5 * 8 + 4 * 2, 2 * 8 + 2)
        assert moving.n_frames == 2 * 5 - 2
        assert moving.size == (2 * 96 + 2, 96)
    assert len(list((tmp_path / "folder").iterdir())) == 10


def test_rows_of_numbers_come_as_they_are_or_drawn(cli, tmp_path):
    x = np.sin(np.arange(12) + np.random.default_rng(0).uniform(0, 6, (40, 1)))
    np.save(tmp_path / "x.npy", x)
    auto = Autoencoder(**QUICK).fit(x)
    auto.save(tmp_path / "run")
    arguments = ("interpolate", "run", "x.npy", "--rows", 1, 2, 3, "--steps", 4)
    assert cli(*arguments, "-o", "path.npy").code == 0
    assert np.array_equal(np.load("path.npy"), auto.interpolate(x[:2], x[1:3], steps=4))
    assert cli(*arguments, "-o", "path.png").out == "8 steps written to path.png\n"
    with Image.open("path.png") as drawn:
        assert drawn.size == (1800, 640), "two charts"


def test_an_attribute_is_the_difference_of_mean_codes(cli, shapes):
    run, file, x = shapes
    said = cli("interpolate", run, file, "--rows", 2, "--add", "label=3", "--strength", 2, "--steps", 3, "-o", "a.npy")
    assert said.code == 0, said.err
    auto = Autoencoder.load(run)
    codes, has = auto.encode(x), np.arange(40) % 4 == 3
    direction = codes[has].mean(0) - codes[~has].mean(0)
    ends = auto.decode(codes[1] + np.array([[0.0], [1.0], [2.0]]) * direction)
    assert np.array_equal(np.load("a.npy"), ends)


def test_a_traversal_moves_one_latent_at_a_time(cli, birds, table):
    said = cli("traverse", birds, table, "--row", 4, "--latents", 2, 1, "--steps", 3)
    assert said.code == 0, said.err
    lines = rows(said.out)
    assert [line["latent"] for line in lines] == ["z2"] * 3 + ["z1"] * 3
    assert [line["quantile"] for line in lines[:3]] == ["0.0228", "0.5", "0.9772"]
    values = [float(line["value"]) for line in lines]
    assert values[:3] == sorted(values[:3])
    assert {line["species"] for line in lines} == {"Gentoo"}


def test_neighbours_of_a_table_come_with_their_values(cli, birds, table):
    said = cli("neighbours", birds, table, "--rows", 1, "-k", 4)
    assert said.code == 0, said.err
    lines = rows(said.out)
    assert [line["row"] for line in lines] == ["9", "17", "25", "33"], "the rows that are repeated"
    assert {float(line["distance"]) for line in lines} == {0.0}
    assert {line["bill_length_mm"] for line in lines} == {"39.1"}


def test_neighbours_of_images_are_a_sheet_or_a_table(cli, shapes, tmp_path):
    run, file, x = shapes
    assert cli("neighbours", run, file, "--rows", 1, 2, "-k", 3, "-o", "near.png").code == 0
    with Image.open(tmp_path / "near.png") as image:
        sheet = np.asarray(image)
    assert np.array_equal(sheet[:8, :8], x[0]), "the example itself comes first"
    told = json.loads(cli("neighbours", run, file, "--among", file, "--rows", 7, "-k", 1, "--json").out)["neighbours"]
    assert told == [{"of": 7, "rank": 1, "row": 7, "distance": 0.0}]


def test_transfer_changes_the_condition_alone(cli, birds, table):
    said = cli("transfer", birds, table, "--set", "species=Chinstrap")
    assert said.code == 0, said.err
    assert {row["species"] for row in rows(said.out)} == {"Chinstrap"}
    assert said.out == cli("reconstruct", birds, table, "--given", "species=Chinstrap").out


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ("interpolate RUN FILE --rows 1", "give at least two rows to go between, or --add"),
        ("interpolate RUN FILE --rows 1 900", "--rows 900: FILE has 40 examples; give numbers from 1 to 40"),
        ("interpolate RUN FILE --rows 1 2 --steps 1", "steps is 1: give a whole number of at least 2"),
        ("interpolate RUN FILE --rows 1 2 --strength 2", "--strength is for --add"),
        ("interpolate RUN FILE --rows 1 2 --near FILE", "near is for the path geodesic, not straight"),
        ("interpolate RUN FILE --rows 1 --add smile", "column 'smile' is not there"),
        ("interpolate RUN FILE --rows 1 --add sex", "the column holds female, male; say which value"),
        ("interpolate RUN FILE --rows 1 --add sex=f", "no example has 'f'"),
        ("interpolate RUN FILE --rows 1 --add island=Biscoe", "a condition of this model"),
        ("interpolate RUN FILE --rows 1 4 --path geodesic", "set them with given"),
        ("traverse RUN --row 3", "say of which FILE"),
        ("traverse RUN FILE --latents 3", "--latents 3: the model has 2 latents; give numbers from 1 to 2"),
        ("neighbours RUN FILE -k 40", "give a whole number from 1 to 39"),
        ("transfer RUN FILE --set colour=red", "condition 'colour' is not one of this model"),
        ("transfer MOONS moons --set label=1", "has none to change; train one with --model cvae"),
    ],
)
def test_a_mistake_is_one_line(cli, birds, table, moons, arguments, line):
    places = {"RUN": birds, "FILE": table, "MOONS": moons}
    said = cli(*(places.get(word, word) for word in arguments.split()))
    assert said.code == 2
    assert line.replace("FILE has", f"{table} has") in said.err
    assert said.err.count("\n") == 1


def test_codes_that_are_no_points_are_refused(cli, tmp_path):
    x = np.random.default_rng(0).normal(size=(30, 3))
    np.save(tmp_path / "x.npy", x)
    Autoencoder("vq_vae", width=16, depth=1, steps=3).fit(x).save(tmp_path / "run")
    for command in (("interpolate", "--rows", 1, 2), ("neighbours",), ("traverse",)):
        said = cli(command[0], "run", "x.npy", *command[1:])
        assert (said.code, said.err.count("\n")) == (2, 1)
        assert "choose vae or another model" in said.err


def test_text_goes_from_line_to_line(cli, tmp_path):
    lines = ["CCO", "CCN", "CCCC", "OCO", "NCC", "CNC"] * 5
    (tmp_path / "lines.txt").write_text("\n".join(lines) + "\n")
    Autoencoder(**QUICK).fit(lines).save(tmp_path / "run")
    said = cli("interpolate", "run", "lines.txt", "--rows", 1, 3, "--steps", 4, "--path", "spherical")
    assert said.code == 0, said.err
    assert len(said.out.splitlines()) == 4
    assert list(rows(cli("neighbours", "run", "lines.txt", "--rows", 1, "-k", 1).out)[0]) == [
        *("of", "rank", "row", "distance", "text")
    ]
    assert (
        "choose the path straight or spherical"
        in cli("interpolate", "run", "lines.txt", "--rows", 1, 3, "--path", "geodesic").err
    )


def test_attributes_are_yes_or_no_or_a_value():
    assert has_value(pd.Series([True, False]).tolist(), None, "--add x") == [True, False]
    assert has_value([1.0, 2.0, float("nan")], "1", "--add x") == [True, False, None]
    with pytest.raises(SfumatoError, match="--add x: the column holds a, b; say which value, as --add x=a"):
        has_value(["a", "b"], None, "--add x")
