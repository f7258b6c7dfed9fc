"""The command that says whether a run is any good."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

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
    """Say whether a model is any good, by all measures that apply to it and to its data.

    Judged by the test part of its own data, opened again from where they were, or by the rows of FILE. Without FILE
    the result is also kept in the run, as evaluation.json.

    Without a run, --real and --made say how samples that somebody else made stand to real data, by all measures of
    samples that need no model.

    Args:
        run: folder of a run, or its name under runs/
        file: file or folder of the kind the model was trained on, to be judged by instead
        real: without a run, real data
        made: without a run, samples of the same kind as the real data
        holdout: real data that were kept from whoever made the samples; then also what samples give away of the others
        k: weighted draws of the code for the likelihood of each example; up to 5000 is usual in papers
        samples: examples drawn from the model for the measures of samples
        annealing: steps of annealed importance sampling, a slow check of the likelihood; 0 leaves it out
        target: column that a learner of samples is asked for on real rows
        factor: column that is a known factor of variation, for the measures of disentanglement; repeat it for more
        quick: leave out what takes more than seconds
        explain: a line on what each number means
    """
    asked = _families(families)
    _act(asked, quick, factor, k, samples, annealing, target)
    if run is None or real is not None or made is not None or holdout is not None:
        others = {"--families": families, "--k": k, "--annealing": annealing, "--factor": factor}
        _without_run(run, real, made, others)
    for flag, value, least in (("--k", k, 1), ("--samples", samples, 4), ("--annealing", annealing, 0)):
        if value is not None and value < least:
            raise SfumatoError(f"{flag} {value}: give {least} or more")
    if out.out is not None and out.out.suffix not in ENDINGS:
        raise SfumatoError(f"{out.out}: give it an ending .json or .csv")
    out.check()
    if run is None:
        _against(
            real, made, holdout, {"samples": samples, "target": target, "seed": seed, "quick": quick}, explain, out, say
        )
        return

    from sfumato.estimator import load
    from sfumato.estimator.evaluation_data import Judged, judged
    from sfumato.evaluation.disentanglement.measures import MIN_FACTOR_EXAMPLES
    from sfumato.evaluation.subject import MAX_EXAMPLES, MAX_QUICK_EXAMPLES, held_out, most_of
    from sfumato.formatting import count

    auto = load(run, device=device)
    data, name = judged(auto.config_, auto.schema_, None, file)
    factors = {column: _column(auto, data, file, column) for column in factor or ()}
    part, rows = held_out(data)
    total = min(len(rows), most_of(auto.schema_.spec, MAX_QUICK_EXAMPLES if quick else MAX_EXAMPLES))
    say.note(f"Judging {run} by {count(total, 'example')}: {name or f'its {part}'}")
    found = auto.evaluate(
        Judged(data, name),
        families=asked,
        k=k,
        samples=samples,
        annealing=annealing,
        factors=factors or None,
        target=target,
        seed=seed,
        quick=quick,
    )
    told = {"part": name or part, "examples": total, "seed": seed, "quick": quick}
    if factor and "disentanglement" in asked and not any(one.family == "disentanglement" for one in found):
        say.note(
            f"No scores of disentanglement: they need {MIN_FACTOR_EXAMPLES} examples whose factors are known and vary, "
            "and codes that are points of a space"
        )
    settings = {"k": k, "samples": samples, "annealing": annealing, "target": target, "factors": sorted(factor or ())}
    if file is None:
        stayed = _keep(auto, found, asked, told | settings)
        if stayed:
            say.note(f"The full measures of {', '.join(stayed)} that the run has stay in it; these are not kept")
    _tell(found, told, explain, out, say)


def _without_run(run: str | None, real: str | None, made: str | None, others: dict[str, Any]) -> None:
    """Refuse to judge a run and files at once, or neither, and options that need a model."""
    if run is not None:
        raise SfumatoError(f"{run}: a run is judged by itself; leave out the run, or --real, --made and --holdout")
    if real is None or made is None:
        raise SfumatoError("nothing to judge: name a run, or real data and samples as --real FILE --made FILE")
    for flag, value in others.items():
        if value:
            raise SfumatoError(f"{flag} needs a model; leave it out with --real and --made")


def _against(real: Any, made: Any, holdout: str | None, how: dict[str, Any], explain: bool, out: Out, say: Say) -> None:
    """Judge samples that somebody else made."""
    from sfumato.evaluation.samples.external_samples import evaluate

    say.note(f"Judging {made} by {real if holdout is None else holdout}")
    if holdout is None:
        say.note(
            "What samples give away of the real data is not judged: that takes --holdout, data kept from their maker"
        )
    found = evaluate(real, made, holdout=holdout, **how)
    told = {"real": real, "made": made, "holdout": holdout, "seed": how["seed"], "quick": how["quick"]}
    _tell(found, told, explain, out, say)


def _tell(found: Sequence[Measure], told: dict[str, Any], explain: bool, out: Out, say: Say) -> None:
    """Write the measures where that is asked for, and say them."""
    if out.out is not None:
        _save(found, told, out.out)
    lines = [_text(found, explain)]
    lines += [f"Written to {out.out}"] if out.out is not None else []
    say.result(told | {"measures": [one.to_dict() for one in found]}, lambda: "\n\n".join(lines))


def _act(
    asked: Sequence[str],
    quick: bool,
    factor: Sequence[str] | None,
    k: int | None,
    samples: int | None,
    annealing: int,
    target: str | None,
) -> None:
    """Refuse options that would do nothing."""
    for flag, value, setting in (
        ("--factor", factor, "factors"),
        ("--k", k, "k"),
        ("--annealing", annealing, "annealing"),
        ("--samples", samples, "samples"),
        ("--target", target, "target"),
    ):
        if not value:
            continue
        family = next(one for one in registered_families().values() if setting in one.settings)
        if family.name not in asked:
            raise SfumatoError(f"{flag} is for the measures of {family.name}; add {family.name} to --families")
        if quick and setting in family.thorough:
            raise SfumatoError(f"{flag} takes more than the seconds of --quick; leave out one of the two")


def _families(words: str | None) -> tuple[str, ...]:
    known = tuple(registered_families())
    if words is None:
        return known
    asked = [word.strip() for word in words.split(",") if word.strip()]
    for word in asked:
        if word not in known:
            raise SfumatoError(f"--families {word}: no measures are called so; {did_you_mean(word, known)}")
    if not asked:
        raise SfumatoError(f"--families is empty: choose of {', '.join(known)}")
    return tuple(family for family in known if family in asked)


def _column(auto: Autoencoder, data: Dataset, file: str | None, name: str) -> np.ndarray:
    """A column of the file, or of the examples the model is judged by; words as the numbers of their kinds.

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
                f"--factor {name}: {file} is no table with columns; give one of {frames.TABLE_SUFFIXES[0]}"
            )
        frame = nw.from_native(frames.read(file)[0], eager_only=True)
    else:
        _, batches = held_out(data)
        if name in (LABEL, auto.config_.data.label) and batches.labels is not None:
            return np.asarray(batches.labels)
        everyone = batches.take(slice(0, len(batches)))
        made = auto.schema_.decode(everyone.x.cpu(), everyone.given)
        if not nw.dependencies.is_into_dataframe(made):
            raise SfumatoError(f"--factor {name}: the data have no columns; give a table as FILE, with that column")
        frame = nw.from_native(made, eager_only=True)
    if name not in frame.columns:
        raise SfumatoError(f"--factor {name}: not among {where}; {did_you_mean(name, frame.columns)}")
    values = frame[name].to_numpy()
    return values if values.dtype.kind in "biuf" else np.unique(values.astype(str), return_inverse=True)[1]


