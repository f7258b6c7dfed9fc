"""Weights that change with the step, as pure functions of it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Ramp:
    """A weight that rises linearly from 0 to 1 over `steps` steps; with `cycles` > 1 it does so again and again.

    Each cycle is a ramp of `steps` steps and then as many steps at 1 (Fu et al. 2019, cyclical annealing with R = ½);
    after the last cycle the weight stays 1. With steps = 0 it is 1 throughout.

    >>> [Ramp(4)(step) for step in (0, 2, 4, 100)]
    [0.0, 0.5, 1.0, 1.0]
    >>> [Ramp(2, cycles=2)(step) for step in range(9)]
    [0.0, 0.5, 1.0, 1.0, 0.0, 0.5, 1.0, 1.0, 1.0]
    """

    steps: int = 0
    cycles: int = 1

    @property
    def end(self) -> int:
        """The step from which on the weight stays 1.

        >>> Ramp(2, cycles=2).end
        6
        """
        return max(self.steps, 0) * (2 * self.cycles - 1)

    def __call__(self, step: int) -> float:
        if self.steps <= 0 or step >= 2 * self.steps * self.cycles:
            return 1.0
        return min(1.0, step % (2 * self.steps) / self.steps)
