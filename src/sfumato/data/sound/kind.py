"""Sound as a kind of data: files, folders and lists of them, and arrays where an option says their rate."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from sfumato.data.core.batching.batches import Resident
from sfumato.data.core.dataset import Dataset
from sfumato.data.core.kinds import Kind, OptionUse
from sfumato.data.core.labels import LABEL, codes, condition
from sfumato.data.core.options import DataOptions
from sfumato.data.core.source import Source
from sfumato.data.core.split import split
from sfumato.data.io import sound_files
from sfumato.data.sound import reading
from sfumato.data.sound.coded import CodedSounds
from sfumato.data.sound.reading import Sounds
from sfumato.data.sound.schema import SoundSchema
from sfumato.data.sound.windows import FEWEST_FILES, Window, chosen_length, cut, split_in_time, taken
from sfumato.errors import SfumatoError


def accepts(source: Source, options: DataOptions) -> bool:
    """Whether it is a sound file, a list of them, a folder with more of them than images, or arrays with a rate."""
    if source.builtin:
        return False
    if source.path is not None and source.path.is_dir():
        return reading.is_folder_of_sounds(source.path)
    if reading.is_files(source.value):
        return True
    return options.rate is not None and source.arrays is not None


def suited(options: DataOptions, forms: tuple[str, ...]) -> DataOptions:
    """Waveforms for a model that takes them, and mel bands for all others, unless the options say which."""
    if options.representation != "auto":
        return options
    return replace(options, representation="waveform" if "sound" in forms else "mel")


def load(source: Source, options: DataOptions) -> Dataset:
    """Sounds, held whole, all of one rate, and of one length or ending before it.

    Raises:
        SfumatoError: if a file cannot be read, all is silent, or an option does not fit.
    """
    where = source.described("array in memory")
    _check(options, where)
    sounds = reading.found(source.value if reading.is_files(source.value) else source.arrays)
    rate = options.rate or sound_files.chosen_rate(sounds.headers)
    channels = 1 if options.mono else sounds.channels
    lengths = sounds.lengths(rate)
    length = chosen_length(lengths, rate, options.seconds)
    windows = cut(lengths, length)
    x = taken(sounds.decoded(rate, channels), windows, length)
    labels = None if sounds.labels is None else sounds.labels[[window.sound for window in windows]]
    parts = _parts(sounds, windows, options, where)
    ends = any(window.stop - window.start < length for window in windows)
    schema = SoundSchema.learn(
        x[parts[0]],
        None if labels is None else labels[parts[0]],
        suited(options, ()),
        rate=rate,
        ends=ends,
        name=where,
    )
    train, valid, test = (_resident(schema, x[rows], None if labels is None else labels[rows]) for rows in parts)
    notes = reading.described(sounds, rate, channels, length, len(windows))
    name = "sounds" if source.path is None else Path(source.path.resolve()).stem
    return Dataset(name, where, schema, train, valid, test, options, has_label=labels is not None, notes=notes)


def _check(options: DataOptions, where: str) -> None:
    """Refuse options that have nothing to act on.

    Raises:
        SfumatoError: if there is one.
    """
    if options.streaming == "yes":
        raise SfumatoError("streaming=yes: sounds are held whole; leave streaming out")
    for option, named in (("drop", options.drop), ("kinds", options.kinds), ("label", options.label)):
        if named and named != LABEL:
            first = named if isinstance(named, str) else next(iter(named))
            raise SfumatoError(f"{option}={first!r}: {where} has no named columns; leave it out")


def _parts(sounds: Sounds, windows: list[Window], options: DataOptions, where: str) -> list[np.ndarray]:
    """Rows of each split: whole sounds; where there are few, and they are long, stretches of each along its time."""
    if len(sounds) < FEWEST_FILES <= len(windows):
        return split_in_time(windows, options.split)
    own = np.array([window.sound for window in windows])
    parts = split(len(sounds), options.split, labels=codes(sounds.labels), seed=options.seed, source=where)
    return [np.flatnonzero(np.isin(own, part)) for part in parts]


def _resident(schema: SoundSchema, x: np.ndarray, labels: np.ndarray | None) -> Resident:
    given = condition(schema.label, labels, len(x)) if schema.given_names else None
    index = None if schema.label is None or labels is None else schema.label.index(labels)
    return Resident(schema.encode(x).x, given, index)


KIND = Kind(
    name="sound",
    schema=SoundSchema,
    accepts=accepts,
    load=load,
    plural="sounds",
    order=5,
    suffixes=sound_files.SOUND_SUFFIXES,
    options={name: OptionUse("sound") for name in ("rate", "seconds", "mono", "representation")},
    suited=suited,
    lossless=CodedSounds,
    file_suffix=".wav",
    examples_suggested=16,
    needs_file="sounds need a place to go: add -o new.wav, -o folder or -o sounds.npy",
)
