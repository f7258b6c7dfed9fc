"""What a number was measured on."""

from __future__ import annotations

import os
import platform
from datetime import UTC, datetime
from pathlib import Path

import torch


def describe(device: str = "cpu") -> str:
    """Date, processor, cores, threads and libraries in one line."""
    date = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    chip = torch.cuda.get_device_name() if device.startswith("cuda") else processor()
    load = os.getloadavg()[0]
    cores = len(os.sched_getaffinity(0)) if platform.system() == "Linux" else os.cpu_count()
    threads = f"{cores} cores, {torch.get_num_threads()} threads used, load {load:.1f}"
    return f"{date}; {chip}, {threads}; Python {platform.python_version()}, torch {torch.__version__}"


def processor() -> str:
    """The processor's own name where the system tells it."""
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
