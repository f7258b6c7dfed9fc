"""Optimizers without torch's compiler, which their methods import on first use: a second and more of every start."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch.optim import Optimizer

ATTRIBUTE_OF_TORCH = "__dynamo_disable"
"""Private name of torch, of the function to be called in place of another. Where it means nothing, nothing is saved."""


@contextmanager
def untraced() -> Iterator[None]:
    """Within this block making an optimizer, and reading and setting its state, do not import `torch._dynamo`.

    torch wraps these methods so that its compiler leaves them alone, and loads the compiler for it. Where it is loaded
    already, all stays as it is.
    """
    inner: list[Any] = []
    if "torch._dynamo" not in sys.modules:
        wrapped = (getattr(method, "__wrapped__", None) for method in vars(Optimizer).values())
        inner = [method for method in wrapped if callable(method) and not hasattr(method, ATTRIBUTE_OF_TORCH)]
    for method in inner:
        setattr(method, ATTRIBUTE_OF_TORCH, method)
    try:
        yield
    finally:
        for method in inner:
            delattr(method, ATTRIBUTE_OF_TORCH)
