"""The cells of a column of images: paths or arrays, as the arrays that the schema of images takes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from sfumato.data.core.options import DataOptions
from sfumato.data.images.schema import ImageSchema
from sfumato.data.io import arrays, image_files
from sfumato.data.records.raw import Pictures, RawRows, is_image
from sfumato.errors import SfumatoError


def learn(cells: RawRows, name: str, rows: np.ndarray, options: DataOptions) -> tuple[ImageSchema, Pictures]:
    """The schema of a column of images, learned on the training rows, and the images of all rows.

    Raises:
        SfumatoError: if the training rows have no image, a file is missing or damaged, or arrays are of several shapes.
    """
    values = cells.cells(name)
    there = _there(values)
    present = np.flatnonzero(there)
    training = np.intersect1d(rows, present)
    learned = np.searchsorted(present, training)
    if not len(training):
        raise SfumatoError(f"{cells.where}column {name!r} has no image in the training rows; leave it out (drop)")
    if isinstance(values[training[0]], str | Path):
        paths = _paths(cells, name, values, there)
        heads = image_files.headers(paths)
        height, width = image_files.chosen_size([heads[at] for at in learned], options.size)
        channels = 1 if all(head.grey for head in heads) else 3
        shown = np.empty((len(heads), height, width, channels), np.uint8)
        image_files.pixels(paths, shown)
        own = shown if channels == 3 else shown[..., 0]
    else:
        own = _stacked(cells, name, values, there)
    pixels = np.zeros((len(values), *own.shape[1:]), own.dtype)
    pixels[there] = own
    schema = ImageSchema.learn(own, None, options, rows=learned, name=name)
    return schema, Pictures(pixels, there)


def read(cells: RawRows, name: str, schema: ImageSchema) -> Pictures:
    """The images of a column of new rows, as the schema takes them.

    Raises:
        SfumatoError: if a file is missing or damaged, or an array is none of such an image.
    """
    values = cells.cells(name)
    there = _there(values)
    rows = np.flatnonzero(there)
    empty = _blank(len(values), schema)
    if len(rows):
        if isinstance(values[rows[0]], str | Path):
            paths = _paths(cells, name, values, there)
            image_files.headers(paths)
            empty[rows] = schema.of_files(paths, f"{cells.where}column {name!r}")
        else:
            empty[rows] = schema.read(_stacked(cells, name, values, there))
    return Pictures(empty, there)


def none(total: int, schema: ImageSchema) -> Pictures:
    """Rows none of which has an image."""
    return Pictures(_blank(total, schema), np.zeros(total, bool))


def shown(schema: ImageSchema, image: Any) -> np.ndarray:
    """One image of a frame as (H, W, C) uint8."""
    own: np.ndarray = schema.as_shown(schema.read(np.asarray(image)[None]))[0]
    return own


def _blank(total: int, schema: ImageSchema) -> np.ndarray:
    return schema.decode(torch.zeros(total, *schema.spec.shape))


def _there(values: Sequence[Any]) -> np.ndarray:
    return np.array([value is not None and not (isinstance(value, str) and not value.strip()) for value in values])


def _paths(cells: RawRows, name: str, values: Sequence[Any], there: np.ndarray) -> list[Path]:
    """The paths of the rows that have one, all of which exist.

    Raises:
        SfumatoError: if one does not.
    """
    rows = np.flatnonzero(there).tolist()
    paths = [cells.folder / str(values[row]) for row in rows]
    for row, path in zip(rows, paths, strict=True):
        if not path.is_file():
            what = "a folder" if path.is_dir() else "not there"
            relative = "the folder of the table" if cells.where else "the current folder"
            raise SfumatoError(
                f"{cells.where}row {row + 1}, column {name!r}: {values[row]} is {what}; give the path of an image "
                f"from {relative} on, leave the cell empty, or leave the column out (drop)"
            )
    return paths


def _stacked(cells: RawRows, name: str, values: Sequence[Any], there: np.ndarray) -> np.ndarray:
    """The arrays of a column as one.

    Raises:
        SfumatoError: if they are of several shapes.
    """
    rows = np.flatnonzero(there).tolist()
    if (other := next((row for row in rows if not is_image(values[row])), None)) is not None:
        raise SfumatoError(
            f"{cells.where}row {other + 1}, column {name!r}: {values[other]!r} is no image as that of row "
            f"{rows[0] + 1} is; give images in all rows, or None"
        )
    images = [arrays.as_array(values[row], name) for row in rows]
    for row, image in zip(rows, images, strict=True):
        if image.shape != images[0].shape:
            raise SfumatoError(
                f"{cells.where}row {row + 1}, column {name!r}: the image has shape {image.shape}, that of row "
                f"{rows[0] + 1} {images[0].shape}; bring all to one shape"
            )
    return np.stack(images)
