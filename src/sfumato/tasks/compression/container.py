"""The file of compressed blocks: a header, blocks with checksums, and their count at the end."""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Iterator, Mapping
from typing import IO, Any, NamedTuple

from sfumato.errors import SfumatoError

FILE_MAGIC = b"sfz\x01"
"""Beginning of a file, with the number of its format."""
HEADER_RECORD, BLOCK_RECORD, END_RECORD = struct.Struct("<II"), struct.Struct("<cIIII"), struct.Struct("<cQI")


class CodedBlock(NamedTuple):
    """Some examples.

    Attributes:
        examples: how many.
        coded: what the model codes of them.
        aside: what it does not.
    """

    examples: int
    coded: bytes
    aside: bytes


class Writer:
    """Writes a file block by block.

    Args:
        file: open for writing.
        header: JSON-ready values that are needed to read it.
    """

    def __init__(self, file: IO[bytes], header: Mapping[str, Any]) -> None:
        self._file, self._total = file, 0
        packed = zlib.compress(json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode(), 9)
        self.size = file.write(FILE_MAGIC + HEADER_RECORD.pack(len(packed), zlib.crc32(packed)) + packed)

    def add(self, block: CodedBlock) -> None:
        """Write one block."""
        body = block.coded + block.aside
        head = BLOCK_RECORD.pack(b"B", block.examples, len(block.coded), len(block.aside), zlib.crc32(body))
        self.size += self._file.write(head + body)
        self._total += block.examples

    def close(self) -> None:
        """Write the number of examples; a file without it is not complete."""
        count = END_RECORD.pack(b"E", self._total, zlib.crc32(str(self._total).encode()))
        self.size += self._file.write(count)


class Reader:
    """Reads a file block by block.

    Args:
        file: open for reading.
        name: of the file, for messages.

    Attributes:
        header: as it was written.

    Raises:
        SfumatoError: if it is no such file, or damaged.
    """

    def __init__(self, file: IO[bytes], name: str) -> None:
        self._file, self.name = file, name
        start = file.read(len(FILE_MAGIC))
        if start[:3] != FILE_MAGIC[:3]:
            raise SfumatoError(f"{name}: not a file that sfumato compress wrote; give one that ends in .sfz")
        if start != FILE_MAGIC:
            raise SfumatoError(
                f"{name}: of format {start[-1]}, and this version reads {FILE_MAGIC[-1]}; use the version it is of"
            )
        length, expected = HEADER_RECORD.unpack(self._exactly(HEADER_RECORD.size))
        packed = self._exactly(length)
        if zlib.crc32(packed) != expected:
            raise SfumatoError(f"{name}: the header is damaged; restore the file from a copy")
        self.header: dict[str, Any] = json.loads(zlib.decompress(packed))

    def __iter__(self) -> Iterator[CodedBlock]:
        """The blocks.

        Raises:
            SfumatoError: if one is damaged, or the file ends before its end.
        """
        total, number = 0, 0
        while True:
            kind = self._exactly(1)
            if kind == b"E":
                count, expected = END_RECORD.unpack(kind + self._exactly(END_RECORD.size - 1))[1:]
                if zlib.crc32(str(count).encode()) != expected or count != total:
                    raise SfumatoError(f"{self.name}: the count at its end is damaged; restore the file from a copy")
                return
            number += 1
            _, count, coded, aside, expected = BLOCK_RECORD.unpack(kind + self._exactly(BLOCK_RECORD.size - 1))
            body = self._exactly(coded + aside) if kind == b"B" else b""
            if kind != b"B" or zlib.crc32(body) != expected:
                raise SfumatoError(f"{self.name}: block {number} is damaged; restore the file from a copy")
            total += count
            yield CodedBlock(count, body[:coded], body[coded:])

    def _exactly(self, size: int) -> bytes:
        # A damaged length asks for more than there is, which is not to be allocated.
        parts, left = [], size
        while left:
            part = self._file.read(min(left, 1 << 20))
            if not part:
                raise SfumatoError(f"{self.name}: ends before its end: truncated; restore the file from a copy")
            parts.append(part)
            left -= len(part)
        return b"".join(parts)
