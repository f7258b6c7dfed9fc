"""Arrays in: `.npy`, `.npz`, numpy arrays, torch tensors, and (X, y)."""

from __future__ import annotations

import math
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy import sparse

from sfumato.data.io import npz
from sfumato.errors import SfumatoError
from sfumato.files import replacing

ENTRIES_AT_A_TIME = 1 << 21
"""Entries of an array looked at together when statistics are learned."""


@dataclass(frozen=True)
class Arrays:
    """Raw arrays as they were found.

    Attributes:
        name: what to call the source.
        x: (N, …) bool, integer or float; memory-mapped when it comes from a `.npy` file.
        labels: (N,) or None.
        test_x: a test split the source brought along, or None.
        test_labels: its labels, or None.
        valid_x: a validation split the source brought along, or None.
        valid_labels: its labels, or None.
        channels_first: whether a 4-D array of doubtful layout is read as (N, C, H, W), as torch has it.
        factors: known factors of variation, name to (N,) values; empty where they are not known.
        levels: number of levels of a pixel, where it is known.
    """

    name: str
    x: np.ndarray
    labels: np.ndarray | None = None
    test_x: np.ndarray | None = None
    test_labels: np.ndarray | None = None
    valid_x: np.ndarray | None = None
    valid_labels: np.ndarray | None = None
    channels_first: bool = False
    factors: dict[str, np.ndarray] = field(default_factory=dict)
    levels: int | None = None


def is_array(source: Any) -> bool:
    """Whether `source` is an array, a tensor, a sparse matrix, a list of rows, or a pair (X, y) of them."""
    if isinstance(source, tuple) and len(source) == 2:
        return not isinstance(source[0], str | Path)
    return isinstance(source, np.ndarray | torch.Tensor | list) or sparse.issparse(source)


def load(source: Any, most: int = 4) -> Arrays:
    """Whatever of these `source` is; of at most `most` axes.

    Raises:
        SfumatoError: if it is none of them.
    """
    if isinstance(source, Arrays):
        return source
    if not isinstance(source, str | Path):
        return from_memory(source, most)
    path = Path(source)
    if not path.exists():
        raise SfumatoError(f"{path}: no such file; check the name and the folder")
    if path.suffix not in (".npy", ".npz"):
        raise SfumatoError(f"{path}: this model was trained on arrays; give a .npy or .npz file")
    return from_file(path, most)


def from_memory(source: Any, most: int = 4) -> Arrays:
    """An array, a tensor, or (X, y).

    Raises:
        SfumatoError: if it is not an array of numbers, or X and y are not of one length.
    """
    x, y = source if isinstance(source, tuple) else (source, None)
    array = checked(as_array(x, "X"), "X", most)
    labels = None if y is None else _checked_labels(as_array(y, "y"), len(array), "X", "y")
    return Arrays("array", array, labels, channels_first=isinstance(x, torch.Tensor))


def as_array(value: Any, name: str) -> np.ndarray:
    """An array, tensor, sparse matrix, column or list as a numpy array."""
    if isinstance(value, torch.Tensor):
        return _from_tensor(value, name)
    if sparse.issparse(value):
        return np.asarray(value.toarray())
    if isinstance(value, np.ma.MaskedArray):
        return _unmasked(value)
    if isinstance(value, np.ndarray) or not isinstance(value, Iterable):
        return np.asarray(value)
    try:
        return np.asarray(value)
    except ValueError:
        raise SfumatoError(f"{name}: its rows are not of one length; give a rectangular array") from None


def _from_tensor(value: torch.Tensor, name: str) -> np.ndarray:
    """A tensor of any layout and device; of a dtype that numpy has not, as float32.

    Raises:
        SfumatoError: if it has no values, or no shape.
    """
    try:
        value = value.detach()
        value = value.dequantize() if value.is_quantized else value
        value = (value if value.layout is torch.strided else value.to_dense()).cpu().resolve_conj().resolve_neg()
        if value.is_floating_point() and value.dtype not in (torch.float16, torch.float32, torch.float64):
            value = value.float()
        return value.numpy()
    except (RuntimeError, TypeError, NotImplementedError) as error:
        reason = str(error).splitlines()[0]
        raise SfumatoError(
            f"{name}: a tensor of {value.dtype} ({value.layout}) on {value.device}, which cannot be read ({reason}); "
            "give one of floats, whole numbers or booleans"
        ) from None


