"""Sound from a folder to a page to listen to, by the command line."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

soundfile = pytest.importorskip("soundfile", reason="reading sound needs the extra audio")
SMALL = ["--steps", "3", "--width", "8", "--depth", "1", "--latent-dim", "4", "--prior-width", "8", "--codebook", "8"]


@pytest.fixture
def words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of twelve tones of several lengths."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "words"
    folder.mkdir()
    for number in range(12):
        wave = 0.3 * np.sin(np.arange(800 + 50 * number) * (0.1 + 0.02 * number))
        soundfile.write(folder / f"{number:02d}.wav", wave, 8000)
    return folder


def test_words_are_fitted_sampled_and_heard(cli, words: Path) -> None:
    shown = json.loads(cli("data", "words", "--json").out)
    assert shown["kind"] == "sound"
    assert "12 files of 0.1 to 0.169 s" in shown["notes"][0]
    done = cli("fit", "words", "--model", "vq_vae", "--levels", "2", *SMALL, "--run", "a", "--quiet")
    assert done.code == 0, done.err
    page = (words.parent / "runs/a/report.html").read_text(encoding="utf-8")
    # One word is held out, with its reconstruction; and eight samples.
    assert page.count("<audio controls") == 10
    assert "data:audio/wav;base64," in page
    assert cli("sample", "a", "-n", "2", "-o", "new", "--seed", "0", "--quiet").code == 0
    assert sorted(path.name for path in (words.parent / "new").iterdir()) == ["0.wav", "1.wav"]
    assert soundfile.info(words.parent / "new/0.wav").samplerate == 8000
    assert cli("reconstruct", "a", "words", "-o", "back", "--quiet").code == 0
    assert [soundfile.info(f"back/{number:02d}.wav").frames for number in (0, 11)] == [800, 1350]
    refused = cli("sample", "a", "-n", "2")
    assert refused.code == 2
    assert "sounds need a place to go" in refused.err


def test_options_of_sound_are_refused_elsewhere(cli, words: Path) -> None:
    refused = cli("fit", "moons", "--seconds", "1", "--steps", "1")
    assert refused.code == 2
    assert "that is for sound" in refused.err
    refused = cli("fit", "words", "--model", "vae", "--representation", "waveform", "--steps", "1")
    assert refused.code == 2
    assert "model vae is not for waveforms; choose vq_vae" in refused.err
    refused = cli("fit", "moons", "--model", "vq_vae", "--causal", "--steps", "1")
    assert refused.code == 2
    assert "causal is for waveforms" in refused.err
