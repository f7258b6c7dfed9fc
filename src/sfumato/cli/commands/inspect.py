"""The commands that show what is there: runs, models, data sets, reports."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from sfumato.cli import flags
from sfumato.cli.commands.latents import latents_of, latents_table
from sfumato.cli.output import DEVICE, TALK, Device, Say, table
from sfumato.errors import SfumatoError
from sfumato.formatting import number

if TYPE_CHECKING:
    from sfumato.artifacts import Run
    from sfumato.data.core.dataset import Dataset
    from sfumato.diagnostics import Finding
    from sfumato.estimator import Autoencoder
    from sfumato.evaluation import Measure
    from sfumato.report import Picture

COUNTS = ("step", "epoch", "split", "seconds")
"""What a line of metrics.jsonl says beside the terms."""


def models(*, say: Say = TALK) -> None:
    """List the models with their options."""
    from sfumato import models as room

    listed, parts = [], []
    for name in room.names():
        try:
            summary, options = room.summary(name), room.options(name)
        except SfumatoError as error:  # of an installed package: the others are listed all the same
            summary, options = str(error), ()
        told = {option.name: {"default": option.default, "help": option.help} for option in options}
        listed.append({"name": name, "summary": summary, "options": told})
        rows = [
            [flags.spelling(option.name), flags.shown(option.default) or "from the data", option.help]
            for option in options
        ]
        parts.append(f"{name}: {summary}\n" + table(rows, indent="  "))
    say.result({"models": listed}, lambda: "\n\n".join([*parts, "Train one with: sfumato fit SOURCE --model NAME"]))


def data(*, say: Say = TALK) -> None:
    """List the built-in data sets."""
    from sfumato import data as room

    rows = [[name, room.summary(name)] for name in room.names()]
    text = (
        table(rows)
        + "\n\nOr your own: a CSV, TSV or Parquet file, a folder of pictures, lines of text (.txt), a .npy or .npz."
        + "\nTrain on one with: sfumato fit NAME-OR-PATH"
    )
    say.result({"data": [{"name": name, "summary": summary} for name, summary in rows]}, lambda: text)


def show(run: str, /, *, say: Say = TALK) -> None:
    """Show what a run is, and what to do with it next.

    Data, model, training, numbers, files.

    Args:
        run: folder of a run, or its name under runs/
    """
    from sfumato.artifacts import Run

    opened = Run.open(run)
    told, schema, lines = opened.config(), opened.schema(), opened.metrics()
    source = told.get("source", "")
    model = opened.model()
    parameters = sum(parameter.numel() for parameter in model.parameters())
    options = [f"{name}={flags.shown(value)}" for name, value in told["model"].items() if name != "name"]
    values = best_values(lines)
    files = sorted(path.name + "/" * path.is_dir() for path in opened.path.iterdir() if path.name[0] != ".")
    state = "" if opened.sealed() else f" (not finished; go on with: sfumato fit --resume {opened.name})"
    rows = [
        ["run", f"{opened.path}{state}"],
        ["data", f"{source or 'handed over in Python'}: {schema.kind}, likelihood {schema.spec.likelihood}"],
        ["given", ", ".join(schema.given_names) or "nothing"],
        ["model", " ".join([told["model"]["name"], *options])],
        ["size", f"{parameters:,} parameters"],
        ["trained", _trained(lines)],
        *values_rows(lines),
        ["files", " ".join(files)],
    ]
    described = schema.describe()
    modelled = [row for row in described if not row["modelled"].startswith(("not modelled", "condition"))]
    latents = latents_of(model, [row["column"] for row in modelled])
    result = {
        "run": opened.path,
        "finished": opened.sealed(),
        "config": told,
        "parameters": parameters,
        "columns": described,
        "given": schema.given_names,
        "valid": values,
        "files": files,
        **({} if latents is None else {"latents": latents}),
    }
    parts = [table(rows), kinds_table(described), *([] if latents is None else [latents_table(latents)])]
    say.result(result, lambda: "\n\n".join([*parts, next_commands(opened)]))


def report(run: str, /, *, device: Annotated[Device, DEVICE] = "auto", say: Say = TALK) -> None:
    """Draw the pictures of a run and write its report again.

    The data are opened once more, from where they were when the run was trained.

    Args:
        run: folder of a run, or its name under runs/
    """
    from sfumato import data as room
    from sfumato.estimator import load

    auto = load(run, device=device)
    source = auto.config_.source
    if not source:
        raise SfumatoError(f"{run}: was trained on data held in memory; report on it in Python, where the data are")
    made = remake_report(auto, room.open(source, options=auto.config_.data))
    rows = [*measures_rows(made.measures), ["report", str(made.path)], ["pictures", str(made.path.parent / "pictures")]]
    say.result(made.told(), lambda: table(rows))


@dataclass(frozen=True)
class Report:
    """What was made of a run to be looked at."""

    path: Path
    pictures: list[Picture]
    measures: list[Measure]
    findings: list[Finding]

    def told(self) -> dict[str, Any]:
        """For a machine."""
        return {
            "report": self.path,
            "pictures": [picture.path for picture in self.pictures],
            "measures": {measure.name: measure.value for measure in self.measures},
        }


def remake_report(auto: Autoencoder, data: Dataset) -> Report:
    """Draw pictures and report into the folder of the run, and record them in its manifest."""
    from sfumato import report as room
    from sfumato.evaluation import registered_families, store

    run = auto.run_
    assert run is not None, "only what has a run folder is reported on"
    run.unseal()
    pictures, findings = room.pictures(auto, data, run.path / "pictures"), auto.diagnose(data, quick=True)
    had = store.kept(run.path) or store.Kept([], {})
    missing = tuple(family for family in registered_families() if family not in had.how)
    measures = [*had.measures, *(auto.evaluate(data, quick=True, families=missing) if missing else ())]
    whole = not missing and not any(told.get("quick") for told in had.how.values())
    path = room.html(run, pictures, measures, findings, whole=whole)
    run.seal()
    return Report(path, pictures, measures, findings)


def kinds_table(described: list[dict[str, str]]) -> str:
    """What was inferred of every column, to be read before training; columns that say nothing are left out."""
    header = [name for name in (described[0] if described else {}) if any(row[name] for row in described)]
    return table([[row[name] for name in header] for row in described], header)


def best_values(lines: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """The terms of the best validation line, or of the last line where nothing was validated."""
    return {name: value for name, value in _best(lines).items() if name not in COUNTS}


def values_rows(lines: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    """`best_values` as rows of a table, in nats per example, and of which part they are.

    >>> values_rows([{"split": "train", "total": 2.0}])
    [['total', '2 nats per example, on the training part at the end; lower is better']]
    """
    part = "validation part" if _best(lines).get("split") == "valid" else "training part at the end"
    units = f" nats per example, on the {part}; lower is better"
    notes = {
        "total": units,
        "energy_distance": " from samples to validation examples, lowest for the weights kept",
    }
    return [[name, number(value) + notes.get(name, "")] for name, value in best_values(lines).items()]


def _best(lines: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    from sfumato.training.saving.history import best_line

    return best_line(lines) or (lines[-1] if lines else {})


def measures_rows(measures: Sequence[Measure]) -> list[list[str]]:
    """The final measures as rows of a table."""
    return [[measure.name, f"{number(measure.value)} {measure.unit}"] for measure in measures]


def next_commands(run: Run) -> str:
    """What a person may type now, with the names filled in."""
    from sfumato.report.page import commands

    # What needs another run is in the report, with more room to say so.
    told = commands(run, run.config(), run.schema())
    typed = [line for _, line in told if line.startswith("sfumato ") and line.split()[1] not in ("compare", "sweep")]
    return "\n".join(["Next:", *(f"  {line}" for line in typed)])


def _trained(lines: Sequence[Mapping[str, Any]]) -> str:
    if not lines:
        return "not yet"
    last = lines[-1]
    return f"{last['epoch']:g} epochs, {last['step']:,} steps, {last['seconds']:.0f} s"
