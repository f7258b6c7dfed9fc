"""The commands that compress examples, and bring them back."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from sfumato.cli.commands.run_io import existing, load_run
from sfumato.cli.flags import WHOLE_NUMBER
from sfumato.cli.output import NOWHERE, TALK, Out, Say
from sfumato.errors import SfumatoError

if TYPE_CHECKING:
    from sfumato.estimator.methods.uses.compression import Compressed

COMPRESSED_ENDING = ".sfz"


def compress(
    run: str,
    file: str,
    /,
    *,
    block: Annotated[int, WHOLE_NUMBER] = 4096,
    out: Out = NOWHERE,
    say: Say = TALK,
) -> None:
    """Compress the examples of a file, by the probabilities that the model gives them; without loss, but for sound.

    An example takes about −ELBO bits. sfumato decompress with the same run brings every value back, on any machine and
    with any number of threads. Both compute on the CPU, in arithmetic that is the same everywhere. What gzip and xz
    make of the same examples is printed beside it.

    Sounds are compressed with loss, by the codes of a vq_vae and the prior that it learned of them; what its decoder
    makes of the codes comes back.

    Args:
        run: folder of a run, or its name under runs/
        file: file or folder of the kind the model was trained on, or a built-in set
        block: examples in a block, each of which has a checksum; larger blocks take less space and more memory
    """
    out.check()
    if out.out is None or out.out.suffix != COMPRESSED_ENDING:
        raise SfumatoError(f"compress needs a file to write to: add -o NAME{COMPRESSED_ENDING}")
    auto = load_run(run, "cpu")
    result = auto.compress(existing(file), out.out, block=block)
    say.written(_values(result, out.out), lambda: _text(result, out.out))


def decompress(run: str, file: str, /, *, out: Out = NOWHERE, say: Say = TALK) -> None:
    """Bring back the examples that sfumato compress wrote: every value of them, or sounds as their codes have them.

    Args:
        run: folder of the run that the file was compressed with, or its name under runs/
        file: the compressed file
    """
    out.check()
    if out.out is None:
        raise SfumatoError("decompress needs a file to write to: add -o NAME, with the ending of the format you want")
    auto = load_run(run, "cpu")
    count = auto.decompress(file, out.out)
    say.written({"out": out.out, "examples": count}, lambda: f"{count} examples written to {out.out}")


def _values(result: Compressed, path: Path) -> dict[str, Any]:
    kept = {name: value for name, value in result._asdict().items() if name != "data"}
    return {"out": path} | kept


def _text(result: Compressed, path: Path | None) -> str:
    bits = 8 * result.size / result.examples
    if not math.isnan(result.seconds):
        return _text_of_sounds(result, path)
    lines = [
        f"{result.examples:,} examples in {path}: {result.size:,} bytes, {bits:.5g} bits each, "
        f"{bits / result.dimensions:.4f} per value",
        f"coded by the model: {result.coded:.5g} bits each, where −ELBO is {result.bound:.5g}; "
        f"kept beside it: {result.aside:,} bytes",
        f"the same examples: {result.plain:,} bytes; gzip {result.gzip:,}; xz {result.xz:,}",
    ]
    return "\n".join(lines if math.isfinite(result.bound) else [lines[0], lines[2]])


def _text_of_sounds(result: Compressed, path: Path | None) -> str:
    rates = [8 * size / result.seconds / 1000 for size in (result.size, result.plain, result.gzip, result.xz)]
    codes = [bits * result.examples / result.seconds / 1000 for bits in (result.coded, result.bound)]
    return "\n".join(
        [
            f"{result.examples:,} examples of {result.seconds:.4g} s in {path}: {result.size:,} bytes, "
            f"{rates[0]:.4g} kbit/s",
            f"codes: {codes[0]:.4g} kbit/s, where −log₂ p(k) is {codes[1]:.4g}; beside them: {result.aside:,} bytes",
            f"the same in 16 bits: {rates[1]:.4g} kbit/s; gzip {rates[2]:.4g}; xz {rates[3]:.4g}, without loss",
        ]
    )
