"""Sweeps: what is trained, what is not trained again, what is best, and what is left after a stop."""

from __future__ import annotations

import json
import signal
import sys
from pathlib import Path

import numpy as np
import pytest

from sfumato.artifacts import Run
from sfumato.errors import SfumatoError
from sfumato.estimator import fit_config, load
from sfumato.files import read_json, read_tensors
from sfumato.studies import plan, sweep, sweep_run
from sfumato.studies.compared_run import validation_only
from sfumato.studies.plan import SearchRange, read_grid, trials
from sfumato.studies.search import Search
from sfumato.studies.sweep_run import Outcome
from sfumato.studies.sweep_state import SweepState
from sfumato.training import Callback

SMALL = {"steps": 20, "width": 8, "depth": 1}


def weights(run: Path) -> dict[str, np.ndarray]:
    return {name: value.numpy() for name, value in read_tensors(run / "model.safetensors")[0].items()}


def equal(one: Path, two: Path) -> bool:
    first, second = weights(one), weights(two)
    return all(np.array_equal(first[name], second[name]) for name in first)


def test_models_take_the_options_they_have_and_seeds_share_one_split():
    found = trials(["vae", "beta_vae"], [3, 4], {"beta": [1, 4]}, {"capacity": 2.0, "latent_dim": 2})
    names = [one.name for one in found]
    assert names[:3] == ["vae-seed3", "vae-seed4", "beta_vae-beta=1-seed3"]
    assert len(names) == len(set(names)) == 6
    assert {one.config.data.seed for one in found} == {3}
    assert [one.config.training.seed for one in found] == [3, 4] * 3
    assert found[-1].config.options == {"capacity": 2.0, "latent_dim": 2, "beta": 4.0}


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["beta"], "write it as NAME=VALUE"),
        (["beta=1", "beta=2"], "given twice"),
        (["beta=4..1"], "LOW..HIGH"),
        (["beta=a..b"], "LOW..HIGH"),
    ],
)
def test_a_grid_that_cannot_be_read_is_said_in_a_line(words, line):
    with pytest.raises(SfumatoError, match=line):
        read_grid(words)


def test_options_and_models_that_there_are_not_are_refused():
    for models, grid, options, line in (
        (["vea"], {}, {}, "did you mean vae"),
        (["vae"], {"beta": [1]}, {}, "no model of vae has an option 'beta'"),
        (["vae"], {"latentdim": [1]}, {}, "did you mean latent_dim"),
        (["vae"], {"lr": [1]}, {"lr": 2}, "lr is given both"),
        (["vae"], {"seed": [1]}, {}, "--seeds"),
        ([], {}, {}, "name at least one"),
    ):
        with pytest.raises(SfumatoError, match=line):
            plan.check(models, grid, options)
    with pytest.raises(SfumatoError, match="a range needs --search"):
        trials(["vae"], [0], {"lr": SearchRange(0.1, 0.2)}, {})


def test_the_best_is_the_best_run_of_the_configuration_with_the_best_median(tmp_path):
    values = {"a-seed0": 1.0, "a-seed1": 9.0, "a-seed2": 9.0, "b-seed0": 3.0, "b-seed1": 2.0, "b-seed2": 4.0}
    state = SweepState(tmp_path, {}, {name: Outcome(value) for name, value in values.items()})
    assert state.best() == "b-seed1"
    state.lower = False
    assert state.best() == "a-seed1"
    assert SweepState(tmp_path, {}, {"a-seed0": Outcome(float("nan"))}).best() is None


