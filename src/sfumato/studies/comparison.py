"""Comparison of runs: the measures they share, which of them are comparable, and which run is best."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median, stdev
from typing import Any

from sfumato.data.core.options import DataOptions
from sfumato.data.core.schema import Schema
from sfumato.data.registry import kind_of
from sfumato.errors import SfumatoError
from sfumato.evaluation import Measure, registered_families
from sfumato.isolation import isolated
from sfumato.studies import udr
from sfumato.studies.compared_run import SAME, ComparedRun, load_runs

DERIVED = ("validate_every",)
"""Options derived from others by default: they name a configuration only if nothing else differs."""
DIFFERENT_ERRORS = 2.0
"""Standard errors by which two values must differ to count as different."""


@dataclass(frozen=True)
class Cell:
    """One measure of the runs of one configuration.

    Attributes:
        value: the median over runs; of one run its value.
        low, high: the lowest and the highest of the runs.
        error: standard error of `value`, from the errors of the measures and the spread of the runs; None if unknown.
        runs: number of runs.
        best: whether no other configuration is better by more than the error.
    """

    value: float
    low: float
    high: float
    error: float | None
    runs: int
    best: bool = False


@dataclass(frozen=True)
class Row:
    """One measure of all configurations.

    Attributes:
        measure: its name and meaning; its value is that of the first run.
        cells: one for each configuration.
        not_comparable: why the values are not comparable; empty if they are.
        one_unit: whether all values are in the unit of the measure.
    """

    measure: Measure
    cells: tuple[Cell, ...]
    not_comparable: str = ""
    one_unit: bool = True


@dataclass(frozen=True)
class RunGroup:
    """Runs of one configuration, which differ only in their seeds.

    Attributes:
        name: the options that distinguish it from the others.
        members: its runs, by seed.
    """

    name: str
    members: tuple[ComparedRun, ...]


@dataclass(frozen=True)
class Comparison:
    """A comparison of runs of one data set.

    Attributes:
        data: the source they were trained on.
        groups: by configuration, in the order the runs were named.
        rows: measures that all runs have, by family.
        notes: remarks needed to read the table.
        left_out: measures that only some runs have.
    """

    data: str
    groups: tuple[RunGroup, ...]
    rows: tuple[Row, ...]
    notes: tuple[str, ...] = ()
    left_out: tuple[str, ...] = field(default=())

    @property
    def runs(self) -> list[ComparedRun]:
        """All runs."""
        return [run for group in self.groups for run in group.members]

    def row(self, name: str) -> Row | None:
        """The row of a measure; None if not all runs have it."""
        return next((row for row in self.rows if row.measure.name == name), None)

    def to_dict(self) -> dict[str, Any]:
        """As JSON-ready values."""
        return {
            "data": self.data,
            "groups": [
                {"name": group.name, "runs": [_run(run) for run in group.members], "measures": self._cells(place)}
                for place, group in enumerate(self.groups)
            ],
            "notes": list(self.notes),
            "left_out": list(self.left_out),
        }

    def _cells(self, place: int) -> dict[str, Any]:
        measures = {}
        for row in self.rows:
            values = {name: value for name, value in vars(row.cells[place]).items() if value is not None}
            extra = {
                "unit": row.measure.unit,
                "better": row.measure.better,
                "not_comparable": row.not_comparable or None,
            }
            measures[row.measure.name] = values | {name: value for name, value in extra.items() if value}
        return measures


@isolated
def compare(runs: Sequence[str], X: Any = None, *, seed: int = 0, device: str = "auto") -> Comparison:
    """A comparison of runs of one data set.

    Args:
        runs: folders of runs, or their names under `runs/`.
        X: the data, if they were in memory.
        seed: of all draws, the same for all runs.
        device: where to compute.

    Raises:
        SfumatoError: if there are fewer than two, or they are not of the same data.
    """
    if len(runs) < 2:
        raise SfumatoError("compare: pass at least two runs, as in sfumato compare RUN OTHER")
    return compare_runs(load_runs(runs, X, seed=seed, device=device))


@isolated
def compare_runs(runs: Sequence[ComparedRun]) -> Comparison:
    """Compare runs that are already loaded.

    Raises:
        SfumatoError: if they are not of the same data.
    """
    check_same_data(runs)
    compared = _without_repeats(runs)
    groups = grouped(compared)
    if not any(measure.family == "disentanglement" for measure in runs[0].measures.values()):
        udr.add_udr([group.members for group in groups])
    shared = [name for name in runs[0].measures if all(name in run.measures for run in compared)]
    everything = dict.fromkeys(name for run in compared for name in (*run.measures, *run.unseen))
    rows = [_row(name, groups) for name in shared]
    places = {family: place for place, family in enumerate(registered_families())}
    rows.sort(key=lambda row: places.get(row.measure.family, len(places)))
    data = runs[0].auto.config_.source or "data in memory"
    left_out = tuple(name for name in everything if name not in shared)
    return Comparison(data, tuple(groups), tuple(rows), (*_notes(compared), *_repeats(runs, compared)), left_out)


def check_same_data(runs: Sequence[ComparedRun]) -> None:
    """Refuse runs of different data.

    Raises:
        SfumatoError: if there are any; the message names two of them.
    """
    first = runs[0]
    for other in runs[1:]:
        mine, theirs = first.auto.config_, other.auto.config_
        if mine.source != theirs.source and first.auto.schema_.to_dict() != other.auto.schema_.to_dict():
            raise SfumatoError(
                f"{first.name} and {other.name} are not of the same data ({_short(mine.source)}, "
                f"{_short(theirs.source)}); compare runs of one data set"
            )
        for name in SAME:
            a, b = getattr(mine.data, name), getattr(theirs.data, name)
            if a != b:
                raise SfumatoError(
                    f"{first.name} and {other.name} read {_short(mine.source)} differently ({name}: {_plain(a)}, "
                    f"{_plain(b)}); compare runs that read it the same way"
                )


def grouped(runs: Sequence[ComparedRun]) -> list[RunGroup]:
    """Runs grouped by configuration and sorted by seed; each group is named by the options that distinguish it."""
    by_key: dict[str, list[ComparedRun]] = {}
    for run in runs:
        by_key.setdefault(_configuration(run), []).append(run)
    options = [members[0].options() for members in by_key.values()]
    names = [_name(own, options, DERIVED) for own in options]
    if len(set(names)) < len(names):
        names = [_name(own, options) for own in options]
    return [
        RunGroup(name, tuple(sorted(members, key=lambda run: run.seed)))
        for name, members in zip(names, by_key.values(), strict=True)
    ]


def _configuration(run: ComparedRun) -> str:
    return repr(sorted(run.options().items(), key=str))


def _without_repeats(runs: Sequence[ComparedRun]) -> list[ComparedRun]:
    """Runs without repeated trainings, which would otherwise count as further seeds."""
    first: dict[tuple[str, str], ComparedRun] = {}
    for run in runs:
        first.setdefault((_configuration(run), run.weights), run)
    return list(first.values())


def _repeats(runs: Sequence[ComparedRun], compared: Sequence[ComparedRun]) -> list[str]:
    """A note on the runs that are left out."""
    kept = {run.name for run in compared}
    twice = [run.name for run in runs if run.name not in kept]
    return [f"Left out, as another run has the same options and weights: {', '.join(twice)}."] if twice else []


def _name(
    own: Mapping[tuple[str, str], Any],
    everyone: Sequence[Mapping[tuple[str, str], Any]],
    left_out: Sequence[str] = (),
) -> str:
    """The model, with its options that differ among runs of this model, and others that differ among all runs."""
    model = own["model", "name"]
    alike = [other for other in everyone if other["model", "name"] == model]
    apart = []
    for key, value in own.items():
        among = alike if key[0] == "model" else everyone
        if key != ("model", "name") and key[1] not in left_out and any(other.get(key) != value for other in among):
            apart.append(f"{key[1]}={_plain(value)}")
    missing = [key[1] for other in alike for key in other if key not in own]
    apart += [f"{name}=–" for name in dict.fromkeys(missing)]
    return ", ".join([model, *apart])


def cell(measures: Sequence[Measure]) -> Cell:
    """One measure of several runs as a cell.

    The error of a median of n values is √(π/2) · s/√n; that of the measures, which use the same examples, does not
    shrink.

    >>> cell([Measure("m", value, "", "") for value in (1.0, 4.0, 2.0)]).value
    2.0
    """
    values = [measure.value for measure in measures]
    errors = [measure.error for measure in measures if measure.error is not None]
    square = sum(error**2 for error in errors) / len(errors) if errors else 0.0
    if len(values) > 1:
        square += math.pi / 2 * stdev(values) ** 2 / len(values)
    known = bool(errors) or len(values) > 1
    return Cell(median(values), min(values), max(values), math.sqrt(square) if known else None, len(values))


def _row(name: str, groups: Sequence[RunGroup]) -> Row:
    measures = [[run.measures[name] for run in group.members] for group in groups]
    first = measures[0][0]
    cells = [cell(measures_of_run) for measures_of_run in measures]
    units = list(dict.fromkeys(measure.unit for measures_of_run in measures for measure in measures_of_run))
    if first.better is None or len(cells) < 2:
        return Row(first, tuple(cells), one_unit=len(units) == 1)
    if reason := _reason_not_comparable(first, units, groups):
        return Row(first, tuple(cells), reason, one_unit=len(units) == 1)
    return Row(first, tuple(marked(cells, lower=first.better == "lower")))


def marked(cells: Sequence[Cell], *, lower: bool) -> list[Cell]:
    """Mark the best cell, and those not worse by more than two standard errors of the difference; none if all are.

    >>> cells = marked([Cell(1.0, 1, 1, 0.1, 1), Cell(1.2, 1, 1, 0.1, 1), Cell(9.0, 9, 9, 0.1, 1)], lower=True)
    >>> [cell.best for cell in cells]
    [True, True, False]
    """
    finite = [entry for entry in cells if math.isfinite(entry.value)]
    if not finite:
        return list(cells)
    top = (min if lower else max)(finite, key=lambda entry: entry.value)
    as_good = [
        math.isfinite(entry.value)
        and abs(entry.value - top.value) <= DIFFERENT_ERRORS * math.hypot(entry.error or 0, top.error or 0)
        for entry in cells
    ]
    if all(as_good):
        return list(cells)
    return [
        Cell(entry.value, entry.low, entry.high, entry.error, entry.runs, good)
        for entry, good in zip(cells, as_good, strict=True)
    ]


def _reason_not_comparable(first: Measure, units: Sequence[str], groups: Sequence[RunGroup]) -> str:
    if len(units) > 1:
        return f"in different units ({', '.join(unit or 'none' for unit in units)})"
    if any(first.family in run.apart for group in groups for run in group.members):
        return "the runs were evaluated with different settings, and their data are not available to do it again"
    if first.family != "bounds":
        return ""
    likelihoods = dict(run.likelihood_of() for group in groups for run in group.members)
    return f"bounds on different quantities ({'; '.join(likelihoods.values())})" if len(likelihoods) > 1 else ""


def _notes(runs: Sequence[ComparedRun]) -> list[str]:
    notes = []
    data = [(run.auto.config_.data, run.auto.schema_) for run in runs]
    splits = {(options.seed, options.split, options.rows, _strata(options, schema)) for options, schema in data}
    if len(splits) > 1:
        notes.append(
            "The runs use different splits, so each is evaluated on its own test split; this adds to the spread."
        )
    quick = [
        family
        for family in registered_families()
        if any(family in run.quick and measure.family == family for run in runs for measure in run.measures.values())
    ]
    if quick:
        some = (
            "all runs"
            if runs[0].how == "quick"
            else f"{', '.join(quick)}, which were not evaluated the same way for all runs"
        )
        notes.append(f"Quick measures of {some}, computed for this table; sfumato evaluate RUN computes all.")
    unfinished = [run.name for run in runs if run.auto.run_ is not None and not run.auto.run_.sealed()]
    if unfinished:
        notes.append(f"Not finished: {', '.join(unfinished)}; evaluated with the best weights so far.")
    return notes


def _strata(options: DataOptions, schema: Schema) -> str | None:
    """The column that a table is stratified by: its label, or the first categorical condition."""
    if not kind_of(schema).named_columns or options.label is not None:
        return options.label
    kinds = zip(schema.given_names, schema.spec.given, strict=True)
    return next((name for name, field in kinds if field.kind == "category"), None)


def _run(run: ComparedRun) -> dict[str, Any]:
    assert run.auto.run_ is not None, "a loaded run has a folder"
    return {
        "name": run.name,
        "path": str(run.auto.run_.path),
        "seed": run.seed,
        "seconds": run.seconds,
        "parameters": run.parameters,
        "measures": {name: measure.to_dict() for name, measure in run.measures.items()},
        "measured": run.how,
    }


def _short(source: str) -> str:
    return Path(source).name if source else "data in memory"


def _plain(value: Any) -> str:
    if isinstance(value, list | tuple):
        return " ".join(map(str, value)) or "none"
    return "none" if value is None or value == {} else f"{value:g}" if isinstance(value, float) else str(value)
