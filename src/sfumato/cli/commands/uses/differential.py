"""The command that compares the counts of two groups of examples."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from sfumato.cli.commands.run_io import existing, load_run
from sfumato.cli.flags import WHOLE_NUMBER
from sfumato.cli.output import DEVICE, NOWHERE, SEED_FLAG, TALK, Device, Out, Say, table

if TYPE_CHECKING:
    from sfumato.estimator.methods.uses.differential import DifferentialExpression

ROWS_LISTED = 20


def differential_expression(
    run: str,
    file: str,
    /,
    *,
    groups: Annotated[str, Parameter(metavar="COLUMN")],
    first: Annotated[str | None, Parameter(metavar="VALUE")] = None,
    second: Annotated[str | None, Parameter(metavar="VALUE")] = None,
    threshold: Annotated[float, Parameter(metavar="X")] = 0.25,
    fdp: Annotated[float, Parameter(metavar="X")] = 0.05,
    draws: Annotated[int, WHOLE_NUMBER] = 100,
    seed: Annotated[int, SEED_FLAG] = 0,
    device: Annotated[Device, DEVICE] = "auto",
    out: Out = NOWHERE,
    say: Say = TALK,
) -> None:
    """Report which columns of counts differ between two groups of examples, and how surely.

    The log fold change of a column is log2 of the ratio of its mean shares in the two groups. Its posterior holds what
    is not known of codes, of which examples were measured, and of how far the decoder is off for a group. Conditions
    other than the groups are made alike. -o writes all columns as a table.

    Args:
        run: folder of a run, or its name under runs/
        file: counts with the column of groups beside them
        groups: column that says which group an example is of
        first: value of the first group; may be left out where there are two
        second: value of the second group; all others unless it is set
        threshold: smallest log2 fold change, either way, that counts as different
        fdp: accepted expected share of false discoveries among the columns that are called
        draws: draws of the posterior
    """
    from sfumato.data.io import frames

    out.check()
    if out.out is not None:
        frames.suffix(out.out)
    auto = load_run(run, device)
    found = auto.differential_expression(
        existing(file), groups, first, second, threshold=threshold, fdp=fdp, draws=draws, seed=seed
    )
    if out.out is not None:
        frames.write(found.to_table(), out.out)
    result = {
        "first": found.first,
        "second": found.second,
        "examples": found.sizes,
        "threshold": found.threshold,
        "fdp": found.fdp,
        "called": int(found.called.sum()),
        "columns": found.to_table().to_pylist(),
    }
    say.result(result | ({} if out.out is None else {"out": out.out}), lambda: _text(found))


def _text(found: DifferentialExpression) -> str:
    rows = found.to_table().slice(0, ROWS_LISTED).to_pylist()
    header = ["column", "log2 fold change", "probability", "per 10,000", "called"]
    lines = [
        [
            row["column"],
            f"{row['lfc']:+.2f} ({row['lfc_low']:+.2f} to {row['lfc_high']:+.2f})",
            f"{row['probability']:.2f}",
            f"{row['mean_first']:.2f} / {row['mean_second']:.2f}",
            "yes" if row["called"] else "",
        ]
        for row in rows
    ]
    summary = (
        f"{found.first} ({found.sizes[0]:,} examples) against {found.second} ({found.sizes[1]:,}): "
        f"{found.called.sum():,} of {len(found.names):,} columns are called, with a log2 fold change beyond "
        f"{found.threshold:g} and {found.fdp:.0%} expected to be false at most."
    )
    return f"{table(lines, header)}\n\n{summary}"
