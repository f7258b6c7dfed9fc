"""Several starts of one training, of which the best is kept."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

import sfumato
from sfumato.cli import main
from sfumato.errors import SfumatoError
from sfumato.estimator import Autoencoder
from sfumato.models import build
from sfumato.spec import DataSpec, Field
from sfumato.training import Callback, Settings, fit

SMALL = {"rows": 200, "width": 8, "steps": 30, "validate_every": 10, "device": "cpu"}


def weights(auto: Autoencoder) -> dict[str, torch.Tensor]:
    return auto.model_.state_dict()


def same(one: Autoencoder, other: Autoencoder) -> bool:
    return all(torch.equal(value, weights(other)[name]) for name, value in weights(one).items())


def test_the_best_of_three_seeds_is_kept_in_memory_and_in_the_folder(tmp_path: Path) -> None:
    alone = sfumato.fit("moons", **SMALL, seed=7)
    kept = sfumato.fit("moons", **SMALL, seed=7, restarts=3, run=tmp_path / "run")
    reached = []
    for start in (1, 2, 3):
        text = (tmp_path / f"run/checkpoints/start-{start}/metrics.jsonl").read_text()
        lines = [json.loads(line) for line in text.splitlines()]
        reached.append(min(line["total"] for line in lines if line["split"] == "valid"))
    assert len(set(reached)) == 3
    assert kept.history_.best == min(reached)
    best = reached.index(min(reached)) + 1
    for name in ("metrics.jsonl", "model.safetensors"):
        held = (tmp_path / "run" / name).read_bytes()
        assert held == (tmp_path / f"run/checkpoints/start-{best}" / name).read_bytes()
    assert same(sfumato.load(tmp_path / "run"), kept)
    assert reached[0] == alone.history_.best


class Stop(Callback):
    """Fails in the second training, as a killed process would stop."""

    trainings = 0

    def on_start(self, model, settings):
        self.trainings += 1

    def on_log(self, model, line):
        if self.trainings == 2 and line["step"] == 20:
            raise RuntimeError("crash")


def test_a_broken_run_goes_on_to_what_an_unbroken_one_gives(tmp_path: Path) -> None:
    whole = sfumato.fit("moons", **SMALL, restarts=3, run=tmp_path / "whole")
    with pytest.raises(RuntimeError, match="crash"):
        sfumato.fit("moons", **SMALL, restarts=3, run=tmp_path / "broken", callbacks=[Stop()], checkpoint_every=0)
    assert (tmp_path / "broken/checkpoints/start-2").exists()
    assert not (tmp_path / "broken/checkpoints/start-3").exists()
    assert same(sfumato.fit(resume=tmp_path / "broken"), whole)


def test_restarts_from_the_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    words = ["--rows", "100", "--width", "8", "--steps", "4", "--device", "cpu", "--no-report"]
    assert main(["fit", "moons", "--restarts", "2", "--run", "m", *words]) == 0
    assert Path("runs/m/checkpoints/start-2/model.safetensors").exists()
    assert main(["fit", "moons", "--restarts", "0", *words]) == 2


def test_a_model_that_is_made_starts_once() -> None:
    model = build("vae", DataSpec((2,), (Field("real"),)), width=8)
    with pytest.raises(SfumatoError, match="starts once"):
        fit(model, [], settings=Settings(restarts=2))  # type: ignore[arg-type]
