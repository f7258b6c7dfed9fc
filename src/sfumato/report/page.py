"""The report of a run: one self-contained HTML file."""

from __future__ import annotations

import platform
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import torch

from sfumato import models
from sfumato._version import __version__
from sfumato.artifacts import Run
from sfumato.artifacts.places import CONFIG_FILE
from sfumato.data.core.options import DataOptions
from sfumato.data.core.schema import Schema
from sfumato.data.registry import kind_of
from sfumato.data.sequences.schema import SequenceSchema
from sfumato.diagnostics.remedies import typed
from sfumato.evaluation import Measure, registered_families
from sfumato.files import read_json
from sfumato.formatting import time_taken
from sfumato.latents.second_stage import CHOICE_FILE, SECOND_STAGE_FOLDER, SecondStage
from sfumato.models.protocols import Classifies, Forecasts, LatentSpace
from sfumato.networks import sizes_for
from sfumato.report.figures.style import ReportFigure
from sfumato.report.rendering import embedded, write
from sfumato.spec import Size
from sfumato.studies.compared_run import UNCOMPARED_OPTIONS
from sfumato.training.settings import Settings, resolve

if TYPE_CHECKING:
    from sfumato.diagnostics.finding import Finding

REPORT_FILE = "report.html"
VIDEOS_SUGGESTED = 16
T = TypeVar("T")


def write_report(
    run: Run,
    figures: Sequence[ReportFigure],
    measures: Sequence[Measure] = (),
    findings: Sequence[Finding] = (),
    *,
    complete: bool = True,
) -> Path:
    """Write `report.html` into the run folder, atomically.

    All names from the user (run, columns, labels, paths) are escaped.

    Args:
        run: the run; its config, schema and metrics are part of the report.
        figures: in the order they are shown.
        measures: the final measures.
        findings: the doctor's findings, which come first.
        complete: whether these are all measures that apply, not only the quick ones.

    Raises:
        SfumatoError: if the run is damaged or the folder cannot be written.
    """
    config, schema, metrics = run.config(), run.schema(), run.metrics()
    return write(
        "page.html.jinja",
        run.path / REPORT_FILE,
        name=run.name,
        summary=summary(config, schema),
        findings=findings,
        facts=[*facts(config, schema, metrics), *_drawn_by(run)],
        ledger=[] if (ledger := run.privacy()) is None else ledger.rows_shown(),
        figures=[embedded(figure) for figure in figures],
        families=by_family(measures, lambda measure: measure.family),
        more="" if complete else f"sfumato evaluate {run.called} && sfumato report {run.called}",
        columns=_columns(schema),
        commands=commands(run, config, schema),
        config=shlex.quote(str(run.path / CONFIG_FILE)),
        options=(run.path / CONFIG_FILE).read_text(encoding="utf-8"),
    )


def by_family(items: Sequence[T], family_of: Callable[[T], str]) -> list[tuple[str, list[T]]]:
    """Measures, or rows of them, grouped under the title of their family, in display order.

    A family that is not registered, as in a run of another installation, is titled by its name.
    """
    titles = {name: family.title for name, family in registered_families().items()}
    titles |= {name: name.capitalize() for name in map(family_of, items) if name not in titles}
    grouped = [(title, [item for item in items if family_of(item) == name]) for name, title in titles.items()]
    return [(title, ones) for title, ones in grouped if ones]


def summary(config: dict[str, Any], schema: Schema) -> str:
    """The model and its data in one line."""
    source = Path(str(config.get("source") or "data in memory")).name
    given = f", conditioned on {', '.join(schema.given_names)}" if schema.given_names else ""
    return f"{config['model']['name']} on {schema.spec.examples:,} examples of {source}{given}"


def facts(config: dict[str, Any], schema: Schema, metrics: Sequence[dict[str, Any]]) -> list[tuple[str, str]]:
    """Data, model, training time and versions as (name, value)."""
    model = config["model"]
    rows = [
        ("Data", Path(str(config.get("source") or "in memory")).name),
        ("Examples", f"{schema.spec.examples:,} in training, each of {schema.example_size}"),
        (
            "Model",
            " · ".join([model["name"], *(f"{name} {plain(value)}" for name, value in model.items() if name != "name")]),
        ),
        ("Likelihood", schema.spec.likelihood),
        ("Conditions", ", ".join(schema.given_names) or "none"),
    ]
    if metrics:
        last = metrics[-1]
        steps = (
            f"{last['step']:,} steps, {last['epoch']:.4g} epochs" if last.get("epoch") else f"{last['step']:,} steps"
        )
        rows.append(("Trained", f"{time_taken(float(last.get('seconds') or 0))} · {steps}"))
    versions = f"sfumato {__version__}, torch {torch.__version__}, Python {platform.python_version()}"
    rows += [
        ("Seed", str(config.get("training", {}).get("seed", 0))),
        ("Report written", datetime.now(UTC).strftime("%-d %B %Y, %H:%M UTC")),
        ("Versions", versions),
    ]
    return rows


def _drawn_by(run: Run) -> list[tuple[str, str]]:
    """What codes of samples are drawn by, and why, where that was chosen: (name, value)."""
    path = run.path / SECOND_STAGE_FOLDER / CHOICE_FILE
    return [("Samples", f"codes are drawn by {SecondStage.of_choice(read_json(path))}")] if path.is_file() else []


