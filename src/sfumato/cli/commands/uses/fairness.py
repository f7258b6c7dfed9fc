"""The command that reports what codes tell of a protected column."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from sfumato.cli.commands.run_io import existing, load_run
from sfumato.cli.output import DEVICE, NOWHERE, SEED_FLAG, TALK, Device, Out, Say, table

if TYPE_CHECKING:
    from sfumato.estimator.methods.uses.fairness import FairnessReport


def fairness(
    run: str,
    file: str,
    /,
    *,
    protected: Annotated[str, Parameter(metavar="COLUMN")],
    target: Annotated[str, Parameter(metavar="COLUMN")],
    seed: Annotated[int, SEED_FLAG] = 0,
    device: Annotated[Device, DEVICE] = "auto",
    out: Out = NOWHERE,
    say: Say = TALK,
) -> None:
    """Report how well a protected column is told from codes, and what the codes keep of a target.

    Boosted trees and logistic regression predict both, cross-validated, from the columns, from the codes, and from each
    of these with what is linear in the protected column removed. Codes that tell less of a condition come of sfumato
    fit --model cvae --given COLUMN --drop TARGET --independence 30. -o writes a picture (.png) or a table.

    Args:
        run: folder of a run, or its name under runs/
        file: table with both columns, best one that the model was not trained on
        protected: column that the codes should not tell
        target: column that they should; the run must be trained without it (--drop)
    """
    out.check()
    auto = load_run(run, device)
    report = auto.fairness(existing(file), protected, target, seed=seed)
    if out.out is not None and out.out.suffix == ".png":
        from sfumato.report.figures.uses.fairness import save_fairness

        points = [(each.name, each.protected.best, each.target.best) for each in report.representations]
        save_fairness(points, protected, target, out.out)
    elif out.out is not None:
        import pyarrow as pa

        from sfumato.data.io import frames

        frames.write(pa.Table.from_pylist(_rows(report)), out.out)
    result = report.to_dict() | ({} if out.out is None else {"out": out.out})
    say.result(result, lambda: _text(report))


def _rows(report: FairnessReport) -> list[dict[str, str | float]]:
    return [
        {"representation": each.name}
        | {f"{report.protected} {by}": getattr(each.protected, by) for by in ("trees", "linear")}
        | {f"{report.target} {by}": getattr(each.target, by) for by in ("trees", "linear")}
        for each in report.representations
    ]


def _text(report: FairnessReport) -> str:
    rows = _rows(report)
    lines = [[str(value) if isinstance(value, str) else f"{value:.3f}" for value in row.values()] for row in rows]
    codes, columns = report["codes"], report["columns"]
    summary = (
        f"{report.protected} is told from codes at an AUC of {codes.protected.best:.3f} ± {codes.protected.error:.3f}, "
        f"from the columns at {columns.protected.best:.3f}; {report.target} at {codes.target.best:.3f} and "
        f"{columns.target.best:.3f}."
    )
    return f"{table(lines, list(rows[0]))}\n\nAreas under the ROC curve over {report.rows:,} rows. {summary}"
