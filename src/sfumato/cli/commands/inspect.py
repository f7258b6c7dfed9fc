"""The commands that show runs, models, data sets and reports."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from sfumato.cli import flags
from sfumato.cli.commands.uses.latents import latents_of, latents_table
from sfumato.cli.output import DEVICE, TALK, Device, Say, table
from sfumato.errors import SfumatoError
from sfumato.formatting import number

if TYPE_CHECKING:
    from sfumato.artifacts import Run
    from sfumato.data.core.dataset import Dataset
    from sfumato.diagnostics import Finding
    from sfumato.estimator import Autoencoder
    from sfumato.evaluation import Measure
    from sfumato.report import ReportFigure
    from sfumato.training.private.ledger import Ledger

COUNTS = ("step", "epoch", "split", "seconds")
"""Keys of a line of metrics.jsonl that are not terms of the loss."""


def models(*, say: Say = TALK) -> None:
    """List the models with their options."""
    from sfumato import models as package

    listed, parts = [], []
    for name in package.names():
        try:
            summary, options = package.summary(name), package.options(name)
        except SfumatoError as error:  # A broken model of another package must not hide the others.
            summary, options = str(error), ()
        described = {option.name: {"default": option.default, "help": option.help} for option in options}
        listed.append({"name": name, "summary": summary, "options": described})
        rows = [
            [flags.spelling(option.name), flags.shown(option.default) or "from the data", option.help]
            for option in options
        ]
        parts.append(f"{name}: {summary}\n" + table(rows, indent="  "))
    say.result({"models": listed}, lambda: "\n\n".join([*parts, "Train one with: sfumato fit SOURCE --model NAME"]))


def data(source: str | None = None, /, *, options: Any, say: Say = TALK) -> None:
    """Show what a source holds and how it would be read; without one, list the built-in data sets.

    Nothing is trained or written. The options are those of sfumato fit that concern the data.

    Args:
        source: what sfumato fit takes: a built-in set, a file or a folder
    """
    from sfumato import data as package

    read = flags.chosen(options)
    if source is not None:
        _show_source(source, read, say)
        return
    if read:
        flag = flags.spelling(next(iter(read)))
        raise SfumatoError(f"{flag} says how a source is read; name one, as in sfumato data FILE {flag} …")
    rows = [[name, package.summary(name)] for name in package.names()]
    text = (
        table(rows)
        + "\n\nOr your own: a CSV, TSV or Parquet file, a folder of images or sounds, lines of text (.txt), a .npy"
        + " or .npz."
        + "\nSee how one is read with: sfumato data NAME-OR-PATH"
        + "\nTrain on one with:        sfumato fit NAME-OR-PATH"
    )
    say.result({"data": [{"name": name, "summary": summary} for name, summary in rows]}, lambda: text)


def _show_source(source: str, read: Mapping[str, Any], say: Say) -> None:
    """Show the kind, the parts and the columns of a source, the notes on it, and what it would be trained with."""
    from sfumato import data as package
    from sfumato import models as known
    from sfumato.data.core.options import DataOptions
    from sfumato.report.page import data_flags
    from sfumato.training import Settings, resolve
    from sfumato.training.settings import steps_per_epoch, total_steps

    opened = package.open(source, options=DataOptions(**read))
    schema, spec = opened.schema, opened.schema.spec
    suiting = [name for name in known.names() if known.suits(name, spec)]
    model = known.chosen_for(spec)
    cells = known.memorised_cells(model, spec, {})
    as_default = Settings(epsilon=opened.options.epsilon, delta=opened.options.delta)
    training = resolve(as_default, len(opened.train), spec.shape, cells=cells)
    batch = training.batch_size or 1
    steps = total_steps(training, steps_per_epoch(len(opened.train), batch))
    parts = {name: len(getattr(opened, name)) for name in ("train", "valid", "test")}
    described = schema.describe()
    result = {
        "source": opened.source,
        "kind": schema.kind,
        "examples": parts,
        "shape": spec.shape,
        "likelihood": spec.likelihood,
        "columns": described,
        "conditions": schema.given_names,
        "models": suiting,
        "steps": steps,
        "batch_size": batch,
        "notes": opened.notes,
    }
    counts = f"{parts['train']:,} for training, {parts['valid']:,} for validation and {parts['test']:,} for the test"
    shape = "" if schema.of_columns else f", {' × '.join(map(str, spec.shape))} values an example"
    if spec.is_record:
        shape = f" of {len(spec.parts)} parts: {', '.join(part.name for part in spec.parts)}"
    rows = [
        ["source", opened.source],
        ["kind", f"{schema.kind}{shape}"],
        ["examples", f"{sum(parts.values()):,}: {counts}"],
        ["conditions", ", ".join(schema.given_names) or "none"],
        ["likelihood", spec.likelihood],
        ["models", ", ".join([model, *(name for name in suiting if name != model)])],
        ["training", f"{model} takes {steps:,} steps of {batch} examples unless others are chosen"],
    ]
    every = "".join(f" --given {shlex.quote(name)}" for name in schema.given_names)
    typed = f"sfumato fit {shlex.quote(source)}{every}{data_flags(read)}"
    text = "\n\n".join([table(rows), kinds_table(described), *opened.notes, f"Next:\n  {typed}"])
    say.result(result, lambda: text)


def show(run: str, /, *, say: Say = TALK) -> None:
    """Show a run: data, model, training, metrics and files, and the next commands.


    Args:
        run: folder of a run, or its name under runs/
    """
    from sfumato.artifacts import Run

    opened = Run.open(run)
    config, schema, lines = opened.config(), opened.schema(), opened.metrics()
    source = config.get("source", "")
    model = opened.model()
    parameters = sum(parameter.numel() for parameter in model.parameters())
    options = [f"{name}={flags.shown(value)}" for name, value in config["model"].items() if name != "name"]
    values = best_values(lines)
    files = sorted(path.name + "/" * path.is_dir() for path in opened.path.iterdir() if path.name[0] != ".")
    ledger = opened.privacy()
    state = ""
    if not opened.sealed():
        state = " (not finished)" if ledger else f" (not finished; continue with: sfumato fit --resume {opened.name})"
    rows = [
        ["run", f"{opened.path}{state}"],
        ["data", f"{source or 'data in memory'}: {schema.kind}, likelihood {schema.spec.likelihood}"],
        ["conditions", ", ".join(schema.given_names) or "none"],
        ["model", " ".join([config["model"]["name"], *options])],
        ["size", f"{parameters:,} parameters"],
        ["trained", _trained(lines)],
        *([] if ledger is None else ledger.rows_shown()),
        *values_rows(lines),
        ["files", " ".join(files)],
    ]
    described = schema.describe()
    modelled = [row for row in described if not row["modelled"].startswith(("not modelled", "condition"))]
    latents = latents_of(model, [row["column"] for row in modelled])
    result = {
        "run": opened.path,
        "finished": opened.sealed(),
        "config": config,
        "parameters": parameters,
        "columns": described,
        "given": schema.given_names,
        "valid": values,
        "privacy": None if ledger is None else ledger.to_dict(),
        "files": files,
        **({} if latents is None else {"latents": latents}),
    }
    parts = [table(rows), kinds_table(described), *([] if latents is None else [latents_table(latents)])]
    say.result(result, lambda: "\n\n".join([*parts, next_commands(opened)]))


def report(run: str, /, *, device: Annotated[Device, DEVICE] = "auto", say: Say = TALK) -> None:
    """Draw the figures of a run and write its report again.

    The data are opened again from their source.

    Args:
        run: folder of a run, or its name under runs/
    """
    from sfumato.estimator import load
    from sfumato.estimator.evaluation_data import reopened

    auto = load(run, device=device)
    if not auto.config_.source:
        raise SfumatoError(f"{run}: was trained on data in memory; write its report in Python, where the data are")
    new = remake_report(auto, reopened(auto.config_, auto.schema_))
    if (ledger := auto.privacy_) is not None:
        say.note(f"{ledger.promise}; the report shows real rows, which that does not cover")
    rows = [
        *privacy_rows(auto.privacy_),
        *measures_rows(new.measures),
        ["report", str(new.path)],
        ["figures", str(new.path.parent / "figures")],
    ]
    say.result(new.to_dict(), lambda: table(rows))


@dataclass(frozen=True)
class Report:
    """The report of a run and what is in it."""

    path: Path
    figures: list[ReportFigure]
    measures: list[Measure]
    findings: list[Finding]

    def to_dict(self) -> dict[str, Any]:
        """As JSON-ready values."""
        return {
            "report": self.path,
            "figures": [figure.path for figure in self.figures],
            "measures": {measure.name: measure.value for measure in self.measures},
        }


def remake_report(auto: Autoencoder, data: Dataset) -> Report:
    """Write figures and report into the run folder, and record them in its manifest."""
    from sfumato import report as package
    from sfumato.evaluation import registered_families, store

    run = auto.run_
    assert run is not None, "a report needs a run folder"
    run.unseal()
    figures, findings = package.draw_figures(auto, data, run.path / "figures"), auto.diagnose(data, quick=True)
    stored = store.kept(run.path) or store.Kept([], {})
    missing = tuple(family for family in registered_families() if family not in stored.how)
    measures = [*stored.measures, *(auto.evaluate(data, quick=True, families=missing) if missing else ())]
    complete = not missing and not any(entry.get("quick") for entry in stored.how.values())
    path = package.write_report(run, figures, measures, findings, complete=complete)
    run.seal()
    return Report(path, figures, measures, findings)


def kinds_table(described: list[dict[str, str]]) -> str:
    """The inferred schema, a row for each column of the data; empty columns of the table are left out."""
    header = [name for name in (described[0] if described else {}) if any(row[name] for row in described)]
    return table([[row[name] for name in header] for row in described], header)


def best_values(lines: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """The terms of the best validation line, or of the last line if nothing was validated."""
    return {name: value for name, value in _best(lines).items() if name not in COUNTS}


def values_rows(lines: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    """`best_values` as rows of a table, with the unit and the split.

    >>> values_rows([{"split": "train", "total": 2.0}])
    [['total', '2 nats per example, on the training split at the end; lower is better']]
    """
    part = "validation split" if _best(lines).get("split") == "valid" else "training split at the end"
    units = f" nats per example, on the {part}; lower is better"
    notes = {
        "total": units,
        "energy_distance": " from samples to validation examples, lowest for the weights kept",
    }
    return [[name, number(value) + notes.get(name, "")] for name, value in best_values(lines).items()]


def _best(lines: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    from sfumato.training.saving.history import best_line

    return best_line(lines) or (lines[-1] if lines else {})


def privacy_rows(ledger: Ledger | None) -> list[list[str]]:
    """The promise of a private training as rows of a table; none of any other."""
    return [] if ledger is None else [["privacy", ledger.promise]]


def measures_rows(measures: Sequence[Measure]) -> list[list[str]]:
    """The final measures as rows of a table."""
    return [[measure.name, f"{number(measure.value)} {measure.unit}"] for measure in measures]


def next_commands(run: Run) -> str:
    """Commands to run next, with the names filled in."""
    from sfumato.report.page import commands

    # Commands that need another run are in the report only.
    lines = commands(run, run.config(), run.schema())
    typed = [line for _, line in lines if line.startswith("sfumato ") and line.split()[1] not in ("compare", "sweep")]
    return "\n".join(["Next:", *(f"  {line}" for line in typed)])


def _trained(lines: Sequence[Mapping[str, Any]]) -> str:
    if not lines:
        return "not yet"
    last = lines[-1]
    return f"{last['epoch']:g} epochs, {last['step']:,} steps, {last['seconds']:.0f} s"