def commands(run: Run, config: dict[str, Any], schema: Schema) -> list[tuple[str, str]]:
    """Next commands as (purpose, command), with the run's own names and values filled in."""
    name = run.called
    source = shlex.quote(str(config.get("source") or "FILE"))
    kind = kind_of(schema)
    out = schema.file_suffix or kind.file_suffix or schema.stdout_suffix
    given = condition(schema)
    condition_flag = f" --given {shlex.quote(f'{given[0]}={given[1]}')}" if given else ""
    condition_argument = f", given={{{given[0]!r}: {given[1]!r}}}" if given else ""
    model = config["model"]["name"]
    every = "".join(f" --given {shlex.quote(name)}" for name in schema.given_names)
    count = VIDEOS_SUGGESTED if schema.file_suffix else kind.examples_suggested
    ahead, fitted = [], run.model()
    if isinstance(fitted, Classifies):
        ahead = [("Predict classes", f"sfumato predict {name} {source} -o predicted.csv")]
    if isinstance(schema, SequenceSchema) and isinstance(fitted, Forecasts):
        how = "" if schema.windows else f" --jumps {','.join(schema.steps((1, 4, 8)))}"
        ahead = [("Forecast", f"sfumato forecast {name} {source}{how} -o forecast{schema.file_suffix or '.csv'}")]
    moved = []
    if isinstance(fitted, LatentSpace):
        moved = [("See what each latent does", f"sfumato traverse {name} {source} -o latents{out}")]
    flags = f"{every}{data_flags(config['data'])}{_model_flags(config, schema)}"
    again = [
        (
            "Train with several seeds, to measure the spread; add --grid to vary options",
            f"sfumato sweep {source} --models {shlex.quote(model)}{flags} --seeds 5",
        )
    ]
    if "epsilon" in config.get("training", {}):  # Each training would cost as much again.
        again = []
    return [
        *ahead,
        ("Draw new examples", f"sfumato sample {name} -n {count}{condition_flag} -o new{out}"),
        ("Reconstruct your examples", f"sfumato reconstruct {name} {source} -o reconstructed{out}"),
        ("Encode your examples", f"sfumato encode {name} {source} -o latents.parquet"),
        *moved,
        ("Find unusual examples", f"sfumato score {name} {source}"),
        ("Evaluate the model by all measures", f"sfumato evaluate {name}"),
        ("Diagnose problems and get remedies", f"sfumato doctor {name}"),
        ("Compare with another run of the same data", f"sfumato compare {name} OTHER -o compare.html"),
        *again,
        (
            "Use it from Python",
            f"import sfumato\nm = sfumato.load({str(run.path)!r})\nm.sample({count}{condition_argument})",
        ),
    ]


def data_flags(options: Mapping[str, Any]) -> str:
    """The flags of the data, except for conditions and seed.

    >>> data_flags({"rows": 500, "likelihood": "auto", "drop": ["a b"], "sequences": True, "seed": 3})
    " --rows 500 --drop 'a b' --sequences"
    """
    usual = asdict(DataOptions())
    flags = []
    for name, value in options.items():
        plain = tuple(value) if isinstance(value, list) else value
        if name in ("given", "seed", "epsilon", "delta") or plain == usual[name]:
            continue
        flag = f"--{name.replace('_', '-')}"
        if isinstance(value, dict):
            single = f"--{name.removesuffix('s')}"
            flags += [f"{single} {shlex.quote(f'{column}={entry}')}" for column, entry in value.items()]
        elif name == "drop":
            flags += [f"{flag}{'=' if column[:1] == '-' else ' '}{shlex.quote(column)}" for column in value]
        else:
            flags.append(shlex.join(typed(name, value)))
    return "".join(f" {flag}" for flag in flags)


def _model_flags(config: dict[str, Any], schema: Schema) -> str:
    """The flags of model and training that differ from what would be chosen by default."""
    usual: dict[str, Any] = {option.name: option.default for option in models.options(config["model"]["name"])}
    sizes = sizes_for(schema.spec, Size())
    usual |= asdict(sizes) | {"network": sizes.kind}
    training = config.get("training", {})
    length = {name: training.get(name) for name in ("epochs", "steps", "batch_size")}
    how = {"schedule": training.get("schedule", Settings().schedule)}
    how |= {name: training.get(name) for name in ("epsilon", "delta")}
    spec, cells = schema.spec, models.memorised_cells(config["model"]["name"], schema.spec, config["model"])
    plans = [resolve(Settings(**how, **length_), spec.examples, spec.shape, cells=cells) for length_ in (length, {})]
    usual |= asdict(plans[0]) | {name: getattr(plans[1], name) for name in length} | {"schedule": Settings().schedule}
    words = []
    for name, value in (config["model"] | training).items():
        plain = tuple(value) if isinstance(value, list) else value
        if name in usual and name not in ("name", *UNCOMPARED_OPTIONS) and plain != usual[name]:
            words += typed(name, plain)
    return f" {shlex.join(words)}" if words else ""


def condition(schema: Schema) -> tuple[str, str] | None:
    """The first condition and one of its values, as typed; None if there are no conditions."""
    if not schema.given_names:
        return None
    name = schema.given_names[0]
    if kind_of(schema).named_columns and schema.given_rows is not None and len(schema.given_rows):
        import narwhals as nw

        rows = schema.given_rows[~schema.given_rows[:, 0].isnan()][:1]
        frame = nw.from_native(schema.decode(torch.zeros(len(rows), *schema.spec.shape), rows), eager_only=True)
        return (name, str(frame[name].to_list()[0])) if len(rows) else None
    return (name, schema.label_names[0]) if schema.label_names else (name, "0")


def _columns(schema: Schema) -> tuple[list[str], list[list[str]]]:
    described = schema.describe()
    header = [name for name in (described[0] if described else {}) if any(row.get(name) for row in described)]
    return header, [[row.get(column, "") for column in header] for row in described]


def plain(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
