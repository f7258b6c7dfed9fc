"""Sounds taken apart for compression by discrete codes, which lose what they do not hold."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np
from torch import Tensor

from sfumato.data.core.lossless import Lossless, Parts, pack, unpack
from sfumato.data.io.sound_files import WRITTEN, refuse_format
from sfumato.data.sound import reading
from sfumato.data.sound.schema import SoundSchema
from sfumato.data.sound.windows import cut, lengths_of

LENGTHS_KEPT, JOINED_KEPT = "lengths", "joined"


class Windowed(NamedTuple):
    """Sounds and whether each goes on with the one before it.

    Attributes:
        x: (N, T, C), NaN behind the end of each.
        joined: (N,).
    """

    x: np.ndarray
    joined: np.ndarray


class CodedSounds(Lossless[SoundSchema]):
    """Waveforms as the model sees them; aside are their lengths, and which are windows of one sound.

    What comes back is what the decoder makes of the codes, as long as the sound was.
    """

    exact: ClassVar[bool] = False

    def blocks(self, source: Any, size: int) -> Iterator[Any]:
        sounds, sound = reading.found(source), self.schema.sound
        windows = cut(sounds.lengths(sound.rate), sound.length)
        raw = self.schema.read(source)
        x = np.asarray(raw[0] if isinstance(raw, tuple) else raw)
        joined = np.array([window.start > 0 for window in windows])
        for start in range(0, len(x), size):
            rows = slice(start, start + size)
            yield Windowed(x[rows], joined[rows])

    def split(self, raw: Windowed) -> Parts:
        lengths = lengths_of(raw.x)
        aside = {}
        if (lengths < self.schema.sound.length).any():
            aside[LENGTHS_KEPT] = lengths.astype("<u4").tobytes()
        if raw.joined.any():
            aside[JOINED_KEPT] = np.packbits(raw.joined).tobytes()
        return Parts(self.schema.encode(raw.x).x, pack(aside))

    def given(self, aside: bytes, count: int) -> Tensor | None:
        return None

    def seen(self, coded: Tensor) -> Tensor:
        return coded

    def join(self, coded: Tensor, aside: bytes) -> Windowed:
        parts, x = unpack(aside), np.asarray(self.schema.decode(coded))
        lengths = np.full(len(x), self.schema.sound.length)
        if LENGTHS_KEPT in parts:
            lengths = np.frombuffer(parts[LENGTHS_KEPT], "<u4")
        behind = np.arange(x.shape[1]) >= lengths[:, None]
        x = np.nan_to_num(x)
        x[behind] = np.nan
        joined = np.zeros(len(x), bool)
        if JOINED_KEPT in parts:
            joined = np.unpackbits(np.frombuffer(parts[JOINED_KEPT], np.uint8), count=len(x)).astype(bool)
        return Windowed(x, joined)

    def seconds(self, raw: Windowed) -> float:
        return float(lengths_of(raw.x).sum() / self.schema.sound.rate)

    def plain(self, raw: Windowed) -> bytes:
        """Samples in 16 bits, as in a WAV file."""
        known = raw.x[np.arange(raw.x.shape[1]) < lengths_of(raw.x)[:, None]]
        return np.round(np.clip(known, -1, 1) * 32767).astype("<i2").tobytes()

    def collect(self, blocks: Iterable[Windowed]) -> np.ndarray:
        return np.concatenate([block.x for block in blocks])

    def check_output(self, path: Path) -> None:
        if path.suffix and path.suffix.lower() not in (*WRITTEN, ".npy", ".npz"):
            raise refuse_format(path)

    def write(self, blocks: Iterable[Windowed], path: Path) -> None:
        pieces = list(blocks)
        joined = np.concatenate([piece.joined for piece in pieces])
        self.schema.write_joined(np.concatenate([piece.x for piece in pieces]), path, joined)
