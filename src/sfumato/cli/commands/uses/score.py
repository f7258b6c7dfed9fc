"""The command that scores examples, and shows the least likely ones with reasons."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

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
"""The units of log-densities."""
LOWEST = 5
"""Number of least likely rows shown."""
MAX_REASON_COLUMNS = 200
"""Largest number of columns for which reasons are computed."""
WHY = "why (nats lost against a typical value)"
MAX_REASONS, MIN_REASON_NATS = 3, 0.5
"""Most reasons shown for a row, and the fewest nats that a reason must cost."""


def score(
    run: str,
    file: str,
    /,
    *,
    given: Given = None,
    samples: Annotated[int, WHOLE_NUMBER] = 16,
    sampler: Literal["prior", "auto", "mixture", "flow", "flow-matching"] = "prior",
    seed: Annotated[int, SEED_FLAG] = 0,
    device: Annotated[Device, DEVICE] = "auto",
    out: Out = NOWHERE,
    say: Say = TALK,
) -> None:
    """Score how likely each example of a file is, and show the least likely ones with reasons.

    The score ranks examples: the lower, the more unusual, whatever the units of the columns. It is a lower bound on the
    log-density in nats, relative to the spread of each column in the training data; a row of typical values that are
    unrelated scores about 0. The column log_density is the log-density in the units of the data.

    Reasons are the values that cost the most nats, compared with the best typical value in their place. Rows are
    numbered from 1; images are also identified by file name, sequences by id. The table of -o has a row for each
    example. In JSON, scores and log_densities are lists over all rows, and lowest holds the least likely rows.

    Args:
        run: folder of a run, or its name under runs/
        file: file or folder of the kind the model was trained on, or a built-in set
        given: condition that replaces the one in the file, such as species=Adelie; can be repeated
        samples: draws of z for each example; the bound gets tighter with more
        sampler: by what density of codes: the model's own prior, or another that samples are drawn by, as for sfumato
            sample; that of flow-matching takes minutes for a thousand examples
    """
    import numpy as np

    out.check()
    auto = load_run(run, device)
    examples = read(auto, file)
    settings: dict[str, Any] = {"samples": samples, "seed": seed, "given": conditions(auto, given)}
    settings["sampler"] = sampler
    scores, densities = auto.scores_and_densities(examples, **settings)
    taken = ("row", "score", "log_density", "why")
    named = {key: names for key, names in named_by(auto, examples, file).items() if key not in taken}
    rows = np.argsort(scores, kind="stable")[:LOWEST].tolist()
    reasons = _reasons(auto, examples, rows, settings)
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
    means = {"score": _mean(scores), "log-density": _mean(densities)}
    summaries = [f"mean {name} {with_error(mean, error)}" for name, (mean, error) in means.items()]
    text = [
        f"{len(scores)} examples: {', '.join(summaries)} nats (standard error), the log-density {DENSITY_UNIT}",
        "Least likely:",
        table([_line(row, named) for row in lowest], [WHY if key == "why" else key for key in lowest[0]], indent="  "),
    ]
    if out.out is not None:
        text.append(f"All scores written to {out.out}")
    values: dict[str, Any] = {"examples": len(scores), "mean": means["score"][0], "standard_error": means["score"][1]}
    values |= {
        "mean_log_density": means["log-density"][0],
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
    auto: Autoencoder, examples: Any, rows: Sequence[int], settings: dict[str, Any]
) -> list[list[dict[str, Any]]]:
    """The reasons for the scores of these rows; empty if examples have no columns, or too many."""
    schema = auto.schema_
    if not schema.of_columns or schema.spec.entries > MAX_REASON_COLUMNS:
        return []
    return [strongest(reasons) for reasons in auto.explain_scores(examples, rows, **settings)]


def strongest(reasons: Sequence[Reason]) -> list[dict[str, Any]]:
    """The reasons for one score that are shown."""
    return [reason._asdict() for reason in reasons if reason.nats >= MIN_REASON_NATS][:MAX_REASONS]


def _line(row: dict[str, Any], named: dict[str, Any]) -> list[str]:
    cells = [str(row["row"]), *(str(row[key]) for key in named), number(row["score"]), number(row["log_density"])]
    if "why" in row:
        cells.append(", ".join(map(reason_text, row["why"])) or "no single value")
    return cells


def reason_text(why: dict[str, Any]) -> str:
    """A reason as one word of a line: column=value (nats)."""
    value = why["value"]
    shown = "missing" if value is None else f"{value:.6g}" if isinstance(value, float) else value
    return f"{why['column']}={shown} ({number(why['nats'], 2)})"
