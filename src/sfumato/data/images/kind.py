"""Images as a kind of data: folders of image files, and arrays of three axes or more."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from sfumato.data.core.array_sets import Training, open_arrays
from sfumato.data.core.batching.shards import shard
from sfumato.data.core.batching.streaming import streams
from sfumato.data.core.batching.transforms import Binarised
from sfumato.data.core.dataset import Dataset
from sfumato.data.core.kinds import Kind, OptionUse
from sfumato.data.core.labels import codes
from sfumato.data.core.options import DataOptions
from sfumato.data.core.source import Source
from sfumato.data.core.split import split
from sfumato.data.images.lossless import LosslessImages
from sfumato.data.images.random_transforms import ImageTransforms
from sfumato.data.images.schema import ImageSchema
from sfumato.data.io import folder_labels, frames, image_files, video_files
from sfumato.data.io.arrays import Arrays


def accepts(source: Source, options: DataOptions) -> bool:
    """Whether it is a folder, other than one of a table's parts, or an array whose rows are images."""
    if source.path is not None and source.path.is_dir():
        return not frames.is_parts(source.path)
    return source.arrays is not None and source.arrays.x.ndim > 2


def load(source: Source, options: DataOptions) -> Dataset:
    """Images from a folder, whose subfolders are labels, or from an array."""
    is_folder = source.path is not None and source.path.is_dir()
    paths = image_files.find(source.path) if is_folder and source.path is not None else []
    loaded = _from_folder(source.path, paths, options) if source.path is not None and paths else source.arrays
    assert loaded is not None, "what is accepted is a folder or an array"
    where = source.described("array in memory")

    def learn(x: np.ndarray, labels: np.ndarray | None, rows: np.ndarray) -> ImageSchema:
        return ImageSchema.learn(
            x, labels, options, rows=rows, name=where, levels=loaded.levels, channels_first=loaded.channels_first
        )

    training = partial(_training, changes=options.random_transforms)
    dataset = open_arrays(loaded, source, options, learn, value_bytes=1, training=training)
    if options.random_transforms:
        changes = ", ".join(options.random_transforms)
        note = f"training images are changed at random at each pass ({changes}); validation and test images are not"
        dataset = replace(dataset, notes=(*dataset.notes, note))
    if moving := video_files.first_moving(paths):
        note = f"{moving} moves: of such files the first frame alone is taken; for videos add --sequences"
        return replace(dataset, notes=(*dataset.notes, note))
    return dataset


def _training(schema: ImageSchema, changes: Sequence[str]) -> Training | None:
    """Training images that are changed or binarised afresh at each pass keep their levels."""
    levels = schema.pixels.levels
    draws = Binarised(levels) if schema.binarise == "stochastic" else None
    if not changes:
        return None if draws is None else Training(schema.levels, draws)
    if schema.binarise == "threshold":
        return Training(lambda raw: schema.encode(raw).x, ImageTransforms(changes, 2))
    return Training(schema.levels, ImageTransforms(changes, levels, draws))


def _from_folder(path: Path, paths: Sequence[Path], options: DataOptions) -> Arrays:
    """The images of a folder, all of one size; on disk where they are to be streamed."""
    labels = folder_labels.labels_of(paths, path)
    heads = image_files.headers(paths)
    parts = split(len(paths), options.split, labels=codes(labels), seed=options.seed, source=str(path))
    training = [heads[row] for row in parts[0]]
    height, width = image_files.chosen_size(training, options.size)
    channels = 1 if all(head.grey for head in training) else 3
    shape = (len(paths), height, width, channels)
    on_disk = streams(options, math.prod(shape))
    x = shard(shape, np.dtype(np.uint8)) if on_disk else np.empty(shape, np.uint8)
    image_files.pixels(paths, x)
    return Arrays(path.resolve().name, x if channels == 3 or on_disk else x[..., 0], labels)


KIND = Kind(
    name="image",
    schema=ImageSchema,
    accepts=accepts,
    load=load,
    plural="images",
    order=30,
    suffixes=(".npy", ".npz"),
    options={
        "size": OptionUse("images and videos"),
        "binarise": OptionUse("images"),
        "random_transforms": OptionUse("images"),
    },
    file_suffix=".png",
    examples_suggested=64,
    lossless=LosslessImages,
    needs_file="images need a place to go: add -o grid.png, -o folder or -o images.npy",
)
