"""Lists of discrete codes as bytes and back: examples with what their codes leave out lost."""

from __future__ import annotations

import math
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor, nn

from sfumato.batch import Batch
from sfumato.models.base import Model
from sfumato.models.protocols import Codebooks
from sfumato.networks.codes.stacked_prior import StackedPrior
from sfumato.tasks.compression.bits_back import MOST_TOGETHER, checksum, damaged
from sfumato.tasks.compression.masses import categorical
from sfumato.tasks.compression.reproducible import reproducible
from sfumato.tasks.compression.stack import Stack
from sfumato.tasks.compression.steps import Step, Steps

CODES_HEAD = struct.Struct("<I")
"""The checksum of the codes."""


@runtime_checkable
class CodesWithPrior(Codebooks, Protocol):
    """Models with discrete codes whose prior can be walked, code by code."""

    code_prior: nn.Module


def can_code(model: Model) -> bool:
    """Whether the model's codes can be coded by its own prior."""
    return isinstance(model, CodesWithPrior) and isinstance(model.code_prior, StackedPrior)


def code_steps(prior: StackedPrior, n: int) -> Steps:
    """One code of each of n lists after the other, by the probabilities of the prior without conditions.

    Returns:
        The codes, (n, L·P).
    """
    walk, at = prior.walk(n), 0
    step = next(walk)
    while True:
        going, (place, level) = step.going, divmod(at, prior.levels)
        column = level * prior.places + place

        def read(codes: Tensor, column: int = column, going: Tensor = going) -> Tensor:
            return codes[going, column]

        found = yield Step(categorical(step.logits[going]), read)
        code = torch.zeros(n, dtype=torch.int64)
        code[going] = found
        try:
            step = walk.send(code)
        except StopIteration as end:
            codes: Tensor = end.value
            return codes
        at += 1


@dataclass(frozen=True)
class CodeCoder:
    """Blocks of examples as bytes and back, by their discrete codes: what the decoder makes of these comes back.

    A code costs −log₂ p(k_i | k_<i) bits under the learned prior. Its probabilities are of arithmetic that is the same
    on every machine, so that the codes that come back are those that were written.

    Args:
        model: in double precision, on the CPU; see `can_code`.
        batch: what is coded as a batch for the encoder.
    """

    model: CodesWithPrior
    batch: Callable[[Tensor], Batch]

    @property
    def _prior(self) -> StackedPrior:
        assert isinstance(self.model.code_prior, StackedPrior), "checked by can_code"
        return self.model.code_prior

    def codes(self, x: Tensor) -> Tensor:
        """The codes of examples (N, …), whole numbers (N, L·P)."""
        with torch.inference_mode():
            parts = [self.model.encode(self.batch(part)).mode().long() for part in x.split(MOST_TOGETHER)]
        return torch.cat(parts)

    def bits(self, x: Tensor) -> float:
        """−log₂ p(k) of examples, in the mean."""
        with torch.inference_mode():
            parts = [self._prior.log_prob(part) for part in self.codes(x).split(MOST_TOGETHER)]
        return -float(torch.cat(parts).mean()) / math.log(2)

    def encode(self, x: Tensor, given: Tensor | None = None) -> bytes:
        """Code N examples, (N, …)."""
        codes, stack = self.codes(x), Stack(np.zeros(0, np.uint32))
        with torch.no_grad(), reproducible(self._prior):
            for part in codes.split(MOST_TOGETHER):
                stack.push_steps(code_steps(self._prior, len(part)), part)
        return CODES_HEAD.pack(checksum(codes)) + stack.words().astype("<u4").tobytes()

    def decode(self, data: bytes, count: int, given: Tensor | None = None) -> Tensor:
        """What the decoder makes of the codes of the N = `count` examples that `encode` coded.

        Raises:
            SfumatoError: if the data are not of this model, or not what was written.
        """
        words = np.frombuffer(data, "<u4", offset=CODES_HEAD.size).astype(np.uint32)
        if len(words) and not words[-1]:
            raise damaged()
        sizes = [min(MOST_TOGETHER, count - start) for start in range(0, count, MOST_TOGETHER)]
        stack, parts = Stack(words), []
        with torch.no_grad(), reproducible(self._prior):
            for size in reversed(sizes):
                parts.append(stack.pop_steps(code_steps(self._prior, size)))
        codes = torch.cat(parts[::-1])
        if checksum(codes) != CODES_HEAD.unpack_from(data)[0] or len(stack.words()):
            raise damaged()
        with torch.inference_mode():
            return torch.cat([self.model.decode(part).mode() for part in codes.split(MOST_TOGETHER)])
