"""Image files in and out: one mode and one size for all, by stated rules.

* Files: PNG, JPEG, WebP, BMP, GIF (first frame), TIFF, PPM; other files and hidden ones are passed over.
* Colour: grey if every image is grey, RGB otherwise. Transparency is laid on white. 16 bits become 8, and so do
  floats (TIFF) from 0 to 1 or from 0 to 255.
* Orientation: as the camera's EXIF tag says.
* Size: images that are all of one size of at most 64 × 64 stay as they are. Otherwise the shorter side is
  scaled to `size`, and the centre square is cut out; by default `size` is the median shorter side of the training
  part, down to a multiple of 8, from 8 to 64.
"""

from __future__ import annotations

import os
import warnings
from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from sfumato.errors import SfumatoError
from sfumato.files import empty_folder, files_in, numbered

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".pgm")
FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF", "PPM")
MOST_PIXELS = 50_000_000
LARGEST_DEFAULT = 64
MOVING_SIDE, MOVING_PACE = 96, 120
"""Pixels that the longer side of an image in a GIF has at least, and milliseconds that each is shown."""
_GREY = ("1", "L", "LA", "La", "I", "F", "I;16", "I;16B", "I;16L", "I;16N")


@dataclass(frozen=True)
class Header:
    """What an image file says of itself before it is decoded; width and height in pixels as it is shown."""

    path: Path
    width: int
    height: int
    grey: bool


def find(folder: Path) -> list[Path]:
    """The image files under `folder`, in the order of their paths.

    Raises:
        SfumatoError: if there are none.
    """
    paths = [path for path in files_in(folder) if path.suffix.lower() in IMAGE_SUFFIXES]
    if not paths:
        raise SfumatoError(
            f"{folder}: holds no images; files must end in {', '.join(IMAGE_SUFFIXES)}, "
            "or be the .parquet parts of a table"
        )
    return sorted(paths)


def headers(paths: Iterable[Path]) -> list[Header]:
    """Read the header of each file.

    Raises:
        SfumatoError: if a file is empty, not an image, or larger than 50 megapixels.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        return [_header(path) for path in paths]


def _header(path: Path) -> Header:
    try:
        with Image.open(path, formats=FORMATS) as image:
            width, height = image.size
            if width * height > MOST_PIXELS:
                raise SfumatoError(_too_large(path, f"{width}×{height} pixels"))
            # Orientations 5 to 8 lie on their side.
            if image.format in ("JPEG", "TIFF", "WEBP") and image.getexif().get(0x0112, 1) >= 5:
                width, height = height, width
            return Header(path, width, height, image.mode in _GREY)
    except Image.DecompressionBombError:
        raise SfumatoError(_too_large(path, "far too many pixels")) from None
    except (OSError, SyntaxError, ValueError) as error:
        raise unreadable(path, error) from None


def _too_large(path: Path, what: str) -> str:
    return f"{path}: has {what}, more than 50 megapixels; scale it down or take it out of the folder"


def unreadable(path: Path, error: Exception) -> SfumatoError:
    """What is wrong with a file that could not be decoded."""
    if isinstance(error, SfumatoError):
        return error
    cure = "fix it or take it out of the folder"
    if not path.exists():
        return SfumatoError(f"{path}: no such file; check the name")
    if path.stat().st_size == 0:
        return SfumatoError(f"{path}: the file is empty (0 bytes); {cure}")
    if isinstance(error, PermissionError):
        return SfumatoError(f"{path}: may not be read; change its permissions or take it out of the folder")
    return SfumatoError(f"{path}: damaged, or not an image; {cure}")


def chosen_size(training: Sequence[Header], size: int | None) -> tuple[int, int]:
    """(height, width) for all images, by the rule at the top of this file."""
    sizes = {(header.height, header.width) for header in training}
    if size is None and len(sizes) == 1:
        only = next(iter(sizes))
        if max(only) <= LARGEST_DEFAULT:
            return only
    if size is None:
        middle = int(np.median([min(sides) for sides in ((header.height, header.width) for header in training)]))
        size = min(max(middle // 8 * 8, 8), LARGEST_DEFAULT)
    return size, size


def pixels(paths: Sequence[Path], out: np.ndarray) -> np.ndarray:
    """Decode the files, in threads, into `out`, (N, height, width, channels) uint8, which is returned.

    Raises:
        SfumatoError: if a file is damaged.
    """
    _, height, width, channels = out.shape

    def one(number: int) -> None:
        out[number] = _decoded(paths[number], height, width, channels)

    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        jobs = [pool.submit(one, number) for number in range(len(paths))]
        try:
            for job in jobs:
                job.result()
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return out


def _decoded(path: Path, height: int, width: int, channels: int) -> np.ndarray:
    try:
        with Image.open(path, formats=FORMATS) as opened:
            opened.draft("RGB" if channels == 3 else "L", (2 * width, 2 * height))
            image = flat(ImageOps.exif_transpose(opened), "RGB" if channels == 3 else "L", path)
    except (OSError, SyntaxError, ValueError, EOFError) as error:
        raise unreadable(path, error) from None
    if image.size != (width, height):
        image = ImageOps.fit(image, (width, height), Image.Resampling.LANCZOS)
    return np.asarray(image).reshape(height, width, channels)


def flat(image: Image.Image, mode: str, path: Path) -> Image.Image:
    """`image` in 8 bits without transparency."""
    if image.mode.startswith("I;16") or image.mode in ("I", "F"):
        image = Image.fromarray(_eight_bits(np.asarray(image).astype(np.float64), image.mode, path))
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        clear = image.convert("RGBA")
        white = Image.new("RGBA", clear.size, (255, 255, 255, 255))
        image = Image.alpha_composite(white, clear)
    return image if image.mode == mode else image.convert(mode)


SLACK = 1e-3
"""What resampling may leave beyond either end of a float's scale, in parts of it; it is cut off."""


