"""Sequences through every door: Python, the command line, the run folder, the report."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import sfumato
from sfumato.cli import main
from sfumato.errors import SfumatoError
from sfumato.estimator import Autoencoder

SMALL = {"latent_dim": 2, "width": 16, "rows": 120, "device": "cpu"}


@pytest.fixture(scope="module")
def ring(tmp_path_factory: pytest.TempPathFactory) -> Autoencoder:
    folder = tmp_path_factory.mktemp("runs") / "ring"
    return sfumato.fit("ring", model="td_vae", run=folder, steps=30, **SMALL)


def waves(n: int = 60, t: int = 12) -> np.ndarray:
    return np.sin(np.arange(t) * 0.7 + np.random.default_rng(0).uniform(0, 6, (n, 1)))


def test_every_verb_gives_sequences_of_the_kind_that_went_in(ring: Autoencoder) -> None:
    x = np.random.default_rng(0).uniform(size=(5, 20, 16))
    assert ring.sample(3, seed=0).shape == (3, 20, 16)
    codes = ring.encode(x)
    assert codes.shape == (5, 5)
    np.testing.assert_allclose(codes[:, -1], 20.0, err_msg="the last number of a code is its time")
    assert ring.decode(ring.encode(x)).shape == (5, 1, 16)
    assert ring.reconstruct(x).shape == (5, 20, 16)
    assert ring.score_samples(x).shape == (5,)
    assert ring.forecast(x[:, :9], (1, 4, 8), n=7, seed=0).shape == (5, 7, 3, 16)


def test_a_result_does_not_depend_on_its_neighbours_and_a_seed_is_kept(ring: Autoencoder) -> None:
    x = np.random.default_rng(0).uniform(size=(4, 20, 16))
    np.testing.assert_allclose(ring.score_samples(x)[1:2], ring.score_samples(x[1:2]), rtol=1e-9)
    np.testing.assert_array_equal(ring.forecast(x, (1, 2), n=3, seed=5), ring.forecast(x, (1, 2), n=3, seed=5))
    assert not np.array_equal(ring.forecast(x, (1, 2), n=3, seed=5), ring.forecast(x, (1, 2), n=3, seed=6))


def test_a_loaded_run_says_the_same(ring: Autoencoder) -> None:
    assert ring.run_ is not None
    again = sfumato.load(ring.run_.path, device="cpu")
    x = np.random.default_rng(0).uniform(size=(4, 20, 16))
    np.testing.assert_array_equal(again.forecast(x, (1, 2), n=3, seed=0), ring.forecast(x, (1, 2), n=3, seed=0))
    np.testing.assert_array_equal(again.sample(2, seed=0), ring.sample(2, seed=0))


def test_forecasts_are_not_for_other_models_nor_for_jumps_that_go_nowhere(ring: Autoencoder) -> None:
    with pytest.raises(SfumatoError, match="jumps are"):
        ring.forecast(np.zeros((1, 20, 16)), (1, 0))
    with pytest.raises(SfumatoError, match="VAE cannot forecast"):
        sfumato.fit(waves()[:, :2], steps=2, device="cpu").forecast(waves()[:, :2])


def test_jumps_are_in_the_units_of_the_times_that_were_given() -> None:
    x = waves()
    table = {"id": np.repeat(np.arange(60), 12), "day": np.tile(7.0 * np.arange(12), 60), "value": x.reshape(-1)}
    told = {"model": "td_vae", "steps": 5, "latent_dim": 2, "width": 16, "device": "cpu", "split": (1.0, 0.0, 0.0)}
    dated = sfumato.fit(pd.DataFrame(table), id="id", time="day", **told)
    counted = sfumato.fit(x, sequences=True, **told)
    weeks = dated.forecast(pd.DataFrame(table), (7.0, 21.0), n=2, seed=0)[..., 0]
    np.testing.assert_allclose(weeks, counted.forecast(x, (1.0, 3.0), n=2, seed=0), rtol=1e-5)


def test_the_command_line_trains_forecasts_and_reports(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    small = ["--latent-dim", "2", "--width", "16", "--rows", "60", "--steps", "4", "--device", "cpu"]
    assert main(["fit", "ring", "--model", "td_vae", *small]) == 0
    assert "sfumato forecast ring-td_vae ring --jumps 1,4,8" in capsys.readouterr().out
    run = Path("runs/ring-td_vae")
    assert (run / "report.html").exists()
    assert (run / "figures/futures.png").exists()
    assert main(["forecast", "ring-td_vae", "ring", "--jumps", "1,4,8", "-n", "3", "-o", "out.csv"]) == 0
    frame = pd.read_csv("out.csv")
    assert len(frame) == 60 * 3 * 3
    assert list(frame.columns[:4]) == ["id", "future", "ahead", "pixel0"]
    assert frame["ahead"].tolist()[:3] == [1.0, 5.0, 13.0]
    for words in (["sample", "-n", "2"], ["reconstruct", "ring"], ["encode", "ring"], ["score", "ring"]):
        capsys.readouterr()
        assert main([words[0], "ring-td_vae", *words[1:]]) == 0
        assert capsys.readouterr().out
    assert main(["forecast", "ring-td_vae", "ring", "--jumps", "one"]) == 2
    assert main(["fit", "ring", "--model", "vae", "--steps", "1"]) == 2
    assert "choose td_vae" in capsys.readouterr().err
    assert main(["score", "ring-td_vae", "moons"]) == 2


def test_sequences_of_images_go_in_and_come_out_as_such(tmp_path: Path) -> None:
    x = np.random.default_rng(0).uniform(size=(60, 6, 1, 4, 4))
    np.save(tmp_path / "x.npy", x)
    small = {"latent_dim": 2, "width": 16, "steps": 4, "device": "cpu"}
    film = sfumato.fit(tmp_path / "x.npy", model="td_vae", sequences=True, run=tmp_path / "run", **small)
    assert film.sample(3, seed=0).shape == (3, 6, 1, 4, 4)
    assert film.forecast(x[:2, :3], (1, 2), n=5, seed=0).shape == (2, 5, 2, 1, 4, 4)
    assert film.reconstruct(x[:2]).shape == (2, 6, 1, 4, 4)
    assert main(["report", str(tmp_path / "run")]) == 0
    assert (tmp_path / "run/figures/futures.png").exists()
    assert main(["sample", str(tmp_path / "run"), "-n", "2", "-o", str(tmp_path / "made.npy")]) == 0
    assert np.load(tmp_path / "made.npy").shape == (2, 6, 1, 4, 4)


def test_a_long_frame_comes_back_as_one() -> None:
    pandas = pytest.importorskip("pandas")
    days = pandas.date_range("2024-03-30 22:00", periods=6, freq="6h", tz="Europe/Berlin")
    frame = pandas.concat(
        [pandas.DataFrame({"who": f"s{n}", "at": days[n % 3 :], "x": np.arange(6.0)[n % 3 :]}) for n in range(12)]
    )
    auto = Autoencoder("td_vae", id="who", time="at", latent_dim=2, width=8, steps=2).fit(frame)
    made = auto.reconstruct(frame)
    assert list(made.columns) == ["who", "at", "x"]
    assert (made["at"].to_numpy() == frame["at"].to_numpy()).all()
    assert made["at"].dtype.tz is not None
    mixed = frame.sample(frac=1, random_state=0).set_index(np.arange(1000, 1000 + len(frame)))
    made = auto.reconstruct(mixed)
    assert (made.index == mixed.index).all()
    assert (made["who"].to_numpy() == mixed["who"].to_numpy()).all()
    assert auto.forecast(frame, jumps=("6h", "1d"), n=2).shape == (12, 2, 2, 1)
    assert auto.forecast(frame, jumps="12h").shape == auto.forecast(frame).shape == (12, 1, 1, 1)


def test_times_are_of_the_sort_that_was_learned_and_stay_in_the_calendar() -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(
        {"who": np.repeat(np.arange(12), 4), "at": np.tile(np.arange(4), 12), "x": np.arange(48.0)}
    )
    dated = frame.assign(at=pandas.Timestamp("2024-01-01") + pandas.to_timedelta(frame["at"], unit="D"))
    auto = Autoencoder("td_vae", id="who", time="at", latent_dim=2, width=8, steps=2).fit(dated)
    with pytest.raises(SfumatoError, match="'at' holds numbers; this model was trained on dates"):
        auto.forecast(frame)
    schema = auto.schema_
    raw = schema.read(dated.assign(x=np.where(dated["who"] == 3, np.nan, dated["x"])))
    ends = schema.after(raw, [86400.0])["at"].to_pylist()
    assert str(ends[3].date()) == "2024-01-02", "nothing was seen: from its start on"
    assert str(ends[4].date()) == "2024-01-05"
    with pytest.raises(SfumatoError, match="beyond the year 9999"):
        schema.after(raw, schema.lengths("1e9w"))


def test_sequences_take_a_model_that_is_for_them_unless_one_is_named() -> None:
    sequences = np.random.default_rng(0).normal(size=(40, 6))
    fitted = sfumato.fit(sequences, sequences=True, steps=2)
    assert (fitted.config_.model, fitted.get_params()["model"]) == ("td_vae", "td_vae")
    for options in ({"model": "vae"}, {"prior": "mixture"}):
        with pytest.raises(SfumatoError, match="vae is not for sequences; choose td_vae"):
            sfumato.fit(sequences, sequences=True, steps=2, **options)
