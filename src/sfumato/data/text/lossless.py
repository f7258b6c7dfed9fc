"""Lines of text taken apart into symbols, and the lines that have others."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from sfumato.data.core.labels import LABEL, Examples, as_names
from sfumato.data.core.lossless import Lossless, Parts, concatenated, pack, unpack
from sfumato.data.io import frames
from sfumato.data.text import lines
from sfumato.data.text.schema import SymbolSchema
from sfumato.errors import SfumatoError


class LosslessText(Lossless[SymbolSchema]):
    """The symbols of each line, with its end, are coded.

    Lines that do not come back from their symbols are aside: too long ones, and those with a character never seen in
    training. Labels are kept where they are conditions.
    """

    def blocks(self, source: Any, size: int) -> Iterator[Any]:
        if not self.schema.is_text:
            raise SfumatoError("rows of whole numbers cannot be compressed yet: images, tables and lines of text can")
        raw = self.schema.checked(self.schema.loaded(source))
        x, labels = raw if isinstance(raw, tuple) else (raw, None)
        names = None if labels is None else as_names(np.asarray(labels))
        for start in range(0, len(x), size):
            rows = slice(start, start + size)
            yield x[rows] if names is None else Examples(x[rows], names[rows])

    def split(self, raw: Any) -> Parts:
        x, labels = raw if isinstance(raw, tuple) else (raw, None)
        back = self.schema.decode(self.schema.encode(Examples(x, labels) if labels is not None else x).x)
        odd = [row for row, (line, again) in enumerate(zip(x, back, strict=True)) if line != again]
        coded = x.copy()
        coded[odd] = ""
        encoded = self.schema.encode(Examples(coded, labels) if labels is not None else coded)
        aside = {"lines": _json({row: x[row] for row in odd}), "labels": b"" if labels is None else _json(list(labels))}
        return Parts(encoded.x.long(), pack(aside), encoded.given)

    def given(self, aside: bytes, count: int) -> Tensor | None:
        return self.schema.encode_label(self._labels(unpack(aside)), count)

    def join(self, coded: Tensor, aside: bytes) -> Any:
        parts = unpack(aside)
        x, labels = self.schema.decode(coded.to(torch.float64)), self._labels(parts)
        for row, line in json.loads(parts.get("lines", b"{}")).items():
            x[int(row)] = line
        return x if labels is None else Examples(x, labels)

    @staticmethod
    def _labels(parts: dict[str, bytes]) -> np.ndarray | None:
        return np.array(json.loads(parts["labels"])) if "labels" in parts else None

    def plain(self, raw: Any) -> bytes:
        x = raw[0] if isinstance(raw, tuple) else raw
        return "".join(f"{line}\n" for line in x).encode()

    def collect(self, blocks: Iterable[Any]) -> Any:
        return concatenated(blocks)

    def check_output(self, path: Path) -> None:
        if self.schema.given_names or not lines.is_text(path):
            frames.suffix(path)

    def write(self, blocks: Iterable[Any], path: Path) -> None:
        raw = self.collect(blocks)
        if isinstance(raw, tuple):
            table = self.schema.as_table(raw)
            assert table is not None, "rows of whole numbers are refused"
            frames.write(table.append_column(LABEL, pa.array(raw[1])), path)
        else:
            self.schema.write(raw, path)


def _json(values: Any) -> bytes:
    return json.dumps(values, ensure_ascii=False, separators=(",", ":")).encode() if values else b""
