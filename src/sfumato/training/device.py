"""Which device to train on."""

from __future__ import annotations

import os

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
