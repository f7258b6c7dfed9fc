"""Compression with integer masses that are the same on every machine: bits-back coding, and lists of discrete codes."""

from sfumato.tasks.compression.bits_back import Coder
from sfumato.tasks.compression.code_lists import CodeCoder, can_code
from sfumato.tasks.compression.container import CodedBlock, Reader, Writer
from sfumato.tasks.compression.rows import RowCode, row_steps

__all__ = ["CodeCoder", "CodedBlock", "Coder", "Reader", "RowCode", "Writer", "can_code", "row_steps"]
