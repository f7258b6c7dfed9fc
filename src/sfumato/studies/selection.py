"""What matters to a target, over several seeds of a run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from sfumato.errors import SfumatoError
from sfumato.estimator import Autoencoder, fit_config
from sfumato.estimator.methods.uses.explanations import Selection
from sfumato.isolation import isolated
from sfumato.tasks.selection import Importance, selected, stability


@dataclass(frozen=True)
class SeedSelections:
    """Selections of models that differ in their seeds alone.

    Attributes:
        members: the selection of each seed.
    """

    members: list[Selection]

    @property
    def columns(self) -> dict[str, Importance]:
        """The mean importance of each column, with the standard error of its seeds."""
        names, root = self.members[0].columns, len(self.members) ** 0.5
        values = {name: np.array([each.columns[name].value for each in self.members]) for name in names}
        return {name: Importance(float(v.mean()), float(v.std(ddof=1) / root)) for name, v in values.items()}

    @property
    def frequency(self) -> dict[str, float]:
        """The share of seeds that select each column."""
        chosen = [set(each.selected) for each in self.members]
        return {name: float(np.mean([name in each for each in chosen])) for name in self.members[0].columns}

    @property
    def selected(self) -> list[str]:
        """The columns that most seeds select, or as many as were wanted, those of the largest mean importance first."""
        columns, frequency = self.columns, self.frequency
        if (count := self.members[0].count) is not None:
            return selected(columns, count)
        order = sorted(columns, key=lambda name: -columns[name].value)
        return [name for name in order if frequency[name] > 0.5]

    @property
    def stability(self) -> float:
        """How alike the selections of the seeds are, see `sfumato.tasks.stability`."""
        return stability([each.selected for each in self.members], list(self.members[0].columns))


@isolated
def select_over_seeds(
    auto: Autoencoder,
    X: Any,
    target: str,
    *,
    seeds: int = 5,
    count: int | None = None,
    seed: int = 0,
    log: Callable[[str], None] | None = None,
) -> SeedSelections:
    """Fit a run again with other seeds, on the same split, and select with each.

    Args:
        auto: the run, whose own seed is the first.
        X: the examples, with the target; the models are fitted to the source of the run.
        target, count, seed: as `Autoencoder.select` takes them.
        seeds: how many, 2 or more.
        log: called with a line for each model.

    Raises:
        SfumatoError: if there are too few seeds, or the run was trained on data in memory that are gone.
    """
    if seeds < 2:
        raise SfumatoError(f"seeds is {seeds}: give at least 2, or leave it out for the run alone")
    source = auto.config_.source or (X if auto.data_ is not None else None)
    if source is None:
        raise SfumatoError("the run was trained on data in memory, so it cannot be fitted again; fit it on a file")
    members = []
    for number in range(seeds):
        member = auto
        if number:
            training = replace(auto.config_.training, seed=auto.config_.training.seed + number)
            member = fit_config(replace(auto.config_, training=training), source)
        members.append(member.select(X, target, count=count, seed=seed))
        if log is not None:
            log(f"Seed {number + 1} of {seeds}: {', '.join(members[-1].selected) or 'nothing'} matters")
    return SeedSelections(members)