def _eight_bits(values: np.ndarray, mode: str, path: Path) -> np.ndarray:
    """The values of an image of Pillow's mode I;16…, I or F, brought to 0 to 255.

    Raises:
        SfumatoError: if a value is not a number, below 0, or above 255 (floats) or 65535 (whole numbers).
    """
    if mode == "F":
        most = 1 if values.max() <= 1 + SLACK else 255
        slack, top = SLACK * most, most
    else:
        most, slack = 65535, 0.0
        top = 255 if mode == "I" and values.max() <= 255 else most
    good = (values >= -slack) & (values <= most + slack)
    if not good.all():
        raise SfumatoError(
            f"{path}: holds the pixel {values[~good][0]:.7g}; scale its pixels to 0 to 1 or 0 to 255, "
            "or take it out of the folder"
        )
    return np.clip(np.round(values * (255 / top)), 0, 255).astype(np.uint8)


def save(shown: np.ndarray, path: Path, names: Sequence[str] | None = None) -> None:
    """Write one PNG for each of (N, H, W, C) uint8 into a new or empty folder `path`.

    Args:
        shown: the images.
        path: the folder.
        names: files in a folder that they are called after; None numbers them.

    Raises:
        SfumatoError: if the folder cannot be made or holds something.
    """
    empty_folder(path)
    try:
        for image, name in zip(shown, file_names(len(shown), names, ".png"), strict=True):
            (path / name).parent.mkdir(parents=True, exist_ok=True)
            as_image(image).save(path / name)
    except OSError as error:
        raise SfumatoError(f"{path}: cannot be written ({error.strerror}); choose another folder") from None


def file_names(total: int, names: Sequence[str] | None, suffix: str) -> list[str]:
    """Names of files with an ending, which differ as `names` do; behind the old ending where that takes it.

    >>> file_names(3, ["a/1.jpg", "a/2.jpg", "a/2.gif"], ".png")
    ['a/1.png', 'a/2.jpg.png', 'a/2.gif.png']
    >>> file_names(3, ["1.jpg", "1.png", "1.jpg.png"], ".png")
    ['1.jpg.png', '1.png.png', '1.jpg.png.png']
    >>> file_names(11, None, ".gif")[:2]
    ['00.gif', '01.gif']
    """
    if names is None:
        return numbered(total, suffix)
    ended = [f"{Path(name).with_suffix('')}{suffix}" for name in names]
    while True:
        # A name with its old ending can be that of a third file without, so it takes more than one round.
        many = Counter(name.lower() for name in ended)
        longer = [
            f"{name}{suffix}" if many[short.lower()] > 1 else short for name, short in zip(names, ended, strict=True)
        ]
        if longer == ended:
            return ended
        ended = longer


def as_image(shown: np.ndarray) -> Image.Image:
    """(H, W, C) uint8 as an image; two channels are grey and opacity."""
    return Image.fromarray(shown[..., 0] if shown.shape[-1] == 1 else shown)


def save_moving(shown: np.ndarray, path: Path, across: int) -> None:
    """Write strips of `across` of (N, H, W, C) uint8 as one GIF: all strips beside each other, there and back."""
    frames = [moving_frame(shown[step::across], len(shown[step::across])) for step in range(across)]
    save_gif(frames + frames[-2:0:-1], path)


def moving_frame(shown: np.ndarray, columns: int | None = None) -> Image.Image:
    """One frame of several moving images, (N, H, W, C) uint8: a `grid` of them, enlarged where they are small."""
    size = max(-(-MOVING_SIDE // max(shown.shape[1:3])), 1)
    return grid(shown.repeat(size, 1).repeat(size, 2), columns).convert("RGB")


def save_gif(frames: Sequence[Image.Image], path: Path) -> None:
    """Write frames as one GIF that begins anew at its end."""
    first, *others = frames
    first.save(path, format="GIF", save_all=True, append_images=others, duration=MOVING_PACE, loop=0)


def grid(shown: np.ndarray, columns: int | None = None) -> Image.Image:
    """(N, H, W, C) uint8 as one image on white; with as many columns as rows or a few more unless `columns` says."""
    total, height, width, channels = shown.shape
    columns = columns or max(int(np.ceil(np.sqrt(total))), 1)
    rows = max(-(-total // columns), 1)
    gap = 0 if total == 1 else 2
    shape = (rows * (height + gap) - gap, columns * (width + gap) - gap, channels)
    sheet = np.full(shape, 255, np.uint8)
    for number, image in enumerate(shown):
        top, left = number // columns * (height + gap), number % columns * (width + gap)
        sheet[top : top + height, left : left + width] = image
    return as_image(sheet)
