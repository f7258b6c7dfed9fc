"""Examples as a compressed file and back, without loss."""

from __future__ import annotations

import hashlib
import io
import json
import lzma
import math
import os
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import IO, Any, NamedTuple

import torch

from sfumato.data.core.lossless import Lossless
from sfumato.data.registry import kind_of
from sfumato.errors import SfumatoError
from sfumato.estimator import inference
from sfumato.estimator.evaluation_data import named_set
from sfumato.estimator.methods.fitted import FittedMixin
from sfumato.files import replacing
from sfumato.isolation import isolated
from sfumato.models.protocols import Bounds
from sfumato.ranges import is_whole
from sfumato.tasks.compression import CodeCoder, CodedBlock, Coder, Reader, RowCode, Writer, can_code, row_steps

BLOCK_SIZE = 4096
"""Examples of a block unless it is given."""
BOUND_EXAMPLES = 1024
"""Examples that the bound is estimated on, the first of the file."""


class Compressed(NamedTuple):
    """What compression came to.

    Attributes:
        data: the compressed file; empty where it was written to a path.
        examples: number of examples.
        size: bytes of the file.
        aside: bytes of it for what the model does not code.
        dimensions: values that the model codes of one example.
        seconds: how long sounds are in all; NaN of all else.
        bound: −ELBO in bits per example, estimated by one draw for each of the first 1,024; what the model codes is
            to come close to it.
        coded: bits per example of what the model codes.
        plain, gzip, xz: bytes of the examples as they are in memory or in a text file, and compressed by the standard
            library.
    """

    data: bytes
    examples: int
    size: int
    aside: int
    dimensions: int
    bound: float
    coded: float
    plain: int
    gzip: int
    xz: int
    seconds: float = math.nan


