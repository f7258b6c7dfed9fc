"""anomalies: what goes in and what comes out."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from sfumato.report.figures.style import DOTS
from sfumato.report.figures.uses.anomalies import ROW_HEIGHT

SHORT = ("--steps", 40, "--device", "cpu")
SHORTEST = ("--steps", 5, "--device", "cpu")


def width(picture: Path) -> int:
    with Image.open(picture) as opened:
        return opened.size[0]


@pytest.fixture(scope="module")
def faulty(tmp_path_factory: pytest.TempPathFactory):
    """A table whose third row has a fault in the column flow, and one without."""
    folder = tmp_path_factory.mktemp("faulty")
    z = np.random.default_rng(0).normal(size=(120, 1))
    noise = np.random.default_rng(1).normal(size=(120, 3))
    frame = pd.DataFrame(z * [1, 2, -1] + 0.2 * noise, columns=["pressure", "flow", "level"])
    frame.to_csv(folder / "normal.csv", index=False)
    frame.loc[2, "flow"] = 40.0
    frame.to_csv(folder / "faulty.csv", index=False)
    return folder


def test_a_table_is_ranked_with_reasons(cli, faulty):
    said = cli("anomalies", faulty / "faulty.csv", *SHORT)
    assert said.code == 0, said.err
    assert said.out.startswith("120 rows, 1 of them anomalies at a false discovery rate of 0.05")
    first = said.out.splitlines()[2].split()
    assert first[0] == "3"
    assert first[3] == "yes"
    assert first[4].startswith("flow=40")


def test_a_file_is_judged_by_a_normal_one_and_written(cli, faulty, tmp_path):
    said = cli("anomalies", faulty / "faulty.csv", "--normal", faulty / "normal.csv", "-o", "all.csv", *SHORT)
    assert said.code == 0, said.err
    lines = pd.read_csv(tmp_path / "all.csv")
    assert list(lines) == ["row", "score", "p_value", "anomaly"]
    assert len(lines) == 120
    # 24 rows are held out.
    assert lines["p_value"][2] == pytest.approx(1 / 25)


def test_a_long_series_comes_by_step_and_drawn(cli, tmp_path):
    steps = np.arange(300)
    values = np.sin(2 * np.pi * steps / 20) + 0.1 * np.random.default_rng(0).normal(size=300)
    values[150:155] += 4
    when = pd.date_range("2024-01-01", periods=300, freq="h")
    pd.DataFrame({"when": when, "load": values}).to_csv(tmp_path / "load.csv", index=False)
    said = cli("anomalies", "load.csv", "--window", "auto", "-o", "steps.csv", *SHORT)
    assert said.code == 0, said.err
    assert "windows of 20 steps" in said.out
    lines = pd.read_csv(tmp_path / "steps.csv")
    assert list(lines) == ["step", "time", "score", "anomaly"]
    assert 148 <= lines["score"].argmax() <= 157
    assert cli("anomalies", "load.csv", "--window", 20, "-o", "steps.png", "--top", 1, *SHORTEST).code == 0
    assert width(tmp_path / "steps.png") > 1000


def test_reasons_and_pixels_are_drawn(cli, faulty, tmp_path):
    np.save(tmp_path / "x.npy", np.random.default_rng(0).integers(0, 60, (40, 6, 6), dtype=np.uint8))
    for file, out in ((faulty / "faulty.csv", "rows.png"), ("x.npy", "pixels.png")):
        assert cli("anomalies", file, "-o", out, "--top", 6, *SHORTEST).code == 0
        assert width(tmp_path / out) > 1000


def test_series_are_drawn_channel_by_channel_with_steps_that_never_vary(cli, tmp_path):
    series = np.random.default_rng(0).normal(size=(40, 2, 8))
    series[:, 0, 0] = 1.0
    head = "@univariate false\n@dimensions 2\n@equalLength true\n@seriesLength 8\n@classLabel false\n@data\n"
    lines = (":".join(",".join(map(str, channel)) for channel in each) for each in series.tolist())
    (tmp_path / "series.ts").write_text(head + "\n".join(lines) + "\n")
    said = cli("anomalies", "series.ts", "-o", "steps.png", "--top", 2, *SHORTEST)
    assert said.code == 0, said.err
    with Image.open(tmp_path / "steps.png") as opened:
        assert opened.height == round((2 * 2 * ROW_HEIGHT + 0.3) * DOTS)


def test_the_model_of_a_run_is_used(cli, birds, table):
    said = cli("anomalies", table, "--run", birds, "--json")
    assert said.code == 0, said.err
    result = json.loads(said.out)
    assert result["examples"] == len(result["scores"]) == len(result["p_values"]) == 40
    top = result["top"][0]
    assert list(top)[-4:] == ["score", "p_value", "anomaly", "why"]
    assert top["row"] == np.argmax(result["scores"]) + 1
    assert top["score"] == max(result["scores"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("nothing.csv",), "nothing.csv"),
        (("birds.csv", "--window", "many"), "--window many: give a whole number of steps, or auto"),
        (("birds.csv", "--time", "when"), "--time is for one long series"),
        (("birds.csv", "--window", "8", "--run", "r"), "--window trains a model of its own; leave out --run"),
        (("birds.csv", "--fdr", "2"), "fdr is 2"),
        (("birds.csv", "--top", "0"), "--top 0: give at least 1"),
    ],
)
def test_bad_input_is_one_line(cli, table, tmp_path, arguments, message):
    (tmp_path / "birds.csv").write_bytes(table.read_bytes())
    said = cli("anomalies", *arguments)
    assert said.code == 2
    assert message in said.err
    assert len(said.err.strip().splitlines()) == 1
