"""The commands that turn examples into tokens, and tokens into examples."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from sfumato.cli.commands.apply import deliver
from sfumato.cli.commands.run_io import existing, kind_name, load_run
from sfumato.cli.flags import OUTPUT, chosen, spelling
from sfumato.cli.output import DEVICE, NOWHERE, SEED_FLAG, TALK, Device, Out, Say
from sfumato.errors import SfumatoError

if TYPE_CHECKING:
    from pathlib import Path

    from sfumato.artifacts import TokenFile
    from sfumato.estimator import Autoencoder

FEW_USED = 0.5
"""Share of the values of a level below which a smaller vocabulary is recommended."""


def tokenize(
    file: str,
    /,
    *,
    options: Any,
    run: Annotated[str | None, Parameter(metavar="RUN", group=OUTPUT, show_default="a new one")] = None,
    seed: Annotated[int, SEED_FLAG] = 0,
    device: Annotated[Device | None, DEVICE, Parameter(show_default="auto")] = None,
    out: Out = NOWHERE,
    say: Say = TALK,
) -> None:
    """Turn examples into a few whole numbers each, the codes of a VQ-VAE, for models of sequences of tokens.

    Trains a vq_vae on FILE and keeps it as a run, or takes that of --run. Codes are finite scalars (--quantizer fsq),
    of which nearly all come to be used, unless --quantizer or --levels is set or the data are sounds.

    -o NAME.safetensors has the tensors tokens (examples × levels × places) and codebook; NAME.json says what they mean.
    sfumato detokenize makes examples of tokens again.

    Args:
        file: folder of images, array, table or series, or a built-in set
        run: run of a vq_vae that makes the tokens; none is trained
        seed: random seed of the split, the weights and the training
        device: where to compute
    """
    out.check()
    if out.out is None:
        raise SfumatoError("tokenize needs a file to write to: add -o NAME.safetensors")
    from sfumato.artifacts.token_file import beside, check_name

    check_name(out.out)
    if beside(out.out).exists() and not out.overwrite:
        raise SfumatoError(f"{beside(out.out)}: exists already; choose another name or add --overwrite")
    existing(file)
    values = chosen(options)
    if run is None:
        from sfumato import estimator

        values |= {"seed": seed} | ({} if device is None else {"device": device})
        if not values.keys() & {"quantizer", "levels"} and kind_name(file) != "sound":
            values["quantizer"] = "fsq"
        auto = estimator.fit(file, model="vq_vae", run=True, progress=not say.quiet, **values)
    else:
        if values:
            raise SfumatoError(f"{spelling(next(iter(values)))} is for a new run; leave it out with --run {run}")
        auto = load_run(run, device or "auto")
    tokens = auto.token_file(file)
    tokens.write(out.out)
    result, text = _described(auto, tokens, out.out)
    say.written(result, lambda: text)


def detokenize(
    file: str,
    /,
    *,
    run: Annotated[str | None, Parameter(metavar="RUN", show_default="that of the file")] = None,
    device: Annotated[Device, DEVICE] = "auto",
    out: Out = NOWHERE,
    say: Say = TALK,
) -> None:
    """Make examples of tokens, those of sfumato tokenize or those that another model has written in their place.

    Args:
        file: .safetensors file with the tensors and the metadata that sfumato tokenize writes
        run: run of the vq_vae that decodes them
    """
    out.check()
    from sfumato.artifacts import TokenFile

    tokens = TokenFile.read(file)
    name = run or tokens.run
    if not name:
        raise SfumatoError(f"{file}: says of no run that decodes it; add --run RUN")
    auto = load_run(name, device)
    deliver(auto, auto.detokenize(tokens), len(tokens.tokens), "examples", out, say, None)


def _described(auto: Autoencoder, file: TokenFile, path: Path) -> tuple[dict[str, Any], str]:
    """What was written, as values and as text."""
    rows, levels, *places = file.tokens.shape
    vocabulary, used = file.codebook.shape[1], file.used
    bits = levels * math.prod(places) * math.log2(vocabulary)
    run = "" if auto.run_ is None else auto.run_.called
    result = {
        "out": path,
        "examples": rows,
        "vocabulary": vocabulary,
        "levels": levels,
        "places": places,
        "used": used,
        "bits": bits,
        "run": run,
    }
    shares = ", ".join(f"{share:.0%}" for share in used)
    lines = [
        f"{rows:,} examples in {path}, {' × '.join(map(str, places))} tokens each"
        f"{f' on {levels} levels' if levels > 1 else ''}: {bits:.5g} bits",
        f"Vocabulary: {vocabulary}, of which {shares} occur" + (" on each level" if levels > 1 else ""),
        f"Run: {run}",
        f"Back: sfumato detokenize {path} -o NAME",
    ]
    if min(used) < FEW_USED:
        lines.insert(
            2,
            f"Much of the vocabulary is unused: try --codebook {max(2, round(min(used) * vocabulary))}, or "
            "--quantizer fsq",
        )
    return result, "\n".join(lines)
