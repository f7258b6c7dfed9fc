"""sfumato fit: from a source to a run folder."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import pytest

from sfumato.cli import main
from sfumato.files import read_tensors

QUICK = ("--rows", 200, "--steps", 20, "--no-report")


def test_a_run_folder_with_pictures_and_report_is_written(cli):
    said = cli("fit", "moons", "--rows", 200, "--steps", 20, "--json")
    assert said.code == 0, said.err
    told = json.loads(said.out)
    assert all(Path(picture).is_file() for picture in told["figures"])
    assert told["measures"]["−ELBO"] == pytest.approx(told["measures"]["rate"] + told["measures"]["distortion"])
    run = Path("runs/moons-vae")
    for name in ("config.toml", "schema.json", "model.safetensors", "manifest.json", "metrics.jsonl", "report.html"):
        assert (run / name).is_file(), name
    assert list((run / "figures").glob("*.png"))


def test_columns_are_shown_before_training_and_the_end_says_what_to_type_next(cli, table):
    said = cli("fit", table, "--steps", 20, "--no-report")
    assert said.code == 0, said.err
    assert said.err.index("body_mass_g") < said.err.index("step")
    assert "sfumato sample birds-vae -n 500 -o new.csv" in said.out
    assert f"sfumato score birds-vae {table}" in said.out
    assert "distortion" in said.out
    assert "rate" in said.out


def test_json_is_all_there_is_on_stdout(cli):
    said = cli("fit", "moons", *QUICK, "--json", "--run", "one")
    told = json.loads(said.out)
    assert told["run"] == "runs/one"
    assert told["steps"] == 20
    assert told["valid"]["total"] == pytest.approx(told["valid"]["rate"] + told["valid"]["distortion"], rel=1e-4)


def test_quiet_says_only_where_the_run_is(cli):
    said = cli("fit", "moons", *QUICK, "--quiet")
    assert said.out == "runs/moons-vae\n"
    assert said.err == ""


def test_flags_reach_data_model_and_training(cli):
    told = ("--latent-dim", 3, "--split", 0.6, 0.2, 0.2, "--lr", 0.005, "--max-time", "1m", "--seed", 4)
    assert cli("fit", "moons", *QUICK, *told, "--device", "cpu").code == 0
    config = tomllib.loads(Path("runs/moons-vae/config.toml").read_text())
    assert config["model"]["latent_dim"] == 3
    assert config["data"]["split"] == [0.6, 0.2, 0.2]
    assert config["training"]["lr"] == 0.005
    assert config["training"]["max_time"] == "1m"
    assert config["data"]["seed"] == config["training"]["seed"] == 4
    assert config["training"]["device"] == "cpu"


def test_kind_of_a_column_can_be_told(cli, table):
    assert cli("fit", table, "--steps", 20, "--no-report", "--kind", "body_mass_g=categorical").code == 0
    columns = json.loads(cli("show", "birds-vae", "--json").out)["columns"]
    assert {row["column"]: row["kind"] for row in columns}["body_mass_g"].startswith("categorical")


def test_its_own_config_trains_the_same_weights_again(cli):
    assert cli("fit", "moons", *QUICK, "--beta", 2, "--model", "beta_vae", "--run", "one").code == 0
    assert cli("fit", "--config", "runs/one/config.toml", "--no-report", "--run", "two").code == 0
    one, two = (read_tensors(f"runs/{name}/model.safetensors")[0] for name in ("one", "two"))
    assert one.keys() == two.keys()
    assert all(one[name].equal(two[name]) for name in one)


def test_flags_come_before_a_config(cli):
    assert cli("fit", "moons", *QUICK, "--run", "one").code == 0
    assert cli("fit", "--config", "runs/one/config.toml", "--latent-dim", 4, "--no-report", "--run", "two").code == 0
    assert tomllib.loads(Path("runs/two/config.toml").read_text())["model"]["latent_dim"] == 4


def test_a_config_keeps_a_split_of_its_own(cli):
    assert cli("fit", "moons", *QUICK, "--run", "one").code == 0
    config = Path("runs/one/config.toml").read_text()
    data, training = config.split("[training]")
    Path("own.toml").write_text(data.replace("seed = 0", "seed = 7") + "[training]" + training)
    assert cli("fit", "--config", "own.toml", "--latent-dim", 4, "--no-report", "--run", "two").code == 0
    written = tomllib.loads(Path("runs/two/config.toml").read_text())
    assert (written["data"]["seed"], written["training"]["seed"]) == (7, 0)


def test_another_model_takes_over_how_data_are_read_and_how_it_is_trained(cli):
    assert cli("fit", "blobs", *QUICK, "--beta", 2, "--model", "beta_vae", "--run", "one").code == 0
    said = cli("fit", "--config", "runs/one/config.toml", "--model", "cvae", "--no-report", "--run", "two")
    assert said.code == 0, said.err
    one, two = (tomllib.loads(Path(f"runs/{name}/config.toml").read_text()) for name in ("one", "two"))
    assert two["data"]["rows"] == 200
    assert two["training"] == one["training"]
    assert two["model"].get("beta", 1.0) == 1.0


def test_resume_goes_on_for_longer(cli):
    assert cli("fit", "moons", *QUICK, "--run", "one").code == 0
    said = cli("fit", "--resume", "one", "--steps", 30, "--no-report", "--json")
    assert said.code == 0, said.err
    assert json.loads(said.out)["steps"] == 30
    assert Path("runs").joinpath("one").is_dir()
    assert [path.name for path in Path("runs").iterdir()] == ["one"]


def test_a_second_run_takes_a_name_of_its_own(cli):
    first = cli("fit", "moons", *QUICK, "--quiet").out.strip()
    weights = Path(first, "model.safetensors").read_bytes()
    second = cli("fit", "moons", *QUICK, "--quiet", "--seed", 1).out.strip()
    assert (first, second) == ("runs/moons-vae", "runs/moons-vae-2")
    assert Path(first, "model.safetensors").read_bytes() == weights


def test_a_conditional_model_takes_the_labels_of_a_built_in_set(cli):
    said = cli("fit", "blobs", *QUICK, "--model", "cvae", "--json")
    assert said.code == 0, said.err
    assert json.loads(cli("show", "blobs-cvae", "--json").out)["given"] == ["label"]


def test_kill_is_handled_like_ctrl_c_and_leaves_a_usable_run_and_exit_code_130(tmp_path):
    command = [sys.executable, "-m", "sfumato", "fit", "moons", "--epochs", "100000", "--no-report"]
    process = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        metrics = tmp_path / "runs" / "moons-vae" / "metrics.jsonl"
        deadline = time.monotonic() + 60
        while not (metrics.exists() and metrics.read_text().count('"valid"')) and time.monotonic() < deadline:
            time.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130, err
    assert "Traceback" not in err
    assert "sfumato fit --resume moons-vae" in out
    assert main(["show", str(tmp_path / "runs" / "moons-vae")]) == 0