def _unmasked(value: np.ma.MaskedArray) -> np.ndarray:
    """What is masked as NaN; numbers and booleans become floats if anything is."""
    if not np.ma.is_masked(value) or value.dtype.kind not in "biuf":
        return np.asarray(value.data)
    values = np.array(value.data, None if value.dtype.kind == "f" else np.float64)
    values[np.ma.getmaskarray(value)] = np.nan
    return values


def from_file(path: Path, most: int = 4) -> Arrays:
    """A `.npy` file (memory-mapped) or a `.npz` file.

    In a `.npz` the examples are called x, data, images, imgs, features or the like, or are the only array of rows under
    any name; labels are called y, target, labels or the like. Names with train, valid and test in them are those splits
    of its own (x_train, train_images, trainX). A sparse matrix saved by scipy is read too.

    Raises:
        SfumatoError: if the file is damaged, holds Python objects, or it is unclear which array holds the examples.
    """
    if path.stat().st_size == 0:
        raise SfumatoError(f"{path}: the file is empty (0 bytes); write it again")
    try:
        _check_start(path)
        if path.suffix == ".npy":
            return Arrays(path.stem, checked(np.load(path, mmap_mode="r", allow_pickle=False), str(path), most))
        return _from_npz(path, most)
    except SfumatoError:
        raise
    except (ValueError, OSError, EOFError, KeyError, zipfile.BadZipFile, zlib.error) as error:
        reason = str(error)
        if "allow_pickle" in reason or "Python objects" in reason or "Object arrays" in reason:
            raise SfumatoError(_objects(str(path))) from None
        raise _damaged(path, reason) from None


