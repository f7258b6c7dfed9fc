"""The commands that apply a trained model: sample, reconstruct, encode, predict."""

from __future__ import annotations

import sys
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from sfumato.cli.commands.run_io import Given, conditions, load_run, named_by, read, save
from sfumato.cli.flags import WHOLE_NUMBER, pairs
from sfumato.cli.output import DEVICE, FRESH, NOWHERE, TALK, Device, Out, Say, as_text
from sfumato.errors import SfumatoError

if TYPE_CHECKING:
    import numpy as np

    from sfumato.estimator import Autoencoder

Switch = Annotated[bool, Parameter(negative="", show_default=False)]
Repeated = Annotated[list[str] | None, Parameter(negative="", allow_leading_hyphen=True)]


def sample(
    run: str,
    /,
    *,
    n: Annotated[int, WHOLE_NUMBER, Parameter(name="-n")] = 100,
    given: Given = None,
    marginal: Annotated[bool, Parameter(negative="", show_default=False)] = False,
    temperature: Annotated[float, Parameter(metavar="X")] = 1.0,
    top_p: Annotated[float | None, Parameter(metavar="X")] = None,
    sampler: Literal["auto", "prior", "mixture", "flow", "flow-matching"] = "auto",
    guidance: Annotated[float, Parameter(metavar="X")] = 1.0,
    noise: Annotated[bool | None, Parameter(show_default=False)] = None,
    complete: Switch = False,
    ranges: Annotated[Repeated, Parameter(name="--range", metavar="NAME=LOW..HIGH")] = None,
    rules: Annotated[Repeated, Parameter(name="--rule", metavar="RULE")] = None,
    unique: Annotated[Repeated, Parameter(metavar="NAME")] = None,
    seed: Annotated[int | None, FRESH] = None,
    device: Annotated[Device, DEVICE] = "auto",
    out: Out = NOWHERE,
    say: Say = TALK,
) -> None:
    """Draw new examples from a trained model.

    They have the format of the training data: the same columns and types, images or vectors.

    Args:
        run: folder of a run, or its name under runs/
        n: number of examples
        given: condition as NAME=VALUE, such as species=Adelie; can be repeated. Conditions that are not set are drawn
            from the training data
        marginal: marginalise over the conditions that are not set, instead of drawing them first; rows of a table still
            contain a value for each, drawn to match the row
        temperature: scale of the latent noise within each component of the prior; below 1 samples are more typical,
            above 1 more varied; of text, the logits of each symbol are divided by it too
        top_p: of text, draw each symbol from the likeliest that have this probability together, such as 0.9
        sampler: what codes are drawn from: the model's own prior, or a density fitted to the training codes (mixture
            of normals, spline flow, flow-matching), which is fitted once and kept in the run; auto: what was chosen
            after training, the one under which held-out codes are the likeliest
        guidance: with flow-matching under conditions, how much more typical of them codes are; 1 is as they are
        noise: draw each value from its distribution given the code, instead of its mean (for categories, its mode); off
            by default for images only
        complete: fill the missing cells of a table, which samples have like the data, with values drawn by the model
        ranges: least and largest value of a column of a table, as age=18..99; either can be left out. Rows out of range
            are drawn again, up to a limit
        rules: condition on columns that rows must satisfy, as "start <= end" or "not (age < 18 and married == 'yes')",
            with + - * / and or not; a missing cell violates none
        unique: column in which no value may occur twice
    """
    if n < 1:
        raise SfumatoError(f"-n {n}: give at least 1")
    out.check()
    auto = load_run(run, device)
    with say.drawing(seed) as seed:
        raw = auto.sample(
            n,
            conditions(auto, given),
            seed=seed,
            temperature=temperature,
            top_p=top_p,
            marginal=marginal,
            noise=noise,
            sampler=sampler,
            complete=complete,
            ranges=pairs("--range", ranges),
            rules=rules or (),
            unique=unique or (),
            guidance=guidance,
        )
        deliver(auto, raw, n, "samples", out, say, seed)
        if sampler == "auto":
            say.note(f"Codes are drawn by {auto.second_stage()}")


def reconstruct(
    run: str,
    file: str,
    /,
    *,
    given: Given = None,
    encode_given: Given = None,
    draw: Switch = False,
    complete: Switch = False,
    seed: Annotated[int | None, FRESH] = None,
    device: Annotated[Device, DEVICE] = "auto",
    out: Out = NOWHERE,
    say: Say = TALK,
) -> None:
    """Encode the examples of a file and decode them again, optionally under other conditions.

    Images keep their file names, sequences their ids and times, tables their missing cells.

    Args:
        run: folder of a run, or its name under runs/
        file: file or folder of the kind the model was trained on, or a built-in set
        given: condition to decode under, such as species=Adelie; can be repeated. Those not set are the ones that the
            example is encoded under
        encode_given: condition to encode under, instead of the one in the file; can be repeated
        draw: draw the code and the example, instead of taking the mean of the code and the mode of the example
        complete: fill the missing cells of a table with the predictions of the decoder
    """
    out.check()
    auto = load_run(run, device)
    examples = read(auto, file)
    with say.drawing(seed) if draw else nullcontext() as seed:
        reconstructions = auto.reconstruct(
            examples,
            conditions(auto, given),
            encode_given=conditions(auto, encode_given, "--encode-given"),
            noise=draw,
            complete=complete,
            seed=seed,
        )
        deliver(auto, reconstructions, len(reconstructions), "reconstructions", out, say, seed, source=(examples, file))


