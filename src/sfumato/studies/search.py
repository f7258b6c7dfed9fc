"""Hyperparameter search with optuna, with a journal that survives a kill."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from sfumato.config import settings
from sfumato.errors import SfumatoError, need
from sfumato.studies.plan import SearchRange, Trial, Values, trial
from sfumato.studies.sweep_run import Outcome

JOURNAL = "journal.log"
SIGNIFICANT_DIGITS = 4
"""Significant digits of a suggested number, so that the folder name gives it in full."""


class Search:
    """A study of `count` configurations in the space of `grid`.

    Args:
        models: their names.
        grid: option → values to choose from, or a range.
        seeds: of the runs of each configuration.
        options: that are not searched.
        source: of the data, for the config.
        count: total number of configurations, including those of earlier calls.

    Raises:
        SfumatoError: if optuna is not installed, or there is nothing to search in.
    """

    def __init__(
        self,
        models: Sequence[str],
        grid: Mapping[str, Values],
        seeds: Sequence[int],
        options: Mapping[str, Any],
        source: str,
        count: int,
    ) -> None:
        self.optuna: Any = need("optuna", "sweep", "--search")
        self.optuna.logging.set_verbosity(self.optuna.logging.WARNING)
        if not grid:
            raise SfumatoError(
                "--search needs options to search in: add --grid, as in --grid latent-dim=2..32 lr=0.0003..0.01"
            )
        self.models, self.grid, self.seeds = models, grid, seeds
        self.options, self.source, self.count = options, source, count

    def first(self) -> list[Trial]:
        """One run of each model with the lowest values of all options, to check that these are usable."""
        lowest = {
            name: values.low if isinstance(values, SearchRange) else values[0] for name, values in self.grid.items()
        }
        return [trial for model in self.models for trial in self._trials(model, lowest)[:1]]

    def rounds(self, folder: Path, lower: bool, together: int) -> Iterator[dict[int, list[Trial]]]:
        """Trial number → its runs, `together` configurations at a time, until there are enough.

        A trial that was suggested but never finished, because the sweep was killed, is suggested again.
        """
        optuna = self.optuna
        storage = optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend(str(folder / JOURNAL)))
        direction = "minimize" if lower else "maximize"
        states = optuna.trial.TrialState
        self.study = optuna.create_study(storage=storage, study_name="sweep", load_if_exists=True, direction=direction)
        # Reusing a seed would repeat the same draws.
        used = len(self.study.get_trials(deepcopy=False))
        self.study.sampler = optuna.samplers.TPESampler(seed=self.seeds[0] + used)
        for old in self.study.get_trials(deepcopy=False, states=[states.RUNNING]):
            self.study.tell(old.number, state=states.FAIL)
            self.study.enqueue_trial(old.params)
        over = [states.COMPLETE, states.PRUNED]
        while (done := len(self.study.get_trials(deepcopy=False, states=over))) < self.count:
            suggestions = [self.study.ask() for _ in range(min(together, self.count - done))]
            yield {suggestion.number: self._suggested(suggestion) for suggestion in suggestions}

    def tell(self, results: Mapping[int, Sequence[Outcome]]) -> None:
        """Report the median value of the runs of each trial; a trial without values is pruned."""
        for number, outcomes in results.items():
            values = [
                outcome.value for outcome in outcomes if outcome.value is not None and math.isfinite(outcome.value)
            ]
            if values:
                self.study.tell(number, median(values))
            else:
                self.study.tell(number, state=self.optuna.trial.TrialState.PRUNED)

    def _suggested(self, suggestion: Any) -> list[Trial]:
        model = suggestion.suggest_categorical("model", list(self.models)) if len(self.models) > 1 else self.models[0]
        chosen: dict[str, Any] = {}
        for name, values in self.grid.items():
            if name not in settings(model):
                continue
            if not isinstance(values, SearchRange):
                chosen[name] = suggestion.suggest_categorical(name, list(values))
            elif values.whole:
                chosen[name] = suggestion.suggest_int(name, int(values.low), int(values.high), log=values.log)
            else:
                drawn = suggestion.suggest_float(name, values.low, values.high, log=values.log)
                chosen[name] = float(f"{drawn:.{SIGNIFICANT_DIGITS}g}")
        return self._trials(model, chosen)

    def _trials(self, model: str, chosen: Mapping[str, Any]) -> list[Trial]:
        own = {name: value for name, value in chosen.items() if name in settings(model)}
        return [trial(model, own, seed, self.seeds[0], self.options, self.source) for seed in self.seeds]
