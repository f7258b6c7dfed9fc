"""The command that trains many runs on one data set."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from sfumato.cli.commands.compare import text, write
from sfumato.cli.commands.inspect import remake_report
from sfumato.cli.flags import OUTPUT, WHOLE_NUMBER, chosen
from sfumato.cli.output import DEVICE, TALK, Device, Say, table
from sfumato.formatting import number

if TYPE_CHECKING:
    from sfumato.studies import Sweep


def sweep(
    source: str,
    /,
    *,
    models: Annotated[str, Parameter(metavar="NAME,NAME,…")] = "vae",
    seeds: Annotated[int | None, WHOLE_NUMBER, Parameter(show_default="5, or 1 with --search")] = None,
    grid: Annotated[list[str] | None, Parameter(negative="", consume_multiple=True, metavar="NAME=VALUE,…")] = None,
    search: Annotated[int | None, WHOLE_NUMBER] = None,
    by: Annotated[str, Parameter(metavar="MEASURE")] = "elbo",
    jobs: Annotated[int, WHOLE_NUMBER] = 1,
    options: Any,
    run: Annotated[str | None, Parameter(metavar="NAME", group=OUTPUT)] = None,
    seed: Annotated[int, WHOLE_NUMBER, Parameter(group=OUTPUT)] = 0,
    device: Annotated[Device | None, DEVICE, Parameter(show_default="auto")] = None,
    report: Annotated[bool, Parameter(negative="--no-report", group=OUTPUT)] = True,
    say: Say = TALK,
) -> int:
    """Train models with several options and seeds on one source, compare them, and select the best.

    The runs are written to runs/NAME/, with the comparison as HTML and JSON, and best, a link to the best run. The same
    command continues a stopped sweep; with more models, values or seeds it trains only what is missing.

    Args:
        source: built-in set (see sfumato data), table, folder of images, or array
        models: names of models; see sfumato models
        seeds: number of runs of each configuration, all on the same split
        grid: values of an option, as beta=1,4 latent-dim=2,8; a model takes the options it has. With --search also
            ranges, as lr=0.0003..0.01
        search: number of configurations to try, each chosen from the results of the earlier ones; needs sfumato[sweep]
        by: the measure that chooses the best run, on the validation split, such as elbo or distortion
        jobs: number of runs at a time, each in its own process
        run: name of the folder under runs/, or a path; SOURCE-sweep by default
        seed: the first seed, also that of the split
        device: where to compute
        report: write the page of the comparison and the report of the best run
    """
    from sfumato import studies
    from sfumato.studies.plan import read_grid

    values = chosen(options) | ({} if device is None else {"device": device})
    outcome = studies.sweep(
        source,
        [name.strip() for name in models.split(",") if name.strip()],
        seeds=seeds,
        seed=seed,
        grid=read_grid(grid or []),
        search=search,
        by=by,
        run=run,
        jobs=jobs,
        progress=not say.quiet and jobs == 1,
        log=say.note,
        partial=True,
        **values,
    )
    files = _pages(outcome, report, seed, say)
    result: dict[str, Any] = {
        "sweep": outcome.folder,
        "best": outcome.best and str(outcome.folder / outcome.best),
        "by": outcome.by,
        "stopped": outcome.stopped,
        "runs": {name: vars(outcome) for name, outcome in outcome.outcomes.items()},
    }
    say.result(result | files, lambda: str(outcome.folder) if say.quiet else _conclusion(outcome, files))
    return 130 if outcome.stopped else 0


def _pages(result: Sweep, report: bool, seed: int, say: Say) -> dict[str, str]:
    """Write the comparison as HTML and JSON, and the report of the best run."""
    files: dict[str, str] = {}
    if result.comparison is not None:
        for kind in ("json", "html") if report else ("json",):
            path = result.folder / f"compare.{kind}"
            write(result.comparison, path, seed)
            files[f"compare.{kind}"] = str(path)
    if report and result.best is not None and not result.stopped:
        from sfumato import data, estimator

        say.note("Writing the report of the best run")
        auto = estimator.load(result.folder / result.best)
        if auto.config_.source:
            opened = data.open(auto.config_.source, options=auto.config_.data)
            files["report"] = str(remake_report(auto, opened).path)
    return files


def _conclusion(result: Sweep, files: dict[str, str]) -> str:
    done = sum(outcome.done for outcome in result.outcomes.values())
    failed = [f"{name}: {outcome.failed}" for name, outcome in result.outcomes.items() if outcome.failed]
    parts = [] if result.comparison is None else [text(result.comparison)]
    if failed:
        parts.append("\n".join(["Failed:", *(f"  {line}" for line in failed)]))
    if result.stopped:
        parts.append(f"Stopped after {done} runs in {result.folder}; the same command continues")
    rows = [["runs", f"{result.folder} ({done})"], *([name, path] for name, path in files.items())]
    if result.best is not None:
        from sfumato.studies.sweep_run import label

        value = result.outcomes[result.best].value
        best = f"{result.best} ({label(result.by)} {number(value)} on the validation split)"
        rows += [["best", best], ["link", str(result.folder / "best")]]
    return "\n\n".join([*parts, table(rows)])
