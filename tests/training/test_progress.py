"""What is shown while a model trains, and what is logged for TensorBoard."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest
from rich.console import Console

from sfumato.errors import SfumatoError
from sfumato.training import Settings, fit
from sfumato.training import progress as progress_module
from toys import Line, Poison, data

PLAN = Settings(device="cpu", epochs=6, batch_size=32, validate_every=10, patience=0)


def shown(monkeypatch, *, terminal: bool, wanted: bool = True, model=None) -> str:
    console = Console(file=io.StringIO(), force_terminal=terminal, width=160)
    monkeypatch.setattr(progress_module, "Console", lambda stderr: console)
    monkeypatch.setattr(progress_module, "REFRESH", 0.0)
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
