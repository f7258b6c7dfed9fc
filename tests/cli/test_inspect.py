"""show, report, models and data."""

from __future__ import annotations

import json
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from sfumato import data, models
from sfumato.artifacts import Run


def test_show_tells_data_model_numbers_files_and_what_next(cli, birds, table):
    said = cli("show", birds)
    assert said.code == 0, said.err
    for word in ("cvae", str(table), "species, island", "parameters", "20 steps", "rate", "metrics.jsonl", "Next:"):
        assert word in said.out, word


def test_numbers_are_said_to_be_of_the_part_they_are_of(cli):
    how = ("--rows", 60, "--steps", 5, "--no-report")
    assert "on the validation split;" in cli("fit", "moons", *how, "--run", "some").out
    for said in (cli("fit", "moons", *how, "--split", 1, 0, 0, "--run", "all"), cli("show", "all")):
        assert "on the training split at the end;" in said.out
        assert "validation split" not in said.out


def test_show_as_json(cli, birds):
    told = json.loads(cli("show", birds, "--json").out)
    run = Run.open(birds)
    assert told["finished"]
    assert told["parameters"] == sum(parameter.numel() for parameter in run.model().parameters())
    assert told["config"]["model"]["name"] == "cvae"
    assert {row["column"] for row in told["columns"]} >= {"species", "sex", "body_mass_g"}


def test_report_is_made_again_and_the_run_stays_whole(cli, moons, tmp_path):
    shutil.copytree(moons, tmp_path / "copy")
    said = cli("report", tmp_path / "copy")
    assert said.code == 0, said.err
    assert str(tmp_path / "copy" / "report.html") in said.out
    assert (tmp_path / "copy" / "report.html").is_file()
    assert list((tmp_path / "copy" / "figures").glob("*.png"))
    Run.open(tmp_path / "copy").verify()


def test_models_are_listed_with_their_options(cli):
    told = json.loads(cli("models", "--json").out)["models"]
    assert [model["name"] for model in told] == list(models.names())
    assert told[0]["options"]["latent_dim"]["help"]
    page = cli("models").out
    assert all(f"{name}: {models.summary(name)}" in " ".join(page.split()) for name in models.names())


def test_built_in_sets_are_listed(cli):
    told = json.loads(cli("data", "--json").out)["data"]
    assert [one["name"] for one in told] == list(data.names())
    assert all(name in cli("data").out for name in data.names())


def test_a_reader_that_goes_away_is_no_error():
    code = "import sys; from sfumato.cli import main; sys.exit(main(['models']))"
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout
    assert process.stderr
    process.stdout.close()
    assert process.stderr.read() == b""
    process.stderr.close()
    assert process.wait() in (0, 1)


def test_the_short_spelling_does_the_same(tmp_path, monkeypatch, capsys):
    script = Path(__file__).parents[2] / "main.py"
    told = [
        "--model",
        "name=cvae,latent_dim=2",
        "--cuda=False",
        "--dataset=circles",
        "--rows=200",
        "--steps=5",
        "--no-report",
        "--json",
    ]
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [str(script), *told])
    with pytest.raises(SystemExit) as end:
        runpy.run_path(str(script), run_name="__main__")
    assert end.value.code == 0
    assert json.loads(capsys.readouterr().out)["model"] == "cvae"
    config = Run.open(tmp_path / "runs" / "circles-cvae").config()
    assert config["training"]["device"] == "cpu"
    assert config["model"]["latent_dim"] == 2


def test_a_source_is_shown_as_it_would_be_read_and_nothing_is_written(cli, table, tmp_path):
    shown = json.loads(cli("data", table, "--kind", "body_mass_g=categorical", "--json").out)
    assert shown["kind"] == "table"
    assert sum(shown["examples"].values()) == len(table.read_text(encoding="utf-8").splitlines()) - 1
    kinds = {row["column"]: row["kind"] for row in shown["columns"]}
    assert (kinds["species"], kinds["body_mass_g"]) == ("categorical", "categorical")
    assert shown["models"]
    assert shown["steps"] >= 1000
    page = cli("data", table).out
    assert all(part in page for part in ("for training", "body_mass_g", f"sfumato fit {table}"))
    assert list(tmp_path.iterdir()) == []


def test_options_of_a_source_need_one_and_act(cli, table):
    for words, line in (
        (("--kind", "body_mass_g=categorical"), "--kind says how a source is read"),
        ((table, "--kind", "body_mas=categorical"), "did you mean body_mass_g"),
        (("nothing.csv",), "nothing.csv: no such file"),
    ):
        said = cli("data", *words)
        assert (said.code, said.out) == (2, "")
        assert line in said.err
