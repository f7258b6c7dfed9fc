"""Sound as a kind of data: what is read, brought to one rate, cut, scaled, and written again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from sfumato import SfumatoError, data
from sfumato.data import DataOptions
from sfumato.data.io import sound_files
from sfumato.data.registry import load_schema
from sfumato.data.sound.windows import cut, lengths_of, split_in_time

soundfile = pytest.importorskip("soundfile", reason="reading sound needs the extra audio")
WAVES = ("sound",)


def tone(seconds: float, rate: int = 8000, pitch: float = 440.0, level: float = 0.3) -> np.ndarray:
    return level * np.sin(2 * np.pi * pitch * np.arange(round(seconds * rate)) / rate)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Twelve words of several lengths under two labels, a hidden file and one of another kind."""
    for number in range(12):
        place = tmp_path / "words" / ("high" if number % 2 else "low")
        place.mkdir(parents=True, exist_ok=True)
        soundfile.write(place / f"{number:02d}.wav", tone(0.1 + 0.01 * number, pitch=300 + 300 * (number % 2)), 8000)
    (tmp_path / "words" / "README.txt").write_text("words")
    (tmp_path / "words" / ".hidden.wav").write_text("")
    return tmp_path / "words"


def test_folder_has_labels_lengths_and_notes(folder: Path) -> None:
    opened = data.open(folder, forms=WAVES)
    spec = opened.schema.spec
    assert (spec.shape, spec.rate, spec.ends, spec.is_waveform) == ((1680, 1), 8000, True, True)
    assert opened.has_label
    assert opened.schema.label_names == ("high", "low")
    text = " ".join(opened.notes)
    assert "12 files of 0.1 to 0.21 s" in text
    assert "1 file of" in text
    assert "README.txt" in text
    batch = opened.train.take(slice(0, len(opened.train)))
    assert batch.mask is not None
    assert float((batch.x[batch.mask].square().mean()) - 1) == pytest.approx(0, abs=1e-5)
    assert bool((batch.x[~batch.mask] == 0).all())


def test_quiet_recordings_are_learned_as_loud_ones(tmp_path: Path) -> None:
    for number in range(4):
        soundfile.write(tmp_path / f"{number}.flac", tone(0.1, level=1e-3), 8000, subtype="PCM_24")
    opened = data.open(tmp_path, forms=WAVES)
    assert float(opened.train.take(slice(0, 2)).x.square().mean()) == pytest.approx(1, abs=1e-3)


FORMATS = [("wav", "PCM_16"), ("wav", "PCM_24"), ("wav", "FLOAT"), ("flac", None)]


@pytest.mark.parametrize(("suffix", "subtype"), FORMATS)
def test_formats_hold_the_same_sound(tmp_path: Path, suffix: str, subtype: str | None) -> None:
    path, x = tmp_path / f"a.{suffix}", tone(0.1)
    soundfile.write(path, x, 8000, subtype=subtype)
    read = sound_files.decoded(sound_files.headers([path])[0], 8000, 1)[:, 0]
    assert np.abs(read - x).max() < 1e-4


def test_rates_are_brought_to_one(tmp_path: Path) -> None:
    for number in range(3):
        soundfile.write(tmp_path / f"{number}.wav", tone(0.5), 8000)
    soundfile.write(tmp_path / "z.wav", tone(0.5, 44100), 44100)
    opened = data.open(tmp_path, forms=WAVES)
    assert opened.schema.spec.rate == 8000
    assert "1 of them resampled from 44,100" in opened.notes[0]
    read = opened.schema.read(tmp_path / "z.wav")
    # Away from the ends the filter passes a tone as it is.
    assert np.abs(read[0, 200:-200] - tone(0.5)[200:-200]).max() < 2e-3
    assert data.open(tmp_path, options=DataOptions(rate=16000), forms=WAVES).schema.spec.shape == (8000, 1)


def test_stereo_stays_unless_it_is_mixed_down(tmp_path: Path) -> None:
    sides = np.stack([tone(0.1), np.zeros(800)], 1)
    for number in range(3):
        soundfile.write(tmp_path / f"{number}.wav", sides, 8000)
    soundfile.write(tmp_path / "3.wav", tone(0.1), 8000)
    opened = data.open(tmp_path, forms=WAVES)
    assert opened.schema.spec.shape == (800, 2)
    assert "1 of them mono" in opened.notes[0]
    assert opened.schema.read(tmp_path).shape == (4, 800, 2)
    mixed = data.open(tmp_path, options=DataOptions(mono=True), forms=WAVES)
    assert np.allclose(mixed.schema.read(tmp_path / "0.wav"), tone(0.1) / 2, atol=1e-4)


def test_long_files_are_cut_and_joined_again(tmp_path: Path) -> None:
    source, out = tmp_path / "long.wav", tmp_path / "out.wav"
    x = np.random.default_rng(0).normal(size=24_500) * 0.1
    soundfile.write(source, x, 8000)
    opened = data.open(source, options=DataOptions(seconds=0.25), forms=WAVES)
    assert (len(opened.train), len(opened.valid), len(opened.test)) == (10, 2, 1)
    schema = opened.schema
    raw = schema.read(source)
    assert raw.shape == (13, 2000)
    assert schema.named(raw, source)["start"][:2] == [0.0, 0.25]
    again = schema.decode_beside(schema.encode(raw).x, None, raw, source)
    schema.write_beside(again, out, raw, source)
    assert np.abs(soundfile.read(out)[0] - x).max() < 1e-4


