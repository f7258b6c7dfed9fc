"""forecast: of one long series, with its own times; quantiles, futures and figures."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest

import sfumato
from sfumato.errors import SfumatoError

STEPS = 300


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


@pytest.fixture(scope="module")
def load(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One series of hours, with a gap and two rows at its end that are yet to come."""
    t = np.arange(STEPS)
    stamps = np.datetime64("2026-03-01T00:00") + t.astype("timedelta64[h]").astype("timedelta64[m]")
    values = 40 + 0.1 * t + 5 * np.sin(2 * np.pi * t / 24) + np.random.default_rng(0).normal(size=STEPS)
    cells = ["" if 50 <= at < 55 or at >= STEPS - 2 else f"{value:.3f}" for at, value in enumerate(values)]
    path = tmp_path_factory.mktemp("data") / "load.csv"
    path.write_text("time,load\n" + "".join(f"{s},{cell}\n" for s, cell in zip(stamps, cells, strict=True)))
    return path


@pytest.fixture(scope="module")
def run(load: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "r"
    options = {"latent_dim": 2, "width": 8, "steps": 3, "device": "cpu", "horizon": 4, "window": 8}
    sfumato.fit(load, model="td_vae", run=folder, **options)
    return folder


def test_a_long_series_is_forecast_after_its_last_value(cli, run, load):
    ahead = rows(cli("forecast", run, load).out)
    assert list(ahead[0]) == ["time", "ahead", "load_0.05", "load_0.5", "load_0.95"]
    assert [row["ahead"] for row in ahead] == ["1", "2", "3", "4"]
    assert ahead[0]["time"] == "2026-03-13 10:00:00", "the first step without a value"
    assert all(float(row["load_0.05"]) < float(row["load_0.5"]) < float(row["load_0.95"]) for row in ahead)
    assert 50 < float(ahead[0]["load_0.5"]) < 90, "near its last values, which are above all of the training"


def test_the_command_gives_quantiles_futures_figures_and_arrays(cli, run, load, caplog):
    quantiles = json.loads(cli("forecast", run, load, "--horizon", "3h", "--quantiles", "0.2,0.8", "--json").out)
    assert list(quantiles) == ["seed", "time", "ahead", "load_0.2", "load_0.8"]
    assert len(quantiles["time"]) == 3
    futures = rows(cli("forecast", run, load, "-n", 4, "--jumps", "1h,1d").out)
    assert list(futures[0]) == ["time", "future", "ahead", "load"]
    assert [row["time"] for row in futures[:2]] == ["2026-03-13 10:00:00", "2026-03-14 10:00:00"]
    assert cli("forecast", run, load, "--horizon", 6, "-n", 5, "-o", "f.npy").code == 0
    assert np.load("f.npy").shape == (1, 5, 6, 1)
    for words in ((), ("-n", 5)):
        assert cli("forecast", run, load, *words, "-o", "f.png", "--overwrite").code == 0
    assert Path("f.png").read_bytes().startswith(b"\x89PNG")
    assert cli("forecast", run, load, "--horizon", 9, "-o", "far.csv").code == 0
    assert "forecasts 9 steps ahead are extrapolated beyond the 4 that were trained" in caplog.text


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--horizon", "0"), "horizon is 0: give a whole number"),
        (("--horizon", "3", "--jumps", "1h"), "leave one out"),
        (("--quantiles", "5,95"), "quantiles are 5.0, 95.0: give shares between 0 and 1"),
        (("--quantiles", "low"), "--quantiles low: give shares"),
        (("-n", "0"), "give at least 1 future"),
    ],
)
def test_what_cannot_be_forecast_is_one_line(cli, run, load, words, message):
    answer = cli("forecast", run, load, *words)
    assert answer.code == 2
    assert message in answer.err


def test_a_forecast_of_a_later_file_begins_where_it_ends(run, load, tmp_path):
    later = tmp_path / "later.csv"
    lines = load.read_text().splitlines()
    later.write_text("\n".join([lines[0], *lines[200:260]]) + "\n")
    auto = sfumato.load(run)
    table = auto.forecast_table(str(later), horizon=2)
    assert [str(moment) for moment in table["time"].to_pylist()] == ["2026-03-11 19:00:00", "2026-03-11 20:00:00"]
    (tmp_path / "late.csv").write_text("time,load\n2026-03-11 19:20:00,5\n2026-03-11 20:20:00,6\n")
    with pytest.raises(SfumatoError, match="must be evenly spaced"):
        auto.forecast(str(tmp_path / "late.csv"))


def test_futures_can_be_imagined_from_a_belief_and_on_from_there(run, load):
    auto = sfumato.load(run)
    belief = auto.belief(load, n=400, seed=0)
    assert belief.states.shape == (1, 400, 5), "two layers of 2, and the time"
    near = auto.imagine(belief, ("1h", "1h"), seed=1)
    far = auto.imagine(near.after(), ("2h",), noise=True, seed=2)
    assert near.values.shape == (1, 400, 2, 1)
    assert (far.states[..., -1] - belief.states[..., -1][..., None] == 4).all()
    drawn = auto.forecast(load, ("1h", "1h", "2h"), n=400, seed=3)[:, :, 2]
    assert far.values[:, :, 0].mean() == pytest.approx(drawn.mean(), abs=4 * drawn.std() / 10)
    assert far.values[:, :, 0].std() == pytest.approx(drawn.std(), rel=0.2)
    np.testing.assert_array_equal(near.states, auto.imagine(belief, ("1h", "1h"), seed=1).states)
