"""`.npz` files: which of their arrays are the examples, which the labels, and of which split."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from sfumato.errors import SfumatoError

EXAMPLE_NAMES = (
    *("x", "data", "images", "image", "imgs", "img", "features", "feature", "inputs", "input", "samples", "examples"),
    *("pixels", "faces", "frames", "sequences", "series", "signals"),
)
LABELS = ("y", "target", "targets", "labels", "label", "classes", "class")
POSITIONS = {"arr_0": "x", "arr_1": "y"}
"""What arrays are that `np.savez` had to name."""
SPLITS = {
    **dict.fromkeys(("train", "training", "tr"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "dev"), "valid"),
    **dict.fromkeys(("test", "testing", "te", "t10k"), "test"),
}
FACTOR_NAME = "latents"
DSPRITES = ("colour", "shape", "scale", "orientation", "x", "y")
"""The factors of dSprites, in the order of its columns."""


@dataclass(frozen=True)
class NpzArrays:
    """Arrays by what they are; each of the dictionaries has a split for its keys.

    Attributes:
        x: the examples.
        y: a label for each.
        names: what the examples are called in the file.
        factors: known factors of variation of the training split, name to (N,) values.
    """

    x: dict[str, np.ndarray]
    y: dict[str, np.ndarray]
    names: dict[str, str]
    factors: dict[str, np.ndarray] = field(default_factory=dict)


def role(name: str) -> tuple[str, str]:
    """(x, y, or nothing; the split) from the name of an array.

    >>> [role(name) for name in ("x", "X_test", "train_images", "valLabels", "arr_1", "mask")]
    [('x', 'train'), ('x', 'test'), ('x', 'train'), ('y', 'valid'), ('y', 'train'), ('', 'train')]
    """
    rest, splits = _words(name)
    split = splits[0] if splits else "train"
    if len(rest) + len(splits) > 2 or len(rest) > 1 or len(splits) > 1:
        return "", split
    what = rest[0] if rest else "x"
    return ("x" if what in EXAMPLE_NAMES else "y" if what in LABELS else ""), split


def _words(name: str) -> tuple[list[str], list[str]]:
    """The words of a name that are not a split, and the splits that the others name."""
    if name in POSITIONS:
        return [POSITIONS[name]], []
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name)
    spaced = re.sub(r"(?i)^([xy])(?=train|val|test)", r"\1_", spaced)
    words = re.split(r"[^a-z0-9]+", spaced.lower())
    return [word for word in words if word and word not in SPLITS], [SPLITS[word] for word in words if word in SPLITS]


def read(path: Path) -> NpzArrays:
    """The arrays of a `.npz` file by their names, or a sparse matrix as scipy saves it.

    Raises:
        SfumatoError: if none, or several, of its arrays can be the examples.
    """
    # Opened here, as numpy leaves a damaged file open.
    with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
        if {"format", "shape", "data"} <= set(file.files):
            return NpzArrays({"train": _sparse(path)}, {}, {"train": "data"})
        chosen = _chosen(path, file.files, _shapes(opened))
        x = {split: file[name] for (what, split), name in chosen.items() if what == "x"}
        y = {split: file[name] for (what, split), name in chosen.items() if what == "y"}
        factors = _factors(file, len(x["train"]))
    return NpzArrays(x, y, {split: name for (what, split), name in chosen.items() if what == "x"}, factors)


def _sparse(path: Path) -> np.ndarray:
    from scipy.sparse import load_npz

    return np.asarray(load_npz(path).toarray())


def _shapes(opened: Any) -> dict[str, tuple[int, ...]]:
    """The shape of each array, from its header alone."""
    shapes = {}
    with zipfile.ZipFile(opened) as archive:
        for name in archive.namelist():
            if not name.endswith(".npy"):
                continue
            with archive.open(name) as member:
                version = np.lib.format.read_magic(member)
                header = (
                    np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
                )
                shapes[name.removesuffix(".npy")] = header(member)[0]
    return shapes


def _chosen(path: Path, names: Iterable[str], shapes: dict[str, tuple[int, ...]]) -> dict[tuple[str, str], str]:
    """What is what: (x or y, split) → name of the array."""
    chosen: dict[tuple[str, str], str] = {}
    for name in sorted(names, key=_rank):
        what = role(name)
        if what[0] and what not in chosen:
            chosen[what] = name
    if ("x", "train") in chosen:
        return chosen
    taken = set(chosen.values())
    rows = [name for name in names if len(shapes.get(name, ())) >= 2 and name not in taken and not _is_factor(name)]
    if len(rows) != 1:
        known = ", ".join(f"{name} {'×'.join(map(str, shapes.get(name, ())))}" for name in names) or "nothing"
        raise SfumatoError(
            f"{path}: holds {known}, of which {'several' if rows else 'none'} can be the examples; call them x "
            "(labels y, a test split x_test), or save the one you mean as .npy"
        )
    return chosen | {("x", "train"): rows[0]}


def _rank(name: str) -> tuple[bool, int]:
    """Sort key: names with a split first, then the words in their order."""
    rest, splits = _words(name)
    known = (*EXAMPLE_NAMES, *LABELS)
    return not splits, known.index(rest[0]) if rest and rest[0] in known else len(known)


def _is_factor(name: str) -> bool:
    return name.lower().partition("_")[0] == FACTOR_NAME


def _factors(file: Any, total: int) -> dict[str, np.ndarray]:
    """The factors of dSprites and its like: the columns of `latents_classes`, or of `latents_values`, that vary."""
    name = next((name for name in ("latents_classes", "latents_values") if name in file.files), None)
    values = np.empty((0, 0)) if name is None else file[name]
    if values.ndim != 2 or len(values) != total:
        return {}
    named = DSPRITES if values.shape[1] == len(DSPRITES) else _counted(values.shape[1])
    return {name: column for name, column in zip(named, values.T, strict=True) if len(np.unique(column)) > 1}


def _counted(total: int) -> Collection[str]:
    return [f"factor {number + 1}" for number in range(total)]
