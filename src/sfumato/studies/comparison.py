"""Runs beside each other: which measures they share, which of them may be compared, and which run is best."""

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
from sfumato.studies.compared_run import SAME, Contender, contenders

DERIVED = ("validate_every",)
"""Options that follow from others where nobody gave them: they name a configuration only where nothing else does."""
DIFFERENT_ERRORS = 2.0
"""Standard errors by which two values must differ to be told apart."""


@dataclass(frozen=True)
class Cell:
    """One measure of the runs of one configuration.

    Attributes:
        value: the median over runs; of one run its value.
        low, high: the lowest and the highest of the runs.
        error: standard error of `value`, from the errors of the measures and the spread of the runs; None if unknown.
        runs: how many.
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
        measure: its name and words; its value is that of the first run.
        cells: one for each configuration.
        unlike: why the values are not to be compared; empty if they are.
        one_unit: whether all values are in the unit of the measure.
    """

    measure: Measure
    cells: tuple[Cell, ...]
    unlike: str = ""
    one_unit: bool = True


@dataclass(frozen=True)
class RunGroup:
    """Runs of one configuration, which differ in their seeds alone.

    Attributes:
        name: what sets it apart from the others.
        members: its runs, by seed.
    """

    name: str
    members: tuple[Contender, ...]


@dataclass(frozen=True)
class Comparison:
    """Runs of one data set beside each other.

    Attributes:
        data: what they were trained on.
        groups: by configuration, in the order the runs were named.
        rows: measures that all runs have, by family.
        notes: what a reader must know to read the table.
        left_out: measures that only some runs have.
    """

    data: str
    groups: tuple[RunGroup, ...]
    rows: tuple[Row, ...]
    notes: tuple[str, ...] = ()
    left_out: tuple[str, ...] = field(default=())

    @property
    def runs(self) -> list[Contender]:
        """All runs."""
        return [run for group in self.groups for run in group.members]

    def row(self, name: str) -> Row | None:
        """The row of a measure, where all runs have it."""
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
        told = {}
        for row in self.rows:
            values = {name: value for name, value in vars(row.cells[place]).items() if value is not None}
            extra = {"unit": row.measure.unit, "better": row.measure.better, "not_comparable": row.unlike or None}
            told[row.measure.name] = values | {name: value for name, value in extra.items() if value}
        return told


@isolated
def compare(runs: Sequence[str], X: Any = None, *, seed: int = 0, device: str = "auto") -> Comparison:
    """Runs of one data set beside each other.

    Args:
        runs: folders of runs, or their names under `runs/`.
        X: the data, where they were held in memory.
        seed: of what is drawn, the same for all runs.
        device: where to compute.

    Raises:
        SfumatoError: if there are fewer than two, or they are not of the same data.
    """
    if len(runs) < 2:
        raise SfumatoError("compare: give at least two runs, as in sfumato compare one another")
    return beside(contenders(runs, X, seed=seed, device=device))


@isolated
def beside(found: Sequence[Contender]) -> Comparison:
    """What `compare` makes of runs that were read already.

    Raises:
        SfumatoError: if they are not of the same data.
    """
    check_same_data(found)
    compared = _without_repeats(found)
    groups = grouped(compared)
    if not any(measure.family == "disentanglement" for measure in found[0].measures.values()):
        udr.add_udr([group.members for group in groups])
    shared = [name for name in found[0].measures if all(name in run.measures for run in compared)]
    everything = dict.fromkeys(name for run in compared for name in (*run.measures, *run.unseen))
    rows = [_row(name, groups) for name in shared]
    places = {family: place for place, family in enumerate(registered_families())}
    rows.sort(key=lambda row: places.get(row.measure.family, len(places)))
    data = found[0].auto.config_.source or "data held in memory"
    left_out = tuple(name for name in everything if name not in shared)
    return Comparison(data, tuple(groups), tuple(rows), (*_notes(compared), *_repeats(found, compared)), left_out)


def check_same_data(found: Sequence[Contender]) -> None:
    """Refuse runs of different data.

    Raises:
        SfumatoError: if there are any, in one line that names two of them.
    """
    first = found[0]
    for other in found[1:]:
        one, two = first.auto.config_, other.auto.config_
        if one.source != two.source and first.auto.schema_.to_dict() != other.auto.schema_.to_dict():
            raise SfumatoError(
                f"{first.name} and {other.name} are not of the same data ({_short(one.source)}, {_short(two.source)}); "
                "compare runs of one data set"
            )
        for name in SAME:
            a, b = getattr(one.data, name), getattr(two.data, name)
            if a != b:
                raise SfumatoError(
                    f"{first.name} and {other.name} read {_short(one.source)} differently ({name}: {_plain(a)}, "
                    f"{_plain(b)}); compare runs that read it alike"
                )


def grouped(found: Sequence[Contender]) -> list[RunGroup]:
    """Runs by configuration, each group by seed; named by what sets it apart."""
    by_key: dict[str, list[Contender]] = {}
    for run in found:
        by_key.setdefault(_configuration(run), []).append(run)
    told = [members[0].told() for members in by_key.values()]
    names = [_name(one, told, DERIVED) for one in told]
    if len(set(names)) < len(names):
        names = [_name(one, told) for one in told]
    return [
        RunGroup(name, tuple(sorted(members, key=lambda run: run.seed)))
        for name, members in zip(names, by_key.values(), strict=True)
    ]


def _configuration(run: Contender) -> str:
    return repr(sorted(run.told().items(), key=str))


def _without_repeats(found: Sequence[Contender]) -> list[Contender]:
    """A training repeated is the same run: it would be counted as another seed."""
    first: dict[tuple[str, str], Contender] = {}
    for run in found:
        first.setdefault((_configuration(run), run.weights), run)
    return list(first.values())