def test_a_sweep_trains_what_is_missing_and_nothing_else(points, tmp_path):
    said: list[str] = []
    asked = {"by": "distortion", "run": str(tmp_path / "s"), "log": said.append, **SMALL}
    first = sweep(points, ["beta_vae"], grid={"beta": [1, 50]}, seeds=1, **asked)
    assert first.comparison is not None
    assert [group.name for group in first.comparison.groups] == ["beta_vae, beta=1", "beta_vae, beta=50"]
    before = {name: (first.folder / name / "model.safetensors").stat().st_mtime_ns for name in first.outcomes}
    second = sweep(points, ["beta_vae"], grid={"beta": [1, 50]}, seeds=2, **asked)
    assert len(second.outcomes) == 4
    assert "2 of 4 runs are already done" in said
    assert all((first.folder / name / "model.safetensors").stat().st_mtime_ns == when for name, when in before.items())
    assert second.best is not None
    assert (second.folder / "best").resolve() == (second.folder / second.best).resolve()
    record = read_json(second.folder / "sweep.json")
    assert record["best"] == second.best
    auto = load(second.folder / "best")
    from sfumato import data

    dataset = data.open(str(points), options=auto.config_.data)
    measure = next(one for one in auto.evaluate(validation_only(dataset), quick=True) if one.name == "distortion")
    assert record["runs"][second.best]["value"] == pytest.approx(measure.value)
    with pytest.raises(SfumatoError, match="a sweep with another by"):
        sweep(points, ["vae"], run=str(tmp_path / "s"), seeds=1, **SMALL)


def test_a_run_that_was_broken_off_is_gone_on_with_bit_for_bit(points, tmp_path):
    asked = {"seeds": 1, **SMALL, "validate_every": 5}
    whole = sweep(points, ["vae"], run=str(tmp_path / "whole"), **asked)

    class Stop:
        def on_start(self, model, settings):
            pass

        def on_log(self, model, line):
            return line["step"] >= 10

        def on_validation(self, model, line):
            return False

        def on_end(self, model, history):
            pass

    (tmp_path / "broken").mkdir()
    one = trials(["vae"], [0], {}, {**SMALL, "validate_every": 5}, source=str(points))[0]
    stopped = fit_config(one.config, points, run=tmp_path / "broken" / one.name, callbacks=[Stop()])
    assert stopped.history_.lines[-1]["step"] == 10
    (tmp_path / "broken" / "sweep.json").write_text((tmp_path / "whole" / "sweep.json").read_text())
    record = read_json(tmp_path / "broken" / "sweep.json")
    (tmp_path / "broken" / "sweep.json").write_text(json.dumps({**record, "runs": {}, "best": None}))
    gone_on = sweep(points, ["vae"], run=str(tmp_path / "broken"), **asked)
    assert gone_on.best == one.name
    assert equal(gone_on.folder / one.name, whole.folder / one.name)


def test_ctrl_c_leaves_what_is_done_and_the_same_call_goes_on(points, tmp_path, monkeypatch):
    class Interrupt(Callback):
        def on_log(self, model, line):
            signal.raise_signal(signal.SIGINT)

    def second_is_interrupted(config, source, **how):
        callbacks = [Interrupt()] if config.training.seed == 1 else []
        return fit_config(config, source, callbacks=callbacks, **how)

    asked = {"seeds": 3, "run": str(tmp_path / "s"), **SMALL, "validate_every": 5}
    with monkeypatch.context() as patch:
        patch.setattr(sweep_run, "fit_config", second_is_interrupted)
        with pytest.raises(KeyboardInterrupt):
            sweep(points, ["vae"], **{**asked, "run": str(tmp_path / "raised")})
        stopped = sweep(points, ["vae"], partial=True, **asked)
    assert stopped.stopped
    assert stopped.comparison is None
    assert list(stopped.outcomes) == ["vae-seed0"]
    assert (stopped.folder / "best").resolve().name == "vae-seed0"
    Run.open(stopped.folder / "vae-seed1")
    whole = sweep(points, ["vae"], **asked)
    assert not whole.stopped
    assert [name for name, outcome in whole.outcomes.items() if outcome.done] == [f"vae-seed{i}" for i in range(3)]
    assert load(whole.folder / "vae-seed1").history_.lines[-1]["step"] == 20


