"""The stack of bits that symbols are pushed on and popped from: asymmetric numeral systems, by constriction."""

from __future__ import annotations

import hashlib
from collections.abc import Generator
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from sfumato.errors import SfumatoError, need
from sfumato.tasks.compression.steps import Step, Steps

Coded = TypeVar("Coded")
"""What steps return: what was coded, for latents with their values."""
WORD_BYTES = 4
"""Bytes of a word of the stack."""
IN_STATE = 2
"""Words that the coder may hold outside the stack."""


class Stack:
    """Words of compressed data; what was pushed last is popped first (Duda 2009, Asymmetric numeral systems).

    Popping symbols with masses that nothing was pushed with draws them, and takes −log₂ of their probability in bits
    from the stack; pushing them with the same masses puts the very bits back.

    Args:
        words: uint32, the top last; the last is not 0.

    Attributes:
        least: the fewest words there ever were, less those that may be in the coder's state: what lies below was never
            touched.
    """

    def __init__(self, words: np.ndarray) -> None:
        constriction: Any = need("constriction", "compress", "compression")
        self._model = constriction.stream.model.Categorical(perfect=False)
        self._coder = constriction.stream.stack.AnsCoder(words)
        self.least = len(words)

    def push(self, symbols: Tensor, masses: Tensor) -> None:
        """Push N symbols with masses (N, K), the last one first."""
        if masses.shape[1] > 1 and len(masses):
            _check(masses)
            self._coder.encode_reverse(symbols.numpy().astype(np.int32), self._model, masses.numpy())

    def pop(self, masses: Tensor) -> Tensor:
        """Pop N symbols with masses (N, K), the first one first."""
        if masses.shape[1] == 1 or not len(masses):
            return torch.zeros(len(masses), dtype=torch.int64)
        _check(masses)
        symbols = self._coder.decode(self._model, masses.numpy())
        self.least = min(self.least, max(self._coder.num_words() - IN_STATE, 0))
        return torch.from_numpy(symbols.astype(np.int64))

    def push_steps(self, steps: Steps, coded: Tensor) -> None:
        """Push what is `coded`, the last step first, so that `pop_steps` meets the first step first."""
        taken, returned = read_steps(steps, coded)
        if not torch.equal(returned.to(coded.dtype), coded):
            raise AssertionError("steps do not lead back to what they code")
        for symbols, masses in reversed(taken):
            self.push(symbols, masses)

    def pop_steps(self, steps: Generator[Step, Tensor, Coded]) -> Coded:
        """Pop all steps and return what they code."""
        try:
            step = next(steps)
            while True:
                step = steps.send(self.pop(step.masses.contiguous()))
        except StopIteration as end:
            coded: Coded = end.value
            return coded

    @property
    def bits(self) -> int:
        """Bits that can be popped."""
        count: int = self._coder.num_valid_bits()
        return count

    def words(self) -> np.ndarray:
        """All words, the top last."""
        words: np.ndarray = self._coder.get_compressed()
        return words


def _check(masses: Tensor) -> None:
    if not bool(torch.isfinite(masses).all()):
        raise SfumatoError("the model gives probabilities that are not finite; train it again, or ask the doctor")


def read_steps(steps: Steps, coded: Tensor) -> tuple[list[tuple[Tensor, Tensor]], Tensor]:
    """The symbols and the masses of each step, where it is known what is coded, and what the steps return."""
    taken: list[tuple[Tensor, Tensor]] = []
    try:
        step = next(steps)
        while True:
            symbols = step.read(coded).reshape(-1).long()
            taken.append((symbols, step.masses.contiguous()))
            step = steps.send(symbols)
    except StopIteration as end:
        return taken, end.value


def random_words(count: int) -> np.ndarray:
    """The first bits that codes are drawn by, the same in every file: uint32, none of them 0.

    >>> random_words(2).tolist() == random_words(3)[1:].tolist()
    True
    """
    stream = hashlib.shake_128(b"sfumato").digest(WORD_BYTES * count)
    # From the top down, so that fewer words are the upper ones of more.
    return (np.frombuffer(stream, "<u4") | 1).astype(np.uint32)[::-1].copy()
