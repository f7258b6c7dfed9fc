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
    """Train models with several options and seeds on one source, compare them, and keep the best.

    The runs lie in runs/NAME/, with the comparison as a page and as JSON, and best, a link to the best run. The same
    command again goes on where it was stopped; with more models, values or seeds it trains only what is missing.

    Args:
        source: built-in set (see sfumato data), table, folder of pictures, or array
        models: which models; see sfumato models
        seeds: runs of each configuration, on one split of the data
        grid: values of an option, as beta=1,4 latent-dim=2,8; a model takes the options it has. With --search also
            ranges, as lr=0.0003..0.01
        search: try so many configurations, each chosen by what the earlier ones gave; needs sfumato[sweep]
        by: the measure that chooses the best run, on the validation part, such as elbo or distortion
        jobs: runs at a time, each in a process of its own
        run: name of the folder under runs/, or a path; SOURCE-sweep if not given
        seed: the first seed, also that of the split
        device: where to compute
        report: draw the pages of the comparison and of the best run; --no-report leaves them out
    """
    from sfumato import studies
    from sfumato.studies.plan import read_grid

    told = chosen(options) | ({} if device is None else {"device": device})
    found = studies.sweep(
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
        told=say.note,
        partial=True,
        **told,
    )
    files = _pages(found, report, seed, say)
    result: dict[str, Any] = {
        "sweep": found.folder,
        "best": found.best and str(found.folder / found.best),
        "by": found.by,
        "stopped": found.stopped,
        "runs": {name: vars(outcome) for name, outcome in found.outcomes.items()},
    }
    say.result(result | files, lambda: str(found.folder) if say.quiet else _conclusion(found, files))
    return 130 if found.stopped else 0


def _pages(found: Sweep, report: bool, seed: int, say: Say) -> dict[str, str]:
    """The comparison as a page and as JSON, and the report of the best run."""
    files: dict[str, str] = {}
    if found.comparison is not None:
        for kind in ("json", "html") if report else ("json",):
            path = found.folder / f"compare.{kind}"
            write(found.comparison, path, seed)
            files[f"compare.{kind}"] = str(path)
    if report and found.best is not None and not found.stopped:
        from sfumato import data, estimator

        say.note("Drawing the report of the best run")
        auto = estimator.load(found.folder / found.best)
        if auto.config_.source:
            opened = data.open(auto.config_.source, options=auto.config_.data)
            files["report"] = str(remake_report(auto, opened).path)
    return files


def _conclusion(found: Sweep, files: dict[str, str]) -> str:
    done = sum(outcome.done for outcome in found.outcomes.values())
    failed = [f"{name}: {outcome.failed}" for name, outcome in found.outcomes.items() if outcome.failed]
    parts = [] if found.comparison is None else [text(found.comparison)]
    if failed:
        parts.append("\n".join(["Failed:", *(f"  {line}" for line in failed)]))
    if found.stopped:
        parts.append(f"Stopped with {done} runs done in {found.folder}; the same command goes on")
    rows = [["runs", f"{found.folder} ({done})"], *([name, path] for name, path in files.items())]
    if found.best is not None:
        from sfumato.studies.sweep_run import told

        value = found.outcomes[found.best].value
        said = f"{found.best} ({told(found.by)} {number(value)} on the validation part)"
        rows += [["best", said], ["linked as", str(found.folder / "best")]]
    return "\n\n".join([*parts, table(rows)])
