"""Encoded rows kept in a temporary `.npy` file, which goes when the program ends."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from functools import cache
from pathlib import Path

import numpy as np

from sfumato.errors import SfumatoError


def shard(shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """A new memory-mapped `.npy` file in the temporary folder (TMPDIR chooses where).

    Raises:
        SfumatoError: if there is not enough disk space.
    """
    need = int(np.prod(shape)) * dtype.itemsize
    free = shutil.disk_usage(_folder()).free
    if need > free:
        raise SfumatoError(
            f"{_folder()}: {need / 2**30:.1f} GiB are needed to stream this data and {free / 2**30:.1f} are free; "
            "set TMPDIR to a folder with more space"
        )
    with tempfile.NamedTemporaryFile(dir=_folder(), suffix=".npy", delete=False) as file:
        path = file.name
    return np.lib.format.open_memmap(path, mode="w+", dtype=dtype, shape=shape)


@cache
def _folder() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="sfumato-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder
