"""What is shown while a model trains, and what is logged for TensorBoard."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest
import torch
from rich.console import Console

from sfumato.errors import SfumatoError
from sfumato.training import Settings, fit
from sfumato.training.metrics import Meter
from sfumato.training.monitoring import progress as progress_module
from toys import Line, Poison, data

PLAN = Settings(device="cpu", epochs=6, batch_size=32, validate_every=10, patience=0)


def shown(monkeypatch, *, terminal: bool, wanted: bool = True, model=None) -> str:
    console = Console(file=io.StringIO(), force_terminal=terminal, width=160)
    monkeypatch.setattr(progress_module, "Console", lambda stderr: console)
    monkeypatch.setattr(progress_module, "REFRESH_SECONDS", 0.0)
    fit(model or Line(), data(), data(50, 1), settings=PLAN, progress=wanted)
    return console.file.getvalue()


def test_plain_lines_where_there_is_no_terminal(monkeypatch) -> None:
    lines = shown(monkeypatch, terminal=False).splitlines()
    assert lines[0].startswith("epoch 1/6  step 1/42  total ")
    assert lines[-1].startswith("epoch 6/6  step 42/42  total ")
    for part in ("distortion", "rate", "valid", "/s", "0:00 left"):
        assert part in lines[-1]


def test_bar_on_a_terminal(monkeypatch) -> None:
    text = shown(monkeypatch, terminal=True)
    for part in ("step 42/42", "distortion", "valid", "left"):
        assert part in text


class Clock:
    """A time that only moves when it is told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def perf_counter(self) -> float:
        return self.now


@pytest.mark.parametrize(
    ("pace", "options", "said"),
    [
        (0.25, {}, ["Training takes about 4 minutes for 1,000 steps, less if validation gets no better"]),
        (0.25, {"patience": 0}, ["Training takes about 4 minutes"]),
        (8.0, {}, ["Training takes about 2.2 hours for 1,000 steps, less if validation gets no better"]),
        (0.25, {"max_time": "50s"}, ["Training takes about 50 seconds, its time limit: about 200 of 1,000 steps"]),
        (0.01, {}, []),
    ],
)
def test_how_long_it_takes_is_said_once_after_the_first_seconds(monkeypatch, pace, options, said) -> None:
    clock = Clock()
    monkeypatch.setattr(progress_module, "time", clock)
    console = Console(file=io.StringIO(), width=160)
    shown = progress_module.Progress(True, Settings(**options), 100, 1000, console)
    shown.begin(0)
    clock.now += 7  # the first step compiles and measures
    for step in range(1, 900):
        if clock.now >= shown.due:
            shown.update(step, Meter(torch.device("cpu")), clock.now)
        clock.now += pace
    lines = console.file.getvalue().splitlines()
    assert [line for line in lines if line.startswith("Training takes")] == said
    assert not said or lines.index(said[0]) <= 2


def test_nothing_when_not_wanted(monkeypatch, capsys) -> None:
    assert shown(monkeypatch, terminal=True, wanted=False) == ""
    captured = capsys.readouterr()
    assert captured.out == captured.err == ""


def test_a_skipped_step_is_told_above_the_bar(monkeypatch) -> None:
    text = shown(monkeypatch, terminal=False, model=Poison({5}))
    assert "step 5: distortion is not finite; the step was not applied" in text


def test_tensorboard_gets_every_term(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    plan = Settings(**{**PLAN.__dict__, "tensorboard": True})
    history = fit(Line(), data(), data(50, 1), settings=plan, folder=tmp_path)
    log = EventAccumulator(str(tmp_path / "tensorboard"))
    log.Reload()
    found = [(event.step, event.value) for event in log.Scalars("valid/rate")]
    expected = [(line["step"], pytest.approx(line["rate"], rel=1e-5)) for line in history.of("valid")]
    assert found == expected


def test_tensorboard_without_the_extra_or_a_folder_says_what_to_do(tmp_path: Path, monkeypatch) -> None:
    plan = Settings(**{**PLAN.__dict__, "tensorboard": True})
    with pytest.raises(SfumatoError, match="no run folder"):
        fit(Line(), data(), settings=plan)
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    with pytest.raises(SfumatoError, match=r"pip install 'sfumato\[tensorboard\]'"):
        fit(Line(), data(), settings=plan, folder=tmp_path)
