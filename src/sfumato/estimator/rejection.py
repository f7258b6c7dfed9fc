"""Rows that keep what a user states: those that do not are drawn again, up to a limit."""

from __future__ import annotations

import logging
import math
from collections import Counter
from collections.abc import Callable, Mapping

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from sfumato.data.tables.rules.constraints import Constraints
from sfumato.errors import SfumatoError

logger = logging.getLogger("sfumato.estimator")

DRAWS_PER_ROW, EXTRA_DRAWS = 20, 20_000
"""At most so many rows are drawn for each that is asked for, and so many more."""
MIN_ACCEPTANCE = 0.002
"""After `EXTRA_DRAWS` draws, a share of rows that keep all constraints below which no more are drawn."""
MAX_TRIES = 64
"""Rows drawn at a time in the place of one that was rejected."""

Rows = tuple[Tensor, Tensor | None]


def constrained(
    draw: Callable[[np.ndarray, int], Rows],
    decode: Callable[[Tensor, Tensor | None], pa.Table],
    constraints: Constraints,
    n: int,
) -> pa.Table:
    """n rows that keep all constraints.

    Rows that break one are drawn again under the conditions they were asked for: each is a draw from
    p(x | c, constraints).

    Args:
        draw: draw(which of the n rows, number of the round) → as many rows and their conditions.
        decode: rows as they are written.
        constraints: what they must keep.
        n: how many.

    Raises:
        SfumatoError: naming the constraint that the fewest rows keep, once the limit is reached.
    """
    x, given = (None if part is None else part.clone() for part in draw(np.arange(n), 0))
    assert x is not None, "rows have values"
    tally = _Tally(n)
    table = decode(x, given)
    rejected = tally.add(constraints.broken(table), n)
    while True:
        repeats = constraints.repeated(table)
        again = np.flatnonzero(rejected | _any(repeats, n))
        if not len(again):
            tally.report()
            return table
        tally.check(repeats)
        tries = np.repeat(again, tally.tries(len(again)))
        new_x, new_given = draw(tries, tally.rounds)
        kept = ~tally.add(constraints.broken(decode(new_x, new_given)), len(tries))
        rows, first = np.unique(tries[kept], return_index=True)
        places, chosen = torch.from_numpy(rows), torch.from_numpy(np.flatnonzero(kept)[first])
        x[places] = new_x[chosen]
        if given is not None and new_given is not None:
            given[places] = new_given[chosen]
        table = decode(x, given)
        rejected = _any(constraints.broken(table), n)


def _any(broken: Mapping[str, np.ndarray], n: int) -> np.ndarray:
    return np.any([np.zeros(n, bool), *broken.values()], axis=0)


class _Tally:
    """How many rows were drawn, and how many broke each constraint."""

    def __init__(self, n: int) -> None:
        self.n, self.drawn, self.rejected, self.rounds, self.repeated = n, 0, 0, 0, 0
        self.broken: Counter[str] = Counter()

    def add(self, broken: Mapping[str, np.ndarray], count: int) -> np.ndarray:
        """Count rows that were drawn; which of them break a constraint, (count,)."""
        rows = _any(broken, count)
        for name, wrong in broken.items():
            self.broken[name] += int(wrong.sum())
        self.drawn, self.rejected, self.rounds = self.drawn + count, self.rejected + int(rows.sum()), self.rounds + 1
        return rows

    def tries(self, rows: int) -> int:
        """How many rows to draw in the place of each that is not kept."""
        wanted = math.ceil(1 / max(1 - self.rejected / self.drawn, 1e-3))
        return max(1, min(wanted, MAX_TRIES, max(self.n, EXTRA_DRAWS) // rows))

    def check(self, repeats: Mapping[str, np.ndarray]) -> None:
        """Give up where too many rows were drawn.

        Args:
            repeats: which rows have a value that stands before them, in this round.
        """
        self.repeated += int(_any(repeats, self.n).sum())
        kept = 1 - self.rejected / self.drawn
        spent = self.drawn >= DRAWS_PER_ROW * self.n + EXTRA_DRAWS
        if not spent and not (self.drawn >= EXTRA_DRAWS and kept < MIN_ACCEPTANCE):
            return
        cure = "ask for fewer rows, or for what is more frequent in the data"
        for name, rows in repeats.items():
            if kept >= MIN_ACCEPTANCE and rows.any():
                different = f"{self.n - int(rows.sum()):,} different values for {self.n:,} rows"
                raise SfumatoError(f"{name}: {different} after {self.drawn:,} were drawn; {cure}")
        name, count = self.broken.most_common(1)[0]
        share = f"{1 - count / self.drawn:.2%} of {self.drawn:,} rows that were drawn keep it"
        raise SfumatoError(f"{name}: {share}, too few for {self.n:,}; {cure}")

    def report(self) -> None:
        """Say in one line how many rows were rejected."""
        if not self.rejected and not self.repeated:
            return
        shares = [f"{name} {count / self.drawn:.1%}" for name, count in self.broken.most_common() if count]
        shares += [f"repeats {self.repeated / self.drawn:.1%}"] * bool(self.repeated)
        rejected = (self.rejected + self.repeated) / self.drawn
        logger.warning(
            "%.1f%% of %s drawn rows were rejected (%s)", 100 * rejected, f"{self.drawn:,}", ", ".join(shares)
        )
