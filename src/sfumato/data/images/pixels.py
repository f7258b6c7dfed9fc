"""Raw pixels and their levels: dtype, layout and range of an array of images."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from sfumato.data.io import arrays
from sfumato.errors import SfumatoError


@dataclass(frozen=True)
class Pixels:
    """How raw pixels and levels go into each other: level = round(raw / top · (levels − 1)).

    Attributes:
        levels: how many levels there are before binarising, 2 … 256.
        top: raw value of the highest level: 255 for 8 bits, 1 for floats, 65535 for 16 bits.
        dtype: of the raw array.
        layout: of one raw image: "HW", "HWC" or "CHW".
    """

    levels: int
    top: float
    dtype: str
    layout: str


def check_levels(x: np.ndarray, name: str, top: float = math.inf) -> None:
    """Raise SfumatoError naming the first image with a value that is NaN, infinite, below 0 or above `top`."""
    if x.dtype.kind == "b" or (x.dtype == np.uint8 and top >= 255):
        return
    for start, images, _ in arrays.chunks(x):
        chunk = images.reshape(len(images), -1)
        good = ((chunk >= 0) & (chunk <= top)).all(1)
        if x.dtype.kind == "f":
            good &= np.isfinite(chunk).all(1)
        if not good.all():
            number = int(np.argmin(good))
            count = start + number + 1
            bad = chunk[number][~((chunk[number] >= 0) & (chunk[number] <= top) & np.isfinite(chunk[number]))]
            limit = "" if math.isinf(top) else f" to {top:g}"
            raise SfumatoError(
                f"{name}: image {count} holds {bad[0]}; pixels are levels from 0{limit}; fix or scale it"
            )


def layout_of(shape: tuple[int, ...], name: str, channels_first: bool) -> str:
    """HW, HWC or CHW, from the shape of an array of images; a doubtful one by `channels_first`.

    Raises:
        SfumatoError: if neither end of an image's shape can be its channels.
    """
    if len(shape) == 3:
        return "HW"
    first, last = shape[1] <= 4, shape[3] <= 4
    if not (first or last):
        raise SfumatoError(f"{name}: has shape {shape}; images are (N, H, W, C) or (N, C, H, W) with C from 1 to 4")
    return "CHW" if first and (channels_first or not last) else "HWC"


def shape_of(shape: tuple[int, ...], layout: str) -> tuple[int, ...]:
    """(C, H, W) of raw images of `shape`; nothing that can be if the layout does not fit."""
    if len(shape) != len(layout) + 1:
        return ()
    if layout == "HW":
        return (1, *shape[1:])
    return (shape[3], shape[1], shape[2]) if layout == "HWC" else tuple(shape[1:])


def check_shape(shape: tuple[int, ...], name: str, layout: str, wanted: tuple[int, ...]) -> None:
    """Refuse an array of `shape` if it is not one of images of `wanted`, (C, H, W), laid out as `layout` says.

    Raises:
        SfumatoError: in one line that says what shape the model was trained on and how to come by it.
    """
    if shape_of(shape, layout) == wanted:
        return
    channels, height, width = wanted
    trained_shape = {"HW": (height, width), "HWC": (height, width, channels), "CHW": wanted}[layout]
    trained = f"(N, {', '.join(map(str, trained_shape))})"
    raise SfumatoError(
        f"{name}: has shape {shape}; this model was trained on images of shape {trained}; "
        f"{_cure(shape, layout, trained_shape)}"
    )


def _cure(shape: tuple[int, ...], layout: str, trained_shape: tuple[int, ...]) -> str:
    """What brings an array of `shape` to (N, *trained_shape)."""
    if layout == "HWC" and (*shape[2:], *shape[1:2]) == trained_shape:
        return "move the channels to the end: np.moveaxis(X, 1, 3)"
    if layout == "CHW" and (*shape[-1:], *shape[1:-1]) == trained_shape:
        return "move the channels to the front: np.moveaxis(X, 3, 1)"
    long = [side for side in trained_shape if side > 1]
    flat = shape[1:] == (math.prod(trained_shape),)
    if flat or [side for side in shape[1:] if side > 1] == long or shape == trained_shape:
        return f"reshape({', '.join(map(str, (-1, *trained_shape)))}) brings it there"
    return "give it images of that shape"


def check_scale(x: np.ndarray, name: str, pixels: Pixels) -> None:
    """Refuse booleans, and floats from 0 to 1, where levels up to more than 1 are wanted.

    A model of whole numbers gives whole numbers, so that every array of fractions up to 1 was scaled. A model of floats
    may itself give an image that is nearly black; there only levels divided by the highest are sure to be scaled.

    Raises:
        SfumatoError: if `x` is such an array, in one line that says by what to multiply it.
    """
    if pixels.top <= 1 or x.dtype.kind not in "bf":
        return
    if x.dtype.kind == "b":
        raise SfumatoError(f"{name}: holds booleans; {_wants(pixels)}; multiply it by {pixels.top:g}")
    exact = np.dtype(pixels.dtype).kind == "f"
    fractions = False
    for _, chunk, _ in arrays.chunks(x):
        if chunk.max() > 1 or (exact and not _levels_divided(chunk, pixels.top)):
            return
        fractions = fractions or bool((chunk != np.round(chunk)).any())
    if fractions:
        raise SfumatoError(f"{name}: holds floats from 0 to 1; {_wants(pixels)}; multiply it by {pixels.top:g}")


def _levels_divided(x: np.ndarray, top: float) -> bool:
    """Whether floats are whole numbers divided by `top`, as nearly as their dtype allows."""
    levels = x.astype(np.float64) * top
    return bool((np.abs(levels - np.round(levels)) <= max(1e-3, top * float(np.finfo(x.dtype).eps))).all())


def _wants(pixels: Pixels) -> str:
    return f"this model was trained on levels from 0 to {pixels.top:g}"


def learn(x: np.ndarray, layout: str, levels: int | None, name: str) -> Pixels:
    """The range of an array's pixels.

    Of all rows, those of the test split too: how many levels there are belongs to the format of the array, as its dtype
    does, and is not learned of the examples.

    Raises:
        SfumatoError: if they are not levels, nor floats from 0 to 1.
    """
    check_levels(x, name)
    dtype = x.dtype.str
    if levels is not None:
        return Pixels(levels, levels - 1, dtype, layout)
    if x.dtype.kind == "b":
        return Pixels(2, 1, dtype, layout)
    top, whole = 0.0, True
    for _, chunk, _ in arrays.chunks(x):
        top = max(top, float(chunk.max(initial=0)))
        whole = whole and (x.dtype.kind != "f" or bool((chunk == np.round(chunk)).all()))
    if x.dtype.kind == "f" and top <= 1:
        # Floats that are 0 or 1 and nothing between have two levels.
        return Pixels(2 if whole else 256, 1, dtype, layout)
    if x.dtype.kind == "f" and (top > 255 or not whole):
        raise SfumatoError(f"{name}: holds floats up to {top:g}; give 0 to 1, or 0 to 255, or add --sequences")
    if top > 65535:
        raise SfumatoError(f"{name}: holds levels up to {top:g}; give levels of at most 16 bits")
    if top > 255:
        return Pixels(256, 65535, dtype, layout)
    if (x.dtype == np.uint8 and top > 1) or top > 128:
        return Pixels(256, 255, dtype, layout)
    return Pixels(max(int(top) + 1, 2), max(int(top), 1), dtype, layout)
