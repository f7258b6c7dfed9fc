"""Which device to train on."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch

from sfumato.errors import SfumatoError, did_you_mean


def resolve_device(name: str = "auto") -> torch.device:
    """The device called `auto`, `cpu`, `cuda` (or `cuda:1`) or `mps`.

    `auto` is the GPU if there is one, else the CPU. Under torchrun each process takes the GPU of its LOCAL_RANK.

    Raises:
        SfumatoError: if there is no such device here.

    >>> resolve_device("cpu")
    device(type='cpu')
    """
    kind, _, index = name.partition(":")
    if kind not in ("auto", "cpu", "cuda", "mps") or (index and not (kind == "cuda" and index.isdigit())):
        raise SfumatoError(f"device {name!r} is not known: {did_you_mean(kind, ('auto', 'cpu', 'cuda', 'mps'))}")
    cuda, mps = torch.cuda.is_available(), torch.backends.mps.is_available()
    if kind == "auto":
        kind = "cuda" if cuda else "mps" if mps else "cpu"
    if kind == "cuda" and not cuda:
        raise SfumatoError("device cuda: torch sees no CUDA device here; use --device cpu, or install torch for CUDA")
    if kind == "mps" and not mps:
        raise SfumatoError("device mps: torch sees no Apple GPU here; use --device cpu")
    if kind != "cuda":
        return torch.device(kind)
    count = torch.cuda.device_count()
    if not index:
        return torch.device("cuda", int(os.environ.get("LOCAL_RANK", torch.cuda.current_device())) % count)
    if int(index) >= count:
        raise SfumatoError(f"device {name}: torch sees only {count} CUDA devices here, numbered from 0")
    return torch.device("cuda", int(index))


HEAP_BYTES = 31 << 20
"""Bytes, just below the most by which one freed block makes glibc keep what is freed."""


def keep_memory(device: torch.device) -> None:
    """On a CPU, have the C library keep the memory that tensors leave for those that follow.

    glibc hands large freed blocks back to the system at once, up to the size of the largest it has seen freed, and at
    most 32 MiB. So the activations of each step would be new memory again, which the system makes page by page when
    it is first touched: a fifth of the time of a step on 1024 pictures. One large block, taken and freed without being
    touched, is all it takes; with other C libraries it changes nothing.

    >>> keep_memory(torch.device("cpu"))
    """
    if device.type == "cpu":
        torch.empty(HEAP_BYTES, dtype=torch.uint8)


Item = TypeVar("Item")
Found = TypeVar("Found")


def side_by_side(task: Callable[[Item], Found], items: Sequence[Item], device: torch.device) -> list[Found]:
    """`task` of every item, in order; on a CPU as many at once as torch has threads, each on one of them.

    Where the tasks do not hang on one another this keeps all cores busy also between one operation and the next, which
    sharing out each operation does not. A task must draw from no generator but its own. Gradients are recorded in it
    or not as where this is called. With fewer items than threads, or on another device, one comes after the other.

    >>> side_by_side(lambda n: n + 1, [1, 2, 3], torch.device("cpu"))
    [2, 3, 4]
    """
    threads, grad, inference = torch.get_num_threads(), torch.is_grad_enabled(), torch.is_inference_mode_enabled()
    if device.type != "cpu" or threads == 1 or len(items) < threads:
        return [task(item) for item in items]

    def alone(item: Item) -> Found:
        with torch.inference_mode(inference), torch.set_grad_enabled(grad):
            return task(item)

    torch.set_num_threads(1)
    try:
        with ThreadPoolExecutor(threads, thread_name_prefix="sfumato") as pool:
            return list(pool.map(alone, items))
    finally:
        torch.set_num_threads(threads)
