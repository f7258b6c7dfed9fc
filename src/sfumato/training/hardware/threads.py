"""How many threads of torch a training on a CPU uses: measured on its own steps, and again when they get slow."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

SMALL_LAYER = 1 << 24
"""Multiplications in one layer's pass over a batch up to which one thread is as quick as several."""
WARM_UP = 4
"""Steps before the first trial: the first ones reserve memory and choose kernels."""
TRIAL_ROUNDS = 3
"""Steps that each number of threads is tried for, in turn with the others."""
HOPELESS, HOPELESS_AT_ONCE = 2.5, 20.0
"""A number of threads that took so many times as long as the best one, twice or once, is not tried further."""
MIN_SPEEDUP = 1.25
"""Where rounding depends on it, how many times as long the usual number of threads must take to be left."""
SLOW = 1.5
"""Steps that take so many times as long as in the trial are reason for another one."""
WATCHED = 0.3
"""Seconds of steps that are judged together."""
AGAIN, SHARE = 20.0, 0.02
"""Seconds between trials at least, and the part of the time that they may take."""


class Threads:
    """Within this block, the number of threads that is quickest for the steps of one training; then as it was.

    An operation that is shared out waits for the slowest of its threads. Where another program holds a core that is
    one that does not run at all, and two threads were seen to take forty times as long as one. So the first steps are
    done with one thread and with all in turn, and the quicker number is kept until steps get slow, or some time has
    passed. No step is done twice, and no more threads are used than torch was allowed when training began.

    Fully connected layers were seen to give the same bits with 1, 2, 8 and 16 threads; small ones are no better for
    being shared out, and take one. Other layers (convolutions, recurrences, normalisations) may round differently. For
    them the usual number is all threads; the first trial comes at fixed steps, there is no other unless steps get slow,
    and only a number that is clearly quicker (`MIN_SPEEDUP`) takes over. So there too the same seed gives the same
    bits, unless the machine was busy.

    Args:
        model: whose layers are looked at.
        batch: examples in a step.
        device: where it trains; on others than a CPU nothing is done.
        processes: that train together; with several, nothing is tried.
    """

    def __init__(self, model: nn.Module, batch: int, device: torch.device, processes: int = 1) -> None:
        self._allowed = torch.get_num_threads()
        self.rounds_alike = all(_rounds_alike(part) for part in model.modules())
        largest = max((matrix.numel() for part in model.modules() for matrix in _matrices(part)), default=0)
        others = any(isinstance(part, nn.RNNBase) or hasattr(part, "kernel_size") for part in model.modules())
        small = not others and largest * batch <= SMALL_LAYER
        on_cpu = device.type == "cpu"
        self.chosen = 1 if small and on_cpu else self._allowed
        tried = on_cpu and not small and processes == 1
        some = {1, self._allowed, max(self._allowed - 1, 1), max(self._allowed // 2, 1)}
        self._candidates = sorted(some) if tried else [self.chosen]
        self._times: dict[int, list[float]] = {}
        self._queue: list[int] = []
        self._reference = 0.0
        self._spent, self._steps = 0.0, 0
        self._due = self._due_if_slow = 0.0
        self._began = 0.0

    def __enter__(self) -> Threads:
        # The first steps are not left to a number that may be a bad one.
        torch.set_num_threads(self._candidates[0])
        return self

    def __exit__(self, *_: object) -> None:
        torch.set_num_threads(self._allowed)

    @contextmanager
    def timed(self, step: int) -> Iterator[None]:
        """One step of training, the `step`-th from 0 on."""
        if len(self._candidates) == 1:
            yield
            return
        if step >= WARM_UP and not self._reference and not self._queue:
            # By its place, so that a training resumed within the first trial goes on as it would have.
            self._try(step - WARM_UP)
        tried = self._queue[0] if self._queue else None
        if tried is not None:
            torch.set_num_threads(tried)
        began = time.perf_counter()
        yield
        now = time.perf_counter()
        if tried is not None:
            self._record(tried, now - began, now)
        elif self._reference:
            self._watch(now - began, now)

    def state(self) -> dict[str, Any]:
        """What a training that is resumed goes on with, ready for JSON."""
        return {"chosen": self.chosen, "reference": self._reference}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on with what `state` took, where so many threads are allowed."""
        if state.get("chosen") in self._candidates and state["reference"]:
            self.chosen, self._reference = state["chosen"], state["reference"]
            self._due = time.perf_counter() + AGAIN
            torch.set_num_threads(self.chosen)

    def _try(self, after: int = 0) -> None:
        self._times = {number: [] for number in self._candidates}
        whole = self._candidates * TRIAL_ROUNDS
        self._queue = whole[after:] or whole
        self._began = time.perf_counter()

    def _record(self, tried: int, taken: float, now: float) -> None:
        self._times[tried].append(taken)
        self._queue.pop(0)
        best = min(min(times) for times in self._times.values() if times)
        hopeless = {
            number
            for number, times in self._times.items()
            if times and min(times) > (HOPELESS if len(times) > 1 else HOPELESS_AT_ONCE) * best
        }
        self._queue = [number for number in self._queue if number not in hopeless]
        if self._queue:
            return
        medians = {number: statistics.median(times or [math.inf]) for number, times in self._times.items()}
        quickest = min(medians, key=medians.__getitem__)
        usual = medians[self._allowed] <= MIN_SPEEDUP * medians[quickest]
        self.chosen = self._allowed if usual and not self.rounds_alike else quickest
        self._reference = medians[self.chosen]
        self._spent, self._steps = 0.0, 0
        cost = now - self._began
        self._due = now + max(AGAIN, cost / SHARE)
        self._due_if_slow = now + max(1.0, 10 * cost)
        torch.set_num_threads(self.chosen)

    def _watch(self, taken: float, now: float) -> None:
        self._spent += taken
        self._steps += 1
        if self._spent < WATCHED:
            return
        slow = self._spent / self._steps > SLOW * self._reference
        self._spent, self._steps = 0.0, 0
        # On a machine that is left to it, a training whose rounding depends on it stays as it is.
        due = now >= self._due and (self.rounds_alike or self.chosen != self._allowed)
        if due or (slow and now >= self._due_if_slow):
            self._try()


def _rounds_alike(part: nn.Module) -> bool:
    """Whether a layer gives the same bits with any number of threads; norms and what is not fully connected may not."""
    norm = isinstance(part, nn.LayerNorm | nn.GroupNorm | nn.modules.batchnorm._BatchNorm)
    return not norm and (isinstance(part, nn.Linear) or not _matrices(part))


def _matrices(part: nn.Module) -> list[nn.Parameter]:
    """What a layer multiplies with; an embedding only looks up."""
    own = [] if isinstance(part, nn.Embedding) else part.parameters(recurse=False)
    return [parameter for parameter in own if parameter.ndim > 1]