def _check_start(path: Path) -> None:
    """Refuse a file that does not begin as its ending says; numpy takes any other for pickled objects.

    Raises:
        SfumatoError: if it does not; also for a pickle, which is never unpickled.
    """
    with path.open("rb") as opened:
        start = opened.read(6)
    if start[:1] == b"\x80" and start[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05"):
        raise SfumatoError(_objects(str(path)))
    if path.suffix == ".npy" and start != b"\x93NUMPY":
        raise _damaged(path, "it does not begin as a file of numpy does")
    if path.suffix == ".npz" and start[:4] not in (b"PK\x03\x04", b"PK\x05\x06"):
        raise _damaged(path, "it does not begin as a file of numpy does")


def _damaged(path: Path, reason: str) -> SfumatoError:
    write = "np.save" if path.suffix == ".npy" else "np.savez"
    return SfumatoError(f"{path}: damaged, not readable as {path.suffix} ({reason}); write it again with {write}")


def _from_npz(path: Path, most: int) -> Arrays:
    content = npz.read(path)
    x, y = {}, {}
    for split, array in content.x.items():
        name = content.names[split]
        x[split] = checked(array, f"{path}: {name}", most)
        if array.shape[1:] != content.x["train"].shape[1:]:
            raise SfumatoError(
                f"{path}: {name} has examples of shape {array.shape[1:]}, {content.names['train']} of "
                f"{content.x['train'].shape[1:]}"
            )
        if split in content.y:
            y[split] = _checked_labels(content.y[split], len(array), f"{path}: {name}", "the labels")
    return Arrays(
        path.stem,
        x["train"],
        y.get("train"),
        test_x=x.get("test"),
        test_labels=y.get("test"),
        valid_x=x.get("valid"),
        valid_labels=y.get("valid"),
        factors=content.factors if len(x) == 1 else {},
    )


def checked(array: np.ndarray, name: str, most: int = 4) -> np.ndarray:
    """`array` if it is rows of numbers.

    Raises:
        SfumatoError: for other values, 1-D arrays, more than `most` dimensions, or nothing in it.
    """
    if array.dtype.kind == "O":
        raise SfumatoError(_objects(name))
    if array.dtype.kind not in "biuf":
        raise SfumatoError(f"{name}: an array of {array.dtype}, not of numbers; give floats, integers or booleans")
    if not 2 <= array.ndim <= most:
        more = {1: "; for one column reshape(-1, 1)", 5: "; for sequences of images add --sequences"}.get(
            array.ndim, ""
        )
        raise SfumatoError(f"{name}: has shape {array.shape}; give (N, D), or images (N, H, W) or (N, H, W, C){more}")
    if array.size == 0:
        raise SfumatoError(f"{name}: has no rows or no columns (shape {array.shape}); give at least 2 examples")
    return array


def _objects(name: str) -> str:
    return f"{name}: holds Python objects, which are never unpickled; save it as floats, integers or strings"


def _checked_labels(labels: np.ndarray, total: int, x: str, y: str) -> np.ndarray:
    """(N,) labels of (N,), (N, 1) or one-hot (N, K) ones."""
    flat = labels.reshape(-1) if labels.ndim == 2 and labels.shape[1] == 1 else labels
    numbers = flat.ndim == 2 and len(flat) == total and flat.dtype.kind in "biuf"
    if numbers and (np.isin(flat, (0, 1)).all(1) & (flat.sum(1) == 1)).all():
        return np.asarray(flat.argmax(1))
    if flat.ndim != 1 or len(flat) != total:
        raise SfumatoError(f"{x} has {total} rows, but {y} has shape {labels.shape}; give one label a row")
    return flat


def check_finite(x: np.ndarray, name: str, start: int = 0) -> None:
    """Raise SfumatoError naming row and column of the first infinite entry."""
    if x.dtype.kind == "f" and not np.isfinite(x.sum()):
        infinite = np.argwhere(np.isinf(x))
        if len(infinite):
            row, column = infinite[0]
            raise SfumatoError(
                f"{name}: row {start + row + 1}, column {column} is infinite; fix it, or put NaN for missing"
            )


def check_whole(x: np.ndarray, name: str) -> None:
    """Raise SfumatoError naming row and column of the first number that is not whole."""
    for start, chunk, _ in chunks(x):
        if chunk.dtype.kind == "f" and len(fractional := np.argwhere(~np.isnan(chunk) & (chunk != np.round(chunk)))):
            row, column = fractional[0][:2]
            raise SfumatoError(
                f"{name}: row {start + row + 1}, column {column} is {chunk[tuple(fractional[0])]:g}; the likelihood "
                "needs whole numbers"
            )


def write(raw: Any, path: str | Path) -> None:
    """Write (N, …) to `.npy`, `.npz`, or for rows of numbers `.csv` and `.tsv`, whole or not at all."""
    x, labels = raw if isinstance(raw, tuple) else (raw, None)
    target = Path(path)
    named: dict[str, np.ndarray] = {"x": x} if labels is None else {"x": x, "y": np.asarray(labels)}
    text = {".csv": ",", ".tsv": "\t"}
    if target.suffix not in (".npy", ".npz", *text) or (target.suffix in text and x.ndim != 2):
        raise SfumatoError(f"{path}: arrays are written as .npy or .npz; end the name in one of them")
    with replacing(target) as temporary:
        if target.suffix == ".npy":
            np.save(temporary, x, allow_pickle=False)
        elif target.suffix == ".npz":
            np.savez_compressed(temporary, allow_pickle=False, **named)
        else:
            np.savetxt(temporary, x, delimiter=text[target.suffix], fmt="%.9g")


def fresh(x: np.ndarray) -> np.ndarray:
    """A memory-mapped `.npy` file mapped anew, so that the pages read through it are let go with it."""
    if isinstance(x, np.memmap) and x.filename is not None and str(x.filename).endswith(".npy"):
        mapped: np.ndarray = np.load(x.filename, mmap_mode="r", allow_pickle=False)
        return mapped
    return x


def chunks(x: np.ndarray, rows: np.ndarray | None = None) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """(number of the first row, rows of `x`, those of them that are among `rows`) for one stretch after another.

    Args:
        x: (N, …), memory-mapped or not.
        rows: ascending row numbers; None for all.
    """
    step = max(ENTRIES_AT_A_TIME // math.prod(x.shape[1:]), 1)
    for start in range(0, len(x), step):
        chunk = np.asarray(fresh(x)[start : start + step])
        if rows is None:
            yield start, chunk, chunk
        else:
            first, last = np.searchsorted(rows, (start, start + step))
            yield start, chunk, chunk[rows[first:last] - start]
