"""The learning rate as a pure function of the step: a factor of the highest rate."""

from __future__ import annotations

import math

RISE = 0.3
"""The part of a one-cycle run in which the rate rises."""


def factor(schedule: str, step: int, total: int, warmup: int = 0) -> float:
    """What the highest learning rate is multiplied by at `step` of `total`.

    * `constant`: 1.
    * `cosine`: ½(1 + cos(π step / total)).
    * `one_cycle`: along half cosines from 1/25 up to 1 over the first 30% of the steps, then down to 1/250,000
      (Smith & Topin 2019, with the constants of torch's OneCycleLR).

    Over the first `warmup` steps of `constant` and `cosine` the factor rises in a straight line from 0.

    >>> [round(factor("cosine", step, 10), 3) for step in (0, 5, 10)]
    [1.0, 0.5, 0.0]
    >>> [round(factor("one_cycle", step, 11), 3) for step in (0, 2, 10)]
    [0.04, 0.96, 0.0]
    """
    if schedule == "one_cycle":
        # The last step is total − 1, and the phases are counted as torch counts them.
        peak, last = RISE * total - 1, total - 1
        if step <= peak:
            return _half_cosine(1 / 25, 1.0, step / peak if peak else 1.0)
        return _half_cosine(1.0, 1 / 250_000, min((step - peak) / (last - peak), 1.0) if last > peak else 1.0)
    rise = min(1.0, (step + 1) / warmup) if warmup else 1.0
    if schedule == "cosine":
        done = min(max((step - warmup) / max(total - warmup, 1), 0.0), 1.0)
        return rise * 0.5 * (1 + math.cos(math.pi * done))
    return rise


def _half_cosine(start: float, end: float, done: float) -> float:
    return end + (start - end) * 0.5 * (1 + math.cos(math.pi * done))
