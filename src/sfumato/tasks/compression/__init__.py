"""Lossless compression: bits-back coding with integer masses that are the same on every machine."""

from sfumato.tasks.compression.bits_back import Coder
from sfumato.tasks.compression.container import CodedBlock, Reader, Writer
from sfumato.tasks.compression.rows import RowCode, row_steps

__all__ = ["CodedBlock", "Coder", "Reader", "RowCode", "Writer", "row_steps"]
