"""Sweeps: many runs on one data set, which can be stopped and resumed, are compared, and the best is selected."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sfumato.artifacts.run import build
from sfumato.data.core.dataset import Dataset
from sfumato.errors import SfumatoError
from sfumato.estimator import Autoencoder, fitting
from sfumato.estimator.fitting import Fitted
from sfumato.isolation import isolated
from sfumato.models import registry
from sfumato.studies import plan, sweep_run
from sfumato.studies.compared_run import UNCOMPARED_OPTIONS
from sfumato.studies.comparison import Comparison, compare
from sfumato.studies.plan import Trial, Values
from sfumato.studies.search import Search
from sfumato.studies.sweep_run import Outcome, Worker
from sfumato.studies.sweep_state import SweepState, configuration
from sfumato.training import History

BY = "elbo"
PAUSE = 0.1
"""Seconds between two polls of the worker processes."""


@dataclass(frozen=True)
class Sweep:
    """The result of a sweep.

    Attributes:
        folder: its folder.
        best: the name of the best run's folder; None if no run has finished.
        by: the measure that it was chosen by, on the validation split.
        outcomes: the outcome of each run, by name.
        stopped: whether it was stopped before the end.
        comparison: of all finished runs; None if there are fewer than two, or it was stopped.
    """

    folder: Path
    best: str | None
    by: str
    outcomes: dict[str, Outcome]
    stopped: bool
    comparison: Comparison | None


@isolated
def sweep(
    source: Any,
    models: Sequence[Any] = ("vae",),
    *,
    seeds: int | None = None,
    seed: int = 0,
    grid: Mapping[str, Values] | None = None,
    search: int | None = None,
    by: str = BY,
    run: str | None = None,
    jobs: int = 1,
    progress: bool = False,
    log: Callable[[str], None] = lambda line: None,
    partial: bool = False,
    **options: Any,
) -> Sweep:
    """Train models × options × seeds on one source, and compare them.

    Finished runs are skipped and interrupted ones continued: the same call again resumes a sweep, and more models,
    values or seeds extend it. All runs share one split of the data.

    Args:
        source: as `sfumato.fit` takes it; with several jobs a path or a built-in set.
        models: their names, or classes as `sfumato.fit` takes them.
        seeds: runs of each configuration; 5 if None, or 1 in a search.
        seed: the first of the seeds, and that of the split.
        grid: option → values, or in a search a `plan.SearchRange`; a model gets those it has.
        search: number of configurations, each chosen from the results of the earlier ones (optuna).
        by: the measure that chooses the best run, on the validation split.
        run: name of the folder under `runs/`, or its path.
        jobs: number of runs at a time, each in its own process.
        progress: show the progress of each training; with one job.
        log: called with a line for each finished run.
        partial: after Ctrl-C, return the finished runs instead of raising KeyboardInterrupt.
        options: of data, models and training, by name; a model gets those it has.

    Raises:
        SfumatoError: if an argument is not usable, or all runs failed.
        KeyboardInterrupt: after Ctrl-C; finished runs are in the folder, and the same call continues.
    """
    grid = dict(grid or {})
    options = {name: value for name, value in options.items() if value is not None}
    models = [registry.reference(model) for model in models]
    plan.check(models, grid, options)
    for name, number in (("seeds", seeds), ("jobs", jobs), ("search", search)):
        if number is not None and number < 1:
            raise SfumatoError(f"--{name} {number}: give 1 or more")
    if jobs > 1 and not isinstance(source, str | os.PathLike):
        raise SfumatoError("jobs: data in memory cannot be passed to other processes; write them to a file first")
    count = seeds or (1 if search else 5)
    if options.get("epsilon") is not None or "epsilon" in grid:
        raise SfumatoError(
            "epsilon: a sweep chooses by validation rows, and each of its trainings costs ε; fit once, with options "
            "chosen on other data"
        )
    numbers = range(seed, seed + count)
    source_name = fitting.source_name(source)
    searcher = Search(models, grid, numbers, options, source_name, search) if search else None
    trials = [] if searcher else plan.trials(models, numbers, grid, options, source=source_name)
    lower = _checked(searcher.first() if searcher else trials, source, by)
    identifying = {name: value for name, value in options.items() if name not in UNCOMPARED_OPTIONS}
    options_as_json = json.loads(json.dumps(identifying, default=str))
    settings = {"source": source_name, "options": options_as_json, "seed": seed, "by": by}
    state = SweepState.open(run or f"{Path(source_name).stem or 'data'}-sweep", settings)
    state.lower = lower
    state.write()
    runner = _Runner(state, source, by, jobs, progress, log)
    if searcher is None:
        runner.all(trials)
    else:
        for suggested in searcher.rounds(state.folder, lower, max(jobs // count, 1)):
            runner.all([trial for group in suggested.values() for trial in group])
            if runner.stopped:
                break
            results = {number: [state.outcomes[trial.name] for trial in group] for number, group in suggested.items()}
            searcher.tell(results)
    if runner.stopped and not partial:
        raise KeyboardInterrupt
    done = state.finished()
    if not done and not runner.stopped:
        raise SfumatoError(
            next((outcome.failed for outcome in state.outcomes.values() if outcome.failed), "there are no runs")
        )
    paths = [str(state.folder / name) for name in done]
    X = None if source_name else source
    comparison = compare(paths, X, seed=seed) if len(done) > 1 and not runner.stopped else None
    return Sweep(state.folder, state.best(), by, dict(state.outcomes), runner.stopped, comparison)


def _checked(trials: Sequence[Trial], source: Any, by: str) -> bool:
    """Whether lower is better for the measure; builds every model once, so that errors show before training."""
    opened: dict[str, Dataset] = {}
    lower = True
    for number, trial in enumerate({configuration(trial.name): trial for trial in trials}.values()):
        key = repr(trial.config.data)
        if key not in opened:
            opened[key] = fitting.open_data(source, trial.config)
        dataset = opened[key]
        model = build(trial.config.to_dict()["model"], dataset.schema)
        if number == 0:
            fitted = Fitted(trial.config, dataset.schema, model, History([]), dataset)
            lower = sweep_run.validated(Autoencoder.of(fitted), by).better == "lower"
    return lower


@dataclass
class _Runner:
    """Trains the runs that are not finished, and records them."""

    state: SweepState
    source: Any
    by: str
    jobs: int
    progress: bool
    log: Callable[[str], None]
    stopped: bool = False

    def all(self, trials: Sequence[Trial]) -> None:
        """Train all of them, unless Ctrl-C stops it."""
        outcomes = self.state.outcomes
        left = [trial for trial in trials if trial.name not in outcomes or not outcomes[trial.name].done]
        if len(left) < len(trials):
            self.log(f"{len(trials) - len(left)} of {len(trials)} runs are already done")
        done = len(trials) - len(left)
        for trial, outcome in self._in_processes(left) if self.jobs > 1 else self._one_by_one(left):
            if outcome.stop == "interrupted":
                self.stopped = True
                continue
            done += 1
            self.state.add(trial.name, outcome)
            result = outcome.failed or f"{sweep_run.label(self.by)} {outcome.value:.5g} on the validation split"
            self.log(f"{done}/{len(trials)} {trial.name}: {result}")

    def _one_by_one(self, left: Sequence[Trial]) -> Iterator[tuple[Trial, Outcome]]:
        for trial in left:
            try:
                outcome = sweep_run.train(
                    trial.config, self.source, self.state.folder / trial.name, self.by, progress=self.progress
                )
            except KeyboardInterrupt:
                outcome = Outcome(stop="interrupted")
            except SfumatoError as error:
                outcome = Outcome(failed=str(error))
            yield trial, outcome
            if outcome.stop == "interrupted":
                return

    def _in_processes(self, left: Sequence[Trial]) -> Iterator[tuple[Trial, Outcome]]:
        threads = max((os.cpu_count() or 1) // self.jobs, 1)
        waiting, working = list(left), dict[Worker, Trial]()
        while waiting or working:
            try:
                while waiting and len(working) < self.jobs:
                    trial = waiting.pop(0)
                    worker = Worker(trial.config, self.source, self.state.folder / trial.name, self.by, threads)
                    working[worker] = trial
                ended = [worker for worker in working if worker.process.poll() is not None]
                if not ended:
                    time.sleep(PAUSE)
            except KeyboardInterrupt:
                waiting.clear()
                self.stopped = True
                for worker in working:
                    worker.stop()
                ended = []
            for worker in ended:
                yield working.pop(worker), worker.outcome()
