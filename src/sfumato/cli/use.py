"""The commands that use a trained run: sample, reconstruct, encode, score, forecast."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from sfumato.cli.flags import pairs
from sfumato.cli.output import DEVICE, NOWHERE, SEED, TALK, Device, Out, Say, as_text, number, table
from sfumato.data.options import DataOptions
from sfumato.errors import SfumatoError

if TYPE_CHECKING:
    import numpy as np

    from sfumato.estimator import Autoencoder

Given = Annotated[list[str] | None, Parameter(negative="", metavar="NAME=VALUE")]
Draw = Annotated[bool, Parameter(negative="", show_default=False)]

LOWEST = 5
"""How many of the least likely rows `score` shows."""


def sample(
    run: str,
    /,
    *,
    n: Annotated[int, Parameter(name="-n", metavar="N")] = 100,
    given: Given = None,
    marginal: Annotated[bool, Parameter(negative="", show_default=False)] = False,
    temperature: Annotated[float, Parameter(metavar="X")] = 1.0,
    sampler: Literal["prior", "mixture", "flow"] = "prior",
    seed: Annotated[int, SEED] = 0,
    device: Annotated[Device, DEVICE] = "auto",
    out: Out = NOWHERE,
    say: Say = TALK,
) -> None:
    """Draw new examples from a trained model.

    They come back as the data went in: the same columns and types, pictures, vectors.

    Args:
        run: folder of a run, or its name under runs/
        n: how many to draw
        given: value of a condition, as species=Adelie; repeat it for more. Conditions that are not named are drawn
            from the training data
        marginal: leave out the conditions that are not named, instead of drawing them
        temperature: spread of the latent draws; below 1 samples are more typical, above 1 more varied
        sampler: where codes are drawn: the prior, or a mixture of normals or a flow fitted to the training codes
    """
    if n < 1:
        raise SfumatoError(f"-n {n}: ask for at least one example")
    out.check()
    auto = _load(run, device)
    raw = auto.sample(
        n, pairs("--given", given), seed=seed, temperature=temperature, marginal=marginal, sampler=sampler
    )
    _deliver(auto, raw, n, "samples", out, say)


def reconstruct(
    run: str,
    file: str,
    /,
    *,
    given: Given = None,
    draw: Draw = False,
    seed: Annotated[int, SEED] = 0,
    device: Annotated[Device, DEVICE] = "auto",
    out: Out = NOWHERE,
    say: Say = TALK,
) -> None:
    """Encode the examples of a file and decode them again.

    Args:
        run: folder of a run, or its name under runs/
        file: file or folder of the kind the model was trained on, or a built-in set
        given: value of a condition that replaces the one in the file, as species=Adelie; repeat it for more
        draw: draw code and example, instead of taking the mean of the one and the likeliest value of the other
    """
    out.check()
    auto = _load(run, device)
    raw = auto.reconstruct(_read(auto, file), pairs("--given", given), noise=draw, seed=seed)
    _deliver(auto, raw, len(raw), "reconstructions", out, say)


def encode(
    run: str,
    file: str,
    /,
    *,
    given: Given = None,
    draw: Draw = False,
    seed: Annotated[int, SEED] = 0,
    device: Annotated[Device, DEVICE] = "auto",
    out: Out = NOWHERE,
    say: Say = TALK,
) -> None:
    """Write the latent code of every example of a file, in columns z1, z2, …

    The code is the mean of q(z|x), or the numbers of its entries where codes are discrete.

    Args:
        run: folder of a run, or its name under runs/
        file: file or folder of the kind the model was trained on, or a built-in set
        given: value of a condition that replaces the one in the file, as species=Adelie; repeat it for more
        draw: draw the code from q(z|x) instead of taking its mean
    """
    out.check()
    auto = _load(run, device)
    codes = auto.encode(_read(auto, file), pairs("--given", given), noise=draw, seed=seed)
    _columns({f"z{index + 1}": codes[:, index] for index in range(codes.shape[1])}, out, say)


def predict(
    run: str,
    file: str,
    /,
    *,
    device: Annotated[Device, DEVICE] = "auto",
    out: Out = NOWHERE,
    say: Say = TALK,
) -> None:
    """Tell the class of every example of a file, with the probability of each class (model m2).

    Args:
        run: folder of a run, or its name under runs/
        file: file or folder of the kind the model was trained on, or a built-in set; its labels are not looked at
    """
    out.check()
    auto = _load(run, device)
    if not hasattr(auto, "predict_proba"):
        raise SfumatoError(f"{run}: a {auto.config_.model} cannot tell classes; fit with --model m2")
    probability = auto.predict_proba(_read(auto, file))
    classes = auto.classes_
    columns = {str(auto.schema_.given_names[0]): classes[probability.argmax(1)]}
    columns |= {f"p({name})": probability[:, place] for place, name in enumerate(classes.tolist())}
    _columns(columns, out, say)


def score(
    run: str,
    file: str,
    /,
    *,
    given: Given = None,
    samples: Annotated[int, Parameter(metavar="N")] = 16,
    seed: Annotated[int, SEED] = 0,
    device: Annotated[Device, DEVICE] = "auto",
    out: Out = NOWHERE,
    say: Say = TALK,
) -> None:
    """Say how likely each example of a file is: a lower bound on log p(x), in nats.

    Higher is more likely; the rows of the lowest scores are the oddest ones.

    Args:
        run: folder of a run, or its name under runs/
        file: file or folder of the kind the model was trained on, or a built-in set
        given: value of a condition that replaces the one in the file, as species=Adelie; repeat it for more
        samples: draws of z for each example; the bound rises towards log p(x) with more
    """
    import numpy as np

    out.check()
    auto = _load(run, device)
    examples = _read(auto, file)
    scores = auto.score_samples(examples, samples=samples, seed=seed, given=pairs("--given", given))
    mean = float(scores.mean())
    error = float(scores.std(ddof=1) / len(scores) ** 0.5) if len(scores) > 1 else None
    lowest = [(int(row) + 1, float(scores[row])) for row in np.argsort(scores, kind="stable")[:LOWEST]]
    if out.out is not None:
        _save({"score": scores}, out.out)
    text = [
        f"{len(scores)} examples: mean {number(mean)} ± {number(error, 2)} nats (standard error)",
        "Least likely:",
        table([[str(row), number(value)] for row, value in lowest], ["row", "score"], indent="  "),
    ]
    if out.out is not None:
        text.append(f"All scores written to {out.out}")
    values: dict[str, Any] = {
        "examples": len(scores),
        "mean": mean,
        "standard_error": error,
        "lowest": [{"row": row, "score": value} for row, value in lowest],
    }
    values |= {"scores": scores.tolist()} if out.out is None else {"out": out.out}
    tell = say.result if out.out is None else say.written
    tell(values, lambda: "\n".join(text))


def forecast(
    run: str,
    file: str,
    /,
    *,
    jumps: Annotated[str, Parameter(metavar="X,X,…")] = "1",
    n: Annotated[int, Parameter(name="-n", metavar="N")] = 100,
    seed: Annotated[int, SEED] = 0,
    device: Annotated[Device, DEVICE] = "auto",
    out: Out = NOWHERE,
    say: Say = TALK,
) -> None:
    """Draw what may come after every sequence of a file.

    A row for each sequence, future and jump: how far ahead it is, and the values there. As .npy an array of
    (sequences, futures, jumps, channels).

    Args:
        run: folder of a run, or its name under runs/
        file: file of sequences such as the model was trained on, or of their beginnings, or a built-in set
        jumps: lengths of the jumps, each from where the one before ended, in the units of the times of the data
        n: how many futures of each sequence
    """
    import numpy as np

    from sfumato.data.sequence import SequenceSchema

    try:
        lengths = [float(word) for word in jumps.split(",")]
    except ValueError:
        raise SfumatoError(f"--jumps {jumps}: give lengths apart by commas, as --jumps 1,4,8") from None
    out.check()
    auto = _load(run, device)
    found = auto.forecast(_read(auto, file), lengths, n, seed=seed)
    if out.out is not None and out.out.suffix == ".npy":
        from sfumato.data import arrays

        arrays.write(found, out.out)
        say.written({"out": out.out, "examples": len(found)}, lambda: f"{len(found)} × {n} futures in {out.out}")
        return
    values = found.reshape(*found.shape[:3], -1)
    index = np.indices(found.shape[:3]).reshape(3, -1)
    columns = {"id": index[0], "future": index[1], "ahead": np.cumsum(lengths)[index[2]]}
    names = auto.schema_.names if isinstance(auto.schema_, SequenceSchema) else ()
    columns |= {name: values[..., place].reshape(-1) for place, name in enumerate(names)}
    _columns(columns, out, say)


def _load(run: str, device: Device) -> Autoencoder:
    from sfumato.estimator import load

    return load(run, device=device)


def _read(auto: Autoencoder, source: str) -> Any:
    """The examples of a file, a folder or, as they were drawn for the training, of a built-in set."""
    from sfumato import data
    from sfumato.data.arrays import Arrays
    from sfumato.data.lines import Lines
    from sfumato.data.opening import built_in
    from sfumato.data.series import Series

    if Path(source).exists():
        return auto.schema_.read(source)
    if source in data.names():
        own, kind = auto.config_.data, auto.schema_.kind
        rows = built_in(source, own if source == auto.config_.source else DataOptions())
        kinds = {Series: ("sequence",), Lines: ("symbols",), Arrays: ("picture", "vector")}
        if kind not in kinds.get(type(rows), ("table",)):
            wanted = "set of symbols" if kind == "symbols" else kind
            raise SfumatoError(f"{source}: not of the kind this model was trained on; give it a {wanted}")
        return auto.schema_.read(rows)
    raise SfumatoError(f"{source}: no such file or folder; give one of the kind the model was trained on")


def _deliver(auto: Autoencoder, raw: Any, n: int, what: str, out: Out, say: Say) -> None:
    """Write `raw` where it was asked to go; without a file, text goes to stdout as it is, all but pictures as CSV."""
    schema, path = auto.schema_, out.out
    if path is None and schema.kind == "picture":
        raise SfumatoError("pictures need a place to go: add -o grid.png, -o folder or -o pictures.npy")
    if path is not None:
        schema.write(raw, path)
        say.written({"out": path, "examples": n}, lambda: f"{n} {what} written to {path}")
    elif say.json:
        say.result({what: _records(raw)}, str)
    else:
        sys.stdout.write(as_text(lambda place: schema.write(raw, place), schema.spoken))


def _records(raw: Any) -> list[Any]:
    """A frame as one mapping a row, an array as lists."""
    import narwhals as nw

    if nw.dependencies.is_into_dataframe(raw):
        return list(nw.from_native(raw, eager_only=True).iter_rows(named=True))
    rows: list[Any] = raw.tolist()
    return rows


def _columns(columns: dict[str, np.ndarray], out: Out, say: Say) -> None:
    n = len(next(iter(columns.values())))
    if out.out is not None:
        _save(columns, out.out)
        say.written({"out": out.out, "examples": n}, lambda: f"{n} rows written to {out.out}")
    elif say.json:
        say.result({name: column.tolist() for name, column in columns.items()}, str)
    else:
        sys.stdout.write(as_text(lambda place: _save(columns, place)))


def _save(columns: dict[str, np.ndarray], path: Path) -> None:
    """Named columns as a table, or without their names as .npy."""
    import numpy as np
    import pyarrow as pa

    from sfumato.data import arrays, frames

    if path.suffix == ".npy":
        arrays.write(np.stack(list(columns.values()), axis=1), path)
    else:
        frames.write(pa.table(columns), path)
