"""Bits-back coding of blocks of examples with a model's latents."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from sfumato.batch import Batch
from sfumato.distributions import Distribution
from sfumato.errors import SfumatoError
from sfumato.models.base import Model
from sfumato.models.protocols import LatentSpace
from sfumato.tasks.compression import latents
from sfumato.tasks.compression.latents import BIN_BITS
from sfumato.tasks.compression.observed import observed
from sfumato.tasks.compression.reproducible import reproducible
from sfumato.tasks.compression.stack import WORD_BYTES, Stack, random_words
from sfumato.tasks.compression.steps import Steps

MOST_TOGETHER = 64
"""Examples that go through the model together, at most."""
BLOCK_HEAD = struct.Struct("<IIH")
"""Words that the stack began with, the checksum of what is coded, and bytes of the sizes of groups."""


@dataclass(frozen=True)
class Coder:
    """Blocks of examples as bytes and back, without loss.

    Bits-back coding (Townsend, Bird and Barber 2019): for each example a code is drawn from q(z | x, c) by bits popped
    from the stack, x is pushed with p(x | z, c) and z with p(z | c), so that an example costs
    −log p(x | z, c) − log p(z | c) + log q(z | x, c), in the mean the negative ELBO. On the way back z and x are popped
    and what z was drawn by is pushed back.

    Args:
        model: in double precision, on the CPU.
        seen: what the model sees of what is coded: coded → x.
        steps: p(x | z, c), and which examples they are, to the steps that code them.
    """

    model: Model
    seen: Callable[[Tensor], Tensor] = Tensor.double
    steps: Callable[[Distribution, slice], Steps] = lambda p, rows: observed(p)

    def encode(self, coded: Tensor, given: Tensor | None = None) -> bytes:
        """Code N examples, (N, …) whole numbers, under their conditions (N, G)."""
        space, mode = self._space()
        sizes: list[int] = []
        start = 0
        with torch.no_grad(), mode:
            latent_bits = BIN_BITS * space.code_size
            stack = Stack(random_words(before := latent_bits // (8 * WORD_BYTES) + 2))
            while start < len(coded):
                # The codes of a group are drawn by bits that lie on the stack: as many as there are bits for.
                size = min(max(stack.bits // latent_bits, 1), MOST_TOGETHER, len(coded) - start)
                rows = slice(start, start + size)
                c = None if given is None else given[rows]
                prior = space.prior(size, c)
                bins, z = stack.pop_steps(latents.code_steps(prior, space.encode(self.batch(coded[rows], c))))
                stack.push_steps(self.steps(space.decode(z, c), rows), coded[rows])
                stack.push_steps(latents.bin_steps(prior), bins)
                sizes.append(size)
                start += size
        unused = min(stack.least, before)
        listed = zlib.compress(bytes(sizes), 9)
        head = BLOCK_HEAD.pack(before - unused, checksum(coded), len(listed))
        return head + listed + stack.words()[unused:].astype("<u4").tobytes()

    def decode(self, data: bytes, count: int, given: Tensor | None = None) -> Tensor:
        """The N = `count` examples that `encode` coded.

        Raises:
            SfumatoError: if the data are not of this model, or not what was written.
        """
        space, mode = self._space()
        before, expected, listed = BLOCK_HEAD.unpack_from(data)
        words = np.frombuffer(data, "<u4", offset=BLOCK_HEAD.size + listed).astype(np.uint32)
        sizes = list(zlib.decompress(data[BLOCK_HEAD.size : BLOCK_HEAD.size + listed]))
        if sum(sizes) != count or not len(words) or not words[-1]:
            raise damaged()
        end = count
        parts: list[Tensor] = []
        with torch.no_grad(), mode:
            stack = Stack(words)
            for size in reversed(sizes):
                rows = slice(end - size, end)
                end -= size
                c = None if given is None else given[rows]
                prior = space.prior(size, c)
                bins, z = stack.pop_steps(latents.code_steps(prior))
                coded = stack.pop_steps(self.steps(space.decode(z, c), rows))
                q = space.encode(self.batch(coded, c))
                stack.push_steps(latents.bin_steps(prior, q), bins)
                parts.append(coded)
        coded = torch.cat(parts[::-1])
        if checksum(coded) != expected or not np.array_equal(stack.words(), random_words(before)):
            raise damaged()
        return coded

    def batch(self, coded: Tensor, given: Tensor | None) -> Batch:
        """What is coded as a batch for the encoder."""
        x = self.seen(coded)
        missing = torch.isnan(x)
        return Batch(x.nan_to_num(0.0), given, ~missing) if bool(missing.any()) else Batch(x, given)

    def _space(self) -> tuple[LatentSpace, reproducible]:
        if not isinstance(self.model, LatentSpace):
            raise SfumatoError(
                f"a model of the kind {type(self.model).__name__} has no latents with a density to code by; choose vae"
            )
        return self.model, reproducible(self.model)


def checksum(coded: Tensor) -> int:
    """CRC-32 of whole numbers."""
    return zlib.crc32(coded.to(torch.int64).contiguous().numpy().astype("<i8").tobytes())


def damaged() -> SfumatoError:
    """The error for data that are not what was written."""
    return SfumatoError("does not decode to what was written: the file is damaged, or was written with another run")
