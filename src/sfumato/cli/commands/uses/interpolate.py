"""The commands that move the codes of examples: interpolate, traverse, neighbours, transfer."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from sfumato.cli.commands.apply import deliver
from sfumato.cli.commands.run_io import Given, chosen_rows, conditions, counted, load_run, named_by, read, with_keys
from sfumato.cli.commands.uses.attributes import direction_of
from sfumato.cli.flags import WHOLE_NUMBER, pairs, whole
from sfumato.cli.output import DEVICE, NOWHERE, SEED_FLAG, TALK, Device, Out, Say, as_text
from sfumato.errors import SfumatoError

if TYPE_CHECKING:
    import numpy as np

    from sfumato.estimator import Autoencoder

ROWS = Parameter(negative="", metavar="N N …", consume_multiple=True)
STRIPS = (".png", ".gif", ".npy", ".npz")


def interpolate(
    run: str,
    file: str,
    /,
    *,
    rows: Annotated[list[int], ROWS],
    steps: Annotated[int, WHOLE_NUMBER] = 9,
    path: Literal["straight", "spherical", "geodesic"] = "straight",
    add: Annotated[list[str] | None, Parameter(negative="", metavar="NAME[=VALUE]")] = None,
    near: Annotated[str | None, Parameter(metavar="FILE", show_default="no")] = None,
    strength: Annotated[float, Parameter(metavar="X")] = 1.0,
    given: Given = None,
    device: Annotated[Device, DEVICE] = "auto",
    out: Out = NOWHERE,
    say: Say = TALK,
) -> None:
    """Interpolate between two examples of a file through their codes, or add an attribute.

    From the first row to the second, from the second to the third, and so on; with --add from each row to itself with
    the attribute. Tables come as rows with their step, images as a sheet (.png), moving (.gif) or in a folder, text as
    lines, rows of numbers as such or drawn (.png).

    Args:
        run: folder of a run, or its name under runs/
        file: file or folder of the kind the model was trained on, or a built-in set
        rows: which examples, counted from 1
        steps: examples on each path, both ends among them
        path: straight; spherical, around the middle of a standard normal prior; or geodesic, the shortest and at
            constant speed as measured in the data
        add: attribute to put on, a column of the file (or the label) with the value that has it, as species=Gentoo; the
            value may be left out where it is yes or no. Repeat it for more
        strength: how much of it
        near: examples, such as those of the training, that a geodesic keeps near to
        given: value of a condition that replaces those of the examples, as species=Adelie; repeat it for more
    """
    out.check()
    auto = load_run(run, device)
    examples = read(auto, file)
    index = chosen_rows(auto, examples, rows, file)
    if not add and len(index) < 2:
        raise SfumatoError("--rows: give at least two rows to go between, or --add with an attribute")
    if strength != 1 and not add:
        raise SfumatoError("--strength is for --add, which is not given; leave it out")
    schema, typed = auto.schema_, conditions(auto, given)
    starts = index if add else index[:-1]
    how: dict[str, Any] = {"steps": steps, "path": path, "given": typed}
    if near is not None:
        how["near"] = read(auto, near)
    if add:
        how["add"] = strength * direction_of(auto, examples, file, add)
    else:
        how["b"] = schema.take(examples, index[1:])
    moved = auto.interpolate(schema.take(examples, starts), **how)
    keys: dict[str, list[Any]] = {"from": [row + 1 for row in starts for _ in range(steps)]}
    if not add:
        keys["to"] = [row + 1 for row in index[1:] for _ in range(steps)]
    keys["step"] = list(range(1, steps + 1)) * len(starts)
    _strips(auto, moved, keys, steps, "steps", out, say)


def traverse(
    run: str,
    file: str | None = None,
    /,
    *,
    row: Annotated[int | None, Parameter(metavar="N", converter=whole, show_default="a typical example")] = None,
    latents: Annotated[list[int] | None, ROWS, Parameter(show_default="those in use, at most 10")] = None,
    steps: Annotated[int, WHOLE_NUMBER] = 11,
    given: Given = None,
    seed: Annotated[int, SEED_FLAG] = 0,
    device: Annotated[Device, DEVICE] = "auto",
    out: Out = NOWHERE,
    say: Say = TALK,
) -> None:
    """Show the effect of each latent: one example, with one latent at a time moved across its range.

    The values are quantiles from 2.3% to 97.7% of the codes of FILE, or of the training split. The most active latent
    comes first. Images come as a sheet with a row for each latent (.png), moving (.gif) or in a folder.

    Args:
        run: folder of a run, or its name under runs/
        file: file or folder of the kind the model was trained on, or a built-in set
        row: which example of FILE is moved, counted from 1
        latents: which latents, counted from 1
        steps: values of each latent
        given: value of a condition that replaces that of the example, as species=Adelie; repeat it for more
    """
    out.check()
    if row is not None and file is None:
        raise SfumatoError("--row: say of which FILE, as in sfumato traverse RUN FILE --row 3")
    auto = load_run(run, device)
    examples = None if file is None else read(auto, file)
    start = None
    if row is not None and file is not None:
        start = auto.schema_.take(examples, chosen_rows(auto, examples, [row], file, "--row"))
    chosen = None if latents is None else counted(latents, auto.n_latents, "--latents", "the model has {} latents")
    moved = auto.traverse(examples, start=start, latents=chosen, steps=steps, given=conditions(auto, given), seed=seed)
    keys = {
        "latent": [f"z{latent + 1}" for latent in moved.latents for _ in range(steps)],
        "quantile": moved.quantiles.round(4).tolist() * len(moved.latents),
        "value": moved.values.ravel().round(4).tolist(),
    }
    _strips(auto, moved.examples, keys, steps, "examples", out, say)


def neighbours(
    run: str,
    file: str,
    /,
    *,
    rows: Annotated[list[int] | None, ROWS, Parameter(show_default="all")] = None,
    among: Annotated[str | None, Parameter(metavar="FILE", show_default="the other examples of FILE")] = None,
    k: Annotated[int, WHOLE_NUMBER, Parameter(name="-k")] = 5,
    device: Annotated[Device, DEVICE] = "auto",
    out: Out = NOWHERE,
    say: Say = TALK,
) -> None:
    """Find the examples nearest to those of a file, by the distance of their codes.

    A line for each neighbour: of which row it is, its rank, its own row, the distance, and the example where it is a
    row of a table or a line of text. As .png, .gif, .npy, .npz or a folder the examples themselves, each before its
    neighbours.

    Args:
        run: folder of a run, or its name under runs/
        file: file or folder of the kind the model was trained on, or a built-in set
        rows: which examples, counted from 1
        among: file or folder to look for neighbours in
        k: how many of each
    """
    from sfumato.data.io import frames

    out.check()
    auto = load_run(run, device)
    examples = read(auto, file)
    others = examples if among is None else read(auto, among)
    chosen = None if rows is None else chosen_rows(auto, examples, rows, file)
    distances, near = auto.neighbours(examples, None if among is None else others, k=k, rows=chosen)
    index = list(range(len(near))) if chosen is None else chosen
    schema, flat = auto.schema_, near.ravel().tolist()
    written = {"out": out.out, "examples": len(index)}, lambda: f"neighbours of {len(index)} in {out.out}"
    if out.out is not None and (not out.out.suffix or out.out.suffix in STRIPS):
        schema.write_strips(_sheet(auto, examples, others, index, near), out.out, k + 1)
        say.written(*written)
        return
    keys: dict[str, list[Any]] = {
        "of": [row + 1 for row in index for _ in range(k)],
        "rank": list(range(1, k + 1)) * len(index),
        "row": [row + 1 for row in flat],
        "distance": distances.ravel().tolist(),
    }
    names = named_by(auto, others, file if among is None else among)
    keys |= {name: [values[row] for row in flat] for name, values in names.items() if name not in keys}
    table = with_keys(keys, schema.as_table(schema.take(others, flat)))
    if out.out is not None:
        frames.write(table, out.out)
        say.written(*written)
    elif say.json:
        say.result({"neighbours": table.to_pylist()}, str)
    else:
        sys.stdout.write(as_text(lambda place: frames.write(table, place)))


def transfer(
    run: str,
    file: str,
    /,
    *,
    set: Annotated[list[str], Parameter(negative="", metavar="NAME=VALUE", allow_leading_hyphen=True)],
    encode_given: Given = None,
    device: Annotated[Device, DEVICE] = "auto",
    out: Out = NOWHERE,
    say: Say = TALK,
) -> None:
    """Change a condition of the examples of a file, keeping everything else in their codes.

    Each example is encoded under its own conditions and decoded under those that are set.

    Args:
        run: folder of a run, or its name under runs/
        file: file or folder of the kind the model was trained on, or a built-in set
        set: condition and its new value, as label=7; repeat it for more
        encode_given: value of a condition to encode under, instead of the one in the file; repeat it for more
    """
    out.check()
    auto = load_run(run, device)
    if not auto.schema_.given_names:
        raise SfumatoError(
            f"{run}: a {auto.config_.model} without conditions has none to change; "
            "train one with --model cvae --given NAME"
        )
    examples = read(auto, file)
    changed = pairs("--set", set, auto.schema_.given_names)
    moved = auto.transfer(examples, changed, encode_given=conditions(auto, encode_given, "--encode-given"))
    deliver(auto, moved, len(moved), "examples", out, say, None, source=(examples, file))


def _strips(
    auto: Autoencoder, raw: Any, keys: dict[str, list[Any]], across: int, what: str, out: Out, say: Say
) -> None:
    """Write decoded examples, `across` in a row that belong together; rows of a table with what each is."""
    from sfumato.data.io import frames
    from sfumato.data.registry import kind_of
    from sfumato.data.text import lines

    schema, target = auto.schema_, out.out
    table, count = schema.as_table(raw), len(next(iter(keys.values())))

    def write(place: Path) -> None:
        if table is None and not schema.spec.is_image and place.suffix == ".png":
            from sfumato.report.figures.step_lines import save_step_lines

            save_step_lines(raw, place, across, _names(keys, across))
        elif table is None or (schema.stdout_suffix != ".csv" and lines.is_text(place)):
            schema.write_strips(raw, place, across)
        else:
            frames.write(with_keys(keys, table), place)

    if target is None and (reason := kind_of(schema).needs_file):
        raise SfumatoError(reason)
    if target is not None:
        write(target)
        say.written({"out": target, "examples": count}, lambda: f"{count} {what} written to {target}")
    elif say.json:
        examples = [{"example": values} for values in raw.tolist()] if table is None else table.to_pylist()
        rows = zip(with_keys(keys).to_pylist(), examples, strict=True)
        say.result({what: [key | example for key, example in rows]}, str)
    else:
        sys.stdout.write(as_text(write, schema.stdout_suffix))


def _sheet(auto: Autoencoder, examples: Any, others: Any, index: list[int], near: np.ndarray) -> Any:
    """Examples, each before its neighbours (N, k) among others, as raw examples."""
    import torch

    schema = auto.schema_
    queries = schema.encode(schema.take(examples, index)).x
    neighbours = schema.encode(schema.take(others, near.ravel().tolist())).x.unflatten(0, near.shape)
    return schema.decode(torch.cat([queries[:, None], neighbours], 1).flatten(0, 1))


def _names(keys: dict[str, list[Any]], across: int) -> list[str]:
    """What each strip is of: the rows it goes from and to, or its latent."""
    firsts = [dict(zip(keys, values, strict=True)) for values in zip(*keys.values(), strict=True)][::across]
    if "latent" in keys:
        return [str(first["latent"]) for first in firsts]
    return [f"from row {first['from']}" + (f" to {first['to']}" if "to" in first else "") for first in firsts]
