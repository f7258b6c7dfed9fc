"""The user's settings of torch and numpy do not reach into a call, and stand as they were after it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from functools import wraps
from typing import ParamSpec, TypeVar

import numpy as np
import torch

_P = ParamSpec("_P")
_R = TypeVar("_R")
_INSIDE: ContextVar[bool] = ContextVar("inside", default=False)

DEVICES = ("cpu", "cuda", "mps")
"""Kinds of device whose autocast is looked at."""
NUMPY_ERRORS = {"divide": "warn", "over": "warn", "under": "ignore", "invalid": "warn"}
"""numpy's own settings for floating point errors."""


def isolated(call: Callable[_P, _R]) -> Callable[_P, _R]:
    """Wrap `call` so that it runs as in a fresh process, independent of the global settings of torch and numpy.

    These are set as torch and numpy set them at their import, and put back afterwards: default dtype and default
    device, `no_grad` and `inference_mode`, autocast, anomaly detection, and numpy's floating point errors.

    >>> @isolated
    ... def weight():
    ...     layer = torch.nn.Linear(1, 1)
    ...     return layer.weight.dtype, layer.weight.requires_grad, torch.is_inference_mode_enabled()
    >>> with torch.inference_mode():
    ...     weight()
    (torch.float32, True, False)
    """

    @wraps(call)
    def wrapped(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        if _INSIDE.get():
            return call(*args, **kwargs)
        with _fresh():
            return call(*args, **kwargs)

    return wrapped


@contextmanager
def _fresh() -> Iterator[None]:
    token = _INSIDE.set(True)
    try:
        with ExitStack() as stack:
            stack.enter_context(_SHARED)
            stack.enter_context(np.errstate(**NUMPY_ERRORS))  # type: ignore[arg-type]
            stack.enter_context(torch.inference_mode(False))
            stack.enter_context(torch.enable_grad())
            # A mode of torch's costs each operation time, so none is entered without need.
            if torch.get_default_device().type != "cpu":
                stack.enter_context(torch.device("cpu"))
            for device in DEVICES:
                if torch.is_autocast_enabled(device):
                    stack.enter_context(torch.autocast(device, enabled=False))
            yield
    finally:
        _INSIDE.reset(token)


class _Shared:
    """The settings that all threads of a process share: set by the first call that runs, put back by the last."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._calls = 0
        self._before = (torch.float32, False, True)

    def __enter__(self) -> None:
        with self._lock:
            self._calls += 1
            if self._calls > 1:
                return
            anomaly = torch.is_anomaly_enabled(), torch.is_anomaly_check_nan_enabled()
            self._before = (torch.get_default_dtype(), *anomaly)
            if self._before[0] != torch.float32:
                torch.set_default_dtype(torch.float32)
            if anomaly[0]:
                torch.autograd.set_detect_anomaly(False)

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._calls -= 1
            if self._calls:
                return
            dtype, anomaly, check_nan = self._before
            if dtype != torch.float32:
                torch.set_default_dtype(dtype)
            if anomaly:
                torch.autograd.set_detect_anomaly(True, check_nan)


_SHARED = _Shared()
