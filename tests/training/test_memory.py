"""Activations of one step are made in the memory of the last."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

BLOCKS = """
import ctypes, torch
from sfumato.training.hardware.device import keep_memory

class Info(ctypes.Structure):
    _fields_ = [(name, ctypes.c_size_t) for name in "arena a b mapped c d e f g h".split()]

ask = ctypes.CDLL(None).mallinfo2
ask.restype = Info
held = []
for prepare in (lambda: None, lambda: keep_memory(torch.device("cpu"))):
    prepare()
    before = ask().mapped
    held.append(torch.ones(30 << 18))
    print(ask().mapped - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library has its own ways")
def test_large_blocks_come_from_memory_that_is_kept_and_not_each_from_the_system() -> None:
    done = subprocess.run([sys.executable, "-c", BLOCKS], check=True, capture_output=True, text=True)
    assert done.stdout.split() == ["1", "0"]