def _keep(
    auto: Autoencoder, found: Sequence[Measure], families: Sequence[str], told: dict[str, Any]
) -> tuple[str, ...]:
    """Write evaluation.json into the run, and record it; the families of which better measures stayed."""
    from sfumato import evaluation

    run = auto.run_
    assert run is not None, "what was loaded has a folder"
    sealed = run.sealed()
    run.unseal()
    stayed = evaluation.write(run.path, found, families, **told)
    if sealed:
        run.seal()
    return stayed


def _save(found: Sequence[Measure], told: dict[str, Any], path: Path) -> None:
    """As JSON, or as a table with a row for each measure and for each of its parts."""
    from sfumato.data.io import frames
    from sfumato.files import finite, write_json

    if path.suffix == ".json":
        write_json(path, told | {"measures": [finite(one.to_dict()) for one in found]})
        return
    import pyarrow as pa

    names = ("family", "name", "part", "value", "error", "unit", "reference", "reference_is", "better", "meaning")
    rows: list[dict[str, Any]] = []
    for one in found:
        rows.append({name: getattr(one, name, None) for name in names} | {"value": float(one.value)})
        rows += [
            {"family": one.family, "name": one.name, "part": part, "value": float(value), "unit": one.unit}
            for part, value in one.parts.items()
        ]
    frames.write(pa.table({name: [row.get(name) for row in rows] for name in names}), path)


def _text(found: Sequence[Measure], explain: bool) -> str:
    """A table for each family."""
    if not found:
        return "Nothing of what was asked for applies to this model and these data."
    blocks = []
    for family in dict.fromkeys(one.family for one in found):
        mine = [one for one in found if one.family == family]
        rows = [_row(one) for one in mine]
        lines = table(rows, indent="  ").splitlines()
        if explain:
            meanings = {row[0]: one.meaning for row, one in zip(rows, mine, strict=True)}
            lines = table([[name, meaning] for name, meaning in meanings.items()], indent="  ").splitlines()
            lines = [*table(rows, indent="  ").splitlines(), "", *lines]
        blocks.append("\n".join([family.capitalize(), *lines]))
    return "\n\n".join(blocks)


def _row(one: Measure) -> list[str]:
    value = with_error(one.value, one.error)
    known = ""
    if one.reference is not None:
        reference = (rounded(one.reference, one.error) or (number(one.reference),))[0]
        known = f"({reference}: {one.reference_is})"
    return [one.name, value, " ".join(part for part in (one.unit, known) if part)]
