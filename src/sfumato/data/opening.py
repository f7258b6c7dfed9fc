"""What a source is, and how each kind is opened."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from torch import Tensor

from sfumato.data.builtin import toy
from sfumato.data.core.batches import Batches, Resident
from sfumato.data.core.dataset import Dataset
from sfumato.data.core.labels import LABEL, codes, condition
from sfumato.data.core.options import DataOptions
from sfumato.data.core.schema import Encoded
from sfumato.data.core.shards import shard
from sfumato.data.core.split import Parts, split
from sfumato.data.core.streaming import Streamed, streams
from sfumato.data.images.schema import PictureSchema
from sfumato.data.io import arrays, frames, image_files
from sfumato.data.io.arrays import Arrays
from sfumato.data.io.frames import SUFFIXES
from sfumato.data.io.in_memory import unpacked
from sfumato.data.sequences import sequence_io
from sfumato.data.sequences.schema import SequenceSchema
from sfumato.data.sequences.sequence_io import Series
from sfumato.data.tables import load
from sfumato.data.text import lines
from sfumato.data.text.lines import Lines
from sfumato.data.text.schema import SymbolSchema, check_length
from sfumato.data.vectors.schema import VectorSchema
from sfumato.errors import SfumatoError
from sfumato.isolation import isolated

UNTOLD = DataOptions()
MEANT_FOR = {
    "size": ("picture", "pictures"),
    "binarise": ("picture", "pictures"),
    "missing_values": ("table", "tables"),
    "header": ("table", "text files of tables"),
    "cells": ("table", "tables with the likelihood autoregressive or cells"),
    "longest": ("symbols", "sequences of symbols"),
    "symbols": ("symbols", "files of text and arrays of whole numbers"),
    "sequences": ("sequence", "arrays"),
    "id": ("sequence", "tables of sequences"),
    "time": ("sequence", "tables of sequences"),
}
"""The kind of schema on which the options act that are not for all data, and what they are for, in words."""


@isolated
def open_source(source: Any, options: DataOptions) -> Dataset:
    """Open whatever `source` is; see `sfumato.data.open`.

    Raises:
        SfumatoError: if the source is not usable, or an option has nothing to act on in it.
    """
    found = _opened(unpacked(source), options)
    schema = found.schema
    for name, (kind, words) in MEANT_FOR.items():
        value = getattr(options, name)
        acts = schema.kind == kind and (name != "cells" or schema.spec.likelihood in ("autoregressive", "cells"))
        if not acts and value != getattr(UNTOLD, name):
            raise SfumatoError(f"{name} is {value}: that is for {words}; leave it out for {found.source}")
    return found


def _opened(source: Any, options: DataOptions) -> Dataset:
    drawn = isinstance(source, str) and source in toy.SUMMARIES
    if options.rows is not None and not drawn:
        raise SfumatoError(f"rows={options.rows} is for the built-in toy sets, which are drawn; leave rows out")
    if not drawn and sequence_io.asked(source, options):
        found = sequence_io.load(source, id=options.id, time=options.time, label=options.label, drop=options.drop)
        return open_sequences(found, options, str(source) if isinstance(source, str | Path) else "array in memory")
    if not drawn and lines.asked(source, options):
        return open_symbols(lines.load(source), options)
    if arrays.is_array(source):
        return open_arrays(arrays.from_memory(source), options)
    if isinstance(source, str | Path):
        path = Path(source)
        if drawn or not path.exists():
            return open_built_in(str(source), options)
        if frames.is_parts(path):
            return load.open_table(path, options)
        if path.is_dir():
            return open_folder(path, options)
        if path.suffix in (".npy", ".npz"):
            return open_arrays(arrays.from_file(path), options, str(path))
        if not path.name.lower().endswith(SUFFIXES):
            raise SfumatoError(f"{path}: not a kind of file known here; give one of {', '.join(SUFFIXES)}, .npy, .npz")
    return load.open_table(source, options)


def open_built_in(name: str, options: DataOptions) -> Dataset:
    """A built-in set; a name with a dot or slash was meant to be a file.

    Raises:
        SfumatoError: if there is no such set or file.
    """
    if name not in toy.SUMMARIES and (Path(name).suffix or "/" in name or not name):
        raise SfumatoError(f"{name or 'an empty name'}: no such file; check the name and the folder")
    rows = built_in(name, options)
    if isinstance(rows, Series):
        return open_sequences(rows, options, f"built-in set {name}")
    if isinstance(rows, Lines):
        return open_symbols(rows, options)
    if isinstance(rows, Arrays):
        return open_arrays(rows, options)
    has_label = LABEL in rows.column_names
    asked = replace(options, kinds={LABEL: "categorical"} | options.kinds) if has_label else options
    if asked.likelihood == "auto" and name in ("moons", "circles", "blobs"):
        asked = replace(asked, likelihood="gaussian")
    if has_label:
        if options.label not in (None, LABEL):
            raise SfumatoError(f"label={options.label!r}: the label of {name} is called {LABEL!r}; leave label out")
        asked = replace(asked, label=LABEL)
        if LABEL not in (*asked.given, *asked.drop):
            asked = replace(asked, drop=(*asked.drop, LABEL))
    data = load.from_frame(name, f"built-in set {name}", rows, "file", asked)
    return replace(data, options=options, has_label=has_label)


def built_in(name: str, options: DataOptions) -> pa.Table | Arrays | Series | Lines:
    """The rows of a built-in set with their labels, as `Schema.read` takes them: a table, pictures, or sequences.

    Raises:
        SfumatoError: if there is no such set.
    """
    found = toy.make(name, rows=options.rows, seed=options.seed, size=options.size)
    if found.values.ndim == 3 and not found.levels:
        return Series(found.values, None, np.array(found.label_names)[found.labels], found.columns, False, name)
    if found.symbols:
        return Lines(found.values.astype(float), np.array(found.label_names)[found.labels], name)
    if found.levels:
        labels = None if found.labels is None else np.array(found.label_names)[found.labels]
        return Arrays(name, found.values, labels, factors=found.factors)
    columns = {column: pa.array(found.values[:, place]) for place, column in enumerate(found.columns)}
    if found.labels is not None:
        numbered = found.label_names[0] == "0"
        columns[LABEL] = pa.array(found.labels if numbered else np.array(found.label_names)[found.labels])
    return pa.table(columns)


def open_sequences(found: Series, options: DataOptions, said: str) -> Dataset:
    """Sequences, held whole.

    Raises:
        SfumatoError: if they are to be read from disk while training.
    """
    if options.streaming == "yes":
        raise SfumatoError("streaming=yes: sequences are held whole; leave streaming out")
    if len(found) == 1:
        raise sequence_io.one_long(found, said, options)
    parts = split(len(found), options.split, labels=codes(found.labels), seed=options.seed, source=said)
    held = [_of(found, rows) for rows in parts]
    schema = SequenceSchema.learn(held[0], options)
    batches = []
    for part in held:
        encoded = schema.encode(part)
        index = None if schema.label is None or part.labels is None else schema.label.index(part.labels)
        batches.append(Resident(encoded.x, None, index, time=encoded.time))
    train, valid, test = batches
    return Dataset(found.name, said, schema, train, valid, test, options, has_label=found.labels is not None)


def open_symbols(found: Lines, options: DataOptions) -> Dataset:
    """Sequences of symbols, held whole.

    Raises:
        SfumatoError: if they are to be read from disk while training, or one is longer than the options allow.
    """
    if options.streaming == "yes":
        raise SfumatoError("streaming=yes: sequences are held whole; leave streaming out")
    longest = check_length(found, options)
    said = f"built-in set {found.name}" if found.name in toy.SUMMARIES else found.name
    parts = split(len(found), options.split, labels=codes(found.labels), seed=options.seed, source=said)
    held = [
        replace(found, x=found.x[rows], labels=None if found.labels is None else found.labels[rows]) for rows in parts
    ]
    schema = SymbolSchema.learn(held[0], options, longest=longest)
    batches = []
    for part in held:
        encoded = schema.encode(schema.read(part))
        index = None if schema.label is None or part.labels is None else schema.label.index(part.labels)
        batches.append(Resident(encoded.x, encoded.given, index))
    train, valid, test = batches
    name = Path(found.name).name.partition(".")[0]
    return Dataset(name, said, schema, train, valid, test, options, has_label=found.labels is not None)


def _of(found: Series, rows: np.ndarray) -> Series:
    time, labels = (None if values is None else values[rows] for values in (found.time, found.labels))
    return replace(found, x=found.x[rows], time=time, labels=labels)


def open_arrays(found: Arrays, options: DataOptions, source: str | None = None) -> Dataset:
    """Rows of numbers, or pictures, from arrays."""
    said = source or (f"built-in set {found.name}" if found.name in toy.SUMMARIES else "array in memory")
    for option, named in (("drop", options.drop), ("kinds", options.kinds), ("label", options.label)):
        if named and named != LABEL:
            first = named if isinstance(named, str) else next(iter(named))
            raise SfumatoError(f"{option}={first!r}: {said} has no named columns; give a table to name them")
    parts, x, labels = _parts(found, options, said)
    schema = _learn(found, x, labels, parts[0], options, said)
    batches: Sequence[Batches]
    if streams(options, x.size * (4 if x.ndim == 2 else 1)):
        batches = _streamed(schema, x, labels, parts)
    else:
        batches = [
            _resident(schema, x[rows], None if labels is None else labels[rows], part == 0)
            for part, rows in enumerate(parts)
        ]
    train, valid, test = batches
    factors = tuple({name: values[rows] for name, values in found.factors.items()} for rows in parts)
    notes = schema.cautions() if isinstance(schema, VectorSchema) else ()
    return Dataset(found.name, said, schema, train, valid, test, options, labels is not None, notes, factors)


def _parts(found: Arrays, options: DataOptions, said: str) -> tuple[Parts, np.ndarray, np.ndarray | None]:
    """The rows of each part, and the arrays they are rows of: splits that came along stay what they are."""
    total = len(found.x)
    own = [(found.valid_x, found.valid_labels), (found.test_x, found.test_labels)]
    valid, test = (0.0 if x is not None else share for (x, _), share in zip(own, options.split[1:], strict=True))
    came = any(x is not None for x, _ in own)
    shares = (1 - valid - test, valid, test) if came else options.split
    parts = list(split(total, shares, labels=codes(found.labels), seed=options.seed, source=said))
    pieces, labels = [found.x], [found.labels]
    for number, (x, y) in enumerate(own, 1):
        if x is not None:
            parts[number] = np.arange(total, total + len(x))
            total += len(x)
            pieces.append(x)
            labels.append(_unknown(found.labels, len(x)) if y is None else y)
    if len(pieces) == 1:
        return (parts[0], parts[1], parts[2]), found.x, found.labels
    joined: np.ndarray | None = None if found.labels is None else np.concatenate(labels)  # type: ignore[arg-type]
    return (parts[0], parts[1], parts[2]), np.concatenate(pieces), joined


def _unknown(labels: np.ndarray | None, total: int) -> np.ndarray:
    """Labels that are not known, which can stand beside these."""
    return np.full(total, "") if labels is not None and labels.dtype.kind in "US" else np.full(total, np.nan)


def _learn(
    found: Arrays, x: np.ndarray, labels: np.ndarray | None, rows: np.ndarray, options: DataOptions, said: str
) -> VectorSchema | PictureSchema:
    mine = None if labels is None else labels[rows]
    if x.ndim == 2:
        return VectorSchema.learn(x, mine, options, rows=rows, name=said)
    levels = 17 if found.name == "digits" and said.startswith("built-in") else None
    return PictureSchema.learn(
        x, mine, options, rows=rows, name=said, levels=levels, channels_first=found.channels_first
    )


def _resident(
    schema: VectorSchema | PictureSchema, x: np.ndarray, labels: np.ndarray | None, training: bool
) -> Resident:
    """Raw rows encoded and held whole; training pictures that are binarised afresh keep their levels."""
    given = condition(schema.label, labels, len(x)) if schema.given_names else None
    index = None if schema.label is None or labels is None else schema.label.index(labels)
    if isinstance(schema, PictureSchema) and schema.binarise == "stochastic" and training:
        return Resident(schema.levels(x), given, index, levels=schema.pixels.levels)
    return Resident(schema.encode(x).x, given, index)


def _streamed(
    schema: VectorSchema | PictureSchema, x: np.ndarray, labels: np.ndarray | None, parts: Parts
) -> list[Streamed]:
    index = None if schema.label is None or labels is None else schema.label.index(labels)
    part = np.full(len(x), -1, np.int8)
    for number, rows in enumerate(parts):
        part[rows] = number

    def given_of(rows: np.ndarray) -> Tensor | None:
        mine = None if labels is None else labels[rows]
        return condition(schema.label, mine, len(rows)) if schema.given_names else None

    def encode_once(raw: np.ndarray, rows: np.ndarray) -> Encoded:
        return Encoded(schema.encode(raw).x, given_of(rows))

    def encode_levels(raw: np.ndarray, rows: np.ndarray) -> Encoded:
        assert isinstance(schema, PictureSchema), "only pictures are binarised"
        return Encoded(schema.levels(raw), given_of(rows))

    train = Streamed(x, part, 0, encode_once, labels=index)
    if isinstance(schema, PictureSchema) and schema.binarise == "stochastic":
        train = Streamed(x, part, 0, encode_levels, labels=index, levels=schema.pixels.levels)
    return [train, *(Streamed(x, part, number, encode_once, labels=index) for number in (1, 2))]


def open_folder(path: Path, options: DataOptions) -> Dataset:
    """A folder of pictures; subfolders are labels."""
    paths = image_files.find(path)
    labels = image_files.labels_of(paths, path)
    heads = image_files.headers(paths)
    parts = split(len(paths), options.split, labels=codes(labels), seed=options.seed, source=str(path))
    training = [heads[row] for row in parts[0]]
    height, width = image_files.chosen_size(training, options.size)
    channels = 1 if all(head.grey for head in training) else 3
    shape = (len(paths), height, width, channels)
    on_disk = streams(options, math.prod(shape))
    x = shard(shape, np.dtype(np.uint8)) if on_disk else np.empty(shape, np.uint8)
    image_files.pixels(paths, x)
    found = Arrays(path.resolve().name, x if channels == 3 or on_disk else x[..., 0], labels)
    return open_arrays(found, options, str(path))
