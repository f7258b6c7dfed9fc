"""The commands that fill blanks: complete, with a trained model, and impute, which trains one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from sfumato.cli.commands.apply import Repeated, Switch, deliver
from sfumato.cli.commands.run_io import existing, load_run
from sfumato.cli.flags import OUTPUT, WHOLE_NUMBER, chosen, pairs, whole
from sfumato.cli.output import DEVICE, FRESH, NOWHERE, TALK, Device, Out, Say
from sfumato.errors import SfumatoError

if TYPE_CHECKING:
    import numpy as np


def complete(
    run: str,
    file: str | None = None,
    /,
    *,
    n: Annotated[int, WHOLE_NUMBER, Parameter(name="-n")] = 1,
    fix: Annotated[Repeated, Parameter(metavar="NAME=VALUES")] = None,
    blank: Annotated[Path | None, Parameter(metavar="FILE")] = None,
    best: Switch = False,
    particles: Annotated[int | None, Parameter(metavar="N", converter=whole, show_default="100, or 4 n")] = None,
    mcmc: Annotated[int, WHOLE_NUMBER] = 0,
    seed: Annotated[int | None, FRESH] = None,
    device: Annotated[Device, DEVICE] = "auto",
    out: Out = NOWHERE,
    say: Say = TALK,
) -> None:
    """Fill what is blank in the examples of a file, by draws given what is known of each.

    Blank are the empty cells of a table, and columns that are not there; NaN in an array; and what --blank says of
    images. Known cells stay as they are. Without FILE one row is drawn of which only --fix is known.

    Args:
        run: folder of a run, or its name under runs/
        file: file or folder of the kind the model was trained on, with blanks
        n: draws of each example
        fix: what blank cells of a column must be: a value (species=Adelie), a range of numbers or times (age=30..40, an
            end may be left out), several categories (country=CH,AT), or missing (income=missing). Repeat it for more
        blank: image or array, white (or not 0) where pixels or entries are to be filled: one for all, or one for each
        best: the one best value of each blank instead of draws: the mean of numbers, the likeliest category
        particles: weighted draws of each example that its draws are resampled from
        mcmc: steps of independence Metropolis that each draw goes on for, so that draws repeat each other less
    """
    from sfumato.data.registry import kind_of

    out.check()
    auto = load_run(run, device)
    if file is None and not (fix and kind_of(auto.schema_).named_columns):
        raise SfumatoError(
            "give a FILE with blanks, or of a table --fix NAME=VALUES; where nothing is known, use sfumato sample"
        )
    names = [column["column"] for column in auto.schema_.describe()]
    with say.drawing(seed) as seed:
        completion = auto.complete(
            None if file is None else existing(file),
            n,
            fix=pairs("--fix", fix, names),
            blank=None if blank is None else _mask(blank),
            best=best,
            return_effective=True,
            particles=particles,
            mcmc=mcmc,
            seed=seed,
        )
    count = len(completion.effective) * (1 if best else n)
    deliver(auto, completion.examples, count, "completions", out, say, seed)
    say.note(_of_draws(completion.effective))


def _of_draws(effective: np.ndarray) -> str:
    """What to say of the effective draws."""
    import numpy as np

    counts = effective[~np.isnan(effective)]
    if not len(counts):
        return "No blank was to be filled"
    examples = f"{len(counts):,} example{'s' * (len(counts) != 1)} with blanks"
    return f"{examples}; effective draws: median {np.median(counts):.0f}, fewest {counts.min():.1f}"


def _mask(path: Path) -> Any:
    """An image or an array as booleans."""
    import numpy as np

    from sfumato.data.io import arrays, image_files

    if not path.exists():
        raise SfumatoError(f"--blank {path}: no such file; name an image or an array")
    if path.suffix.lower() in image_files.IMAGE_SUFFIXES:
        (header,) = image_files.headers([path])
        return image_files.pixels([path], np.empty((1, header.height, header.width, 1), np.uint8))[0, ..., 0] > 127
    return np.nan_to_num(arrays.load(path).x) != 0


def impute(
    file: str,
    /,
    *,
    model: Annotated[str, Parameter(metavar="NAME")] = "vae",
    draws: Annotated[int | None, Parameter(metavar="M", converter=whole, show_default="the best single value")] = None,
    intervals: Annotated[float | None, Parameter(metavar="X", show_default="none")] = None,
    options: Any,
    run: Annotated[str | None, Parameter(metavar="NAME", group=OUTPUT, show_default="none is kept")] = None,
    seed: Annotated[int, WHOLE_NUMBER, Parameter(group=OUTPUT)] = 0,
    device: Annotated[Device, DEVICE] = "auto",
    out: Out = NOWHERE,
    say: Say = TALK,
) -> int:
    """Fill the blank cells of a table: train a model on it, and write the same table with values in them.

    Everything else in a text file stays as it is, byte for byte. Numbers get the mean of what they may be given the
    rest of the row, categories the likeliest.

    Args:
        file: table (.csv .tsv .parquet) with blank cells
        model: name of a model without conditions (see sfumato models)
        draws: write M tables with draws instead, for multiple imputation: OUT-1.csv, OUT-2.csv, …
        intervals: also write, beside each column of numbers with blanks, the ends of an interval that holds the value
            with this probability, as 0.9: columns NAME_low and NAME_high
        run: keep the trained model as a run, for sfumato complete with other rows
        seed: random seed of the training and of draws
    """
    out.check()
    if out.out is None:
        raise SfumatoError(f"--out: name the file to write, as --out {Path(file).stem}-filled{Path(file).suffix}")
    if draws is not None and draws < 1:
        raise SfumatoError(f"--draws {draws}: give at least 1")
    if draws is not None and intervals is not None:
        raise SfumatoError("--draws and --intervals: choose one; draws show by themselves where values lie")
    if intervals is not None and not 0 < intervals < 1:
        raise SfumatoError(f"--intervals {intervals:g}: give a share between 0 and 1, as 0.9")
    from sfumato.artifacts.places import check_free
    from sfumato.estimator import filling

    paths = filling.output_paths(out.out, draws, overwrite=out.overwrite)
    if run is not None:
        check_free(run)
    table = filling.FileToFill(file, model, chosen(options), seed=seed, device=device, verbose=not say.quiet)
    table.train()
    if run is not None:
        table.imputer.autoencoder_.save(run)
    table.write(paths, draws=draws is not None, intervals=intervals)
    total = sum(table.blanks.values())
    say.written(
        {"out": [str(path) for path in paths], "blanks": table.blanks, "filled": total, "run": run},
        lambda: f"{total:,} blank cells filled, written to {', '.join(map(str, paths))}",
    )
    return 0