def _repeats(found: Sequence[Contender], compared: Sequence[Contender]) -> list[str]:
    """What is said of runs that are not compared."""
    kept = {run.name for run in compared}
    twice = [run.name for run in found if run.name not in kept]
    return [f"Left out, as another run has the same options and weights: {', '.join(twice)}."] if twice else []


def _name(
    one: Mapping[tuple[str, str], Any],
    everyone: Sequence[Mapping[tuple[str, str], Any]],
    left_out: Sequence[str] = (),
) -> str:
    """The model, with its options that differ from those of its like, and others that differ from anyone's."""
    model = one["model", "name"]
    alike = [other for other in everyone if other["model", "name"] == model]
    apart = []
    for key, value in one.items():
        among = alike if key[0] == "model" else everyone
        if key != ("model", "name") and key[1] not in left_out and any(other.get(key) != value for other in among):
            apart.append(f"{key[1]}={_plain(value)}")
    missing = [key[1] for other in alike for key in other if key not in one]
    apart += [f"{name}=–" for name in dict.fromkeys(missing)]
    return ", ".join([model, *apart])


def cell(found: Sequence[Measure]) -> Cell:
    """One measure of several runs as one.

    The error of a median of n values is √(π/2) · s/√n; that of the measures, which are of the same examples, stays.

    >>> cell([Measure("m", value, "", "") for value in (1.0, 4.0, 2.0)]).value
    2.0
    """
    values = [measure.value for measure in found]
    errors = [measure.error for measure in found if measure.error is not None]
    square = sum(error**2 for error in errors) / len(errors) if errors else 0.0
    if len(values) > 1:
        square += math.pi / 2 * stdev(values) ** 2 / len(values)
    known = bool(errors) or len(values) > 1
    return Cell(median(values), min(values), max(values), math.sqrt(square) if known else None, len(values))


def _row(name: str, groups: Sequence[RunGroup]) -> Row:
    measures = [[run.measures[name] for run in group.members] for group in groups]
    first = measures[0][0]
    cells = [cell(found) for found in measures]
    units = list(dict.fromkeys(measure.unit for found in measures for measure in found))
    if first.better is None or len(cells) < 2:
        return Row(first, tuple(cells), one_unit=len(units) == 1)
    if unlike := _unlike(first, units, groups):
        return Row(first, tuple(cells), unlike, one_unit=len(units) == 1)
    return Row(first, tuple(marked(cells, lower=first.better == "lower")))


def marked(cells: Sequence[Cell], *, lower: bool) -> list[Cell]:
    """The best cell, and those that are not worse by more than two standard errors of the difference; none if all are.

    >>> found = marked([Cell(1.0, 1, 1, 0.1, 1), Cell(1.2, 1, 1, 0.1, 1), Cell(9.0, 9, 9, 0.1, 1)], lower=True)
    >>> [one.best for one in found]
    [True, True, False]
    """
    finite = [one for one in cells if math.isfinite(one.value)]
    if not finite:
        return list(cells)
    top = (min if lower else max)(finite, key=lambda one: one.value)
    as_good = [
        math.isfinite(one.value)
        and abs(one.value - top.value) <= DIFFERENT_ERRORS * math.hypot(one.error or 0, top.error or 0)
        for one in cells
    ]
    if all(as_good):
        return list(cells)
    return [
        Cell(one.value, one.low, one.high, one.error, one.runs, good) for one, good in zip(cells, as_good, strict=True)
    ]


def _unlike(first: Measure, units: Sequence[str], groups: Sequence[RunGroup]) -> str:
    if len(units) > 1:
        return f"in different units ({', '.join(unit or 'none' for unit in units)})"
    if any(first.family in run.apart for group in groups for run in group.members):
        return "not all runs were evaluated alike, and their data are not there to be judged again"
    if first.family != "bounds":
        return ""
    told = dict(run.likelihood_of() for group in groups for run in group.members)
    return f"bounds of different things ({'; '.join(told.values())})" if len(told) > 1 else ""


def _notes(found: Sequence[Contender]) -> list[str]:
    notes = []
    told = [(run.auto.config_.data, run.auto.schema_) for run in found]
    splits = {(options.seed, options.split, options.rows, _strata(options, schema)) for options, schema in told}
    if len(splits) > 1:
        notes.append(
            "The runs were split differently, so each is judged on a test part of its own; that is in the spread."
        )
    quick = [
        family
        for family in registered_families()
        if any(family in run.quick and one.family == family for run in found for one in run.measures.values())
    ]
    if quick:
        some = "all runs" if found[0].how == "quick" else f"{', '.join(quick)}, of which not all were judged alike"
        notes.append(f"Quick measures of {some}, made for this table; sfumato evaluate RUN gives all there are.")
    unfinished = [run.name for run in found if run.auto.run_ is not None and not run.auto.run_.sealed()]
    if unfinished:
        notes.append(f"Not finished: {', '.join(unfinished)}; its best weights so far are judged.")
    return notes


def _strata(options: DataOptions, schema: Schema) -> str | None:
    """The column of a table whose values are split in proportion: its label, or the first condition of categories."""
    if not kind_of(schema).named_columns or options.label is not None:
        return options.label
    kinds = zip(schema.given_names, schema.spec.given, strict=True)
    return next((name for name, field in kinds if field.kind == "category"), None)


def _run(run: Contender) -> dict[str, Any]:
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
    return Path(source).name if source else "data held in memory"


def _plain(value: Any) -> str:
    if isinstance(value, list | tuple):
        return " ".join(map(str, value)) or "none"
    return "none" if value is None or value == {} else f"{value:g}" if isinstance(value, float) else str(value)
