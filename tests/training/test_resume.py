"""Stopping and going on gives what an unbroken training gives, bit for bit."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from sfumato.errors import SfumatoError
from sfumato.files import read_tensors
from sfumato.training import Callback, Settings, fit
from sfumato.training.saving.checkpoint import Checkpoints
from toys import Duel, Judged, Line, Standing, data, same

ROOT = Path(__file__).parents[2]
PLAN = Settings(device="cpu", epochs=5, batch_size=32, validate_every=10, patience=0, checkpoint_every=0, lr=1e-2)


def plan(**changes) -> Settings:
    return Settings(**{**PLAN.__dict__, **changes})


class Crash(Callback):
    """Fails inside the loop, as a killed process would stop: without a word."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_log(self, model, line):
        if line["step"] == self.step:
            raise RuntimeError("crash")


def lines(folder: Path) -> list[dict]:
    """The lines of metrics without their times."""
    found = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [{name: value for name, value in line.items() if name != "seconds"} for line in found]


def final(folder: Path) -> dict[str, torch.Tensor]:
    found = Checkpoints(folder / "checkpoints").load()
    assert found is not None
    return found[0]


@pytest.mark.parametrize(("kind", "ema"), [(Line, 0.0), (Duel, 0.9), (Standing, 0.9), (Judged, 0.0)])
def test_resumed_training_equals_an_unbroken_one(kind, ema: float, tmp_path: Path) -> None:
    unbroken, broken = kind(), kind()
    fit(unbroken, data(), data(50, 1), settings=plan(ema=ema), folder=tmp_path / "unbroken")
    for step, seed in ((10, 0), (30, 7)):
        with pytest.raises(RuntimeError, match="crash"):
            fit(
                kind(seed=seed),
                data(),
                data(50, 1),
                settings=plan(ema=ema),
                folder=tmp_path / "broken",
                callbacks=[Crash(step)],
                resume=True,
            )
    history = fit(broken, data(), data(50, 1), settings=plan(ema=ema), folder=tmp_path / "broken", resume=True)
    assert same(unbroken, broken)
    assert lines(tmp_path / "unbroken") == lines(tmp_path / "broken")
    assert len(history.lines) == len(lines(tmp_path / "unbroken"))
    one, other = final(tmp_path / "unbroken"), final(tmp_path / "broken")
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)
    saved, _ = read_tensors(tmp_path / "broken" / "model.safetensors")
    assert all(torch.equal(saved[name], value) for name, value in unbroken.state_dict().items())


def test_stopping_by_steps_between_validations_and_going_on_equals_one_run(tmp_path: Path) -> None:
    fixed = {"schedule": "constant", "epochs": None}
    unbroken, broken = Line(), Line()
    fit(unbroken, data(), data(50, 1), settings=plan(steps=34, **fixed), folder=tmp_path / "one")
    fit(Line(), data(), data(50, 1), settings=plan(steps=13, **fixed), folder=tmp_path / "two")
    assert lines(tmp_path / "two")[-1]["step"] == 13
    fit(broken, data(), data(50, 1), settings=plan(steps=34, **fixed), folder=tmp_path / "two", resume=True)
    assert same(unbroken, broken)
    assert lines(tmp_path / "one") == lines(tmp_path / "two")


def test_resuming_what_has_ended_changes_nothing(tmp_path: Path) -> None:
    first, again = Line(), Line(seed=9)
    one = fit(first, data(), data(50, 1), settings=PLAN, folder=tmp_path)
    before = lines(tmp_path)
    two = fit(again, data(), data(50, 1), settings=PLAN, folder=tmp_path, resume=True)
    assert same(first, again)
    assert lines(tmp_path) == before
    assert (one.stop, one.best, one.best_step) == (two.stop, two.best, two.best_step)


def test_two_checkpoints_are_kept_and_the_older_serves_when_the_newer_is_damaged(tmp_path: Path) -> None:
    unbroken, broken = Line(), Line()
    fit(unbroken, data(), data(50, 1), settings=PLAN, folder=tmp_path / "one")
    with pytest.raises(RuntimeError, match="crash"):
        fit(Line(), data(), data(50, 1), settings=PLAN, folder=tmp_path / "two", callbacks=[Crash(20)])
    paths = Checkpoints(tmp_path / "two" / "checkpoints").paths()
    assert len(paths) == 2
    newest = paths[0]
    content = bytearray(newest.read_bytes())
    content[-5] ^= 1
    newest.write_bytes(content)
    fit(broken, data(), data(50, 1), settings=PLAN, folder=tmp_path / "two", resume=True)
    assert same(unbroken, broken)
    assert lines(tmp_path / "one") == lines(tmp_path / "two")

    for path in Checkpoints(tmp_path / "two" / "checkpoints").paths():
        path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(SfumatoError, match="all checkpoints are damaged"):
        fit(Line(), data(), data(50, 1), settings=PLAN, folder=tmp_path / "two", resume=True)


def test_resuming_another_model_or_order_is_refused(tmp_path: Path) -> None:
    fit(Line(), data(), settings=PLAN, folder=tmp_path)
    with pytest.raises(SfumatoError, match="batch_size is 16 but was 32"):
        fit(Line(), data(), settings=plan(batch_size=16), folder=tmp_path, resume=True)
    with pytest.raises(SfumatoError, match="seed is 1 but was 0"):
        fit(Line(), data(), settings=plan(seed=1), folder=tmp_path, resume=True)
    with pytest.raises(SfumatoError, match="number of training rows is 199 but was 200"):
        fit(Line(), data(199), settings=PLAN, folder=tmp_path, resume=True)
    with pytest.raises(SfumatoError, match="another model"):
        fit(Line(width=9), data(), settings=PLAN, folder=tmp_path, resume=True)


def test_shortened_metrics_are_noticed(tmp_path: Path) -> None:
    fit(Line(), data(), settings=PLAN, folder=tmp_path)
    (tmp_path / "metrics.jsonl").write_text("")
    with pytest.raises(SfumatoError, match="lines were written and 0 are left"):
        fit(Line(), data(), settings=PLAN, folder=tmp_path, resume=True)


def test_an_interrupted_training_goes_on_bit_for_bit(tmp_path: Path) -> None:
    from test_loop import Press

    unbroken, broken = Line(), Line()
    fit(unbroken, data(), data(50, 1), settings=PLAN, folder=tmp_path / "one")
    with pytest.raises(KeyboardInterrupt):
        fit(Line(), data(), data(50, 1), settings=PLAN, folder=tmp_path / "two", callbacks=[Press()])
    fit(broken, data(), data(50, 1), settings=PLAN, folder=tmp_path / "two", resume=True)
    assert same(unbroken, broken)
    assert lines(tmp_path / "one") == lines(tmp_path / "two")


def test_patience_reached_before_a_stop_still_holds_after_it(tmp_path: Path) -> None:
    settled = plan(patience=2, epochs=300, lr=0.1, schedule="constant", checkpoint_every=30)
    one = fit(Line(), data(), data(50, 1), settings=settled, folder=tmp_path)
    two = fit(Line(), data(), data(50, 1), settings=settled, folder=tmp_path, resume=True)
    assert one.stop == two.stop == "patience"
    assert len(one.lines) == len(two.lines)


def test_killed_at_random_moments_every_run_loads_and_ends_bit_equal() -> None:
    command = [sys.executable, str(ROOT / "benchmarks" / "kills.py"), "--kills", "1", "--seed", "1"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "loadable after the kill  1 of 1" in done.stdout
