"""Videos: animated files and folders of frames in, GIF and MP4 out."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sfumato import Autoencoder, SfumatoError, data
from sfumato.data import DataOptions
from sfumato.data.io import video_files

SIDE = 12
QUICK = {"latent_dim": 2, "width": 8, "steps": 3, "device": "cpu"}


def clip(start: int, steps: int, colour: tuple[int, int, int] = (255, 255, 255)) -> list[Image.Image]:
    """A square that moves to the right, a pixel a step."""
    frames = []
    for step in range(steps):
        frame = np.zeros((SIDE, SIDE, 3), np.uint8)
        frame[4:8, start + step : start + step + 2] = colour
        frames.append(Image.fromarray(frame))
    return frames


def write(frames: list[Image.Image], path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=100)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Ten grey clips of 5 steps, two of 3, in two subfolders."""
    for number in range(12):
        write(clip(number % 5, 5 if number < 10 else 3), tmp_path / "clips" / "ab"[number % 2] / f"{number:02d}.gif")
    return tmp_path / "clips"


def test_frames_come_in_as_they_are(folder: Path) -> None:
    clips = video_files.load(folder)
    assert clips.frames.shape == (12, 5, 1, SIDE, SIDE)
    assert clips.names[0] == "a/00.gif"
    assert clips.labels is not None
    assert sorted(set(clips.labels.tolist())) == ["a", "b"]
    first = clips.frames[0]
    for step in range(5):
        expected = np.zeros((SIDE, SIDE))
        expected[4:8, step : step + 2] = 255
        assert np.array_equal(first[step, 0], expected)
    assert np.isnan(clips.frames[clips.names.index("a/10.gif"), 3:]).all()


def test_a_folder_of_frames_is_a_clip_in_the_order_of_numbers(tmp_path: Path) -> None:
    for number in range(2):
        for step, frame in enumerate(clip(0, 11, (255, 0, 0))[:11]):
            path = tmp_path / f"clip{number}" / f"f{step}.png"
            path.parent.mkdir(exist_ok=True)
            frame.save(path)
    clips = video_files.load(tmp_path)
    assert clips.frames.shape == (2, 11, 3, SIDE, SIDE)
    assert clips.names == ["clip0", "clip1"]
    red = clips.frames[0, :, 0, 5]
    assert [int(row.argmax()) for row in red] == [*range(11)]


def test_sizes_are_those_of_image_files(folder: Path) -> None:
    opened = data.open(folder, options=DataOptions(sequences=True, size=6))
    assert opened.schema.image_shape == (1, 6, 6)
    assert opened.schema.read(folder / "a/00.gif").x.shape == (1, 5, 36)


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    clips = np.zeros((2, 4, 3, SIDE, SIDE))
    # Pillow writes equal frames that follow each other as one.
    for step in range(4):
        clips[0, step, 0, step : step + 3] = 255.0
        clips[1, step, 2, step] = 128.0
    clips[1, 2:] = np.nan
    video_files.save(clips, tmp_path / "each")
    back = video_files.load(tmp_path / "each", size=SIDE)
    assert back.names == ["0.gif", "1.gif"]
    assert np.abs(back.frames[0] - clips[0]).max() < 32  # a palette, and pixels that were enlarged and brought back
    assert back.frames.shape == clips.shape
    assert np.array_equal(np.isnan(back.frames), np.isnan(clips))
    video_files.save(clips, tmp_path / "all.gif")
    with Image.open(tmp_path / "all.gif") as sheet:
        assert sheet.n_frames == 4


def test_mp4_is_left_to_ffmpeg(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clips = np.zeros((1, 4, 1, SIDE, SIDE))
    clips[0, 3] = 255.0
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SfumatoError, match=r"x\.mp4: writing \.mp4 needs the program ffmpeg"):
        video_files.save(clips, tmp_path / "x.mp4")
    program = tmp_path / "ffmpeg"
    program.write_text(
        f"#!{sys.executable}\nimport json, sys\nsent = sys.stdin.buffer.read()\n"
        "json.dump([sys.argv[1:], len(sent), sent[-1]], open(sys.argv[-1], 'w'))\n"
    )
    program.chmod(0o755)
    video_files.save(clips, tmp_path / "x.mp4")
    words, size, last = json.loads((tmp_path / "x.mp4").read_text())
    side = SIDE * 8
    assert words[words.index("-s") + 1] == f"{side}x{side}"
    assert (size, last) == (4 * side * side * 3, 255)
    program.write_text(f"#!{sys.executable}\nimport sys\nsys.exit('no such codec')\n")
    with pytest.raises(SfumatoError, match=r"ffmpeg could not write it \(no such codec\)"):
        video_files.save(clips, tmp_path / "y.mp4")
    assert not (tmp_path / "y.mp4").exists()


def test_from_videos_to_videos(cli, folder: Path, tmp_path: Path) -> None:
    words = [f"--{name.replace('_', '-')}={value}" for name, value in QUICK.items()]
    trained = cli("fit", folder, "--sequences", *words, "--run", "v", "--no-report", "--split", 1, 0, 0)
    assert trained.code == 0, trained.err
    assert "-o forecast.gif" in trained.out
    assert "-n 16 -o new.gif" in trained.out
    assert cli("sample", "v", "-n", 2, "-o", "new.gif").code == 0
    assert cli("reconstruct", "v", folder, "-o", "back").code == 0
    assert sorted(path.relative_to("back").as_posix() for path in Path("back").rglob("*.gif"))[0] == "a/00.gif"
    assert cli("forecast", "v", folder / "a/00.gif", "--horizon", 3, "-n", 2, "-o", "next.gif").out == (
        "2 videos in next.gif\n"
    )
    with Image.open("next.gif") as sheet:
        assert sheet.n_frames == 8
    noted = cli("data", folder)
    assert "00.gif moves: of such files the first frame alone is taken; for videos add --sequences" in noted.out
    assert f"sfumato fit {folder} --sequences" in cli("data", folder, "--sequences").out


def test_bad_videos_get_one_line(folder: Path, tmp_path: Path) -> None:
    (folder / "a/00.gif").write_bytes(b"GIF89a")
    with pytest.raises(SfumatoError, match=r"00\.gif: damaged, or not an image"):
        video_files.load(folder)
    still = tmp_path / "still"
    write(clip(0, 1), still / "x.gif")
    with pytest.raises(SfumatoError, match="still: holds no video; give animated"):
        video_files.load(still)
    numbers = Autoencoder("td_vae", sequences=True, **QUICK).fit(np.random.default_rng(0).normal(size=(30, 6)))
    with pytest.raises(SfumatoError, match="only sequences of grey or colour images are written as videos"):
        numbers.forecast_video(np.zeros((1, 4)), tmp_path / "x.gif")
