"""The command that trains."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from sfumato import models
from sfumato.cli.commands.doctor import summary
from sfumato.cli.commands.inspect import (
    Report,
    best_values,
    kinds_table,
    measures_rows,
    next_commands,
    remake_report,
    values_rows,
)
from sfumato.cli.flags import OUTPUT, WHOLE_NUMBER, chosen
from sfumato.cli.output import DEVICE, TALK, Device, Say, table
from sfumato.errors import SfumatoError

if TYPE_CHECKING:
    from sfumato.data.core.dataset import Dataset
    from sfumato.estimator import Autoencoder
    from sfumato.models.base import Model
    from sfumato.training import Callback
    from sfumato.training.private.ledger import Ledger

STOPS = {
    "epochs": "as planned",
    "steps": "as planned",
    "patience": "stopped early: validation no longer improved",
    "max_time": "stopped at max_time",
    "interrupted": "interrupted",
    "callback": "stopped by a callback",
}


def fit(
    source: str | None = None,
    /,
    *,
    model: Annotated[
        str | None, Parameter(metavar="NAME", show_default="vae, for sequences td_vae, for records multimodal_vae")
    ] = None,
    config: Annotated[Path | None, Parameter(metavar="FILE")] = None,
    resume: Annotated[str | None, Parameter(metavar="RUN")] = None,
    options: Any,
    run: Annotated[str | None, Parameter(metavar="NAME", group=OUTPUT)] = None,
    seed: Annotated[int | None, WHOLE_NUMBER, Parameter(group=OUTPUT, show_default="0")] = None,
    device: Annotated[Device | None, DEVICE, Parameter(show_default="auto")] = None,
    report: Annotated[bool, Parameter(negative="--no-report", group=OUTPUT)] = True,
    say: Say = TALK,
) -> int:
    """Train a model on a file, a folder of images or sounds, or a built-in set.

    It writes a run folder with the model, figures and a report, which the other commands use.

    Args:
        source: built-in set (see sfumato data), table (.csv .tsv .parquet), also with a column of paths to images,
            folder of images or sounds, lines of text (.txt), or array (.npy .npz)
        model: name of a model (see sfumato models), or mypackage.module:MyModel
        config: config.toml to start from, such as that of a run; other options override it
        resume: continue a stopped run; the result is bit-equal to an uninterrupted one
        run: name of the new run under runs/, or a path; SOURCE-MODEL by default
        seed: random seed of the split, the weights and the training
        device: where to compute
        report: draw figures and write the report, not with --epsilon; sfumato report can write it later
    """
    values = chosen(options)
    values |= {name: value for name, value in (("seed", seed), ("device", device)) if value is not None}
    _check(source, model, config, resume, run)

    from sfumato import estimator

    auto = estimator.fit(
        source,
        model=model,
        run=None if resume else run or True,
        resume=resume,
        config=config,
        callbacks=[_end_on_ctrl_c()],
        progress=not say.quiet,
        opened=lambda dataset: _announce(dataset, say),
        **values,
    )
    if auto.run_ is None or auto.data_ is None:  # Not the first of several processes that train together.
        return 0
    if auto.privacy_ is not None:
        _conclude_private(auto, auto.privacy_, say)
        return 130 if auto.history_.stop == "interrupted" else 0
    if report:
        say.note("Writing figures and report")
    _conclude(auto, remake_report(auto, auto.data_) if report else None, say, values)
    return 130 if auto.history_.stop == "interrupted" else 0


def _end_on_ctrl_c() -> Callback:
    """A callback that ends training on Ctrl-C, so that the run is completed as usual."""
    from sfumato.training import Callback

    class End(Callback):
        def on_interrupt(self, model: Model) -> bool:
            return True

    return End()


def _check(source: str | None, model: str | None, config: Path | None, resume: str | None, run: str | None) -> None:
    if resume is not None:
        for flag, value in (("--model", model), ("--config", config), ("--run", run)):
            if value is not None:
                raise SfumatoError(f"{flag} {value}: --resume {resume} continues the run as it is; leave out {flag}")
    elif source is None and config is None:
        raise SfumatoError("sfumato fit needs a source: a built-in set, a file or a folder, as in sfumato fit moons")


def _announce(data: Dataset, say: Say) -> None:
    """Show the split and the schema before training starts."""
    parts = f"{len(data.train):,} training, {len(data.valid):,} validation and {len(data.test):,} test examples"
    say.note(f"{data.source}: {parts}\n\n{kinds_table(data.schema.describe())}\n")
    for note in data.notes:
        say.note(note)


def _conclude_private(auto: Autoencoder, ledger: Ledger, say: Say) -> None:
    """Print what was trained and what that promises; nothing that is measured on real rows."""
    run, last = auto.run_, auto.history_.lines[-1]
    assert run is not None

    def text() -> str:
        if say.quiet:
            return str(run.path)
        done = f"{last['step']:,} steps, {last['seconds']:.0f} s, {STOPS[auto.history_.stop]}"
        rows = [*ledger.rows_shown(), ["run", str(run.path)]]
        lines = [f"Trained {auto.config_.model} privately: {done}", table(rows, indent="  ")]
        lines.append("No figures, report or diagnosis were made, as they show real rows: see sfumato report, evaluate")
        return "\n".join([*lines, next_commands(run)])

    result = {
        "run": run.path,
        "model": auto.config_.model,
        "source": auto.config_.source,
        "stop": auto.history_.stop,
        "steps": last["step"],
        "seconds": last["seconds"],
        "privacy": ledger.to_dict(),
    }
    say.result(result, text)


def _conclude(auto: Autoencoder, report: Report | None, say: Say, options: Mapping[str, Any]) -> None:
    """Print what was trained, the measures, the paths, and the next commands."""
    history, run, data = auto.history_, auto.run_, auto.data_
    assert run is not None
    assert data is not None
    last = history.lines[-1] if history.lines else {"epoch": 0, "step": 0, "seconds": 0.0}
    best = best_values(history.lines)
    model = auto.config_.model
    findings = auto.diagnose(quick=True) if report is None else report.findings

    def text() -> str:
        if say.quiet:
            return str(run.path)
        done = f"{last['epoch']:g} epochs, {last['step']:,} steps, {last['seconds']:.0f} s, {STOPS[history.stop]}"
        rows = [
            *(values_rows(history.lines) if report is None else measures_rows(report.measures)),
            ["run", str(run.path)],
        ]
        for name, value in models.chosen_by_data(model, auto.schema_.spec, auto.config_.options).items():
            if name not in options and auto.config_.options.get(name) == value:
                rows.append([name, f"{value:g}, chosen from the data"])
        rows.append(["samples", f"codes are drawn by {auto.second_stage()}"])
        if report is not None:
            rows += [["report", str(report.path)], ["figures", f"{run.path / 'figures'} ({len(report.figures)})"]]
        lines = [f"Trained {model} on {data.name}: {done}", table(rows, indent="  ")]
        lines += [summary(run.called, findings), next_commands(run)]
        if history.stop == "interrupted":
            lines.append(f"  sfumato fit --resume {run.called}")
        return "\n".join(lines)

    result = {
        "run": run.path,
        "model": model,
        "source": auto.config_.source,
        "stop": history.stop,
        "epochs": last["epoch"],
        "steps": last["step"],
        "seconds": last["seconds"],
        "best_step": history.best_step,
        "valid": best,
        "findings": [finding.to_dict() for finding in findings],
    }
    say.result(result | ({} if report is None else report.to_dict()), text)
