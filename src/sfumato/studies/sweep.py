"""Many runs on one data set: trained, stopped and gone on with, compared, the best one kept."""

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
from sfumato.studies.sweep_state import Ledger, configuration
from sfumato.training import History

BY = "elbo"
PAUSE = 0.1
"""Seconds between two looks at the processes that train."""


@dataclass(frozen=True)
class Sweep:
    """What came of a sweep.

    Attributes:
        folder: where it lies.
        best: the name of the best run's folder; None where none is done.
        by: the measure it is the best by, on the validation part.
        outcomes: of each run, by name.
        stopped: whether it was stopped before all was done.
        comparison: of all finished runs; None where there are fewer than two, or it was stopped.
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
    told: Callable[[str], None] = lambda line: None,
    partial: bool = False,
    **options: Any,
) -> Sweep:
    """Train models × options × seeds on one source, and compare them.

    What is done already is passed over, what was broken off is gone on with: the same call again resumes a sweep, and
    with more models, values or seeds widens it. All runs share one split of the data.

    Args:
        source: as `sfumato.fit` takes it; with several jobs a path or a built-in set.
        models: their names, or classes as `sfumato.fit` takes them.
        seeds: runs of each configuration; 5 if None, or 1 in a search.
        seed: the first of the seeds, and that of the split.
        grid: option → values, or in a search a `plan.Range`; a model takes those it has.
        search: so many configurations, chosen one after the other by what the earlier ones gave (optuna).
        by: the measure that chooses the best run, on the validation part.
        run: name of the folder under `runs/`, or its path.
        jobs: runs at a time, each in a process of its own.
        progress: show how each training goes; with one job.
        told: given a line for each run that is done.
        partial: after Ctrl-C, return what is done, in place of raising KeyboardInterrupt.
        options: of data, models and training, by name; a model takes those it has.

    Raises:
        SfumatoError: if anything asked for is not usable, or all runs failed.
        KeyboardInterrupt: after Ctrl-C; what is done is in the folder, and the same call goes on with it.
    """
    grid = dict(grid or {})
    options = {name: value for name, value in options.items() if value is not None}
    models = [registry.reference(model) for model in models]
    plan.check(models, grid, options)
    for name, number in (("seeds", seeds), ("jobs", jobs), ("search", search)):
        if number is not None and number < 1:
            raise SfumatoError(f"--{name} {number}: give 1 or more")
    if jobs > 1 and not isinstance(source, str | os.PathLike):
        raise SfumatoError("jobs: data held in memory are not handed to other processes; write them to a file first")
    count = seeds or (1 if search else 5)
    numbers = range(seed, seed + count)
    said = fitting.said(source)
    looking = Search(models, grid, numbers, options, said, search) if search else None
    listed = [] if looking else plan.trials(models, numbers, grid, options, source=said)
    lower = _checked(looking.first() if looking else listed, source, by)
    lasting = {name: value for name, value in options.items() if name not in UNCOMPARED_OPTIONS}
    what = {"source": said, "options": json.loads(json.dumps(lasting, default=str)), "seed": seed, "by": by}
    ledger = Ledger.open(run or f"{Path(said).stem or 'data'}-sweep", what)
    ledger.lower = lower
    ledger.write()
    runner = _Runner(ledger, source, by, jobs, progress, told)
    if looking is None:
        runner.all(listed)
    else:
        for asked in looking.rounds(ledger.folder, lower, max(jobs // count, 1)):
            runner.all([one for trials in asked.values() for one in trials])
            if runner.stopped:
                break
            looking.tell({number: [ledger.outcomes[one.name] for one in found] for number, found in asked.items()})
    if runner.stopped and not partial:
        raise KeyboardInterrupt
    done = ledger.finished()
    if not done and not runner.stopped:
        raise SfumatoError(next((one.failed for one in ledger.outcomes.values() if one.failed), "no run was made"))
    paths = [str(ledger.folder / name) for name in done]
    held = None if said else source
    comparison = compare(paths, held, seed=seed) if len(done) > 1 and not runner.stopped else None
    return Sweep(ledger.folder, ledger.best(), by, dict(ledger.outcomes), runner.stopped, comparison)


def _checked(found: Sequence[Trial], source: Any, by: str) -> bool:
    """Whether lower is better of the measure; every model is built once, so that no night ends in a misspelt option."""
    opened: dict[str, Dataset] = {}
    lower = True
    for number, one in enumerate({configuration(one.name): one for one in found}.values()):
        key = repr(one.config.data)
        if key not in opened:
            opened[key] = fitting.open_data(source, one.config)
        dataset = opened[key]
        model = build(one.config.to_dict()["model"], dataset.schema)
        if number == 0:
            fitted = Fitted(one.config, dataset.schema, model, History([]), dataset)
            lower = sweep_run.validated(Autoencoder.of(fitted), by).better == "lower"
    return lower


@dataclass
class _Runner:
    """Trains what is not done yet, and records it."""

    ledger: Ledger
    source: Any
    by: str
    jobs: int
    progress: bool
    told: Callable[[str], None]
    stopped: bool = False

    def all(self, found: Sequence[Trial]) -> None:
        """Train all of them, unless Ctrl-C stops it."""
        outcomes = self.ledger.outcomes
        left = [one for one in found if one.name not in outcomes or not outcomes[one.name].done]
        if len(left) < len(found):
            self.told(f"{len(found) - len(left)} of {len(found)} runs are done already")
        done = len(found) - len(left)
        for one, outcome in self._beside(left) if self.jobs > 1 else self._one_by_one(left):
            if outcome.stop == "interrupted":
                self.stopped = True
                continue
            done += 1
            self.ledger.add(one.name, outcome)
            said = outcome.failed or f"{sweep_run.told(self.by)} {outcome.value:.5g} on the validation part"
            self.told(f"{done}/{len(found)} {one.name}: {said}")

    def _one_by_one(self, left: Sequence[Trial]) -> Iterator[tuple[Trial, Outcome]]:
        for one in left:
            try:
                outcome = sweep_run.train(
                    one.config, self.source, self.ledger.folder / one.name, self.by, progress=self.progress
                )
            except KeyboardInterrupt:
                outcome = Outcome(stop="interrupted")
            except SfumatoError as error:
                outcome = Outcome(failed=str(error))
            yield one, outcome
            if outcome.stop == "interrupted":
                return

    def _beside(self, left: Sequence[Trial]) -> Iterator[tuple[Trial, Outcome]]:
        threads = max((os.cpu_count() or 1) // self.jobs, 1)
        waiting, working = list(left), dict[Worker, Trial]()
        while waiting or working:
            try:
                while waiting and len(working) < self.jobs:
                    one = waiting.pop(0)
                    worker = Worker(one.config, self.source, self.ledger.folder / one.name, self.by, threads)
                    working[worker] = one
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
