"""The command that evaluates a run, or samples from elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from sfumato.cli.flags import WHOLE_NUMBER
from sfumato.cli.output import DEVICE, NOWHERE, SEED_FLAG, TALK, Device, Out, Say, table
from sfumato.errors import SfumatoError, did_you_mean
from sfumato.evaluation.families import registered_families
from sfumato.formatting import number, rounded, with_error

if TYPE_CHECKING:
    import numpy as np

    from sfumato.data.core.dataset import Dataset
    from sfumato.estimator import Autoencoder
    from sfumato.evaluation import Measure

ENDINGS = (".json", ".csv")
FAMILIES_FLAG = Parameter(
    metavar="NAME,NAME,…",
    show_default="all",
    help="which measures: " + "; ".join(f"{family.name}, {family.help}" for family in registered_families().values()),
)
Switch = Parameter(negative="", show_default=False)


def evaluate(
    run: str | None = None,
    file: str | None = None,
    /,
    *,
    real: Annotated[str | None, Parameter(metavar="FILE", show_default=False)] = None,
    made: Annotated[str | None, Parameter(metavar="FILE", show_default=False)] = None,
    holdout: Annotated[str | None, Parameter(metavar="FILE", show_default=False)] = None,
    families: Annotated[str | None, FAMILIES_FLAG] = None,
    k: Annotated[int | None, WHOLE_NUMBER, Parameter(name="--k", show_default="256 or fewer")] = None,
    samples: Annotated[int | None, WHOLE_NUMBER, Parameter(show_default="as many as learned from, up to 5000")] = None,
    sampler: Literal["auto", "prior", "mixture", "flow", "flow-matching"] = "auto",
    annealing: Annotated[int, WHOLE_NUMBER, Parameter(metavar="STEPS")] = 0,
    target: Annotated[str | None, Parameter(metavar="COLUMN", show_default="the label or the last category")] = None,
    factor: Annotated[list[str] | None, Parameter(negative="", metavar="COLUMN")] = None,
    quick: Annotated[bool, Switch] = False,
    explain: Annotated[bool, Switch] = False,
    seed: Annotated[int, SEED_FLAG] = 0,
    device: Annotated[Device, DEVICE] = "auto",
    out: Out = NOWHERE,
    say: Say = TALK,
) -> None:
    """Evaluate a model by all measures that apply to it and to its data.

    It is evaluated on the test split of its own data, opened again from their source, or on FILE. Without FILE the
    result is also written to the run, as evaluation.json.

    Without a run, --real and --made compare samples from any other source with real data, by all measures of samples
    that need no model.

    Args:
        run: folder of a run, or its name under runs/
        file: file or folder of the kind the model was trained on, to evaluate on instead
        real: real data, without a run
        made: samples of the same kind as the real data, without a run
        holdout: real data that the source of the samples has not seen; adds the measures of privacy
        k: importance-weighted draws of the code for the likelihood of each example; papers use up to 5000
        samples: examples drawn from the model for the measures of samples
        sampler: what they are drawn by, as for sfumato sample; prior judges the model by itself. One that is named
            also gives the −ELBO with its density of codes in the prior's place
        annealing: steps of annealed importance sampling, a slow check of the likelihood; 0 for none
        target: column that a model trained on samples predicts on real rows
        factor: column that is a known factor of variation, for the measures of disentanglement; can be repeated
        quick: leave out measures that take more than seconds
        explain: add a line on the meaning of each measure
    """
    chosen = _families(families)
    _check_options(chosen, quick, factor, k, samples, None if sampler == "auto" else sampler, annealing, target)
    if run is None or real is not None or made is not None or holdout is not None:
        others = {"--families": families, "--k": k, "--annealing": annealing, "--factor": factor}
        others["--sampler"] = None if sampler == "auto" else sampler
        _without_run(run, real, made, others)
    for flag, value, least in (("--k", k, 1), ("--samples", samples, 4), ("--annealing", annealing, 0)):
        if value is not None and value < least:
            raise SfumatoError(f"{flag} {value}: give {least} or more")
    if out.out is not None and out.out.suffix not in ENDINGS:
        raise SfumatoError(f"{out.out}: use the extension .json or .csv")
    out.check()
    if run is None:
        _evaluate_files(
            real, made, holdout, {"samples": samples, "target": target, "seed": seed, "quick": quick}, explain, out, say
        )
        return

    from sfumato.estimator import load
    from sfumato.estimator.evaluation_data import EvaluationData, evaluation_data
    from sfumato.evaluation.disentanglement.measures import MIN_FACTOR_EXAMPLES
    from sfumato.evaluation.subject import MAX_EXAMPLES, MAX_QUICK_EXAMPLES, held_out, most_of
    from sfumato.formatting import count

    auto = load(run, device=device)
    data, name = evaluation_data(auto.config_, auto.schema_, None, file)
    factors = {column: _column(auto, data, file, column) for column in factor or ()}
    part, rows = held_out(data)
    total = min(len(rows), most_of(auto.schema_.spec, MAX_QUICK_EXAMPLES if quick else MAX_EXAMPLES))
    say.note(f"Evaluating {run} on {count(total, 'example')}: {name or f'its {part}'}")
    measures = auto.evaluate(
        EvaluationData(data, name),
        families=chosen,
        k=k,
        samples=samples,
        sampler=sampler,
        annealing=annealing,
        factors=factors or None,
        target=target,
        seed=seed,
        quick=quick,
    )
    how = {"part": name or part, "examples": total, "seed": seed, "quick": quick}
    if (ledger := auto.privacy_) is not None:
        how["privacy"] = ledger.promise
        say.note(f"Trained with {ledger.promise}; the measures are of real rows, which that does not cover")
    if "samples" in chosen:
        how["drawn_by"] = str(auto.second_stage()) if sampler == "auto" else sampler
        say.note(f"Codes of samples are drawn by {how['drawn_by']}")
    if factor and "disentanglement" in chosen and not any(measure.family == "disentanglement" for measure in measures):
        say.note(
            f"No disentanglement scores: they need {MIN_FACTOR_EXAMPLES} examples whose factors are known and vary, "
            "and continuous codes"
        )
    settings: dict[str, Any] = {"k": k, "samples": samples, "sampler": sampler, "annealing": annealing}
    settings |= {"target": target, "factors": sorted(factor or ())}
    if file is None:
        stayed = _store(auto, measures, chosen, how | settings)
        if stayed:
            say.note(
                f"The run already has full measures of {', '.join(stayed)}; these quick ones are not written to it"
            )
    _print(measures, how, explain, out, say)


def _without_run(run: str | None, real: str | None, made: str | None, others: dict[str, Any]) -> None:
    """Refuse a run together with files, neither of them, and options that need a model."""
    if run is not None:
        raise SfumatoError(
            f"{run}: a run cannot be combined with --real, --made and --holdout; leave out one or the other"
        )
    if real is None or made is None:
        raise SfumatoError("nothing to evaluate: pass a run, or real data and samples as --real FILE --made FILE")
    for flag, value in others.items():
        if value:
            raise SfumatoError(f"{flag} needs a model; leave it out with --real and --made")


def _evaluate_files(
    real: Any, made: Any, holdout: str | None, how: dict[str, Any], explain: bool, out: Out, say: Say
) -> None:
    """Evaluate samples from another source."""
    from sfumato.evaluation.samples.external_samples import evaluate

    say.note(f"Evaluating {made} against {real if holdout is None else holdout}")
    if holdout is None:
        say.note("No measures of privacy: they need --holdout, real data that the source of the samples has not seen")
    measures = evaluate(real, made, holdout=holdout, **how)
    summary = {"real": real, "made": made, "holdout": holdout, "seed": how["seed"], "quick": how["quick"]}
    _print(measures, summary, explain, out, say)


def _print(measures: Sequence[Measure], how: dict[str, Any], explain: bool, out: Out, say: Say) -> None:
    """Write the measures to the output file, if any, and print them."""
    if out.out is not None:
        _save(measures, how, out.out)
    lines = [_text(measures, explain)]
    lines += [f"Written to {out.out}"] if out.out is not None else []
    say.result(how | {"measures": [measure.to_dict() for measure in measures]}, lambda: "\n\n".join(lines))


def _check_options(
    chosen: Sequence[str],
    quick: bool,
    factor: Sequence[str] | None,
    k: int | None,
    samples: int | None,
    sampler: str | None,
    annealing: int,
    target: str | None,
) -> None:
    """Refuse options that would do nothing."""
    for flag, value, setting in (
        ("--factor", factor, "factors"),
        ("--k", k, "k"),
        ("--annealing", annealing, "annealing"),
        ("--samples", samples, "samples"),
        ("--sampler", sampler, "sampler"),
        ("--target", target, "target"),
    ):
        if not value:
            continue
        families = [family for family in registered_families().values() if setting in family.settings]
        if not any(family.name in chosen for family in families):
            names = " and ".join(family.name for family in families)
            raise SfumatoError(f"{flag} is for the measures of {names}; add {families[0].name} to --families")
        if quick and any(setting in family.thorough for family in families):
            raise SfumatoError(f"{flag} cannot be combined with --quick; leave out one of them")


def _families(words: str | None) -> tuple[str, ...]:
    known = tuple(registered_families())
    if words is None:
        return known
    chosen = [word.strip() for word in words.split(",") if word.strip()]
    for word in chosen:
        if word not in known:
            raise SfumatoError(f"--families {word}: no such family of measures; {did_you_mean(word, known)}")
    if not chosen:
        raise SfumatoError(f"--families is empty: choose from {', '.join(known)}")
    return tuple(family for family in known if family in chosen)


def _column(auto: Autoencoder, data: Dataset, file: str | None, name: str) -> np.ndarray:
    """A column of the file, or of the examples the model is evaluated on; strings as category indices.

    Raises:
        SfumatoError: if there is no such column.
    """
    import narwhals as nw
    import numpy as np

    from sfumato.data.core.labels import LABEL
    from sfumato.data.io import frames
    from sfumato.evaluation.subject import held_out

    where = file or "the columns of the model"
    if file is not None:
        if not str(file).lower().endswith(frames.TABLE_SUFFIXES):
            raise SfumatoError(
                f"--factor {name}: {file} is not a table with columns; pass one such as {frames.TABLE_SUFFIXES[0]}"
            )
        frame = nw.from_native(frames.read(file)[0], eager_only=True)
    else:
        _, batches = held_out(data)
        if name in (LABEL, auto.config_.data.label) and batches.labels is not None:
            return np.asarray(batches.labels)
        everyone = batches.take(slice(0, len(batches)))
        decoded = auto.schema_.decode(everyone.x.cpu(), everyone.given)
        if not nw.dependencies.is_into_dataframe(decoded):
            raise SfumatoError(f"--factor {name}: the data have no columns; pass a table with that column as FILE")
        frame = nw.from_native(decoded, eager_only=True)
    if name not in frame.columns:
        raise SfumatoError(f"--factor {name}: not among {where}; {did_you_mean(name, frame.columns)}")
    values = frame[name].to_numpy()
    return values if values.dtype.kind in "biuf" else np.unique(values.astype(str), return_inverse=True)[1]


def _store(
    auto: Autoencoder, measures: Sequence[Measure], families: Sequence[str], how: dict[str, Any]
) -> tuple[str, ...]:
    """Write evaluation.json into the run; returns the families of which better measures were kept."""
    from sfumato import evaluation

    run = auto.run_
    assert run is not None, "loaded runs have a folder"
    sealed = run.sealed()
    run.unseal()
    stayed = evaluation.write(run.path, measures, families, **how)
    if sealed:
        run.seal()
    return stayed


def _save(measures: Sequence[Measure], how: dict[str, Any], path: Path) -> None:
    """Write as JSON, or as a table with a row for each measure and each of its parts."""
    from sfumato.data.io import frames
    from sfumato.files import finite, write_json

    if path.suffix == ".json":
        write_json(path, how | {"measures": [finite(measure.to_dict()) for measure in measures]})
        return
    import pyarrow as pa

    names = ("family", "name", "part", "value", "error", "unit", "reference", "reference_is", "better", "meaning")
    rows: list[dict[str, Any]] = []
    for measure in measures:
        rows.append({name: getattr(measure, name, None) for name in names} | {"value": float(measure.value)})
        rows += [
            {"family": measure.family, "name": measure.name, "part": part, "value": float(value), "unit": measure.unit}
            for part, value in measure.parts.items()
        ]
    frames.write(pa.table({name: [row.get(name) for row in rows] for name in names}), path)


def _text(measures: Sequence[Measure], explain: bool) -> str:
    """A table for each family."""
    if not measures:
        return "None of the selected measures applies to this model and these data."
    blocks = []
    for family in dict.fromkeys(measure.family for measure in measures):
        mine = [measure for measure in measures if measure.family == family]
        rows = [_row(measure) for measure in mine]
        lines = table(rows, indent="  ").splitlines()
        if explain:
            meanings = {row[0]: measure.meaning for row, measure in zip(rows, mine, strict=True)}
            lines = table([[name, meaning] for name, meaning in meanings.items()], indent="  ").splitlines()
            lines = [*table(rows, indent="  ").splitlines(), "", *lines]
        blocks.append("\n".join([family.capitalize(), *lines]))
    return "\n\n".join(blocks)


def _row(measure: Measure) -> list[str]:
    value = with_error(measure.value, measure.error)
    known = ""
    if measure.reference is not None:
        reference = (rounded(measure.reference, measure.error) or (number(measure.reference),))[0]
        known = f"({reference}: {measure.reference_is})"
    return [measure.name, value, " ".join(part for part in (measure.unit, known) if part)]