class CompressionMixin(FittedMixin):
    """`compress` and `decompress` of `Autoencoder`."""

    @isolated
    def compress(self, X: Any, out: str | os.PathLike[str] | None = None, *, block: int = BLOCK_SIZE) -> Compressed:
        """Compress examples without loss, in about −ELBO bits each: bits-back coding with the model.

        Sounds, of a `vq_vae`, are compressed with loss: their codes are kept, in −log₂ p(k) bits under the learned
        prior, and what the decoder makes of them comes back.

        The file can be read by `decompress` of the same run on any machine, with any number of threads; see the user
        guide for what comes back of each kind of data.

        >>> import numpy as np
        >>> from sfumato import Autoencoder
        >>> X = np.random.default_rng(0).integers(0, 2, (100, 8, 8), dtype=np.uint8)
        >>> auto = Autoencoder(steps=20).fit(X)
        >>> bool((auto.decompress(auto.compress(X).data) == X).all())
        True

        Args:
            X: the examples, such as the model was trained on.
            out: the file to write; None keeps it in memory.
            block: examples of a block, each of which has a checksum; more take less space, and more memory.

        Raises:
            SfumatoError: if the model has no probability for each value that an example can have, or X does not fit it.
        """
        if not is_whole(block) or block < 1:
            raise SfumatoError(f"block is {block!r}: give a whole number of examples, at least 1")
        lossless = self._lossless({})
        coder = self._coder(lossless)
        if out is not None:
            with replacing(out) as temporary, temporary.open("wb") as file:
                return self._compressed(lossless, coder, X, int(block), file)
        memory = io.BytesIO()
        written = self._compressed(lossless, coder, X, int(block), memory)
        return written._replace(data=memory.getvalue())

    def _compressed(
        self, lossless: Lossless[Any], coder: Coder | CodeCoder, X: Any, block: int, file: IO[bytes]
    ) -> Compressed:
        gzip, xz = zlib.compressobj(9, wbits=31), lzma.LZMACompressor()
        examples = aside = coded_bytes = plain = gzip_size = xz_size = 0
        writer, bound, dimensions, seconds = None, math.nan, 0, 0.0
        for raw in lossless.blocks(named_set(self.config_, self.schema_, X), block):
            parts = lossless.split(raw)
            if writer is None:
                writer = Writer(file, self._header() | {"data": lossless.header})
                bound, dimensions = self._bound(coder, lossless, parts.coded, parts.given), parts.coded[0].numel()
            coded = self._coder_of(coder, lossless, parts.aside, len(parts.coded)).encode(
                parts.coded, _double(parts.given)
            )
            writer.add(CodedBlock(len(parts.coded), coded, parts.aside))
            examples, aside = examples + len(parts.coded), aside + len(parts.aside)
            coded_bytes += len(coded)
            bytes_of = lossless.plain(raw)
            plain, seconds = plain + len(bytes_of), seconds + lossless.seconds(raw)
            gzip_size, xz_size = gzip_size + len(gzip.compress(bytes_of)), xz_size + len(xz.compress(bytes_of))
        if writer is None:
            raise SfumatoError("there are no examples to compress; give at least one")
        writer.close()
        return Compressed(
            b"",
            examples,
            writer.size,
            aside,
            dimensions,
            bound,
            8 * coded_bytes / examples,
            plain,
            gzip_size + len(gzip.flush()),
            xz_size + len(xz.flush()),
            seconds,
        )

    @isolated
    def decompress(self, source: bytes | str | os.PathLike[str], out: str | os.PathLike[str] | None = None) -> Any:
        """The examples that `compress` wrote, bit for bit.

        Args:
            source: the compressed bytes, or the path of the file.
            out: a file to write the examples to; None returns them.

        Returns:
            The examples, as an array, a frame of the kind the model was trained on, or strings; their number where
            they are written to `out`.

        Raises:
            SfumatoError: if the file is damaged or truncated, was written with another run, or `out` ends in a format
                that does not hold all of the examples.
        """
        with _opened(source) as (file, name):
            reader = Reader(file, name)
            self._check(reader)
            lossless = self._lossless(reader.header["data"])
            if out is not None:
                lossless.check_output(Path(out))
            coder = self._coder(lossless)
            if out is None:
                return lossless.collect(self._raw_blocks(reader, lossless, coder))
            counted = _Counted(self._raw_blocks(reader, lossless, coder))
            lossless.write(counted, Path(out))
            return counted.blocks

    def _lossless(self, header: dict[str, Any]) -> Lossless[Any]:
        kind = kind_of(self.schema_)
        if kind.lossless is None:
            raise SfumatoError(f"{kind.plural} cannot be compressed yet: images, tables, lines of text and sounds can")
        self._model()
        return kind.lossless(self.schema_, header)

    def _coder(self, lossless: Lossless[Any]) -> Coder | CodeCoder:
        model = inference.exact(self._model()).cpu()
        coder = Coder(model, lossless.seen)
        if lossless.exact:
            return coder
        if not can_code(model):
            plural = kind_of(self.schema_).plural
            raise SfumatoError(
                f"{plural} are compressed by discrete codes, and {self.config_.model} has none; use vq_vae"
            )
        return CodeCoder(model, lambda x: coder.batch(x.double(), None))  # type: ignore[arg-type]

    def _coder_of(
        self, coder: Coder | CodeCoder, lossless: Lossless[Any], aside: bytes, count: int
    ) -> Coder | CodeCoder:
        """The coder of one block."""
        if isinstance(coder, CodeCoder):
            return coder
        columns, spec = lossless.columns(aside, count), self.schema_.spec
        if columns is None:
            return coder
        values, exceptions = columns
        return replace(coder, steps=lambda p, rows: row_steps(p, RowCode(spec, values, exceptions[rows])))

    def _raw_blocks(self, reader: Reader, lossless: Lossless[Any], coder: Coder | CodeCoder) -> Iterator[Any]:
        for number, block in enumerate(reader, 1):
            given = lossless.given(block.aside, block.examples)
            try:
                coded = self._coder_of(coder, lossless, block.aside, block.examples).decode(
                    block.coded, block.examples, _double(given)
                )
            except SfumatoError as error:
                raise SfumatoError(f"{reader.name}: block {number} {error}") from None
            yield lossless.join(coded, block.aside)

    def _header(self) -> dict[str, Any]:
        return {"model": self.config_.model, "run": _fingerprint(self)}

    def _check(self, reader: Reader) -> None:
        if reader.header["run"] != _fingerprint(self):
            model = reader.header["model"]
            raise SfumatoError(
                f"{reader.name}: was compressed with another run, of a {model}; give the run it was compressed with"
            )

    def _bound(self, coder: Coder | CodeCoder, lossless: Lossless[Any], coded: Any, given: Any) -> float:
        """−ELBO in bits, or −log₂ p(k) of codes, a mean over the first examples."""
        if isinstance(coder, CodeCoder):
            return coder.bits(coded[:BOUND_EXAMPLES])
        if not isinstance(coder.model, Bounds):
            return math.nan
        few, c = coded[:BOUND_EXAMPLES], None if given is None else given[:BOUND_EXAMPLES].double()
        size = inference.at_a_time(self.schema_.spec)
        total = 0.0
        drawn = torch.Generator().manual_seed(0)
        with torch.inference_mode():
            for start in range(0, len(few), size):
                part = few[start : start + size]
                batch = coder.batch(part, None if c is None else c[start : start + size])
                noise = torch.randn(len(part), coder.model.noise_size, generator=drawn).double()
                weight = coder.model.log_weight(batch, 1, noise)[:, 0]
                total += float((lossless.log_values(part) - weight).sum())
        return total / len(few) / math.log(2)


class _Counted:
    """Blocks, and how many examples there were in those that were taken."""

    def __init__(self, blocks: Iterator[Any]) -> None:
        self._blocks, self.blocks = blocks, 0

    def __iter__(self) -> Iterator[Any]:
        for block in self._blocks:
            self.blocks += len(block[0]) if isinstance(block, tuple) else len(block)
            yield block


def _double(given: Any) -> Any:
    return None if given is None else given.double()


def _fingerprint(auto: FittedMixin) -> str:
    """Of the weights and of what was learned of the data."""
    digest = hashlib.sha256(json.dumps(auto.schema_.to_dict(), sort_keys=True, default=str).encode())
    for name, value in sorted(auto._model().state_dict().items()):
        digest.update(name.encode())
        digest.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()[:16]


@contextmanager
def _opened(source: bytes | str | os.PathLike[str]) -> Iterator[tuple[IO[bytes], str]]:
    if isinstance(source, bytes):
        yield io.BytesIO(source), "the compressed data"
        return
    with ExitStack() as stack:
        try:
            file = stack.enter_context(Path(source).open("rb"))
        except OSError as error:
            raise SfumatoError(f"{source}: cannot be read ({error.strerror}); check the name and the folder") from None
        yield file, str(source)
