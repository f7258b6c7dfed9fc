"""Images taken apart into levels and what levels leave out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from sfumato.data.core.labels import Examples, as_names
from sfumato.data.core.lossless import Lossless, Parts, concatenated, corrected, difference, pack, unpack
from sfumato.data.images.schema import ImageSchema
from sfumato.errors import SfumatoError

LABELS_KEPT = "labels"


class LosslessImages(Lossless[ImageSchema]):
    """Levels are coded; where they are not all (16 bits, greys of a model of black and white), the rest is aside.

    What comes back has every bit, the dtype and the shape of the array. Labels are kept where they are conditions.
    """

    def blocks(self, source: Any, size: int) -> Iterator[Any]:
        raw = self.schema.read(source)
        x, labels = raw if isinstance(raw, tuple) else (raw, None)
        self.header = {"dtype": x.dtype.str}
        if labels is not None:
            labels = np.asarray(labels)
            labels = as_names(labels) if labels.dtype.kind == "O" else labels
            self.header["labels"] = labels.dtype.str
        for start in range(0, len(x), size):
            rows = slice(start, start + size)
            yield np.asarray(x[rows]) if labels is None else Examples(np.asarray(x[rows]), labels[rows])

    def split(self, raw: Any) -> Parts:
        x, labels = raw if isinstance(raw, tuple) else (raw, None)
        levels, given = self.schema.encode(raw)[:2]
        aside = {"rest": difference(x, self._decoded(levels))}
        if labels is not None:
            aside[LABELS_KEPT] = labels.tobytes()
        return Parts(levels.long(), pack(aside), given)

    def given(self, aside: bytes, count: int) -> Tensor | None:
        return self.schema.encode_label(self._labels(unpack(aside)), count)

    def join(self, coded: Tensor, aside: bytes) -> Any:
        parts = unpack(aside)
        x, labels = corrected(self._decoded(coded), parts.get("rest", b"")), self._labels(parts)
        return x if labels is None else Examples(x, labels)

    def _decoded(self, levels: Tensor) -> np.ndarray:
        return np.asarray(self.schema.decode(levels), np.dtype(self.header["dtype"]))

    def _labels(self, parts: dict[str, bytes]) -> np.ndarray | None:
        return None if LABELS_KEPT not in parts else np.frombuffer(parts[LABELS_KEPT], self.header["labels"])

    def plain(self, raw: Any) -> bytes:
        x = raw[0] if isinstance(raw, tuple) else raw
        return x.tobytes()

    def collect(self, blocks: Iterable[Any]) -> Any:
        return concatenated(blocks)

    def check_output(self, path: Path) -> None:
        if self.schema.given_names:
            if path.suffix != ".npz":
                raise SfumatoError(f"{path}: this format does not hold images and their labels; end it in .npz")
            return
        # Files of images are of 256 levels, as are models of bytes that are not binarised.
        exact = self.schema.pixels.levels == 256 and np.dtype(self.header["dtype"]) == np.uint8
        if path.suffix not in (".npy", ".npz") and not (exact and not path.suffix):
            also = ", or name a folder (without a dot)" if exact else ""
            raise SfumatoError(
                f"{path}: this format does not hold every bit of the images; end it in .npy or .npz{also}"
            )

    def write(self, blocks: Iterable[Any], path: Path) -> None:
        self.schema.write(self.collect(blocks), path)
