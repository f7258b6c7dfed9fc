"""sfumato complete and sfumato impute: what they write, what stays byte for byte, and what they refuse."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from tests.cli.conftest import PENGUINS

from sfumato import Imputer
from sfumato.cli import main

QUICK = ["--steps", "5", "--width", "8", "--depth", "1", "--latent-dim", "2", "--device", "cpu"]


pytestmark = pytest.mark.usefixtures("short_partial_fit")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("runs")
    head, *rows = PENGUINS.splitlines()
    (folder / "birds.csv").write_text("\n".join([head, *rows * 8]) + "\n", encoding="utf-8")
    assert (
        main(["fit", str(folder / "birds.csv"), "--run", str(folder / "birds"), "--no-report", "--quiet", *QUICK]) == 0
    )
    return str(folder / "birds")


def test_complete_answers_wishes(run, tmp_path, capsys):
    (tmp_path / "wishes.csv").write_text("species,bill_length_mm\nAdelie,\n,45.5\n", encoding="utf-8")
    arguments = [
        "complete",
        run,
        str(tmp_path / "wishes.csv"),
        "-n",
        "2",
        "--fix",
        "island=Dream,Biscoe",
        "--seed",
        "1",
    ]
    assert main([*arguments, "-o", str(tmp_path / "rows.csv"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["seed"] == 1
    rows = pd.read_csv(tmp_path / "rows.csv")
    assert rows["species"][:2].tolist() == ["Adelie", "Adelie"]
    assert rows["bill_length_mm"][2:].tolist() == [45.5, 45.5]
    assert set(rows["island"]) <= {"Dream", "Biscoe"}
    assert not rows.drop(columns="sex").isna().any().any()
    assert main(["complete", run, "--fix", "body_mass_g=4000..", "--seed", "1", "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)["completions"]
    assert row["body_mass_g"] >= 4000


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "give a FILE with blanks"),
        (["absent.csv"], "no such file"),
        (["--fix", "specie=Adelie"], "not a column"),
        (["--fix", "species=Emu"], "no category"),
        (["--fix", "species"], "name=value"),
        (["--fix", "body_mass_g=5000..4000"], "exchange them"),
    ],
)
def test_what_complete_refuses(run, arguments, message, capsys):
    assert main(["complete", run, *arguments]) == 2
    assert message in capsys.readouterr().err


def test_a_damaged_picture_of_blanks_is_one_line(run, table, tmp_path, cli):
    (tmp_path / "blank.png").write_bytes(b"no picture")
    said = cli("complete", run, table, "--blank", "blank.png")
    assert said.code == 2
    assert "blank.png: damaged, or not an image" in said.err
    assert len(said.err.strip().splitlines()) == 1


def test_impute_writes_the_format_of_the_ending(tmp_path, cli):
    rows = [f"{row % 7}{'' if row % 5 else '.5'},{'red' if row % 3 else 'blue'}" for row in range(40)]
    (tmp_path / "holes.csv").write_text("\n".join(["size,colour", ",red", *rows]) + "\n")
    assert cli("impute", "holes.csv", "--out", "filled.tsv", "--quiet", *QUICK).code == 0
    filled = pd.read_csv(tmp_path / "filled.tsv", sep="\t")
    assert list(filled) == ["size", "colour"]
    assert filled.notna().all().all()
    assert cli("impute", "holes.csv", "--out", "filled.csv.gz", "--quiet", *QUICK).code == 0
    packed = gzip.decompress((tmp_path / "filled.csv.gz").read_bytes()).decode().splitlines()
    assert packed[2:] == rows


def test_impute_refuses_before_it_trains(tmp_path, cli, monkeypatch):
    rows = [f"{row},{row % 7}" for row in range(40)]
    (tmp_path / "holes.csv").write_text("\n".join(["size,age", ",3", *rows]) + "\n")
    (tmp_path / "full.csv").write_text("\n".join(["size,age", *rows]) + "\n")
    (tmp_path / "m-2.csv").touch()
    monkeypatch.setattr(Imputer, "fit", lambda *_: pytest.fail("it was trained"))
    for source, more, message in (
        ("holes.csv", ("--out", "filled.txz"), "filled.txz: not a kind of table file"),
        ("holes.csv", ("--out", "m.csv", "--draws", 2), "m-2.csv: exists already"),
        ("holes.csv", ("--out", "i.csv", "--intervals", 1.5), "--intervals 1.5: give a share between 0 and 1"),
        ("holes.csv", ("--out", "i.csv", "--run", tmp_path), "exists already; choose another name for the run"),
        ("full.csv", ("--out", "n.csv"), "no blank cell"),
    ):
        said = cli("impute", source, *more, *QUICK)
        assert said.code == 2
        assert message in said.err


def test_impute_writes_the_file_with_its_blanks_filled(tmp_path, capsys):
    lines = [f"n{row};{row % 7},{row % 10};{'red' if row % 3 else 'blue'}" for row in range(40)]
    text = 'name;size;"the;colour"\r\n"x;1";1,5;\r\ny;;blue\r\n\r\n' + "\n".join(lines)
    source = tmp_path / "holes.csv"
    source.write_bytes(text.encode())
    out = tmp_path / "filled.csv"
    assert main(["impute", str(source), "--out", str(out), "--quiet", *QUICK]) == 0
    before, after = text.split("\r\n"), out.read_bytes().decode().split("\r\n")
    assert after[0] == before[0]
    assert after[3:] == before[3:]
    assert after[1].startswith('"x;1";1,5;')
    assert after[1].removeprefix('"x;1";1,5;') in ("red", "blue")
    assert after[2].startswith("y;")
    assert after[2].endswith(";blue")
    assert np.isfinite(float(after[2].split(";")[1].replace(",", ".")))
    assert main(["impute", str(source), "--out", str(tmp_path / "m.csv"), "--draws", "2", "--json", *QUICK]) == 0
    summary = json.loads(capsys.readouterr().out)
    assert summary["blanks"] == {"size": 1, "the;colour": 1}
    assert [Path(path).exists() for path in summary["out"]] == [True, True]
    assert main(["impute", str(source), "--out", str(tmp_path / "i.csv"), "--intervals", "0.8", "--quiet", *QUICK]) == 0
    ends = pd.read_csv(tmp_path / "i.csv")
    assert list(ends)[1:4] == ["size", "size_low", "size_high"]
    assert ends["size_low"].notna().tolist() == [False, True, *[False] * 40]
    assert main(["impute", str(out), "--out", str(tmp_path / "n.csv"), "--quiet", *QUICK]) == 2
    assert "no blank cell" in capsys.readouterr().err
    assert main(["impute", str(source), "--quiet"]) == 2
    assert "--out" in capsys.readouterr().err
