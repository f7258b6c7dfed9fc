"""The command that scores examples, and says which are the least likely and why."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from sfumato.cli.commands.run_io import Given, conditions, load_run, named_by, read, save
from sfumato.cli.flags import WHOLE_NUMBER
from sfumato.cli.output import DEVICE, NOWHERE, SEED_FLAG, TALK, Device, Out, Say, table
from sfumato.formatting import number, with_error

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np

    from sfumato.estimator import Autoencoder
    from sfumato.estimator.methods.scoring import Reason

DENSITY_UNIT = "in the units of your data"
"""What log-densities are told in."""
LOWEST = 5
"""How many of the least likely rows are shown."""
MAX_REASON_COLUMNS = 200
"""Columns up to which the reasons are looked for."""
WHY = "why (nats lost against a usual value)"
MAX_REASONS, MIN_REASON_NATS = 3, 0.5
"""At most so many reasons are shown of a row, and none that costs fewer nats."""


def score(
    run: str,
    file: str,
    /,
    *,
    given: Given = None,
    samples: Annotated[int, WHOLE_NUMBER] = 16,
    seed: Annotated[int, SEED_FLAG] = 0,
    device: Annotated[Device, DEVICE] = "auto",
    out: Out = NOWHERE,
    say: Say = TALK,
) -> None:
    """Say how likely each example of a file is, and which are the least likely and why.

    The score ranks them: higher is more likely, the lowest are the oddest, whatever the units of columns. It is a
    lower bound on the log-density, in nats, told against how the values of each column are spread in training; a
    row of usual values that have nothing to do with each other scores about 0. Beside it stands the log-density in the
    units of the data, as log_density.

    Reasons are the values that cost most nats, against the best usual value in their place. Rows are counted from 1,
    and pictures also told by their files, sequences by their ids. The table of -o has a row for each example. As
    JSON, scores and log_densities are those of all rows in turn, and lowest are the oddest ones, each with its row.

    Args:
        run: folder of a run, or its name under runs/
        file: file or folder of the kind the model was trained on, or a built-in set
        given: value of a condition that replaces the one in the file, as species=Adelie; repeat it for more
        samples: draws of z for each example; the bound rises towards the log-density with more
    """
    import numpy as np

    out.check()
    auto = load_run(run, device)
    examples = read(auto, file)
    asked: dict[str, Any] = {"samples": samples, "seed": seed, "given": conditions(auto, given)}
    scores, densities = auto.scores_and_densities(examples, **asked)
    taken = ("row", "score", "log_density", "why")
    named = {key: names for key, names in named_by(auto, examples, file).items() if key not in taken}
    rows = np.argsort(scores, kind="stable")[:LOWEST].tolist()
    reasons = _reasons(auto, examples, rows, asked)
    lowest: list[dict[str, Any]] = [
        {"row": row + 1}
        | {key: names[row] for key, names in named.items()}
        | {"score": float(scores[row]), "log_density": float(densities[row])}
        | ({"why": why} if reasons else {})
        for row, why in zip(rows, reasons or rows, strict=True)
    ]
    if out.out is not None:
        columns = {"score": scores, "log_density": densities}
        save(columns, out.out, {"row": np.arange(len(scores)) + 1} | named)
    told = {"score": _mean(scores), "log-density": _mean(densities)}
    spoken = [f"mean {name} {with_error(mean, error)}" for name, (mean, error) in told.items()]
    text = [
        f"{len(scores)} examples: {', '.join(spoken)} nats (standard error), the log-density {DENSITY_UNIT}",
        "Least likely:",
        table([_line(one, named) for one in lowest], [WHY if key == "why" else key for key in lowest[0]], indent="  "),
    ]
    if out.out is not None:
        text.append(f"All scores written to {out.out}")
    values: dict[str, Any] = {"examples": len(scores), "mean": told["score"][0], "standard_error": told["score"][1]}
    values |= {
        "mean_log_density": told["log-density"][0],
        "unit": f"nats; log-densities {DENSITY_UNIT}",
        "lowest": lowest,
    }
    if out.out is None:
        values = named | values | {"scores": scores.tolist(), "log_densities": densities.tolist()}
        say.result(values, lambda: "\n".join(text))
    else:
        say.written(values | {"out": out.out}, lambda: "\n".join(text))


def _mean(values: np.ndarray) -> tuple[float, float | None]:
    """Mean and standard error."""
    error = float(values.std(ddof=1) / len(values) ** 0.5) if len(values) > 1 else None
    return float(values.mean()), error


def _reasons(
    auto: Autoencoder, examples: Any, rows: Sequence[int], asked: dict[str, Any]
) -> list[list[dict[str, Any]]]:
    """What the scores of these rows are due to; nothing where examples have no columns, or too many."""
    schema = auto.schema_
    if not schema.of_columns or schema.spec.entries > MAX_REASON_COLUMNS:
        return []
    found: list[list[Reason]] = auto.explain_scores(examples, rows, **asked)
    return [
        [reason._asdict() for reason in reasons if reason.nats >= MIN_REASON_NATS][:MAX_REASONS] for reasons in found
    ]


def _line(one: dict[str, Any], named: dict[str, Any]) -> list[str]:
    cells = [str(one["row"]), *(str(one[key]) for key in named), number(one["score"]), number(one["log_density"])]
    if "why" in one:
        cells.append(", ".join(map(_told, one["why"])) or "no value alone")
    return cells


def _told(why: dict[str, Any]) -> str:
    value = why["value"]
    shown = "missing" if value is None else f"{value:.6g}" if isinstance(value, float) else value
    return f"{why['column']}={shown} ({number(why['nats'], 2)})"