def encode(
    run: str,
    file: str,
    /,
    *,
    given: Given = None,
    draw: Switch = False,
    seed: Annotated[int | None, FRESH] = None,
    device: Annotated[Device, DEVICE] = "auto",
    out: Out = NOWHERE,
    say: Say = TALK,
) -> None:
    """Write the latent code of every example of a file, in columns z1, z2, …

    The code is the mean of q(z|x), or the indices of its entries if codes are discrete. The first column is the file
    name of an image, or the id of a sequence.

    Args:
        run: folder of a run, or its name under runs/
        file: file or folder of the kind the model was trained on, or a built-in set
        given: condition that replaces the one in the file, such as species=Adelie; can be repeated
        draw: draw the code from q(z|x) instead of taking its mean
    """
    out.check()
    auto = load_run(run, device)
    examples = read(auto, file)
    with say.drawing(seed) if draw else nullcontext() as seed:
        codes = auto.encode(examples, conditions(auto, given), noise=draw, seed=seed)
        columns = {f"z{index + 1}": codes[:, index] for index in range(codes.shape[1])}
        _columns(auto, "codes", columns, file, out, say, named_by(auto, examples, file), seed)


def predict(
    run: str,
    file: str,
    /,
    *,
    device: Annotated[Device, DEVICE] = "auto",
    out: Out = NOWHERE,
    say: Say = TALK,
) -> None:
    """Predict the class of every example of a file, with the probability of each class (models m2 and m1_m2).

    Args:
        run: folder of a run, or its name under runs/
        file: file or folder of the kind the model was trained on, or a built-in set; its labels are ignored
    """
    from sfumato.models import registry

    out.check()
    auto = load_run(run, device)
    if not hasattr(auto, "predict_proba"):
        raise SfumatoError(
            f"{run}: {auto.config_.model} cannot predict classes; fit with --model {registry.classifiers()}"
        )
    examples = read(auto, file)
    probability = auto.predict_proba(examples)
    classes = auto.classes_
    columns = {str(auto.schema_.given_names[0]): classes[probability.argmax(1)]}
    columns |= {f"p({name})": probability[:, place] for place, name in enumerate(classes.tolist())}
    _columns(auto, "classes", columns, file, out, say, named_by(auto, examples, file))


def deliver(
    auto: Autoencoder,
    raw: Any,
    n: int,
    what: str,
    out: Out,
    say: Say,
    seed: int | None,
    source: tuple[Any, str] | None = None,
) -> None:
    """Write `raw` to the output file, or to stdout as CSV or text if there is none.

    Results for examples are written under the names of these: `source` holds the examples and their source.
    """
    from sfumato.data.registry import kind_of

    schema, path = auto.schema_, out.out

    def write(place: Path) -> None:
        if source is None:
            schema.write(raw, place)
        else:
            schema.write_beside(raw, place, *source)

    if path is None and (reason := kind_of(schema).needs_file):
        raise SfumatoError(reason)
    if path is not None:
        write(path)
        say.written({"out": path, "examples": n} | drawn_with(seed), lambda: f"{n} {what} written to {path}")
    elif say.json:
        named = {} if source is None else named_by(auto, *source)
        say.result(drawn_with(seed) | named | {what: _records(raw)}, str)
    else:
        sys.stdout.write(as_text(write, schema.stdout_suffix))


def _records(raw: Any) -> list[Any]:
    """A frame as one mapping per row, an array as lists."""
    import narwhals as nw

    if nw.dependencies.is_into_dataframe(raw):
        return list(nw.from_native(raw, eager_only=True).iter_rows(named=True))
    rows: list[Any] = raw.tolist()
    return rows


def drawn_with(seed: int | None) -> dict[str, int]:
    """The seed, for the JSON result; empty if nothing was drawn."""
    return {} if seed is None else {"seed": seed}


def _columns(
    auto: Autoencoder,
    what: str,
    columns: dict[str, np.ndarray],
    source: str,
    out: Out,
    say: Say,
    named: dict[str, list[Any]],
    seed: int | None = None,
) -> None:
    """Write `what` was computed for each example of a source, into a copy of it where its format has a place."""
    n = len(next(iter(columns.values())))
    if out.out is not None:
        if not auto.schema_.write_annotated(what, columns, out.out, source):
            save(columns, out.out, named)
        say.written({"out": out.out, "examples": n} | drawn_with(seed), lambda: f"{n} rows written to {out.out}")
    elif say.json:
        say.result(drawn_with(seed) | named | {name: column.tolist() for name, column in columns.items()}, str)
    else:
        sys.stdout.write(as_text(lambda place: save(columns, place, named)))