def test_wrong_options_are_said_before_anything_is_trained(points, tmp_path):
    with pytest.raises(SfumatoError, match=r"use one of .*elbo"):
        sweep(points, ["vae"], by="beauty", run=str(tmp_path / "s"), seeds=1, **SMALL)
    with pytest.raises(SfumatoError, match="latent_dim"):
        sweep(points, ["vae"], grid={"latent_dim": [2, -1]}, run=str(tmp_path / "s"), seeds=1, steps=5)
    assert not (tmp_path / "s").exists()
    (tmp_path / "s").mkdir()
    (tmp_path / "s" / "mine.txt").write_text("")
    with pytest.raises(SfumatoError, match="not a sweep"):
        sweep(points, ["vae"], run=str(tmp_path / "s"), seeds=1, **SMALL)
    with pytest.raises(SfumatoError, match="data in memory"):
        sweep(np.zeros((9, 2)), ["vae"], jobs=2, run=str(tmp_path / "s"))


def test_a_process_of_its_own_gives_the_same_run(points, tmp_path):
    told = trials(["vae"], [0], {}, SMALL, source=str(points))[0]
    here = sweep_run.train(told.config, points, tmp_path / "here", "elbo")
    there = sweep_run.Worker(told.config, str(points), tmp_path / "there", "elbo", 1).outcome()
    assert there == here
    assert equal(tmp_path / "here", tmp_path / "there")


@pytest.mark.parametrize("lower", [True, False])
def test_a_search_goes_on_where_it_was_left_and_knows_which_way_is_better(tmp_path, lower):
    pytest.importorskip("optuna")
    grid = {"lr": SearchRange(0.001, 1.0), "latent_dim": SearchRange(1, 9), "beta": [1, 2]}
    told: list[float] = []

    def study(count: int, most: int | None = None) -> list[str]:
        search = Search(["vae", "beta_vae"], grid, [0], {}, "", count)
        tried = []
        for asked in search.rounds(tmp_path, lower, 1):
            ((number, (one,)),) = asked.items()
            tried.append(one.name)
            if most is not None and len(tried) > most:
                return tried
            told.append((np.log10(one.config.training.lr) + 2) ** 2 + (one.config.options["latent_dim"] - 4) ** 2)
            search.tell({number: [Outcome(told[-1])]})
        assert search.study.best_value == (min if lower else max)(told)
        return tried

    first = study(8, most=5)
    second = study(15)
    assert second[0] == first[5]
    assert len(first) + len(second) == 16
    assert study(15) == []
    assert len(set(first + second)) > 12
    assert all("beta=" not in name for name in second if name.startswith("vae"))


def test_a_search_without_optuna_answers_with_the_line_to_type(cli, monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    said = cli("sweep", "moons", "--search", "3", "--grid", "lr=0.001..0.1")
    assert said.code == 2
    assert said.err == "sfumato: --search needs optuna, which is not installed: pip install 'sfumato[sweep]'\n"


def test_the_command_ends_with_table_files_and_the_best(cli, points):
    small = ["--steps", "10", "--width", "8", "--depth", "1", "--no-report"]
    said = cli("sweep", points, "--models", "vae", "--grid", "latent-dim=1,2", "--seeds", "1", "--run", "s", *small)
    assert said.code == 0, said.err
    assert "vae, latent_dim=1" in said.out
    assert "best" in said.out
    assert "2/2 vae-latent_dim=2-seed0: −ELBO" in said.err
    assert read_json(Path("runs/s/compare.json"))["groups"][1]["name"] == "vae, latent_dim=2"
    said = cli("sweep", points, "--models", "vae", "--seeds", "1", "--run", "s", *small, "--lr", "1", "--json")
    assert said.code == 2
    assert "is a sweep with other options (" in said.err


def test_data_held_in_memory_are_compared_too(tmp_path):
    x = np.random.default_rng(0).normal(size=(60, 2))
    found = sweep(x, ["vae"], grid={"latent_dim": [1, 2]}, seeds=1, run=str(tmp_path / "s"), **SMALL)
    assert found.comparison is not None
    assert found.comparison.row("−ELBO") is not None
    again = sweep(x, ["vae"], grid={"latent_dim": [1, 2]}, seeds=1, run=str(tmp_path / "s"), **SMALL)
    assert again.outcomes == found.outcomes
