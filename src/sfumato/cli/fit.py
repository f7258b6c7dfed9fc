"""The command that trains."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from sfumato.cli.flags import OUTPUT, chosen, options_class
from sfumato.cli.look import kinds_table, measures_rows, next_commands, remake_report
from sfumato.cli.output import DEVICE, TALK, Device, Say, table
from sfumato.errors import SfumatoError

if TYPE_CHECKING:
    from sfumato.data.dataset import Dataset
    from sfumato.estimator import Autoencoder
    from sfumato.report import Measure, Picture

Options: Any = options_class()
UNTOLD: Any = Options()

STOPS = {
    "epochs": "as long as planned",
    "steps": "as long as planned",
    "patience": "until the validation bound no longer rose",
    "max_time": "until its time was up",
    "interrupted": "until it was stopped",
    "callback": "until a callback ended it",
}


def fit(
    source: str | None = None,
    /,
    *,
    model: Annotated[str | None, Parameter(metavar="NAME", show_default="vae")] = None,
    config: Annotated[Path | None, Parameter(metavar="FILE")] = None,
    resume: Annotated[str | None, Parameter(metavar="RUN")] = None,
    options: Annotated[Options, Parameter(name="*")] = UNTOLD,
    run: Annotated[str | None, Parameter(metavar="NAME", group=OUTPUT)] = None,
    seed: Annotated[int | None, Parameter(group=OUTPUT, metavar="N", show_default="0")] = None,
    device: Annotated[Device | None, DEVICE, Parameter(show_default="auto")] = None,
    say: Say = TALK,
) -> int:
    """Train a model on a file, a folder of pictures or a built-in set.

    The run folder that is written holds the model, its pictures and a report; the other commands work on it.

    Args:
        source: built-in set (see sfumato data), table (.csv .tsv .parquet), folder of pictures, or array (.npy .npz)
        model: which model; see sfumato models
        config: config.toml to train by, such as a run's own; other options given here come before it
        resume: go on with a run that was stopped, as if it had not been
        run: name of the new run under runs/, or a path; source-model if not given
        seed: of the split, the weights and the training
        device: where to compute
    """
    told = chosen(options)
    told |= {name: value for name, value in (("seed", seed), ("device", device)) if value is not None}
    _check(source, model, config, resume, run)

    from sfumato import estimator

    auto = estimator.fit(
        source,
        model=model,
        run=None if resume else run or True,
        resume=resume,
        config=config,
        progress=not say.quiet,
        opened=lambda dataset: _announce(dataset, say),
        **told,
    )
    if auto.run_ is None or auto.data_ is None:  # one of several processes that train together, and not the first
        return 0
    say.note("Drawing pictures and writing the report")
    _conclude(auto, *remake_report(auto, auto.data_), say)
    return 130 if auto.history_.stop == "interrupted" else 0


def _check(source: str | None, model: str | None, config: Path | None, resume: str | None, run: str | None) -> None:
    if resume is not None:
        for flag, value in (("--model", model), ("--config", config), ("--run", run)):
            if value is not None:
                raise SfumatoError(f"{flag} {value}: --resume {resume} goes on with the run as it is; leave {flag} out")
    elif source is None and config is None:
        raise SfumatoError("sfumato fit needs a source: a built-in set, a file or a folder, as in sfumato fit moons")


def _announce(data: Dataset, say: Say) -> None:
    """What was understood of the data, before training starts."""
    parts = f"{len(data.train):,} to train on, {len(data.valid):,} to validate, {len(data.test):,} to test"
    say.note(f"{data.source}: {parts}\n\n{kinds_table(data.schema.describe())}\n")


def _conclude(auto: Autoencoder, pictures: list[Picture], measures: list[Measure], report: Path, say: Say) -> None:
    history, run, data = auto.history_, auto.run_, auto.data_
    assert run is not None
    assert data is not None
    last = history.lines[-1] if history.lines else {"epoch": 0, "step": 0, "seconds": 0.0}
    model = run.config()["model"]["name"]
    done = f"{last['epoch']:g} epochs, {last['step']:,} steps, {last['seconds']:.0f} s, {STOPS[history.stop]}"
    rows = [
        ["run", str(run.path)],
        ["report", str(report)],
        ["pictures", f"{run.path / 'pictures'} ({len(pictures)})"],
    ]
    text = [
        f"Trained {model} on {data.name}: {done}",
        table([*measures_rows(measures), *rows], indent="  "),
        next_commands(run),
    ]
    if history.stop == "interrupted":
        text.append(f"  sfumato fit --resume {run.name}")
    result = {
        "run": run.path,
        "model": model,
        "source": run.config().get("source", ""),
        "stop": history.stop,
        "epochs": last["epoch"],
        "steps": last["step"],
        "seconds": last["seconds"],
        "best_step": history.best_step,
        "measures": {measure.name: measure.value for measure in measures},
        "report": report,
        "pictures": [picture.path for picture in pictures],
    }
    say.result(result, str(run.path) if say.quiet else "\n".join(text))
