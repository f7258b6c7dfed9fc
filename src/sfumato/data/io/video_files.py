"""Videos in and out: animated images and folders of frames, and GIF or MP4.

* A clip is an animated `.gif` or `.webp`, or a folder of image files, one for each frame, in the order of the numbers
  in their names.
* Colour, transparency, orientation and size are as for image files (`image_files`); the size follows from the first
  frames of all clips.
* Labels: the names of the first level of subfolders, where clips lie in two or more.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageOps, ImageSequence

from sfumato.data.io import folder_labels, image_files
from sfumato.errors import SfumatoError
from sfumato.files import empty_folder, replacing

MOVING = (".gif", ".webp")
VIDEO_SUFFIXES = (".gif", ".mp4")
FILES_LOOKED_AT = 10
"""Files of a folder that are opened to see whether they move."""
DIGITS_IN_NAME = re.compile(r"(\d+)")


class Clips(NamedTuple):
    """Videos of one size.

    Attributes:
        frames: levels from 0 to 255, (N, T, C, H, W), NaN behind the end of those that are shorter than the longest.
        labels: (N,), or None.
        names: of each, as it lies in its folder.
    """

    frames: np.ndarray
    labels: np.ndarray | None
    names: list[str]


def is_videos(path: Path) -> bool:
    """Whether sequences that are read from this path are videos: a folder, or an animated image."""
    return path.is_dir() or (path.suffix.lower() in MOVING and path.is_file())


def first_moving(files: Sequence[Path]) -> Path | None:
    """The first image file with several frames, among the first `FILES_LOOKED_AT` that can have them."""
    could = [file for file in files if file.suffix.lower() in MOVING]
    return next((file for file in could[:FILES_LOOKED_AT] if _is_animated(file)), None)


def _is_animated(path: Path) -> bool:
    try:
        with Image.open(path, formats=image_files.FORMATS) as image:
            return bool(getattr(image, "is_animated", False))
    except (OSError, SyntaxError, ValueError, EOFError):
        return False


def load(path: Path, size: int | None = None, shape: tuple[int, ...] = ()) -> Clips:
    """All clips under a folder, or the one of a file.

    Args:
        path: the folder or file.
        size: of the shorter side, as for image files.
        shape: C, H, W to bring them to, where they are known.

    Raises:
        SfumatoError: if there is no clip of two frames or more, or a file cannot be read.
    """
    clips = _found(path)
    if shape:
        channels, height, width = shape
        if channels not in (1, 3):
            raise SfumatoError(f"{path}: this model was trained on {channels} channels; give it a .npy array")
    else:
        height, width = image_files.chosen_size(image_files.headers(paths[0] for paths in clips), size)
        channels = 3
    decoded = [np.stack([*_frames(paths, height, width, channels)]) for paths in clips]
    if not shape and all((clip == clip[..., :1]).all() for clip in decoded):
        decoded = [clip[..., :1] for clip in decoded]
    longest = max(map(len, decoded))
    if longest < 2:
        raise SfumatoError(
            f"{path}: holds no video; give animated .gif or .webp files, or a folder of frames for each video"
        )
    frames = np.full((len(decoded), longest, decoded[0].shape[-1], height, width), np.nan)
    for place, clip in enumerate(decoded):
        frames[place, : len(clip)] = np.moveaxis(clip, 3, 1)
    inside = [paths[0] if len(paths) == 1 else paths[0].parent for paths in clips]
    labels = folder_labels.labels_of(inside, path) if path.is_dir() else None
    return Clips(frames, labels, [each.relative_to(path).as_posix() if path.is_dir() else each.name for each in inside])


def _found(path: Path) -> list[list[Path]]:
    """The files of each clip: one that moves, or its frames in order."""
    if not path.is_dir():
        return [[path]]
    files = image_files.find(path)
    moving = [file for file in files if file.suffix.lower() in MOVING]
    if len(moving) == len(files):
        return [[file] for file in moving]
    folders: dict[Path, list[Path]] = {}
    for file in files:
        folders.setdefault(file.parent, []).append(file)
    return [sorted(frames, key=_by_numbers) for frames in folders.values()]


def _by_numbers(path: Path) -> list[tuple[int, str]]:
    """Names with numbers in them in the order of these.

    >>> sorted([Path("f10.png"), Path("f9.png")], key=_by_numbers)[0].name
    'f9.png'
    """
    parts = DIGITS_IN_NAME.split(path.name)
    return [(int(part), "") if place % 2 else (0, part) for place, part in enumerate(parts)]


def _frames(paths: Sequence[Path], height: int, width: int, channels: int) -> Iterator[np.ndarray]:
    """(H, W, C) uint8 of each frame of one clip."""
    if len(paths) > 1:
        yield from image_files.pixels(paths, np.empty((len(paths), height, width, channels), np.uint8))
        return
    mode = "RGB" if channels == 3 else "L"
    try:
        with Image.open(paths[0], formats=image_files.FORMATS) as opened:
            for frame in ImageSequence.Iterator(opened):
                image = image_files.flat(frame.copy(), mode, paths[0])
                if image.size != (width, height):
                    image = ImageOps.fit(image, (width, height), Image.Resampling.LANCZOS)
                yield np.asarray(image).reshape(height, width, channels)
    except (OSError, SyntaxError, ValueError, EOFError) as error:
        raise image_files.unreadable(paths[0], error) from None


def save(clips: np.ndarray, path: Path, names: Sequence[str] | None = None) -> None:
    """Write videos (N, T, C, H, W), levels from 0 to 255, NaN behind the end of each, which then stands still.

    Args:
        clips: the videos.
        path: a `.gif` or `.mp4` with all of them beside each other, or a folder, in which each becomes a `.gif`.
        names: files that those in a folder are called after; None numbers them.

    Raises:
        SfumatoError: if the folder holds something, or ffmpeg is needed and not there.
    """
    if not path.suffix:
        empty_folder(path)
        for clip, name in zip(clips, image_files.file_names(len(clips), names, ".gif"), strict=True):
            (path / name).parent.mkdir(parents=True, exist_ok=True)
            _save_sheet(clip[None], path / name)
    else:
        _save_sheet(clips, path)


def _save_sheet(clips: np.ndarray, path: Path) -> None:
    there = ~np.isnan(clips).all((2, 3, 4))
    last = np.maximum.accumulate(np.where(there, np.arange(clips.shape[1]), 0), 1)
    held = np.take_along_axis(clips, last[:, :, None, None, None], 1)[:, : int(last.max()) + 1]
    shown = np.moveaxis(np.clip(np.round(np.nan_to_num(held)), 0, 255).astype(np.uint8), 2, 4)
    sheets = [image_files.moving_frame(shown[:, step]) for step in range(shown.shape[1])]
    with replacing(path) as temporary:
        if path.suffix == ".gif":
            image_files.save_gif(sheets, temporary)
        else:
            _save_mp4(sheets, temporary, path)


def _save_mp4(sheets: Sequence[Image.Image], temporary: Path, path: Path) -> None:
    program = shutil.which("ffmpeg")
    if program is None:
        raise SfumatoError(f"{path}: writing .mp4 needs the program ffmpeg; install it, or write a .gif")
    width, height = sheets[0].size
    rate = 1000 / image_files.MOVING_PACE
    raw = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}", "-r", f"{rate:g}", "-i", "-"]
    # Its sides must be even, and players want this layout of pixels.
    coded = ["-vf", "pad=ceil(iw/2)*2:ceil(ih/2)*2:color=white", "-pix_fmt", "yuv420p", "-f", "mp4"]
    done = subprocess.run(
        [program, "-y", "-loglevel", "error", *raw, *coded, str(temporary)],
        input=b"".join(sheet.tobytes() for sheet in sheets),
        capture_output=True,
    )
    if done.returncode:
        words = done.stderr.decode(errors="replace").strip().splitlines() or ["no message"]
        raise SfumatoError(f"{path}: ffmpeg could not write it ({words[-1]}); write a .gif instead")