def test_windows_of_several_sounds() -> None:
    assert [window.stop for window in cut([5, 2], 3)] == [3, 5, 2]
    parts = split_in_time(cut([4, 4], 1), (0.5, 0.25, 0.25))
    assert [part.tolist() for part in parts] == [[0, 1, 4, 5], [2, 6], [3, 7]]
    assert lengths_of(np.array([[np.nan, np.nan], [1.0, np.nan]])).tolist() == [0, 1]


@pytest.mark.parametrize("representation", ["waveform", "mel"])
def test_round_trip_of_arrays(representation: str) -> None:
    rows = np.stack([tone(0.5, pitch=pitch) for pitch in (200, 300, 400, 500, 600)])
    rows[1, 3000:] = np.nan
    options = DataOptions(rate=8000, representation=representation, split=(1.0, 0.0, 0.0))
    schema = data.open(rows, options=options).schema
    again = load_schema(schema.to_dict())
    encoded = again.encode(again.read(rows))
    decoded = again.decode(encoded.x)
    assert decoded.shape == rows.shape
    assert lengths_of(decoded).tolist() == [4000, 3000 if representation == "waveform" else 3072, 4000, 4000, 4000]
    if representation == "waveform":
        assert np.allclose(decoded, rows, equal_nan=True, atol=1e-6)
        return
    # Griffin-Lim keeps levels and pitch, and no phase.
    spectrum = np.abs(np.fft.rfft(decoded[0]))
    assert spectrum.argmax() == 100
    assert np.sqrt(np.nanmean(decoded**2)) == pytest.approx(np.sqrt(np.nanmean(rows**2)), rel=0.3)


def test_padding_is_missing_in_both_representations(folder: Path) -> None:
    for representation in ("waveform", "mel"):
        opened = data.open(folder, options=DataOptions(representation=representation))
        batch = opened.train.take(slice(0, 4))
        assert batch.mask is not None
        assert not bool(batch.mask.all())


def test_written_folders_are_named_as_read(folder: Path, tmp_path: Path) -> None:
    schema = data.open(folder, forms=WAVES).schema
    raw = schema.read(folder)
    schema.write_beside(raw, tmp_path / "new", raw, folder)
    assert sorted(path.relative_to(tmp_path / "new").as_posix() for path in (tmp_path / "new").rglob("*.wav"))[0] == (
        "high/01.wav"
    )
    with pytest.raises(SfumatoError, match="sounds are written as"):
        schema.write(raw, tmp_path / "new.csv")
    with pytest.raises(SfumatoError, match="not empty"):
        schema.write(raw, tmp_path / "new")


def test_a_list_of_files_keeps_files_of_one_name_apart(tmp_path: Path) -> None:
    paths = []
    for number in range(4):
        (tmp_path / f"{number}").mkdir()
        paths.append(tmp_path / f"{number}" / "a.wav")
        soundfile.write(paths[-1], tone(0.1 + 0.01 * number), 8000)
    schema = data.open(paths, forms=WAVES).schema
    raw = schema.read(paths)
    schema.write_beside(raw, tmp_path / "new", raw, paths)
    lengths = [soundfile.info(tmp_path / "new" / f"{number}-a.wav").frames for number in range(4)]
    assert lengths == [800, 880, 960, 1040]


def _damaged(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", r"empty \(0 bytes\)"),
        (b"no sound at all, but text", "damaged, or no sound"),
        (b"RIFF\x24\x00\x00\x00WAVEfmt ", "damaged, or no sound|holds no samples"),
    ],
)
def test_damaged_files_are_one_line(tmp_path: Path, content: bytes, says: str) -> None:
    with pytest.raises(SfumatoError, match=says) as error:
        data.open(_damaged(tmp_path / "a.wav", content), forms=WAVES)
    assert "\n" not in str(error.value)
    assert "a.wav" in str(error.value)


def test_what_cannot_be_used_is_one_line(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", tone(0.1), 8000)
    with pytest.raises(SfumatoError, match="one row"):
        data.open(tmp_path / "a.wav", forms=WAVES)
    soundfile.write(tmp_path / "a.wav", np.zeros((100, 6)), 8000)
    with pytest.raises(SfumatoError, match="6 channels"):
        data.open(tmp_path / "a.wav", forms=WAVES)
    with pytest.raises(SfumatoError, match="silent"):
        data.open(np.zeros((4, 100)), options=DataOptions(rate=8000))
    with pytest.raises(SfumatoError, match="sound 2 holds values that are not finite"):
        data.open(np.array([[1.0, 2.0], [np.inf, 1.0], [1.0, 1.0]]), options=DataOptions(rate=8000))
    with pytest.raises(SfumatoError, match="rate=10"):
        DataOptions(rate=10)
    with pytest.raises(SfumatoError, match="that is for sound"):
        data.open("moons", options=DataOptions(seconds=1.0))
    with pytest.raises(SfumatoError, match="no such file"):
        data.open(tmp_path / "b.wav", forms=WAVES)


def test_truncated_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.flac"
    soundfile.write(path, np.random.default_rng(0).normal(size=20_000) * 0.1, 8000)
    content = path.read_bytes()
    with pytest.raises(SfumatoError, match=r"a\.flac: (ends after|damaged)"):
        data.open(_damaged(path, content[: len(content) // 2]), options=DataOptions(seconds=0.5), forms=WAVES)
